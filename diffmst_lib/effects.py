"""The console's effects: pure functions on tensors, differentiable in every argument. Chapters 2 to 5.

Audio is (B, T) or (B, C, T). Parameters are one number an item, (B,), or one a band, (B, 6), in physical units. The
filters here are long FIR filters applied with one FFT (`fft_convolve`): exact to float32 noise, and everything that
autograd needs. `reference.py` has the same functions as the released code computes them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.signal
import torch

from .ballistics import smooth

FIR_TAPS = 65_536  # at 44.1 kHz, 1.5 s: a shelf at 20 Hz with Q 5 is below -110 dB after that
SILENCE = 1e-8     # magnitudes below -160 dB count as -160 dB


def db_to_gain(db: torch.Tensor) -> torch.Tensor:
    """Decibels to a factor: 10^(db / 20)."""
    return torch.exp(db * (math.log(10.0) / 20.0))


def scaled_samples(samples_at_44100: int, sample_rate: float) -> int:
    """As many samples as last equally long at another rate; even, and a length that an FFT likes."""
    return 2 * scipy.fft.next_fast_len(math.ceil(samples_at_44100 / 2 * sample_rate / 44100), real=True)


def _as_channels(x: torch.Tensor) -> tuple[torch.Tensor, tuple[int, ...]]:
    if x.ndim not in (2, 3):
        raise ValueError(f"audio must be (batch, samples) or (batch, channels, samples), got {tuple(x.shape)}")
    return (x.unsqueeze(1) if x.ndim == 2 else x), x.shape


def _per_item(value: torch.Tensor, x: torch.Tensor, name: str) -> torch.Tensor:
    value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    if value.shape not in ((), (x.shape[0],)):
        raise ValueError(f"{name} must be a number or ({x.shape[0]},), one an item, got {tuple(value.shape)}")
    return value.expand(x.shape[0])


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

    >>> fft_convolve(torch.tensor([1., 0., 0.]), torch.tensor([0.5, 0.25])).round(decimals=5)
    tensor([0.5000, 0.2500, 0.0000])
    """
    return _FFTConvolve.apply(x, fir)


def gain(x: torch.Tensor, *, gain_db: torch.Tensor) -> torch.Tensor:
    """Fader: y = 10^(gain_db / 20) x. Chapter 2.

    >>> gain(torch.ones(1, 4), gain_db=torch.tensor([-6.02])).mean().round(decimals=3)
    tensor(0.5000)
    """
    x3, shape = _as_channels(x)
    return (x3 * db_to_gain(_per_item(gain_db, x3, "gain_db"))[:, None, None]).view(shape)


def eq_response(
    num_points: int, *, sample_rate: float, gain_db: torch.Tensor, cutoff_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Frequency response (B, num_points // 2 + 1) of the six-band equalizer at the bins of an FFT of `num_points`.

    The bilinear transform maps s = j tan(w/2) / tan(w0/2) onto the analog prototypes, so they can be evaluated there
    and the digital coefficients, whose 1 - cos w0 loses all its digits at 20 Hz in float32, never appear. With
    t = tan(w/2), W = tan(w0/2) and A = 10^(gain/40), numerator and denominator times W^2:

        peak:       (W^2 - t^2 + j t W A/Q) / (W^2 - t^2 + j t W /(A Q))
        low shelf:  A (A W^2 - t^2 + j t W sqrt(A)/Q) / (W^2 - A t^2 + j t W sqrt(A)/Q)
        high shelf: A (W^2 - A t^2 + j t W sqrt(A)/Q) / (A W^2 - t^2 + j t W sqrt(A)/Q)

    Arguments as in `parametric_eq`. Source: R. Bristow-Johnson, Audio EQ cookbook.
    """
    real = gain_db.dtype
    w = torch.arange(num_points // 2 + 1, dtype=torch.float64, device=gain_db.device) * (math.pi / num_points)
    t = torch.tan(w).clamp(max=1e6).to(real)  # finite at Nyquist, where every ratio below has reached its limit
    A = db_to_gain(gain_db / 2)[..., None]
    W = torch.tan(cutoff_hz * (math.pi / sample_rate))[..., None]
    tW = t * W
    t2, W2 = t * t, W * W
    shelf_damping = torch.sqrt(A) / q[..., None]
    response = None
    for band in range(6):
        a, w2, cross = A[:, band], W2[:, band], tW[:, band]
        if band == 0:
            top, bottom, scale = a * w2 - t2, w2 - a * t2, a
            top_damping = bottom_damping = shelf_damping[:, band]
        elif band == 5:
            top, bottom, scale = w2 - a * t2, a * w2 - t2, a
            top_damping = bottom_damping = shelf_damping[:, band]
        else:
            top = bottom = (W[:, band] - t) * (W[:, band] + t)
            inverse_q = 1.0 / q[:, band, None]
            top_damping, bottom_damping, scale = a * inverse_q, inverse_q / a, 1.0
        h = torch.complex(scale * top, scale * cross * top_damping) / torch.complex(bottom, cross * bottom_damping)
        response = h if response is None else response * h
    return response


def parametric_eq(
    x: torch.Tensor, *, sample_rate: float, gain_db: torch.Tensor, cutoff_hz: torch.Tensor, q: torch.Tensor
) -> torch.Tensor:
    """Six-band equalizer: low shelf, four peaks, high shelf in series. Chapter 3.

    Args:
        x: audio (B, T) or (B, C, T); the channels of an item share its settings.
        sample_rate: Hz.
        gain_db, cutoff_hz, q: (B, 6); dB, Hz below sample_rate / 2, and quality factor above 0.

    Returns audio like `x`. Raises ValueError for other shapes and cutoffs. Filters as in the paper's console (RBJ biquads, there
    through dasp-pytorch), applied as a FIR of 1.5 s from the exact response: see `eq_response`.

    >>> flat = torch.zeros(1, 6)
    >>> x = torch.randn(1, 1000)
    >>> f = torch.tensor([[100., 200., 400., 1000., 4000., 8000.]])
    >>> y = parametric_eq(x, sample_rate=44100, gain_db=flat, cutoff_hz=f, q=flat + 0.7)
    >>> bool((y - x).abs().max() < 1e-5)
    True
    """
    x3, shape = _as_channels(x)
    settings = {}
    for name, value in (("gain_db", gain_db), ("cutoff_hz", cutoff_hz), ("q", q)):
        if value.shape != (x3.shape[0], 6):
            raise ValueError(f"{name} must be ({x3.shape[0]}, 6), six bands an item, got {tuple(value.shape)}")
        settings[name] = value.to(x3)
    if bool((settings["cutoff_hz"] >= sample_rate / 2).any()):
        raise ValueError(f"cutoff_hz must be below half the sample rate, {sample_rate / 2:g} Hz")
    taps = scaled_samples(FIR_TAPS, sample_rate)
    fir = torch.fft.irfft(eq_response(taps, sample_rate=sample_rate, **settings), taps)[:, None]  # (B, 1, taps)
    return fft_convolve(x3, fir).view(shape)


def gain_computer(level_db: torch.Tensor, *, threshold_db, ratio, knee_db) -> torch.Tensor:
    """Static curve of the compressor: gain in dB, at most 0, for a level in dB. Chapter 4.

    With u = level - threshold, knee W and slope 1/ratio - 1: 0 below -W/2, slope (u + W/2)^2 / (2 W) inside the
    knee, slope u above W/2. Threshold, ratio and knee (dB, 0 is a hard one) are numbers or broadcast with the level.

    >>> gain_computer(torch.tensor([-40.0, -10.0]), threshold_db=-30.0, ratio=4.0, knee_db=6.0)
    tensor([ -0., -15.])
    """
    threshold_db, ratio, knee_db = (
        torch.as_tensor(v, dtype=level_db.dtype, device=level_db.device) for v in (threshold_db, ratio, knee_db))
    over = level_db - threshold_db
    inside = torch.clamp(over + knee_db / 2, torch.zeros_like(knee_db), knee_db)
    bent = inside * inside / (2 * knee_db.clamp(min=1e-6)) + (over - knee_db / 2).clamp(min=0.0)
    return (1.0 / ratio - 1.0) * bent


def compressor(
    x: torch.Tensor, *, sample_rate: float, threshold_db, ratio, attack_ms, release_ms, knee_db, makeup_gain_db,
    lookahead_samples: int = 0,
) -> torch.Tensor:
    """Feed-forward compressor with a soft knee. Chapter 4.

    level = 20 log10 |x|; gain = smooth(static curve(level)) + make-up; y = 10^(gain / 20) x. The side-chain of a
    stereo signal is its louder channel at each sample. `ballistics.smooth` gets from 10 % to 90 % of a step in
    `attack_ms` when the gain falls and in `release_ms` when it returns. The look-ahead reads the gain early instead
    of delaying the sound, so the mix stays aligned; at the end of the clip the last gain is held.

    Args:
        x: audio (B, T) or (B, C, T).
        sample_rate: Hz.
        threshold_db: dB, -60 to 0. ratio: 1 to 10. attack_ms: 5 to 250. release_ms: 10 to 250. knee_db: 3 to 12.
            makeup_gain_db: 0 to 6. A number or (B,) each.
        lookahead_samples: how far the gain runs ahead of the sound.

    >>> x = torch.ones(1, 44100)                                   # 0 dBFS, threshold -20 dB, ratio 4
    >>> y = compressor(x, sample_rate=44100, threshold_db=-20., ratio=4., attack_ms=5., release_ms=50., knee_db=3.,
    ...                makeup_gain_db=0.)
    >>> round(20 * math.log10(y[0, -1].item()), 1)                 # 15 of the 20 dB over the threshold are gone
    -15.0
    """
    x3, shape = _as_channels(x)
    settings = {
        "threshold_db": threshold_db, "ratio": ratio, "attack_ms": attack_ms, "release_ms": release_ms,
        "knee_db": knee_db, "makeup_gain_db": makeup_gain_db,
    }
    s = {name: _per_item(value, x3, name) for name, value in settings.items()}
    curve = {name: s[name][:, None] for name in ("threshold_db", "ratio", "knee_db")}

    side_chain = x3[:, 0].abs() if x3.shape[1] == 1 else x3.abs().amax(dim=1)           # (B, T)
    level_db = (20.0 / math.log(10.0)) * torch.log(side_chain.clamp(min=SILENCE))
    times = (s[name].clamp(min=0.01) * (sample_rate / 1000.0) for name in ("attack_ms", "release_ms"))  # in samples
    gain_db = smooth(gain_computer(level_db, **curve), *(torch.exp(-math.log(9.0) / time) for time in times))
    early = min(lookahead_samples, gain_db.shape[-1] - 1)
    if early > 0:
        gain_db = torch.cat([gain_db[:, early:], gain_db[:, -1:].expand(-1, early)], dim=-1)
    return (x3 * db_to_gain(gain_db + s["makeup_gain_db"][:, None])[:, None]).view(shape)


def pan_gains(pan: torch.Tensor) -> torch.Tensor:
    """Left and right factors (..., 2) of the -4.5 dB pan law for pan in [0, 1], 0 left, 1 right. Chapter 2.

    left = sqrt((1 - p) cos(p pi/2)), right = sqrt(p sin(p pi/2)): the geometric mean of the linear and the constant
    power law, -4.5 dB a channel at the center, where the total power is -1.5 dB. Written with sinc, since the square
    root as it stands has a derivative of 0/0 at the ends.
    """
    def side(p):
        return p * torch.sqrt((math.pi / 2) * torch.sinc(p / 2))

    return torch.stack([side(1.0 - pan), side(pan)], dim=-1)


def panner(x: torch.Tensor, *, pan: torch.Tensor) -> torch.Tensor:
    """Mono (B, T) to stereo (B, 2, T) with `pan_gains`; pan a number or (B,) in [0, 1]. Chapter 2."""
    if x.ndim != 2:
        raise ValueError(f"the panner takes mono tracks (batch, samples), got {tuple(x.shape)}")
    return x[:, None] * pan_gains(_per_item(pan, x, "pan"))[..., None]


@lru_cache(maxsize=4)
def _noise_bands(sample_rate: int, num_samples: int) -> torch.Tensor:
    """Stereo white noise split into twelve bands: below 31.5 Hz's octave, ten octaves, above; (2, 12, num_samples)."""
    noise = np.random.default_rng(0).standard_normal((2, 12, num_samples + 1022))
    edges = np.clip(31.5 * 2.0 ** (np.arange(11) - 0.5), None, 0.499 * sample_rate)
    filters = [scipy.signal.firwin(1023, edges[0], fs=sample_rate)]
    for low, high in zip(edges[:-1], edges[1:]):
        silent = low >= high  # an octave above Nyquist
        filters.append(
            np.zeros(1023) if silent else scipy.signal.firwin(1023, [low, high], fs=sample_rate, pass_zero=False)
        )
    filters.append(scipy.signal.firwin(1023, edges[-1], fs=sample_rate, pass_zero=False))
    bands = scipy.signal.fftconvolve(noise, np.stack(filters)[None], mode="valid", axes=-1)
    return torch.from_numpy(bands.astype(np.float32))


def reverb(
    x: torch.Tensor, *, sample_rate: float, band_gains: torch.Tensor, band_decays: torch.Tensor, mix: torch.Tensor
) -> torch.Tensor:
    """Noise-shaped reverb on a stereo bus. Chapter 5.

    The impulse response is the mean over twelve octave bands of gain_b exp(-(1 + 10 decay_b) t) noise_b(t), t from
    0 to 1 over 1.5 s; y = (1 - mix) x + mix (x * response). The noise is made once from a fixed seed, so the same
    settings always give the same sound.

    Args:
        x: stereo (B, 2, T). sample_rate: Hz, any. band_gains, band_decays: (B, 12) in [0, 1]. mix: (B,) in [0, 1].
    """
    if x.ndim != 3 or x.shape[1] != 2:
        raise ValueError(f"the reverb takes stereo (batch, 2, samples), got {tuple(x.shape)}")
    band_gains, band_decays = band_gains.to(x), band_decays.to(x)
    if band_gains.shape != (x.shape[0], 12) or band_decays.shape != band_gains.shape:
        raise ValueError(f"the reverb takes gains and decays ({x.shape[0]}, 12), twelve bands an item, "
                         f"got {tuple(band_gains.shape)}, {tuple(band_decays.shape)}")
    taps = scaled_samples(FIR_TAPS, sample_rate)
    t = torch.linspace(0.0, 1.0, taps, dtype=x.dtype, device=x.device)
    noise = _noise_bands(int(sample_rate), taps).to(x)                              # (2, 12, taps)
    envelope = torch.exp(-(1.0 + 10.0 * band_decays)[..., None] * t) * band_gains[..., None]
    fir = torch.einsum("cbt,nbt->nct", noise, envelope) / noise.shape[1]            # (B, 2, taps)
    mix = _per_item(mix, x, "mix")[:, None, None]
    return (1.0 - mix) * x + mix * fft_convolve(x, fir)
