"""A true-peak limiter with look-ahead, for the finished mix. Chapter: Mix your own song."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal
import torch

from ..inputs import InputError
from ..options import SAMPLE_RATE
from .meters import true_peak_db

OVERSAMPLING = 8  # twice what ITU-R BS.1770 asks for: a peak is missed by at most 0.17 dB
LOOK_AHEAD_S = 0.005  # how long before a peak the gain starts to fall
RELEASE_S = 0.1  # how fast it returns: to 37 % of the reduction in that time
MARGIN = 512  # samples around a block, so that its ends do not disturb its oversampling
BLOCK = 2**16  # samples limited at a time
LOWEST_DBTP = -30.0
HEARD_DB = 0.1  # less counts as no limiting
NOTHING_DB = 1e-4  # less is none: the rest of a release, and rounding


@dataclass(frozen=True)
class Limiting:
    """What a limiter did.

    Attributes:
        most_db: The most that it took off, in dB, 0 or more.
        share: The share of the time in which it took off more than 0.1 dB, 0 to 1.
    """

    most_db: float
    share: float


def check_ceiling(ceiling_dbtp: float) -> None:
    """Raise InputError for a ceiling that is no number from -30 to 0 dBTP."""
    if not isinstance(ceiling_dbtp, int | float) or not LOWEST_DBTP <= ceiling_dbtp <= 0.0:
        raise InputError(f"ceiling must be a number from {LOWEST_DBTP:g} to 0 dBTP, got {ceiling_dbtp!r}")


def limit(
    audio: torch.Tensor, *, ceiling_dbtp: float, sample_rate: int = SAMPLE_RATE
) -> tuple[torch.Tensor, Limiting]:
    """Hold the true peak of a sound at a ceiling, with one gain for all channels.

    In dB, what the ceiling asks for at sample n is the overshoot of the oversampled waveform around it,

        a(n) = max(0, max over channels and m of 20 log10 |x(n + m / 8)| - ceiling),  m = -8 .. 8.

    The most of it within the look-ahead of L samples (5 ms) is held, and let go with a time constant of 100 ms,

        h(n) = max(a(n), ..., a(n + L)),    r(n) = max(h(n), c r(n - 1)),    c = exp(-1 / (0.1 s f_s)),

    and a window w of L + 1 samples with the sum 1 makes it smooth,

        y(n) = x(n) 10^(-g(n) / 20),    g(n) = sum over k of w(k) r(n - k),  k = 0 .. L.

    Every r in the sum for a peak at n holds that peak, so g(n) is at least a(n): the ceiling is kept by
    construction, between samples but for what a peak can rise between eight points and for the little that
    the gain bends there. What the meter still finds over it, some hundredths of a dB, is taken off everywhere.
    A sound below the ceiling is returned as it is.

    Source: for the true peak ITU-R BS.1770-4, annex 2; for a window that reaches a peak within its look-ahead
    Berners and Abel, Universal Audio WebZine, September 2004.

    Args:
        audio: Audio (channels, num_samples), finite.
        ceiling_dbtp: The ceiling in dBTP, -30 to 0.
        sample_rate: Sample rate in Hz.

    Returns:
        The limited sound, as long as `audio` and in time with it, and what was done.

    Raises:
        InputError: For a ceiling outside its range.

    Example:
        >>> x = 2.0 * torch.sin(torch.arange(44100) / 7)[None]
        >>> y, done = limit(x, ceiling_dbtp=-1.0)
        >>> true_peak_db(y) < -0.99, round(done.most_db)
        (True, 7)
    """
    check_ceiling(ceiling_dbtp)
    if audio.shape[-1] == 0 or true_peak_db(audio) <= ceiling_dbtp:
        return audio, Limiting(0.0, 0.0)
    samples = audio.detach().cpu()
    length, ahead = samples.shape[-1], max(1, round(LOOK_AHEAD_S * sample_rate))
    window = scipy.signal.windows.hann(ahead + 3)[1:-1]
    window /= window.sum()
    fall = 1.0 / (RELEASE_S * sample_rate)
    limited = torch.empty_like(samples)
    before, last, most_db, heard = np.zeros(ahead), 0.0, 0.0, 0
    for start in range(-ahead, length, BLOCK):  # from before the sound: its first sample may be a peak
        stop = min(start + BLOCK, length)
        wanted = _overshoot_db(samples, start, stop + ahead, ceiling_dbtp, sample_rate)
        held = scipy.ndimage.maximum_filter1d(wanted, ahead + 1, origin=-((ahead + 1) // 2), mode="constant")
        kept = _release(held[: stop - start], last, fall)
        last = kept[-1]
        past = np.concatenate([before, kept])
        before = past[-ahead:]
        gain_db = scipy.signal.oaconvolve(past, window, "valid")[max(0, -start) :]
        gain_db[gain_db < NOTHING_DB] = 0.0
        first = max(0, start)
        gain = torch.from_numpy(10.0 ** (-gain_db / 20.0)).to(samples.dtype)
        torch.mul(samples[:, first:stop], gain, out=limited[:, first:stop])
        if len(gain_db):
            most_db, heard = max(most_db, float(gain_db.max())), heard + int((gain_db > HEARD_DB).sum())
    over_db = max(0.0, true_peak_db(limited) - ceiling_dbtp)
    limited *= 10.0 ** (-over_db / 20.0)
    return limited, Limiting(most_db + over_db, heard / length)


def _overshoot_db(
    samples: torch.Tensor, start: int, stop: int, ceiling_dbtp: float, sample_rate: int
) -> np.ndarray:
    """Compute by how much the waveform around each sample from `start` to `stop` is above the ceiling, in dB.

    Outside of the sound it is 0.
    """
    first, last = max(0, start), min(stop, samples.shape[-1])
    over_db = np.zeros(stop - start)
    if first >= last:
        return over_db
    begin = max(0, first - MARGIN)
    part = samples[:, begin : last + MARGIN].numpy()
    after = (
        np.abs(_waveform(part)).max(axis=0).reshape(-1, OVERSAMPLING).max(axis=1)
    )  # from each sample to the next
    around = np.maximum(after, np.concatenate([after[:1], after[:-1]]))[first - begin : last - begin]
    with np.errstate(divide="ignore"):
        over_db[first - start : last - start] = np.maximum(20.0 * np.log10(around) - ceiling_dbtp, 0.0)
    return over_db


def _waveform(samples: np.ndarray) -> np.ndarray:
    """Oversample (channels, num_samples) by the Fourier transform: all that samples can say, up to half their rate."""
    length = scipy.fft.next_fast_len(samples.shape[-1], real=True)
    spectrum = scipy.fft.rfft(samples, length, axis=-1)
    waveform = scipy.fft.irfft(OVERSAMPLING * spectrum, OVERSAMPLING * length, axis=-1)
    return waveform[:, : OVERSAMPLING * samples.shape[-1]]


def _release(held_db: np.ndarray, last_db: float, fall: float) -> np.ndarray:
    """Let a held reduction go: r(n) = max(h(n), exp(-fall) r(n - 1)), for r(-1) = `last_db`.

    Unrolled, log r(n) is the maximum over m <= n of log h(m) + fall m, less fall n.
    """
    slope = fall * np.arange(len(held_db) + 1)
    with np.errstate(divide="ignore"):
        raised = np.log(np.concatenate([[last_db], held_db])) + slope
    return np.exp(np.maximum.accumulate(raised)[1:] - slope[1:])
