"""Attack and release: a one-pole smoother with two speeds, compiled, with its own backward.

    y[n] = p[n] y[n-1] + (1 - p[n]) x[n]
    p[n] = attack pole while x[n] < y[n-1] (more reduction), else release pole

PyTorch has no fast recursion: a Python loop takes a second for a second of sound, and autograd keeps every
step of it. The gradient is a recursion too, run backwards over the poles that the forward pass chose:

    l[n] = dL/dy[n] + p[n+1] l[n+1],   dL/dx[n] = (1 - p[n]) l[n],   dL/dp[n] = l[n] (y[n-1] - x[n])

Chapter: The compressor.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from .loops import compiled


@compiled
def _forward(x: np.ndarray, attack: np.ndarray, release: np.ndarray, y: np.ndarray) -> None:
    for row in range(x.shape[0]):
        state = 0.0
        for n in range(x.shape[1]):
            pole = attack[row] if x[row, n] < state else release[row]
            state = pole * state + (1.0 - pole) * x[row, n]
            y[row, n] = state


@compiled
def _backward(
    x: np.ndarray,
    attack: np.ndarray,
    release: np.ndarray,
    y: np.ndarray,
    grad_y: np.ndarray,
    grad_x: np.ndarray,
    grad_attack: np.ndarray,
    grad_release: np.ndarray,
) -> None:
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
    def forward(
        ctx: Any, x: torch.Tensor, attack_pole: torch.Tensor, release_pole: torch.Tensor
    ) -> torch.Tensor:
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
    def backward(ctx: Any, grad_y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, attack, release, y = (t.numpy() for t in ctx.saved_tensors)
        grads = [np.zeros_like(x), np.zeros_like(attack), np.zeros_like(release)]
        _backward(x, attack, release, y, grad_y.to("cpu", torch.float64).contiguous().numpy(), *grads)
        return tuple(torch.from_numpy(g).to(grad_y) for g in grads)


def smooth(x: torch.Tensor, attack_pole: torch.Tensor, release_pole: torch.Tensor) -> torch.Tensor:
    """Smooth gains: down with the attack's pole, back up with the release's.

    The equations are at the top of this module. Differentiable once, in all arguments. On a CUDA device the
    smoother runs there, in float32, through Triton (which comes with torch on Linux); otherwise it runs on
    the CPU, in float64.

    Args:
        x: Gains in dB, (B, T).
        attack_pole: (B,) in [0, 1), for falling gains.
        release_pole: (B,) in [0, 1), for rising gains.

    Returns:
        Gains like `x`.

    Raises:
        ValueError: For other shapes.

    Example:
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
