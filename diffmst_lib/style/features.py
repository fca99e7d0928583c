"""Audio features that describe a mix: dynamics, stereo image, spectrum. Equations 3 to 7 of the paper. Chapter: Audio features.

All take stereo audio (B, 2, T) or (2, T) in [-1, 1], of any length from one sample, compute in at least float32 (under
autocast too; call backward outside of it, as PyTorch asks), and give finite values and gradients. The gradient of the
Bark spectrum cannot be differentiated again, and `torch.func` does not know these functions: pass a batch. Preset
"reference" computes what the released code computes; in "default" silence, mono and anti-phase stay within bounds, and
the Bark bands end at 20 kHz.
"""

from __future__ import annotations

import math
from functools import lru_cache, wraps

import numpy as np
import scipy.fft
import torch

from ..inputs import check_preset, check_rate
from .averages import hann_window, mean_magnitude, mean_square

POWER_FLOOR = 1e-8  # -80 dB: mean squares below count as this
WIDTH_KNEE = 4.0  # from here on "default" counts the width in logarithms
BARK_FFT, BARK_HOP, BARK_BANDS = 32_768, 8_192, 24  # at 44.1 kHz: 743 ms every 186 ms
BARK_FLOOR = {"reference": 1e-8, "default": 1.0}  # added to every band before the logarithm
BARK_RANGE_HZ = (20.0, 20_000.0)


def _stereo(x: torch.Tensor) -> torch.Tensor:
    if not isinstance(x, torch.Tensor) or x.ndim not in (2, 3) or x.shape[-2] != 2 or 0 in x.shape:
        got = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"features need stereo audio (batch, 2, samples) or (2, samples), got {got}")
    if not x.dtype.is_floating_point:
        raise ValueError(
            f"audio must be floating point in [-1, 1], got {str(x.dtype).removeprefix('torch.')}"
        )
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _in_single_precision(function):
    """Check the audio, raise half precision to float32 and keep autocast from rounding the matrix products."""

    @wraps(function)
    def wrapped(x: torch.Tensor, **options):
        x = _stereo(x)
        with torch.autocast(x.device.type, enabled=False):
            return function(x, **options)

    return wrapped


@_in_single_precision
def rms(x: torch.Tensor) -> torch.Tensor:
    """Root mean square of each channel, (B, 2), linear. Equation 3.

    RMS = sqrt(mean x^2), at least 1e-4 (-80 dB), where it has no gradient. Its range for audio in [-1, 1]: 1e-4 to 1.
    Gradient towards a sample: x / (N RMS).

    >>> rms(0.5 * torch.ones(2, 100))
    tensor([0.5000, 0.5000])
    """
    return torch.sqrt(mean_square(x).clamp(min=POWER_FLOOR))


@_in_single_precision
def crest_factor(x: torch.Tensor, *, preset: str = "default") -> torch.Tensor:
    """Crest factor of each channel, (B, 2), in dB: how far the highest peak stands above the RMS. Equation 4.

    CF = 20 log10(max |x| / RMS), 0 dB (a square wave, silence in "default") to 10 log10(N) dB (a single impulse). In
    "reference" sound below -80 dBFS is negative, down to -80 dB, since the RMS is clamped and the peak is not.
    Gradient: at the peak and through the RMS only.

    >>> crest_factor(torch.ones(2, 100))
    tensor([0., 0.])
    """
    check_preset(preset)
    level = rms(x)
    at = x.detach().abs().argmax(dim=-1, keepdim=True)  # of equal peaks the first has the gradient
    peak = x.gather(-1, at).abs().squeeze(-1)
    if preset == "reference":
        peak = peak.clamp(min=1e-8)
    else:
        peak = peak.square().clamp(min=POWER_FLOOR).sqrt()  # the floor of the RMS, rounded as there
    return 20.0 * torch.log10(peak / level)


