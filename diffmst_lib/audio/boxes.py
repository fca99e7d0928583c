"""Edit lists of MP4 files, which tell where the sound begins. Chapter: Data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .chunks import MOST_CHUNKS, size_of


@dataclass(frozen=True)
class Edits:
    """The edit list of a track.

    Attributes:
        silent_s: Length of the silence before the sound, in seconds.
    """

    silent_s: float


def has_no_index(file: BinaryIO) -> bool:
    """Tell whether a file is an MP4 that breaks off before the box that says where the sound lies."""
    names = [name for name, _, _ in _boxes(file, 0, size_of(file))]
    return names[:1] == ["ftyp"] and "moov" not in names


def edit_list(file: BinaryIO, stream: int = 0) -> Edits | None:
    """Read the edit list of an audio track.

    Args:
        file: An MP4 file; other files have none.
        stream: Number of the audio stream.

    Returns:
        The edits, None where there are none.
    """
    for name, start, stop in _boxes(file, 0, size_of(file)):
        if name == "moov":
            tracks = [track for track in _boxes(file, start, stop) if track[0] == "trak"]
            sounds = [track for track in tracks if _is_sound(file, *track[1:])]
            header = _find(file, start, stop, "mvhd")
            if header and stream < len(sounds):
                return _edits(file, *sounds[stream][1:], _time_scale(file, header[0]))
    return None


def _edits(file: BinaryIO, start: int, stop: int, scale: int) -> Edits | None:
    place = _find(file, start, stop, "edts", "elst")
    if place is None or not scale:
        return None
    file.seek(place[0])
    version, count = file.read(4)[:1], int.from_bytes(file.read(4), "big")
    size = 8 if version == b"\1" else 4
    silent = 0.0
    for _ in range(min(count, MOST_CHUNKS)):
        duration = int.from_bytes(file.read(size), "big")
        begin = int.from_bytes(file.read(size), "big", signed=True)
        file.read(4)
        if begin >= 0:
            break
        silent += duration / scale
    return Edits(silent) if count else None


def _is_sound(file: BinaryIO, start: int, stop: int) -> bool:
    place = _find(file, start, stop, "mdia", "hdlr")
    if place is None:
        return False
    file.seek(place[0] + 8)
    return file.read(4) == b"soun"


def _time_scale(file: BinaryIO, start: int) -> int:
    file.seek(start)
    file.seek(start + (20 if file.read(1) == b"\1" else 12))
    return int.from_bytes(file.read(4), "big")


def _find(file: BinaryIO, start: int, stop: int, *names: str) -> tuple[int, int] | None:
    """Find a box in a box, and so on."""
    for wanted in names:
        found = next((box for box in _boxes(file, start, stop) if box[0] == wanted), None)
        if found is None:
            return None
        _, start, stop = found
    return start, stop


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[str, int, int]]:
    """Yield the name, the start and the end of each box in a part of a file."""
    for _ in range(MOST_CHUNKS):
        if start + 8 > stop:
            return
        file.seek(start)
        size, name, head = int.from_bytes(file.read(4), "big"), file.read(4).decode("latin-1"), 8
        if size == 1:
            size, head = int.from_bytes(file.read(8), "big"), 16
        size = size or stop - start
        if size < head:
            return
        yield name, start + head, min(stop, start + size)
        start += size
