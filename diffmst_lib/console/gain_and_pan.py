"""The equations of fader, width and pan. The checks are in `effects.gain`, `effects.width`, `effects.panner`.

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


def fader_gain(db: torch.Tensor, off_db: float) -> torch.Tensor:
    """Convert a fader's decibels to a factor, which is 0 at `off_db`, its lowest value, and below."""
    return torch.where(db > off_db, db_to_gain(db), torch.zeros_like(db))


def apply_gain(x: torch.Tensor, *, gain_db: torch.Tensor) -> torch.Tensor:
    """Apply a gain, y = 10^(gain_db / 20) x, to audio (B, C, T) with gains (B,)."""
    return x * db_to_gain(gain_db)[:, None, None]


def width_matrix(width: torch.Tensor) -> torch.Tensor:
    """Compute the matrices (..., 2, 2) that scale the side of (left, right) by widths w.

    With mid = (L + R) / 2 and side = w (L - R) / 2: left = mid + side, right = mid - side.
    """
    same, other = (1.0 + width) / 2, (1.0 - width) / 2
    return torch.stack([torch.stack([same, other], dim=-1), torch.stack([other, same], dim=-1)], dim=-2)


def pan_law(pan: torch.Tensor) -> torch.Tensor:
    """Compute left and right factors (..., 2) of pans p: sqrt(2) cos(p pi/2), sqrt(2) sin(p pi/2).

    Written with the angle from the middle, cos t - sin t and cos t + sin t, which is exactly 1 in the middle.
    """
    t = (pan - 0.5) * (math.pi / 2)
    return torch.stack([torch.cos(t) - torch.sin(t), torch.cos(t) + torch.sin(t)], dim=-1)


def apply_width(x: torch.Tensor, *, width: torch.Tensor) -> torch.Tensor:
    """Scale the side of stereo (B, 2, T) by widths (B,)."""
    return width_matrix(width) @ x


def apply_pan(x: torch.Tensor, *, pan: torch.Tensor) -> torch.Tensor:
    """Pan mono (B, 1, T) or stereo (B, 2, T) to stereo (B, 2, T) with pans (B,)."""
    return x * pan_law(pan)[..., None]


def released_pan_law(pan: torch.Tensor) -> torch.Tensor:
    """Compute left and right factors (..., 2) of the released law: sqrt((1-p) cos(p pi/2)), sqrt(p sin(p pi/2)).

    The code uses sinc, because the square roots as written here have a derivative of 0/0 at the ends.
    """

    def side(p: torch.Tensor) -> torch.Tensor:
        return p * torch.sqrt((math.pi / 2) * torch.sinc(p / 2))

    return torch.stack([side(1.0 - pan), side(pan)], dim=-1)


def apply_released_pan(x: torch.Tensor, *, pan: torch.Tensor) -> torch.Tensor:
    """Pan mono (B, T) to stereo (B, 2, T) with pans (B,), by the released law."""
    return x[:, None] * released_pan_law(pan)[..., None]
