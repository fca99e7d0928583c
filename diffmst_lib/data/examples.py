"""Data sets for training: Method 1 and Method 2 of section 3. Chapter: Data."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from torch.utils.data import Dataset

from ..audio.remarks import few
from ..inputs import InputError, note
from .batches import Example
from .sampling import Sampling, SongWindows, draw
from .songs import Song


class Method1(Dataset):
    """Data set of segments without references.

    Training mixes the first half (A) of a segment at random. This mix is the reference of the second half
    (B).

    Item i, for any i from 0 on, depends on `seed` and i only. So it is the same with any number of workers,
    and when training continues after a stop. Each validation can use the first items of another split. Songs
    in which no segment fits are left out, and an `InputNote` names them.

    Args:
        songs: Songs with stems, as `SongIndex.multitracks` returns them.
        sampling: Settings with which segments are drawn.
        seed: Random seed.

    Raises:
        InputError: When no song is left.

    Example:
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> examples = Method1(index.multitracks("train"), Sampling())
        >>> examples[0].tracks.shape[1:], examples[0].song
        (torch.Size([2, 441000]), 'potassium')
    """

    def __init__(self, songs: list[Song], sampling: Sampling, *, seed: int = 0) -> None:
        self.sampling, self.seed = sampling, seed
        self._songs = songs_that_fit(songs, sampling, min_tracks=sampling.min_tracks)
        self._references: list[SongWindows] | None = None

    def __getitem__(self, item: int) -> Example:
        rng = np.random.default_rng([self.seed, item])
        return replace(draw(self._songs, self.sampling, rng, self._references), item=item)


class Method2(Method1):
    """Data set of segments with real songs as references.

    A reference is a random segment without its DC offset, at `reference_lufs`. As in the paper, it is drawn
    independently of the tracks. But a song is never its own reference, and neither is its master: a finished
    song of the same artist and title, whatever follows the title in brackets.

    Args:
        songs: Songs with stems, as `SongIndex.multitracks` returns them.
        references: Finished songs, as `SongIndex.references` returns them.
        sampling: Settings with which segments are drawn.
        seed: Random seed.

    Raises:
        InputError: When no song or no reference is left.

    Example:
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> songs, references = index.multitracks("train"), index.references("train")
        >>> examples = Method2(songs, references, Sampling())
        >>> examples[0].reference.shape
        torch.Size([2, 441000])
    """

    def __init__(
        self, songs: list[Song], references: list[Song], sampling: Sampling, *, seed: int = 0
    ) -> None:
        self.sampling, self.seed = sampling, seed
        self._songs = songs_that_fit(songs, sampling, min_tracks=sampling.min_tracks)
        finished = [replace(song, stems=[]) for song in references if song.mix]
        self._references = songs_that_fit(finished, sampling)


class Alternating(Dataset):
    """Batches of one data set and of another by turns.

    Args:
        first: The first data set.
        second: The second.
        share: How many of the batches come from the first, 0 to 1.
        batch_size: Number of items of a batch, all from the same data set.

    Example:
        >>> numbers, letters = range(100), "abcdefghij"
        >>> "".join(str(Alternating(numbers, letters, share=0.5, batch_size=2)[i]) for i in range(8))
        'ab23ef67'
    """

    def __init__(self, first: Dataset, second: Dataset, *, share: float, batch_size: int) -> None:
        self.first, self.second, self.share, self.batch_size = first, second, share, batch_size

    def __getitem__(self, item: int) -> Example:
        batch = item // self.batch_size
        is_first = math.floor((batch + 1) * self.share) > math.floor(batch * self.share)
        return (self.first if is_first else self.second)[item]


def songs_that_fit(songs: list[Song], sampling: Sampling, min_tracks: int = 0) -> list[SongWindows]:
    """Find the windows of songs in which segments fit. An `InputNote` names the songs without any.

    Where a segment is two moments of a song, one of them must fit; whether the other does, a draw finds out.

    Args:
        songs: Songs of an index.
        sampling: Settings with which segments are drawn.
        min_tracks: Minimum of sounding tracks in a window; 0 for finished songs.

    Returns:
        The songs in which something fits, each with its windows.

    Raises:
        InputError: In one line, for no songs, and when no segment fits in any of them.
    """
    if not songs:
        raise InputError(
            "no songs with stems are given"
            if min_tracks
            else "no references are given; mono ones do not count"
        )
    windows = [sampling.windows(song, min_tracks=min_tracks) for song in songs]
    fitting = [(song, w) for song, w in zip(songs, windows, strict=True) if len(w.starts)]
    without = [song.name for song, w in zip(songs, windows, strict=True) if not len(w.starts)]
    if not fitting:
        raise _none_fits(songs, sampling, min_tracks)
    if without:
        note(f"left out, no segment of {sampling.moment_s:g} s fits: {few(without)}")
    return fitting


def _none_fits(songs: list[Song], sampling: Sampling, min_tracks: int) -> InputError:
    """Say why no song has a place for a segment, and point to shorter ones where these would fit."""
    most = max(song.num_channels if sampling.as_channels else len(song.stems) for song in songs)
    kind = "channels of stems" if sampling.as_channels else "stems"
    if most < min_tracks:
        return InputError(
            f"none of {len(songs)} songs has the {min_tracks} {kind} that are needed, but {most}"
        )
    shortest = replace(sampling, seconds=1.0 if sampling.nearby_s is None else 2.0)
    fits = any(len(shortest.windows(song, min_tracks=min_tracks).starts) for song in songs)
    needs = f" with {min_tracks} tracks that sound" if min_tracks else ""
    way_out = "shorter segments (seconds) fit more often" if fits else "they are too quiet, or too short"
    return InputError(
        f"none of {len(songs)} songs has {sampling.moment_s:g} s of energy {sampling.energy:g}{needs}; {way_out}"
    )
