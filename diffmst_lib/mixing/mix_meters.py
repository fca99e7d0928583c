"""Meters for a song on its way through a console: gain reduction, and the voice over the rest.

Chapter: Style by optimization.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..audio.loudness import k_weighted_meter
from ..audio.meters import ratio_where_active_db

GAIN_BLOCK = 64  # samples over which a compressor's gain is averaged: 1.5 ms at 44.1 kHz
SOUNDING = 1e-7  # mean square above which a stem sounds: -70 dBFS, as the absolute gate of ITU-R BS.1770
VOICE_BLOCK_S = 0.4  # the blocks of integrated loudness


@dataclass
class GainReduction:
    """How much a compressor takes off, less its make-up gain, while something sounds at its input.

    Attributes:
        mean_db: The mean over time, in dB, 0 or more; NaN when nothing sounds.
        high_db: Its 95th percentile.
        most_db: The most, over 64 samples.
    """

    mean_db: float = math.nan
    high_db: float = math.nan
    most_db: float = math.nan


class ReductionMeter:
    """Listens to a compressor's input and output, and sums up their energies in blocks of 64 samples.

    Example:
        >>> meter = ReductionMeter()
        >>> sound = torch.ones(1, 2, 640)
        >>> meter(sound, 0.5 * sound, torch.zeros(1))
        >>> round(meter.reduction().mean_db, 2)
        6.02
    """

    def __init__(self) -> None:
        self._before = self._after = np.zeros(1)
        self._channels = 0
        self._heard: list[np.ndarray] = []  # of a sound that comes in blocks
        self._rests: list[torch.Tensor] | None = None

    def __call__(self, before: torch.Tensor, after: torch.Tensor, makeup_gain_db: torch.Tensor) -> None:
        """Take the input and the output (K, C, T) of K compressors with make-up gains (K,)."""
        for x, y, makeup_db in zip(before, after, makeup_gain_db.tolist(), strict=True):
            self._before = self._before + _block_energies(x)
            self._after = self._after + _block_energies(y) / 10.0 ** (makeup_db / 10.0)
            self._channels += len(x)

    def hear(self, before: torch.Tensor, after: torch.Tensor) -> None:
        """Take the next samples (C, n) of one compressor without make-up gain, whose sound comes in blocks."""
        sounds = [before, after]
        if self._rests is not None:
            sounds = [torch.cat(pair, dim=1) for pair in zip(self._rests, sounds, strict=True)]
        whole = sounds[0].shape[1] // GAIN_BLOCK * GAIN_BLOCK
        x, y = (_block_energies(sound[:, :whole]) for sound in sounds)
        self._heard.append(_reductions_db(x, y, len(before)))
        self._rests = [sound[:, whole:].clone() for sound in sounds]

    def reduction(self) -> GainReduction:
        """Compute the gain reduction of what was heard so far."""
        if self._rests is None:
            found = _reductions_db(self._before, self._after, self._channels)
        else:
            x, y = map(_block_energies, self._rests)
            found = np.concatenate([*self._heard, _reductions_db(x, y, len(self._rests[0]))])
        if not len(found):
            return GainReduction()
        mean_db = found.mean(dtype=np.float64)
        return GainReduction(float(mean_db), float(np.percentile(found, 95)), float(found.max()))


def _reductions_db(before: np.ndarray, after: np.ndarray, channels: int) -> np.ndarray:
    """Compute the reduction in the blocks that sound, in dB, from the energies of all channels there."""
    sounding = before > SOUNDING * GAIN_BLOCK * channels
    ratio = before[sounding] / np.maximum(after[sounding], 1e-30)
    return np.maximum(10.0 * np.log10(ratio), 0.0).astype(np.float32)


def _block_energies(x: torch.Tensor) -> np.ndarray:
    """Sum the squares of (C, T) in blocks over time: (blocks,), float64; the last block may be shorter."""
    samples = x.detach().cpu().numpy()
    whole = samples.shape[-1] // GAIN_BLOCK * GAIN_BLOCK
    blocks = samples[:, :whole].reshape(len(samples), -1, GAIN_BLOCK)
    rest = np.square(samples[:, whole:]).sum()
    return np.append(np.einsum("cbn,cbn->b", blocks, blocks), rest).astype(np.float64)


class VoiceMeter:
    """Compares a voice with the rest of a sum that it is part of, block by block.

    Args:
        num_samples: Length of the whole sound.
        sample_rate: Sample rate in Hz.

    Example:
        >>> meter = VoiceMeter(44100, 44100)
        >>> noise = torch.randn(2, 44100)
        >>> for block in noise.split(10_000, dim=1):
        ...     meter(block, 3.0 * block)
        >>> round(meter.lu(), 2)
        -6.02
    """

    def __init__(self, num_samples: int, sample_rate: float):
        self._length = min(max(1, round(VOICE_BLOCK_S * sample_rate)), num_samples)
        edges = np.arange(0, num_samples + 1, self._length)
        self._voice, self._rest = (k_weighted_meter(edges, sample_rate) for _ in range(2))

    def __call__(self, voice: torch.Tensor, everything: torch.Tensor) -> None:
        """Take the next samples of the voice and of the sum, (2, n) each."""
        self._voice(voice)
        self._rest(everything - voice)

    def lu(self) -> float:
        """Return the level of the voice over the rest where it sounds, in LU; NaN where one of them never does."""
        powers = (np.diff(meter.before_edges()) / self._length for meter in (self._voice, self._rest))
        return ratio_where_active_db(*powers)
