"""The equations of fader and panner. The checks are in `effects.gain` and `effects.panner`.

Chapter: Gain and pan.
"""

from __future__ import annotations

import math

import torch


def db_to_gain(db: torch.Tensor) -> torch.Tensor:
    """Convert decibels to a factor: 10^(db / 20).

    Chapter: Gain and pan

    Example:
        >>> db_to_gain(torch.tensor([0.0, -20.0]))
        tensor([1.0000, 0.1000])
    """
    return torch.exp(db * (math.log(10.0) / 20.0))


def apply_gain(x: torch.Tensor, *, gain_db: torch.Tensor) -> torch.Tensor:
    """Apply the fader, y = 10^(gain_db / 20) x, to audio (B, C, T) with gains (B,)."""
    return x * db_to_gain(gain_db)[:, None, None]


def pan_law(pan: torch.Tensor) -> torch.Tensor:
    """Compute left and right factors (..., 2) of pans p: sqrt((1 - p) cos(p pi/2)), sqrt(p sin(p pi/2)).

    The code uses sinc, because the square roots as written here have a derivative of 0/0 at the ends.
    """

    def side(p: torch.Tensor) -> torch.Tensor:
        return p * torch.sqrt((math.pi / 2) * torch.sinc(p / 2))

    return torch.stack([side(1.0 - pan), side(pan)], dim=-1)


def apply_pan(x: torch.Tensor, *, pan: torch.Tensor) -> torch.Tensor:
    """Pan mono (B, T) to stereo (B, 2, T) with pans (B,)."""
    return x[:, None] * pan_law(pan)[..., None]
