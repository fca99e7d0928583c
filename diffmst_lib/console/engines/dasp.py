"""The effects of the authors' released code, through dasp-pytorch, without checks.

`released` has the functions that check their arguments, and says what differs from `effects`.

Chapters: Gain and pan, The equalizer, The compressor, The console.
"""

from __future__ import annotations

import dasp_pytorch.functional as dasp
import torch

# The bands of the equalizer, as dasp calls them.
BANDS = ("low_shelf", "band0", "band1", "band2", "band3", "high_shelf")


def apply_gain(x: torch.Tensor, *, gain_db: torch.Tensor) -> torch.Tensor:
    """Apply the fader to audio (B, C, T) with gains (B,)."""
    return dasp.gain(x, 1, gain_db)


def apply_equalizer(
    x: torch.Tensor, *, sample_rate: float, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Equalize audio (B, C, T) with settings (B, 6)."""
    bands = {}
    for i, band in enumerate(BANDS):
        bands[f"{band}_gain_db"] = gain_db[:, i]
        bands[f"{band}_cutoff_freq"] = frequency_hz[:, i]
        bands[f"{band}_q_factor"] = q[:, i]
    return dasp.parametric_eq(x, sample_rate, **bands)


def apply_compressor(
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
    """Compress audio (B, C, T) with settings (B,)."""
    knobs = (threshold_db, ratio, attack_ms, release_ms, knee_db, makeup_gain_db)
    return dasp.compressor(x, sample_rate, *knobs, lookahead_samples=lookahead_samples)


def apply_pan(x: torch.Tensor, *, pan: torch.Tensor) -> torch.Tensor:
    """Pan mono (B, T) to stereo (B, 2, T) with pans (B,)."""
    return dasp.stereo_panner(x[:, None], 1, pan[:, None])[:, :, 0]  # (B, 2, tracks=1, T) -> (B, 2, T)


def apply_reverb(
    x: torch.Tensor,
    *,
    sample_rate: float,
    band_gains: torch.Tensor,
    band_decays: torch.Tensor,
    mix: torch.Tensor,
) -> torch.Tensor:
    """Apply the reverb to stereo (B, 2, T) with bands (B, 12) and mix (B,)."""
    bands = {f"band{i}_gain": band_gains[:, i] for i in range(12)}
    bands |= {f"band{i}_decay": band_decays[:, i] for i in range(12)}
    return dasp.noise_shaped_reverberation(x, sample_rate, **bands, mix=mix)
