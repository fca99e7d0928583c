"""Stems that are a mix of other stems, which would be heard twice. Chapter: Mix your own song."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .polarity import EVERY
from .remarks import few

EXPLAINED = 0.9  # share of a stem's power that the others explain, from which on it is a mix of them
PART = 0.1  # of its level: less is no part of it


def sums_of_others(names: Sequence[str], stems: torch.Tensor) -> list[str]:
    """Find stems that are the sum of two or more others, at whatever levels: a bus, or the finished mix.

    A stem is one when the least-squares fit of the others to it explains 90 % of its power, with positive
    gains only: of a kick drum, which is the drums less the snare, that is not true.

    Args:
        names: Names of the stems, N of them.
        stems: Audio (N, 2, num_samples), floating point.

    Returns:
        The stems with what they consist of, for a message.

    Example:
        >>> kick, snare, vox = torch.randn(3, 2, 44100)
        >>> stems = torch.stack([kick, snare, vox, 0.5 * kick + 0.8 * snare])
        >>> sums_of_others(["kick", "snare", "vox", "drums"], stems)
        ['drums (of kick, snare)']
    """
    sounds = stems.detach().cpu()[..., ::EVERY].flatten(1).double()
    products = (sounds @ sounds.T).numpy()
    norms = np.sqrt(products.diagonal())
    sounding = np.flatnonzero(norms > 0)
    correlations = products[np.ix_(sounding, sounding)] / np.outer(norms[sounding], norms[sounding])
    found = []
    for i in range(len(sounding)):
        rest = np.delete(np.arange(len(sounding)), i)
        gains = np.linalg.lstsq(correlations[np.ix_(rest, rest)], correlations[rest, i], rcond=1e-6)[0]
        explained = gains @ correlations[rest, i]
        parts = [names[sounding[j]] for j, gain in zip(rest, gains, strict=True) if gain > PART]
        if explained > EXPLAINED and len(parts) > 1 and gains.min() > -PART:
            found.append(f"{names[sounding[i]]} (of {few(parts)})")
    return found
