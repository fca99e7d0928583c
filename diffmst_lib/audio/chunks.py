"""Chunks of WAV, RF64, W64, AIFF and CAF files, and how much sound a header claims. Chapter: Data."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MOST_CHUNKS = 1000  # of one file: more are not sound
# Sizes that programs write that do not know the length yet: 0, and about 2^31, 2^32 and 2^63.
UNKNOWN = (range(1), range(0x7FFFF000, 0x80001000), range(0xFFFFF000, 0x100000000), range(2**60, 2**64))


@dataclass(frozen=True)
class Chunk:
    """A chunk of a file.

    Attributes:
        name: Name of four letters, such as "fmt ".
        start: Position of its first byte after name and size.
        size: Number of bytes that the header claims.
    """

    name: str
    start: int
    size: int


@dataclass(frozen=True)
class Claim:
    """What a header says of the sound of a file, and what is there.

    Attributes:
        claimed: Bytes of sound that the header claims, None where it does not know.
        held: Bytes of sound that are there, at most those claimed.
        behind: Bytes behind the sound that are no chunk.
    """

    claimed: int | None
    held: int
    behind: int = 0


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file in bytes.

    Args:
        file: The file; it stands at its end afterwards.
    """
    return file.seek(0, 2)


def byte_order(file: BinaryIO) -> str:
    """Tell how the numbers of a file with chunks are written.

    Args:
        file: The file.

    Returns:
        "<" or ">", as `struct` takes it.
    """
    file.seek(0)
    return ">" if file.read(4) in (b"RIFX", b"FORM", b"caff") else "<"


def read_chunks(file: BinaryIO) -> Iterator[Chunk]:
    r"""List the chunks of a WAV, RF64, W64, AIFF or CAF file. Files of other kinds have none.

    Args:
        file: The file.

    Yields:
        The chunks in their order, up to the end of the file or of what it says about itself.

    Example:
        >>> import io
        >>> list(read_chunks(io.BytesIO(b"RIFF\x0c\0\0\0WAVEdata\x04\0\0\0....")))
        [Chunk(name='data', start=20, size=4)]
    """
    end = size_of(file)
    file.seek(0)
    head = file.read(40)
    order, position = ">" if head[:4] in (b"RIFX", b"FORM", b"caff") else "<", 12
    big: dict[str, int] = {}  # sizes that did not fit in 32 bits
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        form, align = order + "4sI", 2
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        form, align = ">4sI", 2
    elif head[:4] == b"caff":
        form, align, position = ">4sq", 1, 8
    elif head[:4] == b"riff" and head[24:28] == b"wave":
        form, align, position = "<16sQ", 8, 40
    else:
        return
    length = struct.calcsize(form)
    for _ in range(MOST_CHUNKS):
        if position >= end:
            return
        file.seek(position)
        content = file.read(length)
        if len(content) < length:
            return
        name, size = struct.unpack(form, content)
        if len(name) == 16:
            size = max(0, size - length)
        text = name[:4].decode("latin-1")
        if text == "ds64":
            wide = file.read(16)
            big["data"] = int.from_bytes(wide[8:16], "little")
        if size == 0xFFFFFFFF and text in big:
            size = big[text]
        yield Chunk(text, position + length, size)
        if size < 0:  # CAF: up to the end
            return
        position += length + size
        position += -position % align


def claimed_sound(file: BinaryIO) -> Claim | None:
    """Compare the length of the sound that a header claims with what is there.

    Args:
        file: A WAV, RF64, W64, AIFF, CAF or AU file.

    Returns:
        The comparison; None for files of other kinds, and those without sound.
    """
    end = size_of(file)
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b".snd", b"dns."):
        start, size = struct.unpack((">" if head[:4] == b".snd" else "<") + "II", head[4:].ljust(8, b"\0"))
        if start < 24:  # the header alone is as long
            return None
        sound = Chunk("data", start, size)
    else:
        found = next((chunk for chunk in read_chunks(file) if chunk.name in ("data", "SSND")), None)
        if found is None:
            return None
        extra = 8 if found.name == "SSND" else 4 if head[:4] == b"caff" else 0  # before the samples
        sound = Chunk(found.name, found.start + extra, max(found.size - extra, -1 if found.size < 0 else 0))
    there = max(0, end - sound.start)
    if sound.size < 0 or any(sound.size in sizes for sizes in UNKNOWN):
        return Claim(None, there)
    return Claim(sound.size, min(sound.size, there), _behind(file, sound, end))


def _behind(file: BinaryIO, sound: Chunk, end: int) -> int:
    """Count the bytes after the sound where no chunk begins there, nor another file."""
    position = sound.start + sound.size + sound.size % 2
    if position >= end:
        return 0
    file.seek(position)
    name = file.read(4)
    if len(name) < 4 or all(32 <= byte < 127 for byte in name) or not any(name):
        return 0
    return end - position
