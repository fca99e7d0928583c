"""Attack and release on a GPU: the recursion of `ballistics`, a block of samples at a time, in Triton.

A step y[n] = p y[n-1] + (1 - p) x[n] maps the state before it to the state after it, y -> a y + b. Two such
maps make a third, so one scan gives all states of a block. But which pole applies depends on the state. So
the poles are guessed, the states computed and the poles looked up again, until they agree. This ends, because
the first wrong guess moves to the right each time; in music it takes a few rounds.

Chapter: The compressor.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

BLOCK = 1024

# The kernels have no annotations except Triton's own, because Triton reads them.


@triton.jit
def _then(a1, b1, before_a1, before_b1, a2, b2, before_a2, before_b2):
    """Chain two maps; `before` is each without its last step, and gives the state before that step."""
    return a1 * a2, b1 * a2 + b2, a1 * before_a2, b1 * before_a2 + before_b2


@triton.jit
def _then_linear(a1, b1, a2, b2):
    return a1 * a2, b1 * a2 + b2


@triton.jit
def _forward(x_row, attack, release, y_row, num_samples, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    attack_pole, release_pole = tl.load(attack + row), tl.load(release + row)
    state = attack_pole * 0.0
    offsets = tl.arange(0, BLOCK)
    for start in range(0, num_samples, BLOCK):
        place = row * num_samples + start + offsets
        valid = start + offsets < num_samples
        x = tl.load(x_row + place, mask=valid, other=0.0)
        falling = x < state
        changed = 1
        y = x
        while changed > 0:
            pole = tl.where(falling, attack_pole, release_pole)
            a, b = tl.where(valid, pole, 1.0), tl.where(valid, (1.0 - pole) * x, 0.0)
            a, b, before_a, before_b = tl.associative_scan((a, b, x * 0.0 + 1.0, x * 0.0), 0, _then)
            y = a * state + b
            now = x < before_a * state + before_b
            changed = tl.max(((now != falling) & valid).to(tl.int32), axis=0)
            falling = now
        tl.store(y_row + place, y, mask=valid)
        state = tl.sum(tl.where(offsets == BLOCK - 1, y, 0.0), axis=0)


@triton.jit
def _backward(
    x_row, attack, release, y_row, grad_y, grad_x, grad_attack, grad_release, num_samples, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    attack_pole, release_pole = tl.load(attack + row), tl.load(release + row)
    carried = attack_pole * 0.0
    total_attack, total_release = attack_pole * 0.0, attack_pole * 0.0
    offsets = tl.arange(0, BLOCK)
    for start in range(0, num_samples, BLOCK):
        n = num_samples - 1 - start - offsets  # from the end to the beginning
        place, valid = row * num_samples + n, n >= 0
        x = tl.load(x_row + place, mask=valid, other=0.0)
        before = tl.load(y_row + place - 1, mask=n >= 1, other=0.0)
        after = tl.load(x_row + place + 1, mask=valid & (n + 1 < num_samples), other=0.0)
        y = tl.load(y_row + place, mask=valid, other=0.0)
        pole = tl.where(x < before, attack_pole, release_pole)
        next_pole = tl.where(after < y, attack_pole, release_pole)
        a = tl.where(valid & (n + 1 < num_samples), next_pole, 0.0)
        g = tl.load(grad_y + place, mask=valid, other=0.0)
        a, b = tl.associative_scan((a, g), 0, _then_linear)
        carry = tl.where(valid, a * carried + b, 0.0)
        tl.store(grad_x + place, (1.0 - pole) * carry, mask=valid)
        slope = carry * (before - x)
        total_attack += tl.sum(tl.where(x < before, slope, 0.0), axis=0)
        total_release += tl.sum(tl.where(x < before, 0.0, slope), axis=0)
        carried = tl.sum(tl.where(offsets == BLOCK - 1, carry, 0.0), axis=0)
    tl.store(grad_attack + row, total_attack)
    tl.store(grad_release + row, total_release)


class SmoothOnGPU(torch.autograd.Function):
    """`ballistics.smooth` in float32 on the device of its arguments, without a copy through the host."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, attack_pole: torch.Tensor, release_pole: torch.Tensor
    ) -> torch.Tensor:
        """Smooth gains (B, T) with poles (B,)."""
        rows = [t.detach().to(torch.float32).contiguous() for t in (x, attack_pole, release_pole)]
        y = torch.empty_like(rows[0])
        with torch.cuda.device_of(y):  # Triton launches on the current device, which may be another one
            _forward[(len(y),)](*rows, y, y.shape[1], BLOCK=BLOCK)
        ctx.save_for_backward(*rows, y)
        return y.to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the gradients of the gains and of both poles."""
        x, attack, release, y = ctx.saved_tensors
        grads = [torch.empty_like(t) for t in (x, attack, release)]
        grad_y32 = grad_y.to(torch.float32).contiguous()
        with torch.cuda.device_of(y):
            _backward[(len(x),)](x, attack, release, y, grad_y32, *grads, x.shape[1], BLOCK=BLOCK)
        return tuple(g.to(grad_y.dtype) for g in grads)
