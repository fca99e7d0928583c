"""Segments of songs: where there is something to hear, and reading just that part. Chapter: Data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..audio.decoding import AudioFile
from ..audio.loudness import SAMPLE_RATE
from ..audio.resampling import resample
from ..disk import why
from ..inputs import InputError
from .songs import Song, Track

ENERGY = 0.001  # the energy threshold of section 3.1: the mean square that the mix of a segment must reach
SILENCE_LUFS = -60.0  # a stem below it in a segment is skipped: brought to level, it would be its own noise
GRID = 25  # segments start on multiples of 1/25 s, a whole number of samples at every usual rate
MARGIN_S = 2 / GRID  # read on both sides of a part that is resampled


@dataclass(frozen=True)
class Windows:
    """Where a song can be cut.

    Attributes:
        starts: Starts of windows in whole seconds (num_windows,).
        sounding: Which stems sound there, (num_stems, num_windows).
        slack_s: How much later a segment may begin, in seconds (num_windows,): a second where the next window
            is good as well, otherwise not at all, and after the last window what is left of the song.
    """

    starts: np.ndarray
    sounding: np.ndarray
    slack_s: np.ndarray


def find_windows(
    song: Song,
    seconds: float = 10.0,
    *,
    energy: float = ENERGY,
    silence_lufs: float = SILENCE_LUFS,
    min_tracks: int = 0,
) -> Windows:
    """Find all windows in which the mix has a mean square of at least `energy` (paper, section 3.1).

    The index decides, at whole seconds; no file is read.

    Args:
        song: A song of an index.
        seconds: Length of a window, at least 1 s.
        energy: Mean square that the mix of a window must reach.
        silence_lufs: A stem sounds where it reaches this loudness.
        min_tracks: Sounding tracks that a window needs besides.

    Returns:
        The windows; none where nothing fits.

    Raises:
        ValueError: Below 1 s.

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
    stems = np.array([_window_level_db(stem.loudness_lufs, seconds, count) for stem in song.stems])
    sounding = stems.reshape(len(song.stems), count) >= silence_lufs
    channels = np.array([1 if stem.mono else 2 for stem in song.stems])
    good = (power_db >= 10 * math.log10(energy)) & (channels @ sounding >= min_tracks)
    slack_s = np.append((good[:-1] & good[1:]).astype(float), song.duration_s - seconds - (count - 1))[:count]
    return Windows(np.flatnonzero(good).astype(np.int32), sounding[:, good], slack_s[good].astype(np.float32))


def _window_level_db(levels_db: np.ndarray, seconds: float, count: int) -> np.ndarray:
    """Mean level of the windows that start in second 0, 1, ... `count - 1`."""
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

    Of WAV, AIFF and FLAC files only this part is decoded, of MP3, Ogg, Opus and AAC all that comes before it
    as well: a compressed set that is read many times wants a cache, from `build_cache` or the command
    `diffmst data cache`.

    Args:
        track: A track of an index.
        start_s: Where the part starts, in seconds.
        seconds: Its length.
        sample_rate: The rate of the result, in Hz; a file of another rate is resampled.

    Returns:
        Audio, float32 (1 or 2, num_samples), one channel for a mono track; silence where the file has ended.

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
        with AudioFile(track.source.path, track.source.stream) as file:
            if file.sample_rate == sample_rate:
                samples = file.read(round(start_s * sample_rate), length)
            else:
                samples = _read_resampled(file, start_s, seconds, sample_rate)[:, :length]
    except (OSError, ValueError) as error:
        raise InputError(f"{track.source.path}: {why(error)}") from None
    if samples.shape[1] < min(length, (track.duration_s - start_s - 0.1) * sample_rate):
        raise InputError(f"{track.source.path}: shorter than in the index; index it again")
    if track.mono and len(samples) == 2:
        samples = samples.mean(axis=0, keepdims=True)
    audio = torch.zeros(len(samples), length)
    audio[:, : samples.shape[1]] = torch.from_numpy(samples * np.float32(track.gain))
    return audio


def _read_resampled(file: AudioFile, start_s: float, seconds: float, sample_rate: int) -> np.ndarray:
    """From `start_s` on, and a little more than asked for."""
    before = min(MARGIN_S, start_s)
    samples = file.read(
        round((start_s - before) * file.sample_rate),
        math.ceil((before + seconds + MARGIN_S) * file.sample_rate),
    )
    if samples.shape[1] == 0:
        return samples
    return resample(samples, file.sample_rate, sample_rate)[:, round(before * sample_rate) :]
