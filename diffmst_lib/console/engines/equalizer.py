"""The equalizer's engine on a CPU: a chain of second-order sections, compiled, with its own backward.

Each section keeps two numbers, p and q (transposed direct form II), and all sections take a sample in turn:

    y = b0 x + p,    p <- b1 x - a1 y + q,    q <- b2 x - a2 y

Read backwards in time this is the gradient, with g = dL/dy and the sums over all samples n:

    w[n] = g[n] - a1 w[n+1] - a2 w[n+2],    dL/dx[n] = b0 w[n] + b1 w[n+1] + b2 w[n+2]
    dL/db_i = sum w[n+i] x[n],    dL/da_i = - sum w[n+i] y[n]

The backward pass needs x and y of every section. It runs the chain once more, block by block, from the p and
q that the forward pass saved at the start of each block. So the memory needed is that of the input, not seven
times as much.

A song that comes in blocks goes through `CascadeStream`, which keeps p and q from block to block.

Chapter: The equalizer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .loops import compiled, over_rows

# Samples between two saved states. A block fits the fastest cache; it is not a power of two, or its rows
# would collide there.
BLOCK = 480
TINY = 1e-30  # states below this are set to 0 after a block: numbers near 1e-308 are a hundred times slower


@compiled(fastmath={"contract"})
def _run(x: np.ndarray, sections: np.ndarray, p: np.ndarray, q: np.ndarray, chain: np.ndarray) -> None:
    """Filter one block of one row: chain[0] is the input, chain[s] the signal after s sections."""
    for n in range(x.shape[0]):
        value = np.float64(x[n])
        chain[0, n] = value
        for s in range(sections.shape[0]):
            y = sections[s, 0] * value + p[s]
            p[s] = sections[s, 1] * value - sections[s, 3] * y + q[s]
            q[s] = sections[s, 2] * value - sections[s, 4] * y
            value = y
            chain[s + 1, n] = value


@compiled
def _flush(values: np.ndarray) -> None:
    for i in range(values.shape[0]):
        if abs(values[i]) < TINY:
            values[i] = 0.0


@compiled
def _forward(
    first: int, last: int, x: np.ndarray, sections: np.ndarray, states: np.ndarray, y: np.ndarray
) -> None:
    num_sections = sections.shape[1]
    chain = np.empty((num_sections + 1, BLOCK))
    for row in range(first, last):
        p, q = np.zeros(num_sections), np.zeros(num_sections)
        for block in range(states.shape[1]):
            states[row, block, 0], states[row, block, 1] = p, q
            start = block * BLOCK
            part = x[row, start : start + BLOCK]
            _run(part, sections[row], p, q, chain)
            _flush(p)
            _flush(q)
            for n in range(part.shape[0]):
                y[row, start + n] = chain[num_sections, n]


@compiled
def _carry_on(
    x: np.ndarray, sections: np.ndarray, edges: np.ndarray, states: np.ndarray, y: np.ndarray
) -> None:
    """Filter the next block: from edges[i] to edges[i + 1] with sections[i]; `states` holds p and q."""
    num_sections = sections.shape[1]
    chain = np.empty((num_sections + 1, BLOCK))
    for row in range(x.shape[0]):
        p, q = states[row, 0], states[row, 1]
        for step in range(sections.shape[0]):
            for start in range(edges[step], edges[step + 1], BLOCK):
                part = x[row, start : min(start + BLOCK, edges[step + 1])]
                _run(part, sections[step], p, q, chain)
                _flush(p)
                _flush(q)
                for n in range(part.shape[0]):
                    y[row, start + n] = chain[num_sections, n]


@compiled(fastmath={"contract", "reassoc"})
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for n in range(b.shape[0]):
        total += a[n] * b[n]
    return total


@compiled(fastmath={"contract"})
def _backward(
    first: int,
    last: int,
    x: np.ndarray,
    sections: np.ndarray,
    states: np.ndarray,
    grad_y: np.ndarray,
    grad_x: np.ndarray,
    grad_sections: np.ndarray,
) -> None:
    num_sections = sections.shape[1]
    chain = np.empty((num_sections + 1, BLOCK))
    for row in range(first, last):
        c = sections[row]
        w = np.zeros((num_sections, BLOCK + 2))  # two samples more: those of the block after this one
        for block in range(states.shape[1] - 1, -1, -1):
            start = block * BLOCK
            part = x[row, start : start + BLOCK]
            size = part.shape[0]
            _run(part, c, states[row, block, 0].copy(), states[row, block, 1].copy(), chain)
            for n in range(size - 1, -1, -1):
                g = np.float64(grad_y[row, start + n])
                for s in range(num_sections - 1, -1, -1):
                    w[s, n] = g - c[s, 3] * w[s, n + 1] - c[s, 4] * w[s, n + 2]
                    g = c[s, 0] * w[s, n] + c[s, 1] * w[s, n + 1] + c[s, 2] * w[s, n + 2]
                grad_x[row, start + n] = g
            for s in range(num_sections):
                for i in range(3):
                    grad_sections[row, s, i] += _dot(w[s, i:], chain[s, :size])
                for i in range(1, 3):
                    grad_sections[row, s, 2 + i] -= _dot(w[s, i:], chain[s + 1, :size])
                w[s, BLOCK:] = w[s, :2]
                _flush(w[s, BLOCK:])


class _Cascade(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, sections: torch.Tensor) -> torch.Tensor:
        x, sections = x.detach().contiguous(), sections.detach().contiguous()
        num_rows, num_samples = x.shape
        states = torch.empty(
            num_rows, -(-num_samples // BLOCK), 2, sections.shape[1], dtype=torch.float64, device="cpu"
        )
        y = torch.empty_like(x)
        over_rows(_forward, num_rows, *(t.numpy() for t in (x, sections, states, y)))
        ctx.save_for_backward(x, sections, states)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, sections, states = ctx.saved_tensors
        grads = torch.empty_like(x), torch.zeros_like(sections)
        over_rows(_backward, len(x), *(t.numpy() for t in (x, sections, states, grad_y.contiguous(), *grads)))
        return grads


def biquad_cascade(x: torch.Tensor, sections: torch.Tensor) -> torch.Tensor:
    """Filter rows by second-order sections in series, from rest. Differentiable once, in both arguments.

    A section is b0, b1, b2, a1, a2 of H(z) = (b0 + b1 z^-1 + b2 z^-2) / (1 + a1 z^-1 + a2 z^-2). The states
    are float64: in float32 a recursion is as inaccurate at 20 Hz as the frequency response of a biquad.

    Args:
        x: Audio (B, T), float32 or float64, on the CPU.
        sections: (B, S, 5), float64.

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes.

    Example:
        >>> one_pole = torch.tensor([[[1.0, 0.0, 0.0, -0.5, 0.0]]], dtype=torch.float64)
        >>> biquad_cascade(torch.tensor([[1.0, 0.0, 0.0]]), one_pole)
        tensor([[1.0000, 0.5000, 0.2500]])
    """
    if x.ndim != 2 or sections.ndim != 3 or sections.shape[0] != x.shape[0] or sections.shape[2] != 5:
        raise ValueError(
            f"biquad_cascade takes (B, T) and (B, sections, 5), got {tuple(x.shape)}, {tuple(sections.shape)}"
        )
    return _Cascade.apply(x, sections.double())


class CascadeStream:
    """`biquad_cascade` for a sound that comes in blocks: the output of all blocks is that of one pass.

    The sections may change on the way: their states are carried over. Without gradients.

    Args:
        num_rows: Rows of the sound.
        num_sections: Sections in series.

    Example:
        >>> one_pole = torch.tensor([[[1.0, 0.0, 0.0, -0.5, 0.0]]], dtype=torch.float64)
        >>> stream = CascadeStream(1, 1)
        >>> [stream(x, one_pole, np.array([0, 1])).item() for x in torch.tensor([[[1.0]], [[0.0]], [[0.0]]])]
        [1.0, 0.5, 0.25]
    """

    def __init__(self, num_rows: int, num_sections: int):
        self._states = np.zeros((num_rows, 2, num_sections))

    def __call__(self, x: torch.Tensor, sections: torch.Tensor, edges: np.ndarray) -> torch.Tensor:
        """Filter the next block.

        Args:
            x: Audio (num_rows, T), float32 or float64, on the CPU.
            sections: (steps, num_sections, 5), float64: those of one step after another.
            edges: Where the steps begin and the last one ends, (steps + 1,): from 0 to T.

        Returns:
            Audio like `x`.
        """
        x = x.contiguous()
        y = torch.empty_like(x)
        _carry_on(x.numpy(), sections.contiguous().numpy(), edges, self._states, y.numpy())
        return y
