"""The six-band equalizer's equations. The checks are in `effects.parametric_eq`.

Each band is an analog filter, a ratio of two polynomials in s. The bilinear transform turns it into a digital
one. Its coefficients drive a recursion (`filter_sections`), its values on the unit circle a convolution
(`frequency_response`).

Source: R. Bristow-Johnson, Audio EQ cookbook. Chapter: The equalizer.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

from .engines.convolution import FIR_TAPS, fft_convolve, scaled_samples
from .engines.equalizer import biquad_cascade
from .gain_and_pan import db_to_gain

BACKENDS = ("recursion", "fft")  # the first one runs on a CPU only


def analog_prototypes(gain_db: torch.Tensor, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Design the six analog filters (B, 6), at 1 rad/s: low shelf, four peaks, high shelf.

    Args:
        gain_db: Gains (B, 6) in dB.
        q: Quality factors (B, 6).

    Returns:
        Numerators and denominators, (3, B, 6) each: the coefficients of s^2, s and 1.
    """
    A = db_to_gain(gain_db / 2)
    root, one = torch.sqrt(A), torch.ones_like(A)
    low, peaks, high = (..., slice(0, 1)), (..., slice(1, 5)), (..., slice(5, 6))

    def bands(
        low_shelf: tuple[torch.Tensor, ...],
        peak: tuple[torch.Tensor, ...],
        high_shelf: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:
        powers = zip(low_shelf, peak, high_shelf, strict=True)
        return torch.stack([torch.cat([a[low], b[peaks], c[high]], dim=-1) for a, b, c in powers])

    tilt = A * root / q
    top = bands((A, tilt, A * A), (one, A / q, one), (A * A, tilt, A))
    bottom = bands((A, root / q, one), (one, 1 / (A * q), one), (one, root / q, A))
    return top, bottom


def filter_sections(
    *, sample_rate: float, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Compute the biquads (B, 6, 5) in float64: `effects.eq_sections`, which has the equations."""
    gain_db, frequency_hz, q = (v.double() for v in (gain_db, frequency_hz, q))
    W = torch.tan(frequency_hz * (math.pi / sample_rate))
    (b0, b1, b2), (a0, a1, a2) = (
        (n2 + n1 * W + n0 * W * W, 2 * (n0 * W * W - n2), n2 - n1 * W + n0 * W * W)
        for n2, n1, n0 in analog_prototypes(gain_db, q)
    )
    return torch.stack([b0, b1, b2, a1, a2], dim=-1) / a0[..., None]


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # a tensor cached under inference mode could not take part in a gradient later
def half_angle_tangent(num_points: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Compute tan(w / 2) at the bins w of an FFT of `num_points`: (num_points // 2 + 1,)."""
    w = np.arange(num_points // 2 + 1) * (math.pi / num_points)
    t = np.tan(w).clip(0.0, 1e6)  # finite at Nyquist, where every ratio has reached its limit
    return torch.from_numpy(t).to(device=device, dtype=dtype)


def frequency_response(
    num_points: int, *, sample_rate: float, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Compute the response (B, num_points // 2 + 1): `effects.eq_response`, which has the equations."""
    t = half_angle_tangent(num_points, gain_db.dtype, gain_db.device)
    W = torch.tan(frequency_hz * (math.pi / sample_rate))
    top, bottom = analog_prototypes(gain_db, q)

    def ratio(band: int) -> torch.Tensor:
        w, parts = W[:, band, None], []
        for n2, n1, n0 in (top[..., band, None], bottom[..., band, None]):
            a, b = torch.sqrt(n0) * w, torch.sqrt(n2) * t
            parts.append(torch.complex((a - b) * (a + b), n1 * w * t))  # a^2 - b^2 without its cancellation
        return parts[0] / parts[1]

    response = ratio(0)
    for band in range(1, 6):
        response = response * ratio(band)
    return response


def response_db(
    at_hz: torch.Tensor,
    *,
    sample_rate: float,
    gain_db: torch.Tensor,
    frequency_hz: torch.Tensor,
    q: torch.Tensor,
) -> torch.Tensor:
    """Compute the gain of equalizers (B, 6) at frequencies (F,) of one's choice: (B, F), in dB. Differentiable.

    The prototypes at s = j tan(pi f / rate) / tan(pi f0 / rate), as in `frequency_response`.
    """
    W = torch.tan(frequency_hz * (math.pi / sample_rate))[..., None]  # (B, 6, 1)
    ratio = torch.tan(at_hz.to(W) * (math.pi / sample_rate)) / W  # (B, 6, F)

    def power(polynomials: torch.Tensor) -> torch.Tensor:
        n2, n1, n0 = polynomials[..., None]  # (B, 6, 1) each
        return (n0 - n2 * ratio.square()).square() + (n1 * ratio).square()

    top, bottom = analog_prototypes(gain_db, q)
    return 10.0 * torch.log10((power(top) / power(bottom)).clamp(min=1e-12)).sum(dim=1)


def apply_equalizer(
    x: torch.Tensor,
    *,
    sample_rate: float,
    gain_db: torch.Tensor,
    frequency_hz: torch.Tensor,
    q: torch.Tensor,
    backend: str = "auto",
) -> torch.Tensor:
    """Equalize audio (B, C, T) with settings (B, 6): `effects.parametric_eq` without its checks."""
    settings = {"gain_db": gain_db, "frequency_hz": frequency_hz, "q": q}
    if backend == "recursion" or (backend == "auto" and x.device.type == "cpu"):
        sections = filter_sections(sample_rate=sample_rate, **settings).repeat_interleave(x.shape[1], dim=0)
        return biquad_cascade(x.flatten(0, 1), sections).view(x.shape)
    taps = scaled_samples(FIR_TAPS, sample_rate)
    fir = torch.fft.irfft(frequency_response(taps, sample_rate=sample_rate, **settings), taps)  # (B, taps)
    return fft_convolve(x, fir[:, None])
