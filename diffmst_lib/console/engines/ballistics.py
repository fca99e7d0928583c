"""The compressor's memory: a one-pole smoother with two speeds, compiled, with its own backward. Chapter: The compressor.

    y[n] = p[n] y[n-1] + (1 - p[n]) x[n],   p[n] = attack pole while x[n] < y[n-1] (more reduction), else release pole

PyTorch has no fast recursion: a Python loop takes a second for a second of sound, and autograd keeps every step of
it. The gradient is a recursion too, run backwards over the poles that the forward pass chose:

    l[n] = dL/dy[n] + p[n+1] l[n+1],   dL/dx[n] = (1 - p[n]) l[n],   dL/dp[n] = l[n] (y[n-1] - x[n])
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import torch

from .loops import compiled


@compiled
def _forward(x, attack, release, y):
    for row in range(x.shape[0]):
        state = 0.0
        for n in range(x.shape[1]):
            pole = attack[row] if x[row, n] < state else release[row]
            state = pole * state + (1.0 - pole) * x[row, n]
            y[row, n] = state


@compiled
def _backward(x, attack, release, y, grad_y, grad_x, grad_attack, grad_release):
    for row in range(x.shape[0]):
        carried = 0.0
        for n in range(x.shape[1] - 1, -1, -1):
            before = y[row, n - 1] if n > 0 else 0.0
            rising = x[row, n] < before
            pole = attack[row] if rising else release[row]
            carried += grad_y[row, n]
            grad_x[row, n] = (1.0 - pole) * carried
            if rising:
                grad_attack[row] += carried * (before - x[row, n])
            else:
                grad_release[row] += carried * (before - x[row, n])
            carried *= pole


class _Smooth(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, attack_pole, release_pole):
        # float64 inside: the forward and the backward pass must choose the same pole at every sample
        arrays = [
            t.detach().to("cpu", torch.float64, copy=True).contiguous().numpy()
            for t in (x, attack_pole, release_pole)
        ]
        y = np.empty_like(arrays[0])
        _forward(*arrays, y)
        kept = [torch.from_numpy(array) for array in (*arrays, y)]
        ctx.save_for_backward(*kept)
        return kept[-1].to(x, copy=True)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_y):
        x, attack, release, y = (t.numpy() for t in ctx.saved_tensors)
        grads = [np.zeros_like(x), np.zeros_like(attack), np.zeros_like(release)]
        _backward(x, attack, release, y, grad_y.to("cpu", torch.float64).contiguous().numpy(), *grads)
        return tuple(torch.from_numpy(g).to(grad_y) for g in grads)


def smooth(x: torch.Tensor, attack_pole: torch.Tensor, release_pole: torch.Tensor) -> torch.Tensor:
    """Smooth gains in dB, (B, T), with poles (B,) in [0, 1): fast down with one, back up with the other.

    The equations are in the head of this module. Differentiable once in all three. On a CUDA device it runs there, in
    float32, through Triton (which comes with torch on Linux); otherwise on the CPU, in float64.

    >>> step = torch.tensor([[0.0, -10.0, -10.0, 0.0]])
    >>> smooth(step, torch.tensor([0.0]), torch.tensor([0.5]))
    tensor([[  0., -10., -10.,  -5.]])
    """
    if x.ndim != 2 or attack_pole.shape != x.shape[:1] or release_pole.shape != x.shape[:1]:
        raise ValueError(
            f"smooth takes (B, T) and poles (B,), got {tuple(x.shape)}, "
            f"{tuple(attack_pole.shape)}, {tuple(release_pole.shape)}"
        )
    if x.is_cuda and find_spec("triton"):
        from .ballistics_gpu import SmoothOnGPU

        return SmoothOnGPU.apply(x, attack_pole, release_pole)
    return _Smooth.apply(x, attack_pole, release_pole)
