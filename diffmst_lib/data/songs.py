"""What a song is to a data set: files found, then measured. Chapter: Data."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """Where a sound is.

    Attributes:
        path: A file, or its content.
        stream: Which audio stream of it: MUSDB18 keeps five in one file.
    """

    path: Path | io.BytesIO
    stream: int = 0


@dataclass
class FoundSong:
    """A song in a folder, before anything was read: its stems, its finished mix, or both.

    Attributes:
        name: Unique in its data set, such as "train/Artist - Title".
        title: The song's title.
        layout: The layout of its data set.
        artist: "" where nothing tells it, as `license` and `attribution`.
        stems: Its stems by name.
        mix: Its finished mix, where there is one.
        license: Name of the license.
        attribution: Line that the license asks for.
        split: "" unless a published list gives it.
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
    """A file or folder that was left out.

    Attributes:
        path: Its path, or a name.
        reason: Why, in one line.
    """

    path: str
    reason: str


@dataclass
class Track:
    """A measured file of a song: a stem, or its mix.

    Attributes:
        name: The stem's name.
        source: Where it is.
        sample_rate: In Hz.
        num_samples: Its length at that rate.
        channels: 1 or 2.
        mono: Whether there is one channel, or two that differ by less than -60 dB.
        peak: The largest magnitude of a sample, linear.
        loudness_lufs: One value a second: ITU-R BS.1770 without gates, -inf for silence, so that values add
            up as powers.
        gain: A factor that the samples of the file still need, 1 except in a cache and in shards.
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

    Attributes:
        name: Unique in its data set, such as "train/Artist - Title".
        title: The song's title.
        layout: The layout of its data set.
        artist: "" where nobody knows, as `license` and `attribution`.
        split: "train", "validation" or "test".
        license: Name of the license.
        attribution: Line that the license asks for.
        stems: Its stems.
        mix: Its finished mix, where there is one.
        power_db: Mean square of the mix by second, over both channels, in dB; where there is no finished mix,
            the mix is the plain sum of the stems.
        signature: A text that changes when a file does.
        offset_s: Where a piece of a song begins in it, in seconds (0 except in shards).
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
