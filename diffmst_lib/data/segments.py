"""Segments of songs: the windows in which they may lie, and reading them. Chapter: Data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..audio.resampling import resample
from ..audio.stem_sound import StemSound
from ..disk import why
from ..inputs import InputError
from ..options import SAMPLE_RATE
from .layouts.folders import CACHE_MARK
from .measure import decibels
from .songs import Song, Track

ENERGY = 0.001  # the energy threshold of section 3.1: the mean square that the mix of a segment must reach
SILENCE_LUFS = -60.0  # a stem below it in a segment is skipped: normalization would only raise its noise
GRID = 25  # segments start on multiples of 1/25 s, a whole number of samples at every usual rate
MARGIN_S = 2 / GRID  # read on both sides of a part that is resampled


@dataclass(frozen=True)
class Windows:
    """Windows of a song in which segments may lie.

    Attributes:
        starts: Starts of the windows in whole seconds (num_windows,).
        sounding: Whether a stem sounds in a window (num_stems, num_windows).
        level_lufs: Loudness of all stems together in a window (num_windows,), the sum of their powers. It is
            -inf for a song without stems.
        slack_s: Longest delay of a segment after the start of its window, in seconds (num_windows,). It is 1
            where the next window fits as well and 0 otherwise. After the last window it is the rest of the
            song.
    """

    starts: np.ndarray
    sounding: np.ndarray
    level_lufs: np.ndarray
    slack_s: np.ndarray


def find_windows(
    song: Song,
    seconds: float = 10.0,
    *,
    energy: float = ENERGY,
    silence_lufs: float = SILENCE_LUFS,
    min_tracks: int = 0,
    as_channels: bool = False,
) -> Windows:
    """Find all windows in which the mix has a mean square of at least `energy` (paper, section 3.1).

    Windows start at whole seconds. Their levels come from the index, so no file is read.

    Args:
        song: Song of an index.
        seconds: Length of a window in seconds, at least 1.
        energy: Mean square that the mix of a window must reach.
        silence_lufs: Loudness from which on a stem counts as sounding.
        min_tracks: Minimum of sounding tracks in a window. A track is a stem.
        as_channels: Whether a track is a channel instead, as in the paper: a stereo stem counts as two.

    Returns:
        Windows. There are none where nothing fits.

    Raises:
        ValueError: For `seconds` below 1.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.data.SongIndex.load(dm.data_dir())["potassium"]
        >>> find_windows(song, 10.0).starts
        array([0, 1, 2, 3], dtype=int32)
    """
    if not seconds >= 1:
        raise ValueError(f"segments must be at least 1 s long, not {seconds}")
    count = max(0, math.floor(song.duration_s - seconds + 1e-6) + 1)
    power_db = _window_level_db(song.power_db, seconds, count)
    levels = np.array([_window_level_db(stem.loudness_lufs, seconds, count) for stem in song.stems])
    levels = levels.reshape(len(song.stems), count)
    sounding = levels >= silence_lufs
    sizes = np.array([2 if as_channels and not stem.mono else 1 for stem in song.stems])
    good = (power_db >= 10 * math.log10(energy)) & (sizes @ sounding >= min_tracks)
    slack_s = np.append((good[:-1] & good[1:]).astype(float), song.duration_s - seconds - (count - 1))[:count]
    return Windows(
        np.flatnonzero(good).astype(np.int32),
        sounding[:, good],
        decibels((10.0 ** (levels[:, good] / 10.0)).sum(axis=0)),
        slack_s[good].astype(np.float32),
    )


def _window_level_db(levels_db: np.ndarray, seconds: float, count: int) -> np.ndarray:
    """Compute the mean level of the windows that start at 0, 1, ... `count - 1` seconds."""
    powers = np.zeros(count + math.ceil(seconds) + 1)
    known = 10 ** (np.asarray(levels_db[: len(powers)], np.float64) / 10)
    powers[: len(known)] = known
    sums = np.concatenate([[0.0], np.cumsum(powers)])
    first, whole = np.arange(count), math.floor(seconds)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(
            (sums[first + whole] - sums[first] + (seconds - whole) * powers[first + whole]) / seconds
        )


def read_segment(
    track: Track, start_s: float, seconds: float, *, sample_rate: int = SAMPLE_RATE
) -> torch.Tensor:
    """Read a part of a file.

    Of WAV, AIFF and FLAC files, only this part is decoded. Of MP3, Ogg, Opus and AAC files, everything before
    it is decoded as well. For a compressed set that is read many times, build a cache with `build_cache` or
    the command `diffmst data cache`.

    Args:
        track: Track of an index.
        start_s: Start of the part in seconds.
        seconds: Length of the part in seconds.
        sample_rate: Sample rate of the result in Hz. A file of another rate is resampled.

    Returns:
        Audio, float32 (1 or 2, num_samples), one channel for a mono track. It is silent after the end of the
        file.

    Raises:
        InputError: When the file cannot be read, or is shorter than the index says.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.data.SongIndex.load(dm.data_dir())["potassium"]
        >>> read_segment(song.stems[0], 2.0, 1.0).shape
        torch.Size([2, 44100])
    """
    length = round(seconds * sample_rate)
    try:
        with track.source.open() as file:
            if file.sample_rate == sample_rate:
                samples = file.read(round(start_s * sample_rate), length)
            else:
                samples = _read_resampled(file, start_s, seconds, sample_rate)[:, :length]
    except (OSError, ValueError) as error:
        raise InputError(f"{track.source.path}: {why(error)}") from None
    if samples.shape[1] < min(length, (track.duration_s - start_s - 0.1) * sample_rate):
        ends_s = start_s + samples.shape[1] / sample_rate
        raise InputError(
            f"{track.source.path}: ends at {ends_s:.1f} s, shorter than in the index "
            f"({track.duration_s:.1f} s): the file has changed; {_way_out(track.source.path)}"
        )
    if track.mono and len(samples) == 2:
        samples = samples.mean(axis=0, keepdims=True)
    audio = torch.zeros(len(samples), length)
    audio[:, : samples.shape[1]] = torch.from_numpy(samples * np.float32(track.gain))
    return audio


def _way_out(path: Path) -> str:
    if (path.parent.parent / CACHE_MARK).is_file():
        return "remove it from the cache and build that again"
    return "index it again"


def _read_resampled(file: StemSound, start_s: float, seconds: float, sample_rate: int) -> np.ndarray:
    """Read from `start_s` on, resample, and return a little more than `seconds`."""
    before = min(MARGIN_S, start_s)
    samples = file.read(
        round((start_s - before) * file.sample_rate),
        math.ceil((before + seconds + MARGIN_S) * file.sample_rate),
    )
    if samples.shape[1] == 0:
        return samples
    return resample(samples, file.sample_rate, sample_rate)[:, round(before * sample_rate) :]
