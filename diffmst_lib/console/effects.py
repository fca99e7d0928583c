"""The console's effects: functions on tensors, differentiable in every argument, that check their arguments.

Audio is (B, T) or (B, C, T). Parameters are in physical units, one number per item, (B,), or one per band,
(B, 6). A value out of range raises ValueError with its name and the range; on a GPU no value is read back, so
none is checked.

The equations are in `gain_and_pan`, `equalizer`, `compressor` and `reverb`. The functions there check
nothing; the mixing console calls them directly, after one check of all its parameters. `released` has the
same effects as the authors' code computes them.

Chapters: Gain and pan, The equalizer, The compressor, The console.
"""

from __future__ import annotations

from typing import Any

import torch

from ..inputs import check_rate
from .arguments import (
    RANGES,
    as_channels,
    as_pannable,
    check_backend,
    check_filters,
    check_lookahead,
    check_stereo_bus,
    equalizer_settings,
    in_range,
    per_item,
    reverb_settings,
)
from .compressor import BACKENDS as COMPRESSOR_BACKENDS
from .compressor import apply_compressor, gain_computer
from .engines.convolution import fft_convolve, scaled_samples
from .equalizer import BACKENDS as EQUALIZER_BACKENDS
from .equalizer import apply_equalizer, filter_sections, frequency_response
from .gain_and_pan import apply_gain, apply_pan, apply_width, db_to_gain, pan_law
from .reverb import apply_reverb

__all__ = [
    "compressor",
    "db_to_gain",
    "eq_response",
    "eq_sections",
    "fft_convolve",
    "gain",
    "gain_computer",
    "pan_gains",
    "panner",
    "parametric_eq",
    "reverb",
    "scaled_samples",
    "width",
]


def gain(x: torch.Tensor, *, gain_db: torch.Tensor | float) -> torch.Tensor:
    """Apply a gain: y = 10^(gain_db / 20) x.

    Chapter: Gain and pan

    Args:
        x: Audio (B, T) or (B, C, T).
        gain_db: -200 to 200 dB, a number or (B,).

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes and values.

    Example:
        >>> gain(torch.ones(1, 4), gain_db=torch.tensor([-6.02])).mean().round(decimals=3)
        tensor(0.5000)
    """
    x3 = as_channels(x)
    return apply_gain(x3, gain_db=per_item(gain_db, x3, "gain_db")).view(x.shape)


def width(x: torch.Tensor, *, width: torch.Tensor | float) -> torch.Tensor:
    """Scale the side of stereo, what its two channels do not share: 0 makes it mono, 1 changes nothing.

    mid = (left + right) / 2, side = (left - right) / 2; left = mid + w side, right = mid - w side.

    Chapter: Gain and pan

    Args:
        x: Stereo audio (B, 2, T).
        width: The factor w, 0 to 10, a number or (B,); 2 is twice the side.

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes and values.

    Example:
        >>> width(torch.tensor([[[1.0], [0.5]]]), width=2.0)
        tensor([[[1.2500],
                 [0.2500]]])
    """
    check_stereo_bus(x, "the width")
    return apply_width(x, width=per_item(width, x, "width"))


def pan_gains(pan: torch.Tensor) -> torch.Tensor:
    """Compute the left and right factors of the pan law.

    left = sqrt(2) cos(p pi/2), right = sqrt(2) sin(p pi/2): in the middle both are 1, so a pan of 0.5 changes
    nothing. The power left^2 + right^2 is 2 everywhere: constant power. At the ends one channel is at +3 dB
    and the other is off. The paper names no law; `released.pan_gains` is that of the released code.

    Chapter: Gain and pan

    Args:
        pan: Pans p of any shape, 0 (left) to 1 (right).

    Returns:
        Factors (..., 2), left and right.

    Raises:
        ValueError: For values outside [0, 1].

    Example:
        >>> pan_gains(torch.tensor([0.0, 0.5]))
        tensor([[1.4142, 0.0000],
                [1.0000, 1.0000]])
    """
    in_range(pan, "pan", *RANGES["pan"])
    return pan_law(pan)


def panner(x: torch.Tensor, *, pan: torch.Tensor | float) -> torch.Tensor:
    """Place a mono or a stereo stem between left and right, with the law of `pan_gains`.

    A mono stem is two equal channels. The channels of a stereo stem stay where they are: what is turned is
    their balance, and nothing of the left channel comes out on the right.

    Chapter: Gain and pan

    Args:
        x: Mono audio (B, T) or stereo audio (B, 2, T).
        pan: 0 (left) to 1 (right), a number or (B,).

    Returns:
        Stereo audio (B, 2, T).

    Raises:
        ValueError: For other shapes and values.

    Example:
        >>> panner(torch.ones(1, 1), pan=0.0)
        tensor([[[1.4142],
                 [0.0000]]])
    """
    channels = as_pannable(x)
    return apply_pan(channels, pan=per_item(pan, x, "pan"))


