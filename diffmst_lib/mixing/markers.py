"""Where sections begin, as users write it: times, and files of markers from editors and DAWs.

Chapter: Mix your own song.
"""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path

from ..inputs import InputError

LARGEST = 1_000_000  # bytes of a file of markers; a song in its place is larger
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?|\.\d+)s?")
_REAPER = ("#", "Name", "Start")  # the first columns of Reaper's list of markers


def read_time(text: str) -> float:
    """Read a time: seconds, minutes and seconds, or hours, minutes and seconds.

    Args:
        text: As in 45, 45.5, 1:20 or 1:02:03.5.

    Returns:
        Seconds.

    Raises:
        InputError: For anything else.

    Example:
        >>> read_time("1:20"), read_time("45.5"), read_time("1:02:03")
        (80.0, 45.5, 3723.0)
    """
    match = _CLOCK.fullmatch(text.strip())
    if not match:
        raise InputError(f"{text.strip()[:40]!r} is no time: write seconds, or minutes as in 1:20")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    if (match[2] and seconds >= 60) or (match[1] and minutes >= 60):
        raise InputError(f"{text.strip()!r} is no time: after a colon numbers are below 60")
    return 3600.0 * hours + 60.0 * minutes + seconds


def read_times(text: str) -> list[float]:
    """Read times with commas between them.

    Example:
        >>> read_times("0:45, 1:20,130")
        [45.0, 80.0, 130.0]
    """
    return [read_time(part) for part in text.split(",") if part.strip()]


def read_markers(path: str | Path) -> list[tuple[float, str]]:
    """Read a file of markers.

    Three kinds are known: text with a time and a name on each line ("0:45 verse"), the labels that Audacity
    exports (start, end and name with tabs between them), and Reaper's list of markers and regions (CSV, with
    times in minutes and seconds). Empty lines, and lines that begin with # in a text, are left out.

    Args:
        path: The file.

    Returns:
        (seconds, name) in the order of the file; the name may be empty.

    Raises:
        InputError: In one line that begins with the name of the file, for a file that cannot be read, holds no
            text or no markers, and for a line that is not understood, with its number.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    try:
        text = "" if len(content) > LARGEST or b"\0" in content else content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1") if _looks_like_text(content) else ""
    if not text.strip():
        why = "is empty" if not content.strip() else "holds no text"
        raise InputError(f"{path}: {why}: a file of markers has lines such as 0:45 verse")
    first = next(csv.reader(io.StringIO(text)))
    rows = _of_reaper(text) if tuple(first[:3]) == _REAPER else _of_lines(text)
    markers = []
    for line, time, name in rows:
        try:
            markers.append((read_time(time), " ".join(name.split())))
        except InputError as error:
            beats = ": set Reaper's ruler to minutes and seconds" if tuple(first[:3]) == _REAPER else ""
            raise InputError(f"{path}: line {line}: {error}{beats}") from None
    if not markers:
        raise InputError(f"{path}: holds no markers: a file of markers has lines such as 0:45 verse")
    return markers


def _looks_like_text(content: bytes) -> bool:
    return all(byte in b"\t\r\n" or 32 <= byte < 127 or byte >= 160 for byte in content)


def _of_reaper(text: str) -> list[tuple[int, str, str]]:
    reader = csv.DictReader(io.StringIO(text))
    return [(reader.line_num, row["Start"] or "", row["Name"] or "") for row in reader if row.get("#")]


def _of_lines(text: str) -> list[tuple[int, str, str]]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.lstrip() if line.strip() else ""
        if not line or line.startswith(("#", "\\")):  # Audacity writes a backslash before frequencies
            continue
        time, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
        end, tab, name = rest.partition("\t")
        labels = tab and _is_seconds(time) and _is_seconds(end)  # Audacity's: start, end, name
        rows.append((number, time, name if labels or (tab and not end) else rest))
    return rows


def _is_seconds(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
