"""The effects as the authors' released code computes them: the functions of `effects`, through dasp-pytorch.

The results are dasp's number for number, faults included (the ledger lists them), so that the paper's console
can be compared with ours. The functions check what `effects` checks, but convert nothing: dasp gets sound and
settings in the types that they have. There is no width, and only mono is panned.

Chapters: Gain and pan, The equalizer, The compressor, The console.
"""

from __future__ import annotations

from typing import Any

import torch

from ..inputs import check_rate
from .arguments import (
    RANGES,
    as_channels,
    check_lookahead,
    check_mono,
    check_stereo_bus,
    equalizer_settings,
    in_range,
    per_item,
    reverb_settings,
)
from .engines import dasp
from .gain_and_pan import released_pan_law

__all__ = ["compressor", "gain", "pan_gains", "panner", "parametric_eq", "reverb"]


def gain(x: torch.Tensor, *, gain_db: torch.Tensor) -> torch.Tensor:
    """Apply dasp's fader.

    Args:
        x: Audio (B, T) or (B, C, T).
        gain_db: (B,), -200 to 200 dB.

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes and values.
    """
    x3 = as_channels(x)
    per_item(gain_db, x3, "gain_db")
    return dasp.apply_gain(x3, gain_db=gain_db).view(x.shape)


def parametric_eq(
    x: torch.Tensor, *, sample_rate: float, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Apply dasp's equalizer: six biquads, frequency-sampled.

    Args:
        x: Audio (B, T) or (B, C, T).
        sample_rate: Hz.
        gain_db: (B, 6), -60 to 60 dB.
        frequency_hz: (B, 6), 1 Hz to below sample_rate / 2.
        q: (B, 6), 0.01 to 100.

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes and values.
    """
    x3, settings = as_channels(x), {"gain_db": gain_db, "frequency_hz": frequency_hz, "q": q}
    equalizer_settings(x3, sample_rate, **settings)
    return dasp.apply_equalizer(x3, sample_rate=sample_rate, **settings).view(x.shape)


def compressor(
    x: torch.Tensor,
    *,
    sample_rate: float,
    threshold_db: torch.Tensor,
    ratio: torch.Tensor,
    attack_ms: torch.Tensor,
    release_ms: torch.Tensor,
    knee_db: torch.Tensor,
    makeup_gain_db: torch.Tensor,
    lookahead_samples: int = 0,
) -> torch.Tensor:
    """Apply dasp's compressor.

    The side-chain is L + R, the release has no effect, and the look-ahead delays the sound.

    Args:
        x: Audio (B, T) or (B, C, T).
        sample_rate: Hz.
        threshold_db: (B,), -120 to 24 dB.
        ratio: (B,), 1 to 1000.
        attack_ms: (B,), 0 to 10,000 ms.
        release_ms: (B,), 0 to 10,000 ms.
        knee_db: (B,), 0 to 60 dB.
        makeup_gain_db: (B,), -60 to 60 dB.
        lookahead_samples: How far the sound is delayed, 0 or more.

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes and values.
    """
    x3 = as_channels(x)
    settings: dict[str, Any] = {
        "threshold_db": threshold_db,
        "ratio": ratio,
        "attack_ms": attack_ms,
        "release_ms": release_ms,
        "knee_db": knee_db,
        "makeup_gain_db": makeup_gain_db,
    }
    for name, value in settings.items():
        per_item(value, x3, name)
    check_rate(sample_rate)
    check_lookahead(lookahead_samples)
    y = dasp.apply_compressor(x3, sample_rate=sample_rate, lookahead_samples=lookahead_samples, **settings)
    return y.view(x.shape)


def pan_gains(pan: torch.Tensor) -> torch.Tensor:
    """Compute the left and right factors of the -4.5 dB pan law.

    left = sqrt((1 - p) cos(p pi/2)), right = sqrt(p sin(p pi/2)): the geometric mean of the linear and the
    constant-power law. At the center each channel is at -4.5 dB, and the total power at -1.5 dB. The numbers
    are dasp's; unlike `panner`, written so that the gradients at the ends are finite.

    Source: dasp-pytorch. Chapter: Gain and pan

    Args:
        pan: Pans p of any shape, 0 (left) to 1 (right).

    Returns:
        Factors (..., 2), left and right.

    Raises:
        ValueError: For values outside [0, 1].

    Example:
        >>> pan_gains(torch.tensor([0.0, 0.5]))
        tensor([[1.0000, 0.0000],
                [0.5946, 0.5946]])
    """
    in_range(pan, "pan", *RANGES["pan"])
    return released_pan_law(pan)


def panner(x: torch.Tensor, *, pan: torch.Tensor) -> torch.Tensor:
    """Apply dasp's panner: the -4.5 dB law with a derivative of 0/0 at both ends.

    Args:
        x: Mono audio (B, T).
        pan: (B,), 0 (left) to 1 (right).

    Returns:
        Stereo audio (B, 2, T).

    Raises:
        ValueError: For other shapes and values.
    """
    check_mono(x)
    per_item(pan, x, "pan")
    return dasp.apply_pan(x, pan=pan)


def reverb(
    x: torch.Tensor,
    *,
    sample_rate: float,
    band_gains: torch.Tensor,
    band_decays: torch.Tensor,
    mix: torch.Tensor,
) -> torch.Tensor:
    """Apply dasp's reverb: fresh noise at every call, 65,536 taps convolved in the time domain.

    Args:
        x: Stereo audio (B, 2, T).
        sample_rate: Hz.
        band_gains: (B, 12) in [0, 1].
        band_decays: (B, 12) in [0, 1].
        mix: (B,), 0 (dry) to 1 (wet).

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes and values.
    """
    check_stereo_bus(x)
    settings = {"band_gains": band_gains, "band_decays": band_decays, "mix": mix}
    reverb_settings(x, sample_rate, **settings)
    return dasp.apply_reverb(x, sample_rate=sample_rate, **settings)