def eq_sections(
    *, sample_rate: float, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Compute the biquads of the six-band equalizer, in float64.

    The bilinear transform puts s = (1 - z^-1) / (1 + z^-1) / W, W = tan(pi frequency / sample_rate), into the
    analog prototypes of `eq_response`: n2 s^2 + n1 s + n0 becomes

        n2 + n1 W + n0 W^2,   2 (n0 W^2 - n2),   n2 - n1 W + n0 W^2

    Differentiable.

    Source: R. Bristow-Johnson, Audio EQ cookbook. Chapter: The equalizer

    Args:
        sample_rate: Hz.
        gain_db: (B, 6), -60 to 60 dB.
        frequency_hz: (B, 6), 1 Hz to below sample_rate / 2.
        q: (B, 6), 0.01 to 100.

    Returns:
        Sections (B, 6, 5): b0, b1, b2, a1, a2 with a0 = 1.

    Raises:
        ValueError: For other values.

    Example:
        >>> flat = torch.zeros(1, 6)
        >>> f = torch.tensor([[100., 200., 400., 1000., 4000., 8000.]])
        >>> section = eq_sections(sample_rate=44100, gain_db=flat, frequency_hz=f, q=flat + 0.7)[0, 2]
        >>> b0, b1, b2, a1, a2 = section
        >>> bool(torch.isclose(b1, a1) & torch.isclose(b2, a2))       # at 0 dB the zeros lie on the poles
        True
    """
    settings = {"gain_db": gain_db, "frequency_hz": frequency_hz, "q": q}
    check_filters(sample_rate, **settings)
    return filter_sections(sample_rate=sample_rate, **settings)


def eq_response(
    num_points: int, *, sample_rate: float, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Compute the frequency response of the six-band equalizer at the bins of an FFT.

    On the unit circle the bilinear transform is s = j tan(w/2) / tan(w0/2), so the analog prototypes are
    evaluated there. The digital coefficients, whose 1 - cos w0 loses all its digits at 20 Hz in float32, are
    not needed. With t = tan(w/2), W = tan(w0/2) and A = 10^(gain/40), numerator and denominator times W^2:

        peak:       (W^2 - t^2 + j t W A/Q) / (W^2 - t^2 + j t W /(A Q))
        low shelf:  A (A W^2 - t^2 + j t W sqrt(A)/Q) / (W^2 - A t^2 + j t W sqrt(A)/Q)
        high shelf: A (W^2 - A t^2 + j t W sqrt(A)/Q) / (A W^2 - t^2 + j t W sqrt(A)/Q)

    Source: R. Bristow-Johnson, Audio EQ cookbook. Chapter: The equalizer

    Args:
        num_points: Length of the FFT in samples.
        sample_rate: Hz.
        gain_db: (B, 6), -60 to 60 dB.
        frequency_hz: (B, 6), 1 Hz to below sample_rate / 2.
        q: (B, 6), 0.01 to 100.

    Returns:
        The response, complex, (B, num_points // 2 + 1).

    Raises:
        ValueError: For other values.

    Example:
        >>> one_band = torch.tensor([[0., 6., 0., 0., 0., 0.]])
        >>> f = torch.tensor([[100., 11025., 400., 1000., 4000., 8000.]])
        >>> h = eq_response(8, sample_rate=44100, gain_db=one_band, frequency_hz=f, q=one_band + 0.7)
        >>> (20 * h.abs().log10()).round(decimals=2)[0, 2]        # +6 dB at a quarter of the sample rate
        tensor(6.)
    """
    settings = {"gain_db": gain_db, "frequency_hz": frequency_hz, "q": q}
    check_filters(sample_rate, **settings)
    return frequency_response(num_points, sample_rate=sample_rate, **settings)


def parametric_eq(
    x: torch.Tensor,
    *,
    sample_rate: float,
    gain_db: torch.Tensor,
    frequency_hz: torch.Tensor,
    q: torch.Tensor,
    backend: str = "auto",
) -> torch.Tensor:
    """Apply the six-band equalizer: low shelf, four peaks, high shelf in series.

    "recursion" runs the six biquads of `eq_sections` sample by sample, in float64. "fft" convolves with a FIR
    of 1.5 s made from `eq_response`: within -100 dB of the recursion for the console's ranges; sharper or
    lower filters ring for longer than that. The filters are those of the paper's console (RBJ biquads, there
    through dasp-pytorch).

    Chapter: The equalizer

    Args:
        x: Audio (B, T) or (B, C, T); the channels of an item share its settings.
        sample_rate: Hz.
        gain_db: (B, 6), -60 to 60 dB.
        frequency_hz: (B, 6), 1 Hz to below sample_rate / 2.
        q: (B, 6), 0.01 to 100.
        backend: "recursion" (on a CPU only), "fft", or "auto": the recursion on a CPU, the FFT elsewhere.

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes and values.

    Example:
        >>> flat = torch.zeros(1, 6)
        >>> x = torch.randn(1, 1000)
        >>> f = torch.tensor([[100., 200., 400., 1000., 4000., 8000.]])
        >>> y = parametric_eq(x, sample_rate=44100, gain_db=flat, frequency_hz=f, q=flat + 0.7)
        >>> bool((y - x).abs().max() < 1e-5)
        True
    """
    x3 = as_channels(x)
    settings = equalizer_settings(x3, sample_rate, gain_db=gain_db, frequency_hz=frequency_hz, q=q)
    check_backend(backend, EQUALIZER_BACKENDS, x3)
    return apply_equalizer(x3, sample_rate=sample_rate, backend=backend, **settings).view(x.shape)


def compressor(
    x: torch.Tensor,
    *,
    sample_rate: float,
    threshold_db: torch.Tensor | float,
    ratio: torch.Tensor | float,
    attack_ms: torch.Tensor | float,
    release_ms: torch.Tensor | float,
    knee_db: torch.Tensor | float,
    makeup_gain_db: torch.Tensor | float,
    lookahead_samples: int = 0,
    backend: str = "auto",
) -> torch.Tensor:
    """Apply a feed-forward compressor with a soft knee.

    level = 20 log10 |x|; gain = smooth(static curve(level)) + make-up; y = 10^(gain / 20) x. The side-chain
    of a stereo signal is its louder channel at each sample. The smoother gets from 10 % to 90 % of a step in
    `attack_ms` when the gain falls and in `release_ms` when it returns. The look-ahead reads the gain early
    instead of delaying the sound, so the mix stays aligned; at the end of the clip the last gain is held. The
    paper names no equations.

    Source: D. Giannoulis and others, Digital dynamic range compressor design (2012), through dasp-pytorch.
    Chapter: The compressor

    Args:
        x: Audio (B, T) or (B, C, T).
        sample_rate: Hz.
        threshold_db: -120 to 24 dB, a number or (B,).
        ratio: 1 to 1000, likewise.
        attack_ms: 0 to 10,000 ms, likewise; times below 0.01 count as 0.01.
        release_ms: As `attack_ms`.
        knee_db: 0 to 60 dB, likewise; 0 is a hard knee.
        makeup_gain_db: -60 to 60 dB, likewise.
        lookahead_samples: How far the gain runs ahead of the sound, 0 or more.
        backend: "compiled" (one loop over the samples, on a CPU only), "steps" (tensor operations and
            `engines.ballistics.smooth`), or "auto": the loop on a CPU, steps elsewhere.

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes and values.

    Example:
        >>> from math import log10
        >>> x = torch.ones(1, 44100)                          # 0 dBFS, threshold -20 dB, ratio 4
        >>> y = compressor(x, sample_rate=44100, threshold_db=-20., ratio=4., attack_ms=5., release_ms=50.,
        ...                knee_db=3., makeup_gain_db=0.)
        >>> round(20 * log10(y[0, -1].item()), 1)             # 15 of the 20 dB over the threshold are gone
        -15.0
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
    settings = {name: per_item(value, x3, name) for name, value in settings.items()}
    check_rate(sample_rate)
    check_lookahead(lookahead_samples)
    check_backend(backend, COMPRESSOR_BACKENDS, x3)
    settings |= {"lookahead_samples": lookahead_samples, "backend": backend}
    return apply_compressor(x3, sample_rate=sample_rate, **settings).view(x.shape)


def reverb(
    x: torch.Tensor,
    *,
    sample_rate: float,
    band_gains: torch.Tensor,
    band_decays: torch.Tensor,
    mix: torch.Tensor | float,
) -> torch.Tensor:
    """Apply a noise-shaped reverb to a stereo bus.

    The impulse response is the mean over twelve octave bands of gain_b exp(-(1 + 10 decay_b) t) noise_b(t), t
    from 0 to 1 over 1.5 s; y = (1 - mix) x + mix (x * response). The noise is made once from a fixed seed, so
    the same settings always give the same sound.

    Source: dasp-pytorch, except for the seed and the FFT. Chapter: The console

    Args:
        x: Stereo audio (B, 2, T).
        sample_rate: Hz.
        band_gains: (B, 12) in [0, 1].
        band_decays: (B, 12) in [0, 1].
        mix: 0 (dry) to 1 (wet), a number or (B,).

    Returns:
        Audio like `x`.

    Raises:
        ValueError: For other shapes and values.

    Example:
        >>> x = torch.randn(1, 2, 1000)
        >>> room = torch.full((1, 12), 0.5)
        >>> y = reverb(x, sample_rate=44100, band_gains=room, band_decays=room, mix=0.0)
        >>> torch.equal(x, y)                                          # nothing but the dry sound
        True
    """
    check_stereo_bus(x)
    settings = reverb_settings(x, sample_rate, band_gains=band_gains, band_decays=band_decays, mix=mix)
    return apply_reverb(x, sample_rate=sample_rate, **settings)
