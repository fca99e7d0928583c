"""What the controller is told of a reference in numbers: the features that the loss compares, standardized.

Chapter: The encoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from ..style.features import feature_size, flat_features
from ..style.own_features import SHAPES
from .encoder import Standardize

# Mean and deviation of the features of records at -16 LUFS, about; training replaces them.
_USUAL: dict[str, tuple[Sequence[float], float]] = {
    "rms": ([0.13], 0.04),
    "crest_factor": ([13.5], 3.0),
    "stereo_width": ([0.2], 0.15),
    "stereo_imbalance": ([0.0], 0.15),
    "bark_spectrum": ([7.8, 6.9], 0.8),  # of the mid and of the side
}


class StyleFeatures(nn.Module):
    """The audio features of a reference (equations 3 to 7) in a row, standardized: (B, 2, T) to (B, K).

    They are what the loss compares: RMS, crest factor, width, imbalance, Bark spectra of mid and of side, in the
    order of `style.features.flat_features`; then registered features.

    Args:
        names: Names of registered features.
        sample_rate: Sample rate in Hz.

    Raises:
        InputError: In one line, for a name that nobody registered and for a feature that does not fit.

    Example:
        >>> StyleFeatures()(torch.randn(1, 2, 44100)).shape
        torch.Size([1, 54])
    """

    def __init__(self, names: Sequence[str] = (), *, sample_rate: int = 44100):
        super().__init__()
        self.names, self.sample_rate = tuple(names), sample_rate
        with torch.device("cpu"):  # own features are measured, also while only shapes are wanted
            self.size = feature_size(self.names, sample_rate)
        usual = []
        for name, shape in SHAPES.items():
            means, deviation = _USUAL[name]
            usual += [(mean, deviation) for mean in means for _ in range(math.prod(shape) // len(means))]
        usual += [(0.0, 1.0)] * (self.size - len(usual))
        self.standardize = Standardize(*zip(*usual, strict=True))

    def features(self, reference: torch.Tensor) -> torch.Tensor:
        """Measure references (B, 2, T): (B, K), in the features' own units."""
        return flat_features(reference, self.sample_rate, self.names)

    def forward(self, reference: torch.Tensor) -> torch.Tensor:
        """Measure and standardize references (B, 2, T): (B, K)."""
        return self.standardize(self.features(reference))
