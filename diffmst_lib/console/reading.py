"""The text of a console's settings, checked field by field before a console is made of it. Chapter: The console."""

from __future__ import annotations

import json
import reprlib
from typing import Any

FORMAT = "diffmst-console"
VERSION = 3  # in versions 1 and 2 a strip of "default" was a mono channel
RATES_HZ = (4_000, 768_000)
LONGEST = 300  # characters of a message: what it quotes may come from a stranger
_FIELDS = ("format", "version", "preset", "sample_rate", "tracks", "fx_bus", "master_bus")


def read_settings(text: str) -> dict[str, Any]:
    """Parse the JSON of a console, and check everything but the names and the ranges of its knobs.

    Args:
        text: What `ConsoleParams.to_json` wrote, in this version of the library or in an earlier one.

    Returns:
        Its fields: "version", "preset", "sample_rate" in Hz, and the knobs as numbers by strip and name.

    Raises:
        ValueError: In one line with the name of the field that is missing or of a wrong kind.

    Example:
        >>> from diffmst_lib import ConsoleParams
        >>> read_settings(ConsoleParams.neutral(["kick"]).to_json())["tracks"]["kick"]["ratio"]
        1.0
    """
    if not isinstance(text, str | bytes | bytearray):
        raise ValueError(f"a text is needed, not a value of type {type(text).__name__}")
    try:
        text = text.removeprefix("\ufeff") if isinstance(text, str) else text  # which some editors write
        data = json.loads(text, parse_int=_number, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"a value of the wrong kind: {quoted(data)}, not the fields of a console")
    for name in _FIELDS:
        if name not in data:
            raise ValueError(f"{name!r} is missing")
    if data["format"] != FORMAT:
        raise ValueError(f"its format is {quoted(data['format'])}, not {FORMAT}")
    version, rate = data["version"], data["sample_rate"]
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(f"version {quoted(version)}, this library reads versions 1 to {VERSION}")
    if type(rate) not in (int, float) or not (RATES_HZ[0] <= rate <= RATES_HZ[1] and rate == int(rate)):
        raise ValueError(
            f"sample_rate cannot be {quoted(rate)}: a whole number of Hz, {RATES_HZ[0]} to {RATES_HZ[1]}"
        )
    _check_strips(data)
    return data | {"sample_rate": int(rate)}


def _check_strips(data: dict[str, Any]) -> None:
    tracks = data["tracks"]
    if not isinstance(tracks, dict):
        raise ValueError(f"tracks is of the wrong kind: {quoted(tracks)}, not strips by name")
    strips = [*tracks.items(), *((bus, data[bus]) for bus in ("fx_bus", "master_bus"))]
    for strip, row in strips:
        if any("\ud800" <= letter <= "\udfff" for letter in strip):
            raise ValueError(f"the name {strip!a} of a track is no text")
        if not isinstance(row, dict):
            raise ValueError(f"{strip} is of the wrong kind: {quoted(row)}, not knobs by name")
        for knob, value in row.items():
            if type(value) not in (int, float):
                raise ValueError(f"{strip}: {knob} takes one number, got {quoted(value)}")


def quoted(value: object) -> str:
    """Show a value in a message, as Python writes it, but short.

    Example:
        >>> quoted("x" * 100)
        "'xxxxxxxxxxxx...xxxxxxxxxxxxx'"
    """
    return reprlib.repr(value)


def in_one_line(message: object) -> str:
    """Put a message into one line that is not too long, whatever it quotes; the middle of a long one is left out.

    Example:
        >>> in_one_line("two   words"), len(in_one_line(500 * "long"))
        ('two words', 300)
    """
    line = " ".join(str(message).split())
    half = (LONGEST - 4) // 2
    return line if len(line) <= LONGEST else f"{line[:half]} .. {line[-half:]}"


def _number(digits: str) -> float:
    """Read a whole number; one of hundreds of digits is infinite, and so outside every range."""
    return int(digits) if len(digits) < 16 else float(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary, unless a name stands there twice: one of the two would be lost."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"{quoted(next(name for name in names if names.count(name) > 1))} stands there twice"
        )
    return content
