"""Stems of opposite polarity, which cancel each other: a direct signal and a microphone. Chapter: A first mix."""

from __future__ import annotations

from collections.abc import Sequence

import torch

OPPOSITE = -0.8  # below this correlation two stems lose over 7 dB of their sum
EVERY = 16  # samples: as good as all of them for a correlation, and much faster


def opposite_pairs(names: Sequence[str], stems: torch.Tensor) -> list[str]:
    """Find stems that are more or less the negative of another.

    Args:
        names: Names of the stems, N of them.
        stems: Audio (N, 2, num_samples), floating point.

    Returns:
        Pairs with their correlation, for a message.

    Example:
        >>> di = torch.randn(2, 44100)
        >>> opposite_pairs(["di", "mic"], torch.stack([di, -0.5 * di]))
        ['di and mic (correlation -1.00)']
    """
    sounds = stems.detach().cpu()[..., ::EVERY].flatten(1).double()
    products = sounds @ sounds.T
    norms = products.diagonal().sqrt()
    correlations = products / torch.outer(norms, norms).clamp(min=1e-30)
    return [
        f"{names[i]} and {names[j]} (correlation {correlations[i, j].item():.2f})"
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if correlations[i, j] < OPPOSITE
    ]