@_in_single_precision
def stereo_width(x: torch.Tensor, *, preset: str = "default") -> torch.Tensor:
    """Stereo width, (B,): power of the side over power of the mid. Equation 6.

    SW = mean (L - R)^2 / mean (L + R)^2: 0 for mono, 1 for uncorrelated channels; anti-phase leaves only the floor of
    the mid, 1e-8, and "reference" reaches 4e8. "default" counts what lies above 4 in logarithms, 4 + 4 ln(SW / 4): the
    same value for nearly all music, at most 77.7 for audio in [-1, 1], and a slope that leads back.

    >>> stereo_width(torch.tensor([[1.0], [0.0]]))              # one channel silent
    tensor(1.)
    """
    check_preset(preset)
    left, right = x.unbind(dim=-2)
    side, mid = mean_square(left - right), mean_square(left + right)
    width = side / mid.clamp(min=POWER_FLOOR)
    if preset == "reference":
        return width
    beyond = WIDTH_KNEE + WIDTH_KNEE * torch.log(width.clamp(min=WIDTH_KNEE) / WIDTH_KNEE)
    return torch.where(width > WIDTH_KNEE, beyond, width)


@_in_single_precision
def stereo_imbalance(x: torch.Tensor) -> torch.Tensor:
    """Stereo imbalance, (B,): which side is louder. Equation 7.

    SI = (P_right - P_left) / (P_right + P_left) with P the mean square of a channel: -1 (all left) to 1 (all right).
    Twice the power on one side makes 1/3.

    >>> stereo_imbalance(torch.tensor([[0.0], [1.0]]))
    tensor(1.)
    """
    left, right = mean_square(x).unbind(dim=-1)
    return (right - left) / (right + left).clamp(min=POWER_FLOOR)


def hz_to_bark(hz):
    """Traunmueller's Bark scale with its corrections at both ends: z = 26.81 f / (1960 + f) - 0.53.

    Below 2 Bark 0.15 (2 - z) is added, above 20.1 Bark 0.22 (z - 20.1). Takes and returns numbers or arrays.

    >>> round(float(hz_to_bark(1000.0)), 2)
    8.53
    """
    z = 26.81 * np.asarray(hz, dtype=float) / (1960.0 + np.asarray(hz, dtype=float)) - 0.53
    z = np.where(z < 2.0, z + 0.15 * (2.0 - z), z)
    return np.where(z > 20.1, z + 0.22 * (z - 20.1), z)


def bark_to_hz(bark, *, preset: str = "default"):
    """Inverse of `hz_to_bark`. The reference skips the correction at the high end: its 20 kHz edge lands at 31.7 kHz.

    >>> round(float(bark_to_hz(hz_to_bark(1000.0))), 6)
    1000.0
    """
    check_preset(preset)
    z = np.asarray(bark, dtype=float)
    corrected = np.where(z < 2.0, (z - 0.3) / 0.85, z)
    if preset == "default":
        corrected = np.where(z > 20.1, (z + 4.422) / 1.22, corrected)
    return 1960.0 * (corrected + 0.53) / (26.28 - corrected)


def bark_edges_hz(preset: str = "default") -> np.ndarray:
    """The 26 frequencies between which the 24 bands lie, in Hz: band i rises from edge i, peaks at i + 1, ends at i + 2.

    >>> bark_edges_hz()[[0, -1]].round()
    array([   20., 20000.])
    """
    return bark_to_hz(np.linspace(*hz_to_bark(BARK_RANGE_HZ), BARK_BANDS + 2), preset=preset)


