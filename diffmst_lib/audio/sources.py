"""Where stems lie on disk, for as long as their sound is what the file holds. Chapter: Mix your own song."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch

_CHECKERS = 4  # stems that are checked at the same time


class Source(NamedTuple):
    """A file that holds a stem as it lies: whole, one stream, one or two channels.

    Attributes:
        path: The file, absolute.
        start_s: Where its first sample lies in the song, in seconds; negative in an excerpt from later on.

    Example:
        >>> path, start_s = Source(Path("/songs/kick.wav"), 1.5)
        >>> path.name, start_s
        ('kick.wav', 1.5)
    """

    path: Path
    start_s: float = 0.0


class StemSources:
    """Which file each stem was read from, and whether both are still the same.

    A stem has a source only as long as its samples are what they were, wherever they lie in memory, and its
    file has the size and date that it had: whoever edits a stem in place, or replaces it, has no file of it.

    Args:
        sources: The source of each stem, None where no file holds it.
        audio: Audio (N, 2, num_samples) of the stems.

    Raises:
        ValueError: When their numbers differ.

    Example:
        >>> audio = torch.ones(1, 2, 4)
        >>> known = StemSources([Source(Path("/songs/kick.wav"))], audio)
        >>> known.of(audio.clone())[0].path.name
        'kick.wav'
        >>> audio[0, 0, 1] = 0.5
        >>> known.of(audio)
        [None]
    """

    def __init__(self, sources: Sequence[Source | None], audio: torch.Tensor):
        if len(sources) != len(audio):
            raise ValueError(f"{len(sources)} sources for {len(audio)} stems")
        self._sources = list(sources)
        self._stamps = [None if source is None else _stamp(source.path) for source in sources]
        self._sums = _checksums(audio, [source is not None for source in sources])

    def of(self, audio: torch.Tensor) -> list[Source | None]:
        """List the sources of the stems that are as they were.

        Every sample is looked at, about a second for two gigabytes.

        Args:
            audio: Audio (N, 2, num_samples), stem by stem as it was.

        Returns:
            A source for each stem, None where there is none or no longer one.
        """
        if len(audio) != len(self._sources):
            return [None] * len(audio)
        unmoved = [
            source is not None and _stamp(source.path) == stamp
            for source, stamp in zip(self._sources, self._stamps, strict=True)
        ]
        sums = _checksums(audio, unmoved)
        same = [moved and a == b for moved, a, b in zip(unmoved, sums, self._sums, strict=True)]
        return [source if ok else None for source, ok in zip(self._sources, same, strict=True)]


def _checksums(audio: torch.Tensor, wanted: Sequence[bool]) -> list[int]:
    """Compute a number from all samples of each stem that is wanted, 0 for the others."""

    def one(row: int) -> int:
        if not wanted[row]:
            return 0
        return zlib.crc32(audio[row].detach().cpu().float().contiguous().numpy())

    with ThreadPoolExecutor(_CHECKERS) as pool:  # zlib releases Python's lock
        return list(pool.map(one, range(len(audio))))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return a file's size and date; None where there is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns
