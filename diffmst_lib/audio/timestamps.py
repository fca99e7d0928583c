"""Time stamps of Broadcast WAV files: when a recording began. Chapter: Data."""

from __future__ import annotations

import io
from pathlib import Path

from .chunks import byte_order, read_chunks

PLACE = 338  # of the time in a `bext` chunk: after description, originator, its reference, date and time


def time_stamp(path: str | Path | io.BytesIO) -> float | None:
    """Read when a Broadcast WAV began, as recorders and DAWs write it (TimeReference).

    Source: EBU Tech 3285, the `bext` chunk of WAV, RF64 and W64 files.

    Args:
        path: The file's path, or its content.

    Returns:
        Time since midnight in seconds; None for a file without a time stamp, and one that is no WAV.

    Raises:
        OSError: For a file that is missing or cannot be opened.

    Example:
        >>> from diffmst_lib import data_dir
        >>> time_stamp(data_dir() / "references" / "vibe_ace.ogg") is None
        True
    """
    with io.BytesIO(path.getvalue()) if isinstance(path, io.BytesIO) else open(path, "rb") as file:
        order = "big" if byte_order(file) == ">" else "little"
        rate = samples = None
        for chunk in read_chunks(file):
            if chunk.name == "fmt " and chunk.size >= 8:
                file.seek(chunk.start + 4)
                rate = int.from_bytes(file.read(4), order)
            elif chunk.name == "bext" and chunk.size >= PLACE + 8:
                file.seek(chunk.start + PLACE)
                content = file.read(8)
                samples = int.from_bytes(content, order) if len(content) == 8 else None
    return samples / rate if rate and samples is not None else None
