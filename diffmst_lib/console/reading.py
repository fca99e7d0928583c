"""The text of a console's settings, checked field by field before a console is made of it. Chapter: The console."""

from __future__ import annotations

import difflib
import json
import math
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from .specs import ParamSpec
from .strip import inside

FORMAT = "diffmst-console"
VERSION = 3  # in versions 1 and 2 a strip of "default" was a mono channel
SECTIONS_VERSION = 4  # with the key "sections": a reader that knows no sections must not overlook them
RATES_HZ = (4_000, 768_000)
LONGEST = 300  # characters of a message: what it quotes may come from a stranger
_FIELDS = ("format", "version", "preset", "sample_rate", "tracks", "fx_bus", "master_bus")
SECTIONS_FIELD = "sections"


def read_settings(text: str) -> dict[str, Any]:
    """Parse the JSON of a console, and check everything but the names and the ranges of its knobs.

    Args:
        text: What `ConsoleParams.to_json` wrote, in this version of the library or in an earlier one.

    Returns:
        Its fields: "version", "preset", "sample_rate" in Hz, and the knobs as numbers by strip and name; with
        "sections" where the text has them, which are not checked.

    Raises:
        ValueError: In one line with the field that is missing, unknown, twice there or of a wrong kind; with line
            and column where the text is no JSON.

    Example:
        >>> from diffmst_lib import ConsoleParams
        >>> read_settings(ConsoleParams.neutral(["kick"]).to_json())["tracks"]["kick"]["ratio"]
        1.0
        >>> read_settings('{"format": "diffmst-console",}')
        Traceback (most recent call last):
        ...
        ValueError: line 1, column 29: a comma with nothing after it
    """
    if not isinstance(text, str | bytes | bytearray):
        raise ValueError(f"a text is needed, not a value of type {type(text).__name__}")
    try:
        text = text.removeprefix("\ufeff") if isinstance(text, str) else text  # which some editors write
        data = json.loads(text, parse_int=_number, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(_where_and_why(error)) from None
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
    if type(version) is not int or not 1 <= version <= SECTIONS_VERSION:
        raise ValueError(f"version {quoted(version)}, this library reads versions 1 to {SECTIONS_VERSION}")
    if type(rate) not in (int, float) or not (RATES_HZ[0] <= rate <= RATES_HZ[1] and rate == int(rate)):
        raise ValueError(
            f"sample_rate cannot be {quoted(rate)}: a whole number of Hz, {RATES_HZ[0]} to {RATES_HZ[1]}"
        )
    for name in data:
        if name not in (*_FIELDS, SECTIONS_FIELD):
            raise ValueError(unknown(quoted(name), name, (*_FIELDS, SECTIONS_FIELD), "field"))
    _check_strips(data)
    return data | {"sample_rate": int(rate)}


def _check_strips(data: dict[str, Any]) -> None:
    tracks = data["tracks"]
    if not isinstance(tracks, dict):
        raise ValueError(f"tracks is of the wrong kind: {quoted(tracks)}, not strips by name")
    for place, _, row in strip_places(data):
        if any("\ud800" <= letter <= "\udfff" for letter in place):
            raise ValueError(f"the name {place.removeprefix('tracks.')!a} of a track is no text")
        if not isinstance(row, dict):
            raise ValueError(f"{place} is of the wrong kind: {quoted(row)}, not knobs by name")
        for knob, value in row.items():
            if type(value) not in (int, float):
                raise ValueError(f"{place}.{knob} takes one number, got {quoted(value)}")
            if math.isnan(value):
                raise ValueError(f"{place}.{knob} takes one number, got NaN")


def strip_places(data: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """List the strips of a console's document, tracks and buses: (its place, its section, its knobs by name).

    Args:
        data: What `read_settings` gives.

    Example:
        >>> strip_places({"tracks": {"kick": {}}, "fx_bus": {}, "master_bus": {}})[:2]
        [('tracks.kick', 'track', {}), ('fx_bus', 'fx_bus', {})]
    """
    buses = [(bus, bus, data[bus]) for bus in ("fx_bus", "master_bus")]
    return [*((f"tracks.{name}", "track", row) for name, row in data["tracks"].items()), *buses]


def read_strip(
    place: str,
    row: Mapping[str, float],
    specs: tuple[ParamSpec, ...],
    written: Mapping[str, str] | None = None,
) -> list[float]:
    """Check the knobs of a strip against its table.

    Args:
        place: Where the strip stands, "tracks.vox_lead".
        row: Its knobs by name.
        specs: The knobs that it must have, as `param_table` gives them.
        written: Other names of knobs in the text, {name in the table: name in the text}.

    Returns:
        The values in the order of the table.

    Raises:
        ValueError: In one line that names the field, for a knob that is missing, unknown or outside its range.

    Example:
        >>> from diffmst_lib import param_table
        >>> knobs = {spec.name: spec.neutral for spec in param_table("track")}
        >>> read_strip("tracks.vox_lead", knobs | {"pan": 1.4}, param_table("track"))
        Traceback (most recent call last):
        ...
        ValueError: tracks.vox_lead.pan: 1.4 is outside 0 to 1
    """
    names = [(written or {}).get(spec.name, spec.name) for spec in specs]
    if strangers := [name for name in row if name not in names]:
        missing = [name for name in names if name not in row]
        raise ValueError(unknown(f"{place}.{strangers[0]}", strangers[0], missing or names, "knob"))
    values = []
    for name, spec in zip(names, specs, strict=True):
        if name not in row:
            raise ValueError(f"{place}.{name} is missing")
        value = float(row[name])
        if not bool(inside(torch.tensor([value], dtype=torch.float64), (spec,)).all()):
            unit = f" {spec.unit}".rstrip()
            raise ValueError(
                f"{place}.{name}: {value:g}{unit} is outside {spec.low:g} to {spec.high:g}{unit}"
            )
        values.append(min(max(value, spec.low), spec.high))
    return values


def write_settings(fields: dict[str, Any]) -> str:
    """Write the JSON of a console.

    Args:
        fields: "preset", "sample_rate" in Hz, "tracks", "fx_bus" and "master_bus", knobs by strip and name.

    Returns:
        The text, which `read_settings` reads.

    Raises:
        ValueError: With the field's name, for a value that is NaN or infinite: JSON has no such numbers.

    Example:
        >>> fields = {"preset": "default", "sample_rate": 44100, "tracks": {}, "fx_bus": {}, "master_bus": {}}
        >>> write_settings(fields | {"master_bus": {"ratio": math.nan}})
        Traceback (most recent call last):
        ...
        ValueError: master_bus.ratio is nan, which JSON cannot say
    """
    for place, _, row in strip_places(fields):
        if lost := [name for name, value in row.items() if not math.isfinite(value)]:
            raise ValueError(f"{place}.{lost[0]} is {row[lost[0]]}, which JSON cannot say")
    document = {"format": FORMAT, "version": VERSION} | fields
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def shortest(row: torch.Tensor) -> list[float]:
    """Return the numbers of a row (knobs,) with as few digits as give back exactly the same when read.

    Args:
        row: Knobs in physical units, float32 or float64.

    Example:
        >>> shortest(torch.tensor([0.1, 1 / 3]))
        [0.1, 0.33333334]
    """
    return [float(str(value)) for value in row.detach().cpu().numpy()]


def unknown(place: str, name: str, known: Iterable[str], kind: str) -> str:
    """Write the message about a name that there is not, with the nearest one that there is.

    Args:
        place: Where it stands, "tracks.vox_led".
        name: The name, "vox_led".
        known: The names that there are.
        kind: What it should be the name of: "stem", "knob".

    Example:
        >>> unknown("tracks.vox_led", "vox_led", ["kick", "vox_lead"], "stem")
        "tracks.vox_led: no such stem, did you mean 'vox_lead'?"
    """
    known = [str(one) for one in known]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    return f"{place}: no such {kind}, {hint}"


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


def _where_and_why(error: json.JSONDecodeError) -> str:
    """Say where a text stops being JSON; what people forget most often in their words, not in the parser's."""
    text, at = error.doc, error.pos
    before, after = text[:at].rstrip(), text[at:].lstrip()
    doubled = before.endswith(",") and after.startswith(",")
    if after.startswith(",") and not doubled:  # some parsers point at the comma itself
        before, after = f"{before},", after[1:].lstrip()
    if not text.strip():
        return "the text is empty"
    if doubled:
        why = "a comma too many"
    elif before.endswith(",") and after[:1] in ("}", "]"):
        at = text.rfind(",", 0, at + 1)
        why = "a comma with nothing after it"
    elif error.msg.startswith("Expecting ',' delimiter") and after:
        why = f"a comma or a closing bracket is missing before {quoted(after[:12])}"
    elif not after:
        why = "the text ends too early"
    elif after[:1] in "#/":
        why = "JSON has no comments"
    elif after[:1] == "'":
        why = "names and texts stand in double quotes"
    else:
        why = f"{error.msg[:1].lower()}{error.msg[1:]}, not {quoted(after[:12])}"
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return f"line {line}, column {column}: {why}"
