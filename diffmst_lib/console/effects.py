"""The console's effects: pure functions on tensors, differentiable in every argument. Chapters: Gain and pan, The equalizer, The compressor, The console.

Audio is (B, T) or (B, C, T). Parameters are one number an item, (B,), or one a band, (B, 6), in physical units; a value
out of range raises ValueError with its name and the range (on a GPU nothing is read back, so nothing is checked).
Recursions run compiled on a CPU (`biquads`, `dynamics`), and as FFTs and one kernel on a GPU; both give the same sound.
`reference.py` has the same functions as the released code computes them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.signal
import torch

from ..inputs import check_dtype, check_rate
from .engines.ballistics import smooth
from .engines.compressor import SILENCE, compress
from .engines.equalizer import biquad_cascade
from .ranges import RANGES, as_channels, in_range, per_band, per_item

FIR_TAPS = 65_536  # at 44.1 kHz, 1.5 s: a shelf at 20 Hz with Q 5 is below -110 dB after that


def db_to_gain(db: torch.Tensor) -> torch.Tensor:
    """Decibels to a factor: 10^(db / 20). Chapter: Gain and pan.

    >>> db_to_gain(torch.tensor([0.0, -20.0]))
    tensor([1.0000, 0.1000])
    """
    return torch.exp(db * (math.log(10.0) / 20.0))


def scaled_samples(samples_at_44100: int, sample_rate: float) -> int:
    """As many samples as last equally long at another rate; even, and a length that an FFT likes.

    >>> scaled_samples(65_536, 22050)
    32768
    """
    return 2 * scipy.fft.next_fast_len(math.ceil(samples_at_44100 / 2 * sample_rate / 44100), real=True)


class _FFTConvolve(torch.autograd.Function):
    """The backward of a convolution is two correlations. Autograd's own would go through complex FFTs, twice as slow."""

    @staticmethod
    def forward(ctx, x, fir):
        n = scipy.fft.next_fast_len(x.shape[-1] + fir.shape[-1] - 1, real=True)
        x_spectrum, fir_spectrum = torch.fft.rfft(x, n), torch.fft.rfft(fir, n)
        ctx.save_for_backward(x_spectrum, fir_spectrum)
        ctx.sizes = n, x.shape, fir.shape
        return torch.fft.irfft(x_spectrum * fir_spectrum, n)[..., : x.shape[-1]]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x_spectrum, fir_spectrum = ctx.saved_tensors
        n, x_shape, fir_shape = ctx.sizes
        spectrum = torch.fft.rfft(grad, n)
        grads = [None, None]
        for i, (other, shape) in enumerate(((fir_spectrum, x_shape), (x_spectrum, fir_shape))):
            if ctx.needs_input_grad[i]:
                product = (spectrum * other.conj()).sum_to_size(*shape[:-1], spectrum.shape[-1])
                grads[i] = torch.fft.irfft(product, n)[..., : shape[-1]]
        return tuple(grads)


def fft_convolve(x: torch.Tensor, fir: torch.Tensor) -> torch.Tensor:
    """Linear convolution along the last axis, cropped to the length of `x`; the other axes broadcast.

    Differentiable once, in both.

    >>> fft_convolve(torch.tensor([1., 0., 0.]), torch.tensor([0.5, 0.25])).round(decimals=5)
    tensor([0.5000, 0.2500, 0.0000])
    """
    return _FFTConvolve.apply(x, fir)


def gain(x: torch.Tensor, *, gain_db: torch.Tensor) -> torch.Tensor:
    """Fader: y = 10^(gain_db / 20) x. Chapter: Gain and pan.

    Args:
        x: audio (B, T) or (B, C, T). gain_db: -200 to 200 dB, a number or (B,).

    Raises ValueError for other shapes and values.

    >>> gain(torch.ones(1, 4), gain_db=torch.tensor([-6.02])).mean().round(decimals=3)
    tensor(0.5000)
    """
    x3, shape = as_channels(x)
    return (x3 * db_to_gain(per_item(gain_db, x3, "gain_db"))[:, None, None]).view(shape)


def _check_equalizer(sample_rate, gain_db, frequency_hz, q) -> None:
    check_rate(sample_rate)
    in_range(gain_db, "gain_db", *RANGES["eq gain_db"])
    in_range(frequency_hz, "frequency_hz", 1.0, 0.499 * sample_rate)
    in_range(q, "q", *RANGES["q"])


