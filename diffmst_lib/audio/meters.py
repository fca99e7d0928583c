"""Meters of a finished sound: true peak, crest factor, stereo image, loudness of blocks.

All read a sound in pieces, so that a whole song needs little memory beyond its own.

Chapter: A first mix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr
import torch

from .loudness import ABSOLUTE_GATE, OFFSET_DB, RELATIVE_GATE, k_weighted_energy

OVERSAMPLING = 4  # as ITU-R BS.1770 asks for a true peak
BLOCK_S = 3.0  # the blocks of short-term loudness (EBU Tech 3341)
EXTREME_SHARE = 0.15  # the share of a song's blocks that counts as its loudest and as its quietest
IMAGE_LIMIT_DB = 60.0  # a side or a channel this far below the other counts as silent: nobody hears it
PIECE = 2**16  # samples read at a time


def decibels(power: float) -> float:
    """Convert a power to dB, 10 log10(power): -inf for 0.

    Args:
        power: A power, or a ratio of powers, 0 or more.

    Returns:
        Its decibels.

    Example:
        >>> decibels(100.0), decibels(0.0)
        (20.0, -inf)
    """
    return 10.0 * math.log10(power) if power > 0.0 else -math.inf if power == 0.0 else math.nan


def _pieces(audio: torch.Tensor, length: int = PIECE) -> Iterator[np.ndarray]:
    """Yield a sound (channels, num_samples) or (num_samples,) in pieces (channels, at most `length`)."""
    samples = torch.atleast_2d(audio.detach().cpu())
    for start in range(0, samples.shape[-1], length):
        yield samples[:, start : start + length].numpy()


def true_peak_db(audio: torch.Tensor) -> float:
    """Measure the highest value of the waveform, also between samples (ITU-R BS.1770-4, annex 2).

    The sound is oversampled four times with soxr.

    Args:
        audio: Audio (channels, num_samples) or (num_samples,), floating point.

    Returns:
        The true peak in dBTP, that is dB below full scale; -inf for silence.

    Example:
        >>> from math import pi
        >>> between = torch.sin(pi / 2 * torch.arange(4410) + pi / 4)   # no sample is above 0.7071, -3 dBFS
        >>> fade = torch.hann_window(4410, periodic=False)
        >>> abs(true_peak_db(between * fade)) < 0.05
        True
    """
    peak, stream = 0.0, None
    for piece in _pieces(audio):
        peak = max(peak, float(np.abs(piece).max()))
        stream = stream or soxr.ResampleStream(1, OVERSAMPLING, len(piece), dtype=piece.dtype.name)
        peak = max(peak, _highest(stream.resample_chunk(np.ascontiguousarray(piece.T))))
    if stream is not None:
        rest = np.zeros((0, torch.atleast_2d(audio).shape[0]), piece.dtype)
        peak = max(peak, _highest(stream.resample_chunk(rest, last=True)))
    return decibels(peak**2)


def _highest(samples: np.ndarray) -> float:
    return float(np.abs(samples).max(initial=0.0))


def crest_factor_db(audio: torch.Tensor) -> float:
    """Measure how far the highest sample is above the RMS of all channels together.

    Args:
        audio: Audio (channels, num_samples) or (num_samples,), floating point.

    Returns:
        The crest factor in dB, 0 or more; NaN for silence.

    Example:
        >>> round(crest_factor_db(torch.sin(torch.arange(44100) / 7)), 2)
        3.01
    """
    peak, energy, count = 0.0, 0.0, 0
    for piece in _pieces(audio):
        peak = max(peak, float(np.abs(piece).max()))
        energy += float(np.square(piece, dtype=np.float64).sum())
        count += piece.size
    return decibels(peak**2 * count / energy) if energy > 0.0 else math.nan


@dataclass(frozen=True)
class StereoPowers:
    """What a stereo sound's image is computed from. `stereo_powers` measures it.

    Attributes:
        left: The sum of the squared left channel.
        right: The sum of the squared right channel.
        product: The sum of left times right.

    Example:
        >>> hard_left = StereoPowers(left=1.0, right=0.0, product=0.0)
        >>> hard_left.lean_db, hard_left.width_db, round(hard_left.mono_loss_db, 2)
        (-60.0, 0.0, 3.01)
    """

    left: float
    right: float
    product: float

    def __add__(self, other: StereoPowers) -> StereoPowers:
        """Return the powers of two sounds after one another."""
        return StereoPowers(self.left + other.left, self.right + other.right, self.product + other.product)

    @property
    def correlation(self) -> float:
        """Correlation of the channels, from -1 to 1: 1 for mono, NaN when a channel is silent."""
        both = math.sqrt(self.left * self.right)
        return min(1.0, max(-1.0, self.product / both)) if both > 0.0 else math.nan

    @property
    def lean_db(self) -> float:
        """Level of the right channel over that of the left, in dB, at most 60 to a side; NaN for silence."""
        return limited_ratio_db(self.right, self.left, IMAGE_LIMIT_DB)

    @property
    def width_db(self) -> float:
        """Level of the side over that of the mid, in dB: at least -60, which is mono; NaN for silence."""
        both, twice = self.left + self.right, 2.0 * self.product
        return limited_ratio_db(both - twice, both + twice, IMAGE_LIMIT_DB)

    @property
    def mono_loss_db(self) -> float:
        """How much level the sum of the channels lacks: 10 log10((L^2 + R^2) / ((L + R)^2 / 2)), 0 to 60 dB.

        0 for mono, 3 for channels that have nothing in common, 60 for channels that cancel, NaN for silence.
        """
        both = self.left + self.right
        loss_db = limited_ratio_db(both, both / 2 + self.product, IMAGE_LIMIT_DB)
        return max(0.0, loss_db) if both > 0.0 else math.nan


def limited_ratio_db(power: float, over: float, limit_db: float) -> float:
    """Compute a ratio of two powers in dB, within a limit on both sides.

    Args:
        power: A power; rounding may have left it a little below 0, which counts as 0.
        over: The power it is compared with, likewise.
        limit_db: The limit in dB.

    Returns:
        The ratio in dB; NaN when both are 0.

    Example:
        >>> limited_ratio_db(1.0, 0.0, 60.0), limited_ratio_db(0.0, 1.0, 60.0)
        (60.0, -60.0)
    """
    power, over = max(power, 0.0), max(over, 0.0)
    if not power + over > 0.0:
        return math.nan
    least = 10.0 ** (-limit_db / 10.0)
    return decibels(max(power, least * over) / max(over, least * power))


def stereo_powers(audio: torch.Tensor) -> StereoPowers:
    """Measure the powers of a stereo sound, from which its image follows.

    Args:
        audio: Audio (2, num_samples), floating point.

    Returns:
        The powers, with `lean_db`, `width_db`, `correlation` and `mono_loss_db`.

    Raises:
        ValueError: For audio that is not stereo.

    Example:
        >>> noise = torch.randn(44100)
        >>> image = stereo_powers(torch.stack([noise, 0.5 * noise]))
        >>> round(image.lean_db, 2), round(image.correlation, 2)
        (-6.02, 1.0)
    """
    if audio.ndim != 2 or audio.shape[0] != 2:
        raise ValueError(f"audio must be stereo, (2, num_samples), got {tuple(audio.shape)}")
    left = right = product = 0.0
    for piece in _pieces(audio):
        a, b = piece.astype(np.float64)
        # Not a @ b: where the processor is busy, the threads of BLAS wait for each other a hundred times as long.
        left, right, product = (
            total + float(np.einsum("n,n->", x, y))
            for total, x, y in ((left, a, a), (right, b, b), (product, a, b))
        )
    return StereoPowers(left, right, product)


def block_powers(audio: torch.Tensor, seconds: float, *, sample_rate: float) -> np.ndarray:
    """Measure the K-weighted power of a sound in blocks, one after another.

    Args:
        audio: Audio (channels, num_samples) with 1 to 5 channels or (num_samples,).
        seconds: Length of a block in seconds.
        sample_rate: Sample rate in Hz.

    Returns:
        Powers (num_blocks,), as ITU-R BS.1770 adds up the channels. What is left at the end makes no block,
        unless the whole sound is shorter than one.
    """
    samples = torch.atleast_2d(audio)
    num_samples, length = samples.shape[-1], max(1, round(seconds * sample_rate))
    if num_samples == 0:
        return np.zeros(0)
    length = min(length, num_samples)
    edges = np.arange(0, num_samples + 1, length)
    return np.diff(k_weighted_energy(samples, edges, sample_rate)) / length


def block_levels(audio: torch.Tensor, *, seconds: float = BLOCK_S, sample_rate: float) -> np.ndarray:
    """Measure the loudness of a sound in blocks, one after another, without gates.

    Args:
        audio: Audio (channels, num_samples) with 1 to 5 channels or (num_samples,).
        seconds: Length of a block in seconds.
        sample_rate: Sample rate in Hz.

    Returns:
        Loudness (num_blocks,) in LUFS, -inf for silent blocks.

    Example:
        >>> sine = torch.sin(2 * torch.pi * 997 / 44100 * torch.arange(6 * 44100))
        >>> block_levels(torch.stack([sine, sine]), sample_rate=44100).round(1).tolist()
        [-0.0, -0.0]
    """
    with np.errstate(divide="ignore"):
        return OFFSET_DB + 10.0 * np.log10(block_powers(audio, seconds, sample_rate=sample_rate))


def level_range_lu(levels: np.ndarray) -> float:
    """Compare a song's loudest blocks with its quietest: the means of 15 % each.

    Args:
        levels: Loudness of blocks in LUFS, as `block_levels` gives it. Blocks below -70 LUFS are left out.

    Returns:
        The difference in LU, 0 or more; NaN when every block is silent.

    Example:
        >>> level_range_lu(np.array([-30.0, -20.0, -20.0, -20.0, -14.0]))
        16.0
    """
    levels = np.sort(levels[levels > OFFSET_DB + decibels(ABSOLUTE_GATE)])
    if len(levels) == 0:
        return math.nan
    count = max(1, round(EXTREME_SHARE * len(levels)))
    return float(levels[-count:].mean() - levels[:count].mean())


def ratio_where_active_db(voice: np.ndarray, rest: np.ndarray) -> float:
    """Compare a voice with the rest of a mix, in the blocks in which the voice sounds.

    Which blocks these are the gates of ITU-R BS.1770 say: above -70 LUFS, and no more than 10 LU below the
    mean of those.

    Args:
        voice: K-weighted powers (num_blocks,) of the voice, as `block_powers` gives them.
        rest: The powers of the rest in the same blocks.

    Returns:
        The ratio in LU, above 0 where the voice is louder; NaN when one of them is silent there.

    Example:
        >>> voice, rest = np.array([0.0, 0.04, 0.04]), np.array([0.9, 0.01, 0.01])
        >>> round(ratio_where_active_db(voice, rest), 2)
        6.02
    """
    active = voice >= ABSOLUTE_GATE
    if not active.any():
        return math.nan
    active &= voice > RELATIVE_GATE * voice[active].mean()
    over = rest[active].sum()
    return decibels(voice[active].sum() / over) if over > 0.0 else math.nan
