"""What users give: errors and notes for them, and checks that every floor shares."""

from __future__ import annotations

import math
from numbers import Real

import torch

PRESETS = ("default", "reference")


class InputError(ValueError):
    """Something is wrong with what the user gave; the message is one line for that user."""


class InputNote(UserWarning):
    """Something in the input was changed to fit (resampled, padded, ignored) and is worth one line."""


def check_preset(preset: str) -> None:
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")


def check_dtype(x: torch.Tensor) -> None:
    """Audio is a tensor of float32 or float64."""
    if not isinstance(x, torch.Tensor):
        raise ValueError(f"audio must be a torch tensor, got {type(x).__name__}")
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"audio must be float32 or float64, got {str(x.dtype).removeprefix('torch.')}")


def check_rate(sample_rate: float) -> None:
    """A sample rate is a number above 0."""
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, Real) or not 0 < sample_rate < math.inf:
        raise ValueError(f"sample_rate must be a number above 0 Hz, got {sample_rate!r}")