def _prototypes(gain_db: torch.Tensor, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Numerators and denominators (3, B, 6) of the six analog filters at a cutoff of 1: factors of s^2, s and 1."""
    A = db_to_gain(gain_db / 2)
    root, one = torch.sqrt(A), torch.ones_like(A)
    low, peaks, high = (..., slice(0, 1)), (..., slice(1, 5)), (..., slice(5, 6))

    def bands(low_shelf, peak, high_shelf):
        powers = zip(low_shelf, peak, high_shelf)
        return torch.stack([torch.cat([a[low], b[peaks], c[high]], dim=-1) for a, b, c in powers])

    tilt = A * root / q
    top = bands((A, tilt, A * A), (one, A / q, one), (A * A, tilt, A))
    bottom = bands((A, root / q, one), (one, 1 / (A * q), one), (one, root / q, A))
    return top, bottom


def eq_sections(
    *, sample_rate: float, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Biquads (B, 6, 5), b0, b1, b2, a1, a2 with a0 = 1, of the six-band equalizer, in float64.

    The bilinear transform puts s = (1 - z^-1) / (1 + z^-1) / W, W = tan(pi cutoff / sample_rate), into the analog
    prototypes of `eq_response`: n2 s^2 + n1 s + n0 becomes n2 + n1 W + n0 W^2, 2 (n0 W^2 - n2), n2 - n1 W + n0 W^2.
    Differentiable. Arguments and errors as in `parametric_eq`. Source: R. Bristow-Johnson, Audio EQ cookbook.

    >>> flat = torch.zeros(1, 6)
    >>> f = torch.tensor([[100., 200., 400., 1000., 4000., 8000.]])
    >>> b0, b1, b2, a1, a2 = eq_sections(sample_rate=44100, gain_db=flat, frequency_hz=f, q=flat + 0.7)[0, 2]
    >>> bool(torch.isclose(b1, a1) & torch.isclose(b2, a2))       # at 0 dB the zeros lie on the poles
    True
    """
    _check_equalizer(sample_rate, gain_db, frequency_hz, q)
    gain_db, frequency_hz, q = (v.double() for v in (gain_db, frequency_hz, q))
    W = torch.tan(frequency_hz * (math.pi / sample_rate))
    (b0, b1, b2), (a0, a1, a2) = (
        (n2 + n1 * W + n0 * W * W, 2 * (n0 * W * W - n2), n2 - n1 * W + n0 * W * W)
        for n2, n1, n0 in _prototypes(gain_db, q)
    )
    return torch.stack([b0, b1, b2, a1, a2], dim=-1) / a0[..., None]


@lru_cache(maxsize=8)
@torch.inference_mode(
    False
)  # it is kept, and a tensor made in inference mode could never take part in a gradient
def _half_angle_tangent(num_points: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    w = np.arange(num_points // 2 + 1) * (math.pi / num_points)
    t = np.tan(w).clip(0.0, 1e6)  # finite at Nyquist, where every ratio has reached its limit
    return torch.from_numpy(t).to(device=device, dtype=dtype)


def eq_response(
    num_points: int, *, sample_rate: float, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Frequency response (B, num_points // 2 + 1) of the six-band equalizer at the bins of an FFT of `num_points`.

    On the unit circle the bilinear transform is s = j tan(w/2) / tan(w0/2), so the analog prototypes can be evaluated
    there, and the digital coefficients, whose 1 - cos w0 loses all its digits at 20 Hz in float32, never appear. With
    t = tan(w/2), W = tan(w0/2) and A = 10^(gain/40), numerator and denominator times W^2:

        peak:       (W^2 - t^2 + j t W A/Q) / (W^2 - t^2 + j t W /(A Q))
        low shelf:  A (A W^2 - t^2 + j t W sqrt(A)/Q) / (W^2 - A t^2 + j t W sqrt(A)/Q)
        high shelf: A (W^2 - A t^2 + j t W sqrt(A)/Q) / (A W^2 - t^2 + j t W sqrt(A)/Q)

    Arguments and errors as in `parametric_eq`. Source: R. Bristow-Johnson, Audio EQ cookbook.

    >>> one_band = torch.tensor([[0., 6., 0., 0., 0., 0.]])
    >>> f = torch.tensor([[100., 11025., 400., 1000., 4000., 8000.]])
    >>> h = eq_response(8, sample_rate=44100, gain_db=one_band, frequency_hz=f, q=one_band + 0.7)
    >>> (20 * h.abs().log10()).round(decimals=2)[0, 2]        # +6 dB at a quarter of the sample rate
    tensor(6.)
    """
    _check_equalizer(sample_rate, gain_db, frequency_hz, q)
    t = _half_angle_tangent(num_points, gain_db.dtype, gain_db.device)
    W = torch.tan(frequency_hz * (math.pi / sample_rate))
    top, bottom = _prototypes(gain_db, q)
    response = None
    for band in range(6):
        w = W[:, band, None]
        parts = []
        for n2, n1, n0 in (top[..., band, None], bottom[..., band, None]):
            a, b = torch.sqrt(n0) * w, torch.sqrt(n2) * t
            parts.append(torch.complex((a - b) * (a + b), n1 * w * t))  # a^2 - b^2 without its cancellation
        h = parts[0] / parts[1]
        response = h if response is None else response * h
    return response


def parametric_eq(
    x: torch.Tensor, *, sample_rate: float, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Six-band equalizer: low shelf, four peaks, high shelf in series. Chapter: The equalizer.

    On a CPU the six biquads of `eq_sections` run as the recursion they are, in float64. Elsewhere they are a FIR of
    1.5 s taken from `eq_response`: within -100 dB of the recursion for the console's ranges; sharper and lower filters
    than those ring for longer.

    Args:
        x: audio (B, T) or (B, C, T); the channels of an item share its settings.
        sample_rate: Hz.
        gain_db, frequency_hz, q: (B, 6); -60 to 60 dB, 1 Hz to below sample_rate / 2, and 0.01 to 100.

    Returns audio like `x`. Raises ValueError for other shapes and values. Filters as in the paper's console (RBJ
    biquads, there through dasp-pytorch).

    >>> flat = torch.zeros(1, 6)
    >>> x = torch.randn(1, 1000)
    >>> f = torch.tensor([[100., 200., 400., 1000., 4000., 8000.]])
    >>> y = parametric_eq(x, sample_rate=44100, gain_db=flat, frequency_hz=f, q=flat + 0.7)
    >>> bool((y - x).abs().max() < 1e-5)
    True
    """
    x3, shape = as_channels(x)
    values = {"gain_db": gain_db, "frequency_hz": frequency_hz, "q": q}
    settings = {name: per_band(value, x3, name, 6) for name, value in values.items()}
    if x.device.type == "cpu":
        sections = eq_sections(sample_rate=sample_rate, **settings).repeat_interleave(x3.shape[1], dim=0)
        return biquad_cascade(x3.flatten(0, 1), sections).view(shape)
    return _fir_eq(x3, sample_rate, settings).view(shape)


def _fir_eq(x: torch.Tensor, sample_rate: float, settings: dict[str, torch.Tensor]) -> torch.Tensor:
    taps = scaled_samples(FIR_TAPS, sample_rate)
    fir = torch.fft.irfft(eq_response(taps, sample_rate=sample_rate, **settings), taps)[
        :, None
    ]  # (B, 1, taps)
    return fft_convolve(x, fir)


def gain_computer(level_db: torch.Tensor, *, threshold_db, ratio, knee_db) -> torch.Tensor:
    """Static curve of the compressor: gain in dB, at most 0, for a level in dB. Chapter: The compressor.

    With u = level - threshold, knee W and slope 1/ratio - 1: 0 below -W/2, slope (u + W/2)^2 / (2 W) inside the
    knee, slope u above W/2. Threshold, ratio and knee (dB, 0 is a hard one) are numbers or broadcast with the level.

    >>> gain_computer(torch.tensor([-40.0, -10.0]), threshold_db=-30.0, ratio=4.0, knee_db=6.0)
    tensor([ -0., -15.])
    """
    threshold_db, ratio, knee_db = (
        torch.as_tensor(v, dtype=level_db.dtype, device=level_db.device)
        for v in (threshold_db, ratio, knee_db)
    )
    over = level_db - threshold_db
    inside = torch.clamp(over + knee_db / 2, torch.zeros_like(knee_db), knee_db)
    bent = inside * inside / (2 * knee_db.clamp(min=1e-6)) + (over - knee_db / 2).clamp(min=0.0)
    return (1.0 / ratio - 1.0) * bent


def compressor(
    x: torch.Tensor,
    *,
    sample_rate: float,
    threshold_db,
    ratio,
    attack_ms,
    release_ms,
    knee_db,
    makeup_gain_db,
    lookahead_samples: int = 0,
) -> torch.Tensor:
    """Feed-forward compressor with a soft knee. Chapter: The compressor.

    level = 20 log10 |x|; gain = smooth(static curve(level)) + make-up; y = 10^(gain / 20) x. The side-chain of a
    stereo signal is its louder channel at each sample. `ballistics.smooth` gets from 10 % to 90 % of a step in
    `attack_ms` when the gain falls and in `release_ms` when it returns. The look-ahead reads the gain early instead
    of delaying the sound, so the mix stays aligned; at the end of the clip the last gain is held.

    Args:
        x: audio (B, T) or (B, C, T).
        sample_rate: Hz.
        threshold_db: -120 to 24 dB. ratio: 1 to 1000. attack_ms, release_ms: 0 to 10,000; below 0.01 counts as 0.01.
            knee_db: 0, a hard knee, to 60. makeup_gain_db: -60 to 60. A number or (B,) each.
        lookahead_samples: how far the gain runs ahead of the sound, 0 or more.

    Raises ValueError for other shapes and values. The paper names no equations; the static curve is that of
    D. Giannoulis and others, Digital dynamic range compressor design (2012), through dasp-pytorch.

    >>> x = torch.ones(1, 44100)                                   # 0 dBFS, threshold -20 dB, ratio 4
    >>> y = compressor(x, sample_rate=44100, threshold_db=-20., ratio=4., attack_ms=5., release_ms=50., knee_db=3.,
    ...                makeup_gain_db=0.)
    >>> round(20 * math.log10(y[0, -1].item()), 1)                 # 15 of the 20 dB over the threshold are gone
    -15.0
    """
    x3, shape = as_channels(x)
    settings = {
        "threshold_db": threshold_db,
        "ratio": ratio,
        "attack_ms": attack_ms,
        "release_ms": release_ms,
        "knee_db": knee_db,
        "makeup_gain_db": makeup_gain_db,
    }
    s = {name: per_item(value, x3, name) for name, value in settings.items()}
    check_rate(sample_rate)
    if not isinstance(lookahead_samples, int) or lookahead_samples < 0:
        raise ValueError(f"lookahead_samples must be a whole number of at least 0, got {lookahead_samples}")
    early = min(lookahead_samples, x3.shape[-1] - 1)
    if x.device.type == "cpu":
        poles = (_pole(s[name].double(), sample_rate) for name in ("attack_ms", "release_ms"))
        columns = (
            s["threshold_db"],
            1.0 / s["ratio"].double() - 1.0,
            s["knee_db"],
            *poles,
            s["makeup_gain_db"],
        )
        return compress(x3, torch.stack([c.double() for c in columns], dim=-1), early).view(shape)
    return _compress_in_steps(x3, sample_rate, s, early).view(shape)


def _pole(time_ms: torch.Tensor, sample_rate: float) -> torch.Tensor:
    """Pole of the one-pole smoother that gets from 10 % to 90 % of a step in `time_ms`."""
    return torch.exp(-math.log(9.0) / (time_ms.clamp(min=0.01) * (sample_rate / 1000.0)))


def _compress_in_steps(
    x: torch.Tensor, sample_rate: float, s: dict[str, torch.Tensor], early: int
) -> torch.Tensor:
    side_chain = x.abs().amax(dim=1)  # (B, T)
    level_db = (20.0 / math.log(10.0)) * torch.log(side_chain.clamp(min=SILENCE))
    curve = gain_computer(
        level_db, **{name: s[name][:, None] for name in ("threshold_db", "ratio", "knee_db")}
    )
    gain_db = smooth(curve, *(_pole(s[name], sample_rate) for name in ("attack_ms", "release_ms")))
    if early > 0:
        gain_db = torch.cat([gain_db[:, early:], gain_db[:, -1:].expand(-1, early)], dim=-1)
    return x * db_to_gain(gain_db + s["makeup_gain_db"][:, None])[:, None]


def pan_gains(pan: torch.Tensor) -> torch.Tensor:
    """Left and right factors (..., 2) of the -4.5 dB pan law for pan in [0, 1], 0 left, 1 right. Chapter: Gain and pan.

    left = sqrt((1 - p) cos(p pi/2)), right = sqrt(p sin(p pi/2)): the geometric mean of the linear and the constant
    power law, -4.5 dB a channel at the center, where the total power is -1.5 dB. Written with sinc, since the square
    root as it stands has a derivative of 0/0 at the ends. Raises ValueError outside [0, 1]. Source: dasp-pytorch.

    >>> pan_gains(torch.tensor([0.0, 0.5]))
    tensor([[1.0000, 0.0000],
            [0.5946, 0.5946]])
    """
    in_range(pan, "pan", *RANGES["pan"])

    def side(p):
        return p * torch.sqrt((math.pi / 2) * torch.sinc(p / 2))

    return torch.stack([side(1.0 - pan), side(pan)], dim=-1)


def panner(x: torch.Tensor, *, pan: torch.Tensor) -> torch.Tensor:
    """Mono (B, T) to stereo (B, 2, T) with `pan_gains`; pan a number or (B,) in [0, 1]. Chapter: Gain and pan.

    Raises ValueError for other shapes and values.

    >>> panner(torch.ones(1, 1), pan=1.0)
    tensor([[[0.],
             [1.]]])
    """
    check_dtype(x)
    if x.ndim != 2:
        raise ValueError(f"the panner takes mono tracks (batch, samples), got {tuple(x.shape)}")
    return x[:, None] * pan_gains(per_item(pan, x, "pan"))[..., None]


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _noise_bands(
    sample_rate: int, num_samples: int, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Stereo white noise split into twelve bands: below 31.5 Hz's octave, ten octaves, above; (2, 12, num_samples).

    Its power per Hz, and so the level of the reverb, is the same at every sample rate.
    """
    taps = 2 * round(511 * sample_rate / 44100) + 1
    noise = np.random.default_rng(0).standard_normal((2, 12, num_samples + taps - 1)) * math.sqrt(
        44100 / sample_rate
    )
    edges = np.clip(31.5 * 2.0 ** (np.arange(11) - 0.5), None, 0.499 * sample_rate)
    filters = [scipy.signal.firwin(taps, edges[0], fs=sample_rate)]
    for low, high in zip(edges[:-1], edges[1:]):
        silent = low >= high  # an octave above Nyquist
        filters.append(
            np.zeros(taps)
            if silent
            else scipy.signal.firwin(taps, [low, high], fs=sample_rate, pass_zero=False)
        )
    filters.append(scipy.signal.firwin(taps, edges[-1], fs=sample_rate, pass_zero=False))
    bands = scipy.signal.fftconvolve(noise, np.stack(filters)[None], mode="valid", axes=-1)
    return torch.from_numpy(bands).to(device=device, dtype=dtype)


def reverb(
    x: torch.Tensor,
    *,
    sample_rate: float,
    band_gains: torch.Tensor,
    band_decays: torch.Tensor,
    mix: torch.Tensor,
) -> torch.Tensor:
    """Noise-shaped reverb on a stereo bus. Chapter: The console.

    The impulse response is the mean over twelve octave bands of gain_b exp(-(1 + 10 decay_b) t) noise_b(t), t from
    0 to 1 over 1.5 s; y = (1 - mix) x + mix (x * response). The noise is made once from a fixed seed, so the same
    settings always give the same sound.

    Args:
        x: stereo (B, 2, T). sample_rate: Hz, any. band_gains, band_decays: (B, 12) in [0, 1].
        mix: a number or (B,) in [0, 1].

    Raises ValueError for other shapes and values. Source: as in dasp-pytorch, but for the seed and the FFT.

    >>> x = torch.randn(1, 2, 1000)
    >>> room = torch.full((1, 12), 0.5)
    >>> y = reverb(x, sample_rate=44100, band_gains=room, band_decays=room, mix=0.0)
    >>> torch.equal(x, y)                                          # nothing but the dry sound
    True
    """
    check_dtype(x)
    check_rate(sample_rate)
    if x.ndim != 3 or x.shape[1] != 2:
        raise ValueError(f"the reverb takes stereo (batch, 2, samples), got {tuple(x.shape)}")
    band_gains, band_decays = (
        per_band(value, x, name, 12)
        for name, value in (("band_gains", band_gains), ("band_decays", band_decays))
    )
    in_range(band_gains, "band_gains", *RANGES["band_gains"])
    in_range(band_decays, "band_decays", *RANGES["band_decays"])
    taps = scaled_samples(FIR_TAPS, sample_rate)
    t = torch.linspace(0.0, 1.0, taps, dtype=x.dtype, device=x.device)
    noise = _noise_bands(int(sample_rate), taps, x.dtype, x.device)  # (2, 12, taps)
    envelope = torch.exp(-(1.0 + 10.0 * band_decays)[..., None] * t) * band_gains[..., None]
    fir = (noise * envelope[:, None]).mean(
        dim=2
    )  # (B, 2, taps); no matrix product, which autocast would round
    mix = per_item(mix, x, "mix")[:, None, None]
    return (1.0 - mix) * x + mix * fft_convolve(x, fir)
