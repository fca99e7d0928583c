"""What was found in sound files that are not quite right, told in one note a kind. Chapter: Data."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..inputs import note

# Kinds of remarks; in a note the files follow.
CUT = "cut short, the rest is missing"
DAMAGED = "damaged, read with silent gaps"
LEFT_OUT = "left out, it cannot be read"
RATE = "changes its sample rate, resampled to the first"
START = "does not say where its sound begins, which may be up to 0.05 s late (export it as WAV or FLAC where that matters)"
KINDS = (CUT, DAMAGED, LEFT_OUT, RATE, START)
_KINDS_OF_FILES = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


def few(names: Iterable[str], count: int = 5) -> str:
    """Join the first names for a message.

    Args:
        names: The names.
        count: How many of them are listed.

    Example:
        >>> few(["a", "b", "c", "d"], count=2)
        'a, b and 2 more'
    """
    names = list(names)
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def tell(found: Mapping[str, Mapping[str, str]]) -> None:
    """Make one `InputNote` for each kind of remark, whatever the number of files.

    Args:
        found: By the name of each file, its `AudioFile.remarks`.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as notes:
        ...     tell({"a.wav": {CUT: "1.0 s of 2.0 s"}, "b.wav": {CUT: "1.5 s of 2.0 s"}})
        >>> print(notes[0].message)
        cut short, the rest is missing: a.wav (1.0 s of 2.0 s), b.wav (1.5 s of 2.0 s)
    """
    for kind in KINDS:
        files = [
            f"{name} ({remarks[kind]})" if remarks[kind] else name
            for name, remarks in found.items()
            if kind in remarks
        ]
        if files:
            note(f"{kind}: {few(files)}")


def seconds(number: float) -> str:
    """Write a time for a message, such as "3.1 s"."""
    return f"{number:.1f} s" if number >= 1 else f"{number:.2g} s"


def not_a_file(path: str | Path) -> str | None:
    """Say what a path is that is no file, without opening it: some of these never end.

    Args:
        path: The path.

    Returns:
        Such as "a named pipe"; None for a file, and for a path where there is nothing.

    Example:
        >>> not_a_file("/")
        'a folder'
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "a link to nothing" if os.path.islink(path) else None
    except OSError:
        return "a circle of links" if os.path.islink(path) else None
    return next((name for belongs, name in _KINDS_OF_FILES if belongs(mode)), None)
