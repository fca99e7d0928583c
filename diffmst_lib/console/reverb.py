"""The reverb: shaped noise as an impulse response. The checks are in `effects.reverb`.

Source: dasp-pytorch, except for the seed and the FFT. Chapter: The console.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
import scipy.signal
import torch

from .engines.convolution import FIR_TAPS, fft_convolve, scaled_samples


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # a tensor cached under inference mode could not take part in a gradient later
def noise_bands(sample_rate: int, num_samples: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Make stereo white noise in twelve bands: below the octave of 31.5 Hz, ten octaves from it on, above.

    The power per Hz, and so the level of the reverb, is the same at every sample rate.

    Args:
        sample_rate: Hz.
        num_samples: Length of the noise.
        dtype: float32 or float64.
        device: Device of the noise.

    Returns:
        Noise (2, 12, num_samples), the same every time.
    """
    taps = 2 * round(511 * sample_rate / 44100) + 1
    noise = np.random.default_rng(0).standard_normal((2, 12, num_samples + taps - 1))
    noise *= math.sqrt(44100 / sample_rate)
    edges = np.clip(31.5 * 2.0 ** (np.arange(11) - 0.5), None, 0.499 * sample_rate)
    filters = [scipy.signal.firwin(taps, edges[0], fs=sample_rate)]
    for low, high in itertools.pairwise(edges):
        if low < high:
            filters.append(scipy.signal.firwin(taps, [low, high], fs=sample_rate, pass_zero=False))
        else:  # an octave above Nyquist
            filters.append(np.zeros(taps))
    filters.append(scipy.signal.firwin(taps, edges[-1], fs=sample_rate, pass_zero=False))
    bands = scipy.signal.fftconvolve(noise, np.stack(filters)[None], mode="valid", axes=-1)
    return torch.from_numpy(bands).to(device=device, dtype=dtype)


def apply_reverb(
    x: torch.Tensor,
    *,
    sample_rate: float,
    band_gains: torch.Tensor,
    band_decays: torch.Tensor,
    mix: torch.Tensor,
) -> torch.Tensor:
    """Apply the reverb to stereo (B, 2, T), bands (B, 12), mix (B,): `effects.reverb` without its checks."""
    fir = room_response(sample_rate=sample_rate, band_gains=band_gains, band_decays=band_decays)
    wet = mix[:, None, None]
    return (1.0 - wet) * x + wet * fft_convolve(x, fir.to(x))


def room_response(*, sample_rate: float, band_gains: torch.Tensor, band_decays: torch.Tensor) -> torch.Tensor:
    """Compute the impulse response of the reverb: noise in twelve bands, each with its gain and its decay.

    Args:
        sample_rate: Hz.
        band_gains: (B, 12), from 0 to 1.
        band_decays: (B, 12), from 0 to 1.

    Returns:
        Impulse responses (B, 2, taps), 1.5 s long.
    """
    taps = scaled_samples(FIR_TAPS, sample_rate)
    dtype, device = band_gains.dtype, band_gains.device
    t = torch.linspace(0.0, 1.0, taps, dtype=dtype, device=device)
    noise = noise_bands(int(sample_rate), taps, dtype, device)  # (2, 12, taps)
    envelope = torch.exp(-(1.0 + 10.0 * band_decays)[..., None] * t) * band_gains[..., None]
    return (noise * envelope[:, None]).mean(dim=2)  # autocast would round a matrix product