def bark_filterbank(
    sample_rate: int, n_fft: int = BARK_FFT, *, preset: str = "default", device: torch.device | None = None
) -> torch.Tensor:
    """24 triangular bands from 20 Hz to 20 kHz, equally spaced in Bark, (n_fft // 2 + 1, 24). Part of equation 5.

    In "reference" the upper bands are wider, and the last would end at 31.7 kHz. Raises ValueError for an `n_fft` that
    is odd or below 2, and for a sample rate that is not above 0.

    >>> bark_filterbank(44100).shape
    torch.Size([16385, 24])
    """
    check_preset(preset)
    check_rate(sample_rate)
    if n_fft < 2 or n_fft % 2:
        raise ValueError(f"n_fft must be an even number from 2 on, got {n_fft}")
    device = torch.get_default_device() if device is None else torch.device(device)
    return _bark_filterbank(sample_rate, n_fft, preset, device, torch.float32).clone()


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _bark_filterbank(sample_rate, n_fft: int, preset: str, device, dtype: torch.dtype) -> torch.Tensor:
    freqs = np.linspace(0.0, sample_rate / 2, n_fft // 2 + 1)
    edges = bark_edges_hz(preset)
    rising = (freqs[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - freqs[:, None]) / (edges[2:] - edges[1:-1])
    bank = np.clip(np.minimum(rising, falling), 0.0, None)
    return torch.tensor(bank, dtype=dtype, device=device)


def bark_fft_size(sample_rate: float) -> int:
    """Length of the Bark spectrum's window at a sample rate: 743 ms or little more, a good length for an FFT.

    >>> bark_fft_size(44100), bark_fft_size(48000)
    (32768, 36000)
    """
    wanted = math.ceil(BARK_FFT * sample_rate / 44100 / 4)
    return 4 * scipy.fft.next_fast_len(wanted, real=True)


@_in_single_precision
def bark_spectrum(x: torch.Tensor, *, sample_rate: float = 44100, preset: str = "default") -> torch.Tensor:
    """Log spectrum in 24 Bark bands of mid (L + R) and side (L - R), (B, 24, 2). Equation 5.

    BS = ln(c + mean over time of |STFT| through `bark_filterbank`), with Hann windows of 32,768 samples every 8,192.
    c is 1e-8 in "reference", where a mono mix has a side of ln 1e-8 = -18.4; 1 in "default", where silence is 0. In
    "default" window and scale follow the sample rate, so that the values do not. Noise at full scale reaches 14.
    Gradient towards a band's magnitude B: 1 / (B + c).

    Raises ValueError for audio that is not stereo, and for a sample rate that is not above 0.

    >>> bark_spectrum(torch.zeros(2, 44100)).abs().max()
    tensor(0.)
    """
    check_preset(preset)
    check_rate(sample_rate)
    left, right = x.unbind(dim=-2)
    both = torch.stack([left + right, left - right], dim=-2)  # (B, 2, T)
    flat = both.reshape(-1, both.shape[-1])  # (B 2, T)
    if preset == "reference":
        magnitude, n_fft, scale = _released_magnitude(flat), BARK_FFT, 1.0
    else:
        n_fft = bark_fft_size(sample_rate)
        magnitude, scale = mean_magnitude(flat, n_fft, n_fft // 4), BARK_FFT / n_fft
    bank = _bark_filterbank(sample_rate, n_fft, preset, x.device, x.dtype)
    bands = torch.log(scale * (magnitude @ bank) + BARK_FLOOR[preset])  # (B 2, 24)
    return bands.view(*both.shape[:-1], BARK_BANDS).transpose(-1, -2)


def _released_magnitude(x: torch.Tensor) -> torch.Tensor:
    """Mean magnitude by `torch.stft`, with the same window at every sample rate."""
    x = torch.nn.functional.pad(x, (0, max(0, BARK_FFT // 2 + 1 - x.shape[-1])))
    window = hann_window(BARK_FFT, x.device, x.dtype)
    return torch.stft(x, BARK_FFT, BARK_HOP, window=window, return_complex=True).abs().mean(dim=-1)


def audio_features(
    x: torch.Tensor, *, sample_rate: float = 44100, preset: str = "default"
) -> dict[str, torch.Tensor]:
    """The five features by name: rms, crest_factor, stereo_width, stereo_imbalance, bark_spectrum. Equations 3 to 7.

    Args:
        x: stereo audio (B, 2, T) or (2, T), in [-1, 1].
        sample_rate: Hz.
        preset: "default" or "reference".

    Shapes for a batch of B: (B, 2), (B, 2), (B,), (B,), (B, 24, 2). Raises ValueError for audio that is not stereo
    or not floating point, for an unknown preset and for a sample rate that is not above 0.

    >>> {name: tuple(value.shape) for name, value in audio_features(torch.zeros(2, 100)).items()}
    {'rms': (2,), 'crest_factor': (2,), 'stereo_width': (), 'stereo_imbalance': (), 'bark_spectrum': (24, 2)}
    """
    return {
        "rms": rms(x),
        "crest_factor": crest_factor(x, preset=preset),
        "stereo_width": stereo_width(x, preset=preset),
        "stereo_imbalance": stereo_imbalance(x),
        "bark_spectrum": bark_spectrum(x, sample_rate=sample_rate, preset=preset),
    }
