"""Pages of Ogg files: whether all of them are there, and where another file begins. Chapter: Data."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

from .chunks import size_of

_FIRST, _LAST = 2, 4  # flags of the first and the last page of a stream
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class OggPages:
    """What the pages of an Ogg file tell.

    Attributes:
        starts: Position of each file in it: several where Ogg files were joined.
        damaged: Whether pages are damaged or missing.
        ended: Whether the last page says that it is the last one.
    """

    starts: list[int] = field(default_factory=list)
    damaged: bool = False
    ended: bool = False


def read_pages(file: BinaryIO) -> OggPages | None:
    """Check all pages of an Ogg file.

    Args:
        file: The file.

    Returns:
        What they tell; None for a file that is not Ogg.
    """
    end = size_of(file)
    file.seek(0)
    if file.read(4) != b"OggS":
        return None
    file.seek(0)
    data = file.read(end)
    pages, position, numbers = OggPages(), 0, dict[bytes, int]()
    was_first = False
    while position < end:
        head = data[position : position + 27]
        if head[:4] != b"OggS" or len(head) < 27:
            found = data.find(b"OggS", position + 1)
            pages.damaged |= found >= 0 or not pages.ended
            if found < 0:
                break
            position = found
            continue
        sizes = data[position + 27 : position + 27 + head[26]]
        page = data[position : position + 27 + head[26] + sum(sizes)]
        if len(page) < 27 + head[26] + sum(sizes):  # cut within this page
            pages.ended = False
            break
        if _checksum(page[:22] + bytes(4) + page[26:]) != int.from_bytes(page[22:26], "little"):
            pages.damaged, position = True, position + 4
            continue
        serial, number = page[14:18], int.from_bytes(page[18:22], "little")
        is_first = bool(page[5] & _FIRST)
        if is_first and not was_first:
            pages.starts.append(position)
        elif not is_first and number != numbers.get(serial, number - 1) + 1:
            pages.damaged = True
        numbers[serial], was_first, pages.ended = number, is_first, bool(page[5] & _LAST)
        position += len(page)
    return pages


def _checksum(page: bytes) -> int:
    """Compute the checksum of Ogg: that of zip files with all bits in the other order."""
    other = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{other:032b}"[::-1], 2)
