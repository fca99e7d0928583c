"""Songs of a data set: as files, and as measured. Chapter: Data."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..audio.stem_sound import StemSound
from ..inputs import InputError


@dataclass(frozen=True)
class Source:
    """Source of a sound.

    Attributes:
        path: Path of a file, or its content.
        stream: Number of the audio stream in the file. MUSDB18 has five streams in one file.
        right: Path of the file of the right channel, where `path` is that of the left one; else None.
        delay_s: Seconds of silence before the files begin, from their time stamps.
    """

    path: Path | io.BytesIO
    stream: int = 0
    right: Path | None = None
    delay_s: float = 0.0

    @property
    def paths(self) -> list[Path]:
        """The files: one, two, or none for a content in memory."""
        return [path for path in (self.path, self.right) if isinstance(path, Path)]

    def open(self) -> StemSound:
        """Open the sound.

        Raises:
            ValueError: For what cannot be decoded.
            OSError: For a file that is missing or cannot be opened.
        """
        return StemSound(self.path, self.stream, right=self.right, delay_s=self.delay_s)


@dataclass
class FoundSong:
    """A song in a folder, before its audio is read: its stems, its finished mix, or both.

    Attributes:
        name: Name of the song, unique in its data set, such as "train/Artist - Title".
        title: Title of the song.
        layout: Layout of its data set.
        artist: Name of the artist, "" where it is unknown.
        stems: Sources of the stems by name.
        mix: Source of the finished mix, or None.
        license: Name of the license, "" where it is unknown.
        attribution: Line that the license requires, "" where it is unknown.
        split: Split in a published list, "" without one.
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
        path: Path or name of the file or folder.
        reason: Reason in one line.
    """

    path: str
    reason: str


@dataclass
class Track:
    """A measured file of a song: a stem, or its mix.

    Attributes:
        name: Name of the stem.
        source: Source of the audio.
        sample_rate: Sample rate in Hz.
        num_samples: Length in samples at that rate.
        channels: Number of channels, 1 or 2.
        mono: Whether there is one channel, or two that differ by less than -60 dB.
        peak: Largest magnitude of a sample, linear.
        loudness_lufs: Loudness of each second, -inf for silence. It is measured as in ITU-R BS.1770, but
            without gates, so that the values add up as powers.
        gain: Factor by which the samples of the file must be multiplied. It is 1 except in a cache and in
            shards.
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
        """The length in seconds."""
        return self.num_samples / self.sample_rate


@dataclass
class Song:
    """A song of an index: stems, or a finished mix, or both.

    Attributes:
        name: Name of the song, unique in its data set, such as "train/Artist - Title".
        title: Title of the song.
        layout: Layout of its data set.
        artist: Name of the artist, "" where it is unknown.
        split: "train", "validation" or "test".
        license: Name of the license, "" where it is unknown.
        attribution: Line that the license requires, "" where it is unknown.
        stems: Measured stems.
        mix: Measured finished mix, or None.
        power_db: Mean square of the mix in each second, over both channels, in dB. Without a finished mix,
            the mix is the sum of the stems.
        signature: Text that changes when a file changes.
        offset_s: Start of a piece within its song, in seconds (0 except in shards).
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
        """All tracks: the stems, then the mix."""
        return [*self.stems, self.mix] if self.mix else list(self.stems)

    @property
    def num_channels(self) -> int:
        """The number of channels of all stems: two of a stereo stem, the paper's tracks."""
        return sum(1 if stem.mono else 2 for stem in self.stems)

    @property
    def duration_s(self) -> float:
        """The length of the longest file in seconds."""
        return max(track.duration_s for track in self.tracks)


def refuse_stems(records: Iterable[Source], stems: Iterable[Source], folder: str | Path) -> None:
    """Raise InputError when one of the records is a stem of one of the songs.

    Args:
        records: Sources of finished songs, the references.
        stems: Sources of the stems of all songs.
        folder: Folder of the records, for the message.
    """
    # realpath, since resolve() fails on a link to itself
    paths = {os.path.realpath(path) for stem in stems for path in stem.paths}
    if any(os.path.realpath(path) in paths for record in records for path in record.paths):
        raise InputError(f"{folder}: holds stems of the songs, which cannot be references")
