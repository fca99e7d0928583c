"""Audio features that describe a mix: dynamics, stereo image, spectrum. Equations 3 to 7 of the paper.

Every feature takes stereo audio (B, 2, T) or (2, T) in [-1, 1], from one sample on. Values and gradients are
finite. They are computed in at least float32, under autocast too; call backward outside of autocast, as
PyTorch asks. The gradient of the Bark spectrum cannot be differentiated again. `torch.func` does not support
these functions: pass a batch.

Preset "reference" computes what the released code computes. In "default", the features of silence, mono and
anti-phase stay within bounds, and the Bark bands end at 20 kHz.

Source: Vanka et al. (2024), Diff-MST, section 2; the features are those of De Man et al. (2014).

Chapter: Audio features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch

from ..inputs import check_preset, check_rate
from .averages import hann_window, mean_square
from .bark import (
    BARK_BANDS,
    BARK_FFT,
    bark_edges_hz,
    bark_fft_size,
    bark_filterbank,
    bark_to_hz,
    hz_to_bark,
    kept_filterbank,
)
from .own_features import SHAPES, OwnFeatures, measure_own, own_features, own_size
from .sound import Sound

__all__ = [
    "audio_features",
    "bark_edges_hz",
    "bark_fft_size",
    "bark_filterbank",
    "bark_spectrum",
    "bark_to_hz",
    "crest_factor",
    "feature_size",
    "flat_features",
    "hz_to_bark",
    "kept_filterbank",
    "rms",
    "stereo_imbalance",
    "stereo_width",
]

POWER_FLOOR = 1e-8  # -80 dB: mean squares below it count as this
WIDTH_KNEE = 4.0  # above this "default" makes the width logarithmic
BARK_HOP = 8_192  # at 44.1 kHz: windows of 743 ms every 186 ms
BARK_FLOOR = {"reference": 1e-8, "default": 1.0}  # added to every band before the logarithm
SIDE_FLOOR = 1e-3  # of the mid: in "default" no band of the side counts as more than 60 dB below its mid
DB_PER_NEPER = 20 / math.log(10)  # a Bark spectrum is a natural logarithm

_Options = ParamSpec("_Options")
_Feature = TypeVar("_Feature")


def _stereo(x: torch.Tensor) -> torch.Tensor:
    if not isinstance(x, torch.Tensor) or x.ndim not in (2, 3) or x.shape[-2] != 2 or 0 in x.shape:
        got = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"features need stereo audio (batch, 2, samples) or (2, samples), got {got}")
    if not x.dtype.is_floating_point:
        dtype = str(x.dtype).removeprefix("torch.")
        raise ValueError(f"audio must be floating point in [-1, 1], got {dtype}")
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _in_single_precision(
    function: Callable[Concatenate[torch.Tensor, _Options], _Feature],
) -> Callable[Concatenate[torch.Tensor, _Options], _Feature]:
    """Check the audio, convert half precision to float32, keep autocast from rounding the matrix products."""

    @wraps(function)
    def wrapped(x: torch.Tensor, *args: _Options.args, **options: _Options.kwargs) -> _Feature:
        x = _stereo(x)
        with torch.autocast(x.device.type, enabled=False):
            return function(x, *args, **options)

    return wrapped


@_in_single_precision
def rms(x: torch.Tensor) -> torch.Tensor:
    """Compute the root mean square of each channel, linear: equation 3.

    RMS = sqrt(mean x^2), at least 1e-4 (-80 dB). For audio in [-1, 1] it is at most 1. The gradient towards a
    sample is x / (N RMS), and 0 at the floor of 1e-4.

    Args:
        x: Stereo audio (B, 2, T) or (2, T), in [-1, 1].

    Returns:
        The RMS (B, 2) or (2,), linear.

    Raises:
        ValueError: For audio that is not stereo or not floating point.

    Example:
        >>> rms(0.5 * torch.ones(2, 100))
        tensor([0.5000, 0.5000])
    """
    return _rms(Sound(x))


def _rms(sound: Sound) -> torch.Tensor:
    return torch.sqrt(sound.average(mean_square).clamp(min=POWER_FLOOR))


@_in_single_precision
def crest_factor(x: torch.Tensor, *, preset: str = "default") -> torch.Tensor:
    """Compute the crest factor of each channel, how far the peak is above the RMS, in dB: equation 4.

    CF = 20 log10(max |x| / RMS), from 0 dB (a square wave, silence in "default") to 10 log10(N) dB (a single
    impulse). In "reference" the RMS is clamped at -80 dB but the peak only at -160 dB, so sound below -80
    dBFS has a negative crest factor, down to -80 dB. Gradients flow through the peak sample and the RMS.

    Args:
        x: Stereo audio (B, 2, T) or (2, T), in [-1, 1].
        preset: "default" or "reference".

    Returns:
        The crest factor (B, 2) or (2,), in dB.

    Raises:
        ValueError: For audio that is not stereo or not floating point, and for an unknown preset.

    Example:
        >>> crest_factor(torch.ones(2, 100))
        tensor([0., 0.])
    """
    check_preset(preset)
    return _crest_factor(Sound(x), preset)


def _crest_factor(sound: Sound, preset: str) -> torch.Tensor:
    level, peak = _rms(sound), sound.peak()
    # In "default" the peak has the same floor as the RMS, with the same rounding, so silence gives exactly 0.
    peak = peak.clamp(min=1e-8) if preset == "reference" else peak.square().clamp(min=POWER_FLOOR).sqrt()
    return 20.0 * torch.log10(peak / level)


@_in_single_precision
def bark_spectrum(x: torch.Tensor, *, sample_rate: float = 44100, preset: str = "default") -> torch.Tensor:
    """Compute the log spectrum in 24 Bark bands of mid (L + R) and side (L - R): equation 5.

    B is the mean over time of |STFT| through `bark_filterbank`, with Hann windows of 32,768 samples every
    8,192.

        "reference":  BS = ln(B + 1e-8)
        "default":    BS_mid = ln(B_mid + 1),  BS_side = ln(max(B_side, 0.001 B_mid) + 1)

    In "reference" the side of a mono mix is ln 1e-8 = -18.4, far from that of any other. In "default" it
    counts as 60 dB below the mid; silence is 0, and so is the mid of anti-phase. Window and scale adapt to
    the sample rate, so that the values do not depend on it. Noise at full scale reaches 14.

    The gradient towards a magnitude is 1 / (B + c); that of the maximum goes to the larger of the two. So the
    side of a mono mix has no gradient, whatever the reference: a fit has to start with some width.

    Args:
        x: Stereo audio (B, 2, T) or (2, T), in [-1, 1].
        sample_rate: Hz, above 0.
        preset: "default" or "reference".

    Returns:
        The bands (B, 24, 2) or (24, 2), in nepers; the last axis is mid, side.

    Raises:
        ValueError: For audio that is not stereo or not floating point, for an unknown preset and for a sample
            rate that is not above 0.

    Example:
        >>> bark_spectrum(torch.zeros(2, 44100)).abs().max()
        tensor(0.)
    """
    check_preset(preset)
    check_rate(sample_rate)
    return _bark_spectrum(Sound(x), sample_rate, preset)


def _bark_spectrum(sound: Sound, sample_rate: float, preset: str) -> torch.Tensor:
    released = preset == "reference"
    n_fft = (
        BARK_FFT if released else bark_fft_size(sample_rate)
    )  # the released window is the same at any rate
    hop, scale = (BARK_HOP, 1.0) if released else (n_fft // 4, BARK_FFT / n_fft)
    magnitude = sound.mean_magnitude(n_fft, hop, _mid_and_side, _released_magnitude if released else None)
    bank = kept_filterbank(sample_rate, n_fft, preset, sound.device, sound.dtype)
    bands = (scale * (magnitude @ bank)).view(*sound.shape[:-1], BARK_BANDS)  # (B, 2, 24)
    if preset == "default":
        mid, side = bands.unbind(dim=-2)
        bands = torch.stack([mid, torch.maximum(side, SIDE_FLOOR * mid)], dim=-2)
    return torch.log(bands + BARK_FLOOR[preset]).transpose(-1, -2)


def _mid_and_side(x: torch.Tensor) -> torch.Tensor:
    left, right = x.unbind(dim=-2)
    both = torch.stack([left + right, left - right], dim=-2)  # (B, 2, T)
    return both.reshape(-1, both.shape[-1])  # (B 2, T)


def _released_magnitude(x: torch.Tensor) -> torch.Tensor:
    """Average magnitudes by `torch.stft`."""
    x = torch.nn.functional.pad(x, (0, max(0, BARK_FFT // 2 + 1 - x.shape[-1])))
    window = hann_window(BARK_FFT, x.device, x.dtype)
    return torch.stft(x, BARK_FFT, BARK_HOP, window=window, return_complex=True).abs().mean(dim=-1)


@_in_single_precision
def stereo_width(x: torch.Tensor, *, preset: str = "default") -> torch.Tensor:
    """Compute the stereo width, the power of the side over the power of the mid: equation 6.

    SW = mean (L - R)^2 / mean (L + R)^2: 0 for mono, 1 for uncorrelated channels. In anti-phase the mid is at
    its floor of 1e-8, and "reference" reaches 4e8. "default" replaces values above 4, which hardly any music
    has, by 4 + 4 ln(SW / 4): at most 77.7 for audio in [-1, 1], with a gradient everywhere.

    Args:
        x: Stereo audio (B, 2, T) or (2, T), in [-1, 1].
        preset: "default" or "reference".

    Returns:
        The width (B,) or (), a ratio of powers.

    Raises:
        ValueError: For audio that is not stereo or not floating point, and for an unknown preset.

    Example:
        >>> stereo_width(torch.tensor([[1.0], [0.0]]))              # one channel silent
        tensor(1.)
    """
    check_preset(preset)
    return _stereo_width(Sound(x), preset)


def _stereo_width(sound: Sound, preset: str) -> torch.Tensor:
    side, mid = sound.average(_powers_of_side_and_mid).unbind(dim=-1)
    width = side / mid.clamp(min=POWER_FLOOR)
    if preset == "reference":
        return width
    beyond = WIDTH_KNEE + WIDTH_KNEE * torch.log(width.clamp(min=WIDTH_KNEE) / WIDTH_KNEE)
    return torch.where(width > WIDTH_KNEE, beyond, width)


def _powers_of_side_and_mid(x: torch.Tensor) -> torch.Tensor:
    left, right = x.unbind(dim=-2)
    return torch.stack([mean_square(left - right), mean_square(left + right)], dim=-1)


@_in_single_precision
def stereo_imbalance(x: torch.Tensor) -> torch.Tensor:
    """Compute the stereo imbalance, which side is louder: equation 7.

    SI = (P_right - P_left) / (P_right + P_left) with P the mean square of a channel. Twice the power on the
    right gives 1/3.

    Args:
        x: Stereo audio (B, 2, T) or (2, T), in [-1, 1].

    Returns:
        The imbalance (B,) or (), from -1 (all left) to 1 (all right).

    Raises:
        ValueError: For audio that is not stereo or not floating point.

    Example:
        >>> stereo_imbalance(torch.tensor([[0.0], [1.0]]))
        tensor(1.)
    """
    return _stereo_imbalance(Sound(x))


def _stereo_imbalance(sound: Sound) -> torch.Tensor:
    left, right = sound.average(mean_square).unbind(dim=-1)
    return (right - left) / (right + left).clamp(min=POWER_FLOOR)


@_in_single_precision
def audio_features(
    x: torch.Tensor,
    *,
    sample_rate: float = 44100,
    preset: str = "default",
    features: OwnFeatures = None,
    gain: float = 1.0,
) -> dict[str, torch.Tensor]:
    """Compute the five features by name, equations 3 to 7, and others that are asked for.

    Args:
        x: Stereo audio (B, 2, T) or (2, T), in [-1, 1].
        sample_rate: Hz, above 0.
        preset: "default" or "reference".
        features: Features of your own: names given to `register_feature`, or {name: (function, weight)} with
            function(x, sample_rate) for x (B, 2, T). The name of one of the five replaces it. A weight of 0
            leaves a feature out.
        gain: A factor for the sound, linear, which spares a copy of a long one at another level.

    Returns:
        {"rms": (B, 2), "crest_factor": (B, 2), "stereo_width": (B,), "stereo_imbalance": (B,),
        "bark_spectrum": (B, 24, 2)}, without B for audio (2, T), then those of your own, flat: (B, K).

    Raises:
        ValueError: For audio that is not stereo or not floating point, for an unknown preset and for a sample
            rate that is not above 0.
        InputError: In one line, for a feature of your own that does not fit; see `register_feature`.

    Example:
        >>> [tuple(value.shape) for value in audio_features(torch.zeros(2, 100)).values()]
        [(2,), (2,), (), (), (24, 2)]
    """
    check_preset(preset)
    check_rate(sample_rate)
    own, sound = own_features(features), Sound(x, gain)
    ours = {
        "rms": lambda: _rms(sound),
        "crest_factor": lambda: _crest_factor(sound, preset),
        "stereo_width": lambda: _stereo_width(sound, preset),
        "stereo_imbalance": lambda: _stereo_imbalance(sound),
        "bark_spectrum": lambda: _bark_spectrum(sound, sample_rate, preset),
    }
    measured = {}
    for name in ours | own:
        function, weight = own.get(name, (None, 1.0))
        if weight and function is None:
            measured[name] = ours[name]()
        elif weight and function is not None:
            measured[name] = measure_own(name, function, sound.whole(), sample_rate)
    return measured


@_in_single_precision
def flat_features(x: torch.Tensor, sample_rate: float = 44100, names: Sequence[str] = ()) -> torch.Tensor:
    """Compute the features as one row of numbers a sound, for a network that is conditioned on them.

    The order is RMS left and right, crest factor left and right, width, imbalance, the Bark bands of the mid
    and those of the side; then the numbers of the registered features.

    Args:
        x: Stereo audio (B, 2, T) or (2, T), in [-1, 1].
        sample_rate: Hz, above 0.
        names: Names of registered features, of any weight.

    Returns:
        The numbers (B, K) or (K,), in the features' own units; K is `feature_size`.

    Raises:
        ValueError: As `audio_features`.

    Example:
        >>> flat_features(torch.zeros(3, 2, 100)).shape
        torch.Size([3, 54])
    """
    measured = audio_features(x, sample_rate=sample_rate)
    measured["bark_spectrum"] = measured["bark_spectrum"].transpose(-1, -2)  # the mid first, then the side
    parts = [value.reshape(*x.shape[:-2], -1) for value in measured.values()]
    for name, (function, _) in own_features(names).items():
        assert function is not None
        parts.append(measure_own(name, function, x, sample_rate))
    return torch.cat(parts, dim=-1)


def feature_size(names: Sequence[str] = (), sample_rate: float = 44100) -> int:
    """Count the numbers of `flat_features`.

    Args:
        names: Names of registered features, which are measured on a second of noise.
        sample_rate: Hz, above 0.

    Returns:
        How many numbers describe a sound.

    Raises:
        InputError: In one line, for a name that nobody registered and for a feature that does not fit.

    Example:
        >>> feature_size()
        54
    """
    check_rate(sample_rate)
    ours = sum(math.prod(shape) for shape in SHAPES.values())
    return ours + sum(own_size(name, sample_rate) for name in own_features(names))
