"""What a song is to a data set: files found, then measured. Chapter: Data."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """Where a sound is: a file, or its content, and which audio stream of it (MUSDB18 keeps five in one file)."""

    path: Path | io.BytesIO
    stream: int = 0


@dataclass
class FoundSong:
    """A song in a folder, before anything was read: its stems by name, its finished mix where there is one, or both.

    `name` is unique in its data set, such as "train/Artist - Title". `artist`, `license` and `attribution` are ""
    where nothing tells them. `split` is "" unless a published list gives it.
    """

    name: str
    title: str
    layout: str
    artist: str = ""
    stems: dict[str, Source] = field(default_factory=dict)
    mix: Source | None = None
    license: str = ""
    attribution: str = ""
    split: str = ""


@dataclass(frozen=True)
class Problem:
    """A file or folder that was left out, and why, in one line."""

    path: str
    reason: str


@dataclass
class Track:
    """A measured file of a song: a stem, or its mix.

    `channels` is 1 or 2; `mono` says that there is one, or two that differ by less than -60 dB; `peak` is linear.
    `loudness_lufs` holds one value for every second: ITU-R BS.1770 without gates, -inf for silence, so that values add
    up as powers. `gain` is a factor that the samples of the file still need (1 except in a cache).
    """

    name: str
    source: Source
    sample_rate: int
    num_samples: int
    channels: int
    mono: bool
    peak: float
    loudness_lufs: np.ndarray
    gain: float = 1.0

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sample_rate


@dataclass
class Song:
    """A song of an index: stems, or a finished mix, or both.

    `power_db` is the mean square of the mix by second, over both channels, in dB; where there is no finished mix, the
    mix is the plain sum of the stems. `signature` changes when a file does. `offset_s` is where a piece of a song begins
    in it (0 except in shards).
    """

    name: str
    title: str
    layout: str
    artist: str
    split: str
    license: str
    attribution: str
    stems: list[Track]
    mix: Track | None
    power_db: np.ndarray
    signature: str = ""
    offset_s: float = 0.0

    @property
    def tracks(self) -> list[Track]:
        """All of its files: the stems, then the mix."""
        return [*self.stems, self.mix] if self.mix else list(self.stems)

    @property
    def num_tracks(self) -> int:
        """Tracks that its stems make: a stereo stem is two."""
        return sum(1 if stem.mono else 2 for stem in self.stems)

    @property
    def duration_s(self) -> float:
        """Length of its longest file in seconds."""
        return max(track.duration_s for track in self.tracks)
