"""Audio features that describe a mix: dynamics, stereo image, spectrum. Equations 3 to 7 of the paper. Chapter 6.

All take stereo audio (B, 2, T) or (2, T). The "reference" preset computes what the released code computes, edge of
the Bark bank and unbounded width included; "default" stays finite for any input, silence and anti-phase included.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from .params import _check_preset

POWER_FLOOR = 1e-8        # -80 dB: mean squares below count as this
BARK_FFT, BARK_HOP, BARK_BANDS = 32_768, 8_192, 24


def _stereo(x: torch.Tensor) -> torch.Tensor:
    if x.ndim not in (2, 3) or x.shape[-2] != 2 or x.shape[-1] == 0:
        raise ValueError(f"features need stereo audio (batch, 2, samples) or (2, samples), got {tuple(x.shape)}")
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def rms(x: torch.Tensor) -> torch.Tensor:
    """Root mean square of each channel, (B, 2), linear: sqrt(mean x^2), floor 1e-4. Equation 3.

    >>> rms(0.5 * torch.ones(2, 100))
    tensor([0.5000, 0.5000])
    """
    return torch.sqrt(_stereo(x).square().mean(dim=-1).clamp(min=POWER_FLOOR))


def crest_factor(x: torch.Tensor) -> torch.Tensor:
    """Crest factor of each channel, (B, 2), in dB: 20 log10(max |x| / RMS). Equation 4.

    >>> crest_factor(torch.ones(2, 100))
    tensor([0., 0.])
    """
    peak = _stereo(x).abs().amax(dim=-1).clamp(min=1e-8)
    return 20.0 * torch.log10(peak / rms(x))


def stereo_width(x: torch.Tensor, *, preset: str = "default") -> torch.Tensor:
    """Stereo width, (B,): mean (L - R)^2 / mean (L + R)^2; 0 for mono, 1 for uncorrelated channels. Equation 6.

    Anti-phase channels have no mid: the reference then returns up to 1e13, the default bounds the width at 1e3.
    """
    _check_preset(preset)
    left, right = _stereo(x).unbind(dim=-2)
    side, mid = (left - right).square().mean(dim=-1), (left + right).square().mean(dim=-1)
    if preset == "reference":
        return side / mid.clamp(min=POWER_FLOOR)
    return side / torch.maximum(mid, 1e-3 * side).clamp(min=POWER_FLOOR)


def stereo_imbalance(x: torch.Tensor) -> torch.Tensor:
    """Stereo imbalance, (B,): (P_right - P_left) / (P_right + P_left), in [-1, 1], positive to the right. Equation 7."""
    left, right = _stereo(x).square().mean(dim=-1).unbind(dim=-1)
    return (right - left) / (right + left).clamp(min=POWER_FLOOR)


def hz_to_bark(hz):
    """Traunmueller's Bark scale with its corrections at both ends: z = 26.81 f / (1960 + f) - 0.53."""
    z = 26.81 * np.asarray(hz, dtype=float) / (1960.0 + np.asarray(hz, dtype=float)) - 0.53
    z = np.where(z < 2.0, z + 0.15 * (2.0 - z), z)
    return np.where(z > 20.1, z + 0.22 * (z - 20.1), z)


def bark_to_hz(bark, *, preset: str = "default"):
    """Inverse of `hz_to_bark`. The reference skips the correction at the high end: its 20 kHz edge lands at 31.7 kHz."""
    _check_preset(preset)
    z = np.asarray(bark, dtype=float)
    corrected = np.where(z < 2.0, (z - 0.3) / 0.85, z)
    if preset == "default":
        corrected = np.where(z > 20.1, (z + 4.422) / 1.22, corrected)
    return 1960.0 * (corrected + 0.53) / (26.28 - corrected)


def bark_filterbank(
    sample_rate: int, n_fft: int = BARK_FFT, *, preset: str = "default", device: torch.device | None = None
) -> torch.Tensor:
    """24 triangular bands from 20 Hz to 20 kHz, equally spaced in Bark, (n_fft // 2 + 1, 24).

    >>> bark_filterbank(44100).shape
    torch.Size([16385, 24])
    """
    return _bark_filterbank(sample_rate, n_fft, preset, device).clone()


@lru_cache(maxsize=16)
def _bark_filterbank(sample_rate: int, n_fft: int, preset: str, device: torch.device | None) -> torch.Tensor:
    _check_preset(preset)
    freqs = np.linspace(0.0, sample_rate // 2, n_fft // 2 + 1)
    edges = bark_to_hz(np.linspace(hz_to_bark(20.0), hz_to_bark(20_000.0), BARK_BANDS + 2), preset=preset)
    rising = (freqs[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - freqs[:, None]) / (edges[2:] - edges[1:-1])
    bank = np.clip(np.minimum(rising, falling), 0.0, None)
    return torch.tensor(bank, dtype=torch.float32, device=device)


@lru_cache(maxsize=8)
def _hann(device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    return torch.hann_window(BARK_FFT, device=device, dtype=dtype)


def bark_spectrum(x: torch.Tensor, *, sample_rate: int = 44100, preset: str = "default") -> torch.Tensor:
    """Log spectrum in 24 Bark bands of mid (L + R) and side (L - R), (B, 24, 2). Equation 5.

    STFT magnitudes (32,768 samples, hop 8,192, Hann) averaged over time, through `bark_filterbank`, ln(. + 1e-8).
    Clips shorter than the window's half are padded with zeros.
    """
    left, right = _stereo(x).unbind(dim=-2)
    both = torch.stack([left + right, left - right], dim=-2)                # (B, 2, T)
    if both.shape[-1] <= BARK_FFT // 2:                                     # reflection needs more than the half
        both = torch.nn.functional.pad(both, (0, BARK_FFT // 2 + 1 - both.shape[-1]))
    spectrum = torch.stft(
        both.reshape(-1, both.shape[-1]), BARK_FFT, BARK_HOP, window=_hann(both.device, both.dtype),
        return_complex=True,
    )
    power = spectrum.real.square() + spectrum.imag.square()                 # (B 2, F, frames)
    magnitude = torch.sqrt(power.clamp(min=1e-30)) if preset == "default" else spectrum.abs()
    bank = _bark_filterbank(sample_rate, BARK_FFT, preset, both.device).to(both.dtype)
    bands = torch.log(magnitude.mean(dim=-1) @ bank + 1e-8)                 # (B 2, 24)
    return bands.view(*both.shape[:-1], BARK_BANDS).transpose(-1, -2)


def audio_features(x: torch.Tensor, *, sample_rate: int = 44100, preset: str = "default") -> dict[str, torch.Tensor]:
    """The five features by name: rms, crest_factor, stereo_width, stereo_imbalance, bark_spectrum."""
    _check_preset(preset)
    return {
        "rms": rms(x),
        "crest_factor": crest_factor(x),
        "stereo_width": stereo_width(x, preset=preset),
        "stereo_imbalance": stereo_imbalance(x),
        "bark_spectrum": bark_spectrum(x, sample_rate=sample_rate, preset=preset),
    }
