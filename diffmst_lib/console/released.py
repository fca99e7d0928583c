"""The effects as the authors' released code computes them: the same functions as in `effects`, through dasp-pytorch.

Kept number for number, faults included (the ledger lists them), so that the paper's console can be compared with
ours. Signatures are those of `effects`, with every parameter a tensor (B,).
"""

from __future__ import annotations

import dasp_pytorch.functional as dasp
import torch

DASP_BANDS = ("low_shelf", "band0", "band1", "band2", "band3", "high_shelf")


def _as_channels(x: torch.Tensor) -> torch.Tensor:
    return x.unsqueeze(1) if x.ndim == 2 else x


def gain(x, *, gain_db):
    """Fader through dasp."""
    return dasp.gain(_as_channels(x), 1, gain_db).view(x.shape)


def parametric_eq(x, *, sample_rate, gain_db, frequency_hz, q):
    """Six biquads, frequency-sampled in float32 by dasp."""
    bands = {}
    for i, band in enumerate(DASP_BANDS):
        bands[f"{band}_gain_db"] = gain_db[:, i]
        bands[f"{band}_cutoff_freq"] = frequency_hz[:, i]
        bands[f"{band}_q_factor"] = q[:, i]
    return dasp.parametric_eq(_as_channels(x), sample_rate, **bands).view(x.shape)


def compressor(
    x,
    *,
    sample_rate,
    threshold_db,
    ratio,
    attack_ms,
    release_ms,
    knee_db,
    makeup_gain_db,
    lookahead_samples=0,
):
    """dasp's compressor: the side-chain is L + R, release has no effect, the look-ahead delays the sound."""
    y = dasp.compressor(
        _as_channels(x),
        sample_rate,
        threshold_db,
        ratio,
        attack_ms,
        release_ms,
        knee_db,
        makeup_gain_db,
        lookahead_samples=lookahead_samples,
    )
    return y.view(x.shape)


def panner(x, *, pan):
    """dasp's panner: the -4.5 dB law with a derivative of 0/0 at both ends."""
    return dasp.stereo_panner(x[:, None], 1, pan[:, None])[:, :, 0]  # (B, 2, tracks=1, T) -> (B, 2, T)


def reverb(x, *, sample_rate, band_gains, band_decays, mix):
    """dasp's reverb: fresh noise at every call, 65,536 taps convolved in the time domain."""
    bands = {f"band{i}_gain": band_gains[:, i] for i in range(12)}
    bands |= {f"band{i}_decay": band_decays[:, i] for i in range(12)}
    return dasp.noise_shaped_reverberation(x, sample_rate, **bands, mix=mix)
