"""The sound of a stem: a file, or two that are left and right, from where it begins. Chapter: Data."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import av
import numpy as np

from .decoding import AudioFile

SAME_S = 1e-4  # time stamps this near each other are equal: they are rounded to samples
MOST_HOURS = 4.0  # between two files of a song: time stamps farther apart are not of one session
_SEVERAL = {".mp4", ".m4a", ".wma", ".ogg", ".oga", ".opus", ".caf"}  # files that may hold several streams


class StemSound:
    """An open stem, which is read like an `AudioFile`.

    Args:
        path: The file, or its content; of the left channel where there is another one for the right.
        stream: Number of the audio stream in the file, from 0 on.
        right: The file of the right channel. Both must be mono; the shorter one is padded at the end, and the
            right one is resampled where its rate is another.
        delay_s: Seconds of silence before the files begin.

    Attributes:
        sample_rate: Sample rate in Hz, of the first file.
        channels: Number of channels.

    Raises:
        ValueError: For what cannot be decoded, and for two files that are not mono.
        OSError: For a file that is missing or cannot be opened.

    Example:
        >>> from diffmst_lib import data_dir
        >>> with StemSound(data_dir() / "references" / "vibe_ace.ogg", delay_s=0.5) as sound:
        ...     bool(sound.read(0, 22050).any()), sound.read(22050, 1000).shape
        (False, (2, 1000))
    """

    def __init__(
        self,
        path: str | Path | io.BytesIO,
        stream: int = 0,
        *,
        right: Path | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self._files = [AudioFile(path, stream)]
        try:
            if right:
                self._files.append(AudioFile(right))
                if any(file.channels != 1 for file in self._files):
                    raise ValueError("two files of one stem must be mono")
        except BaseException:
            self.close()
            raise
        self.sample_rate, self.delay_s = self._files[0].sample_rate, delay_s
        self.channels = len(self._files) if right else self._files[0].channels

    @property
    def remarks(self) -> dict[str, str]:
        """What was found so far that is not right with the files, see `AudioFile.remarks`."""
        return {kind: remark for file in self._files for kind, remark in file.remarks.items()}

    def read(self, start: int = 0, length: int | None = None) -> np.ndarray:
        """Decode a part of the stem.

        Args:
            start: The first sample.
            length: Number of samples; None for all up to the end.

        Returns:
            Audio (channels, num_samples), float32, shorter where the stem ends.

        Raises:
            ValueError: When a file breaks off.
        """
        silent = max(0, round(self.delay_s * self.sample_rate) - start)
        silent = silent if length is None else min(silent, length)
        start = max(0, start - round(self.delay_s * self.sample_rate))
        sound = _side_by_side(
            [self._part(file, start, None if length is None else length - silent) for file in self._files]
        )
        return np.pad(sound, ((0, 0), (silent, 0)))

    def _part(self, file: AudioFile, start: int, length: int | None) -> np.ndarray:
        if file.sample_rate == self.sample_rate:
            return file.read(start, length)
        whole = np.concatenate(list(file.resampled(self.sample_rate)), axis=1)
        return whole[:, start : None if length is None else start + length]

    def resampled(self, sample_rate: int) -> Iterator[np.ndarray]:
        """Decode the whole stem at another rate.

        Args:
            sample_rate: The rate wanted, in Hz.

        Yields:
            Audio (channels, num_samples), float32, in blocks of about a second.

        Raises:
            ValueError: When a file breaks off, and for NaN or infinite samples.
        """
        silent = round(self.delay_s * sample_rate)
        for first in range(0, silent, sample_rate):
            yield np.zeros((self.channels, min(sample_rate, silent - first)), np.float32)
        if len(self._files) == 1:
            yield from self._files[0].resampled(sample_rate)
            return
        nothing = np.zeros((1, 0), np.float32)
        sides = [even_blocks(file.resampled(sample_rate), sample_rate) for file in self._files]
        for blocks in zip_longest(*sides, fillvalue=nothing):
            yield _side_by_side(list(blocks))

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def __enter__(self) -> StemSound:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _side_by_side(sounds: list[np.ndarray]) -> np.ndarray:
    """Put mono sounds beside each other, the shorter one padded."""
    if len(sounds) == 1:
        return sounds[0]
    longest = max(sound.shape[1] for sound in sounds)
    return np.concatenate([np.pad(sound, ((0, 0), (0, longest - sound.shape[1]))) for sound in sounds])


def even_blocks(blocks: Iterator[np.ndarray], length: int) -> Iterator[np.ndarray]:
    """Cut the same sound into blocks of one length.

    Args:
        blocks: Blocks (channels, any length).
        length: Length of a block, in samples.

    Yields:
        Blocks (channels, length); the last one may be shorter.
    """
    rest = None
    for block in blocks:
        rest = block if rest is None else np.concatenate([rest, block], axis=1)
        while rest.shape[1] >= length:
            yield rest[:, :length]
            rest = rest[:, length:]
    if rest is not None and rest.shape[1]:
        yield rest


def streams_in(path: str | Path) -> int:
    """Count the audio streams of a file, of which one is a sound.

    Args:
        path: The file.

    Returns:
        Number of streams; 1 for a file of a kind that holds no more, and for one that cannot be opened.

    Example:
        >>> from diffmst_lib import data_dir
        >>> streams_in(data_dir() / "references" / "vibe_ace.ogg")
        1
    """
    if os.path.splitext(path)[1].lower() not in _SEVERAL:
        return 1
    try:
        with av.open(os.fsdecode(path), "r", metadata_errors="replace") as container:
            return max(1, len(container.streams.audio))
    except (av.FFmpegError, OSError, ValueError):
        return 1


def delays(stamps: Sequence[float | None]) -> list[float]:
    """Compute from time stamps how much later than the first each file of a song begins.

    Args:
        stamps: Time stamps in seconds, see `time_stamp`; a file without one begins with the first.

    Returns:
        Seconds, 0 for the first.

    Raises:
        ValueError: When they are more than `MOST_HOURS` apart.

    Example:
        >>> delays([3600.0, None, 3612.5])
        [0.0, 0.0, 12.5]
    """
    known = [stamp for stamp in stamps if stamp is not None]
    first, last = min(known, default=0.0), max(known, default=0.0)
    if last - first > 3600 * MOST_HOURS:
        raise ValueError(f"time stamps are {(last - first) / 3600:.1f} hours apart, so not of one session")
    return [0.0 if stamp is None else stamp - first for stamp in stamps]
