"""The key "sections" of a console's JSON, written and read. Chapter: Mix your own song."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .params import ConsoleParams
from .reading import quoted

_BUSES = ("fx_bus", "master_bus")


def written_parts(
    starts_s: list[float], labels: list[str], consoles: list[dict[str, Any]], main: dict[str, Any]
) -> list[dict[str, Any]]:
    """Write the sections; each lists only the knobs that differ from the document's console.

    Args:
        starts_s: Where each section begins, in seconds.
        labels: The name of each.
        consoles: The document of each section's console, as `ConsoleParams.to_json` writes it.
        main: The document that holds the sections.

    Returns:
        One dictionary a section: start_s, label, and the knobs by strip as in the document.
    """
    return [
        {"start_s": start, "label": label} | _different(console, main)
        for start, label, console in zip(starts_s, labels, consoles, strict=True)
    ]


def read_parts(params: ConsoleParams, sections: Any) -> dict[str, Any]:
    """Read the sections of a document.

    Args:
        params: The document's console.
        sections: What stands under "sections".

    Returns:
        The arguments of `automation.Automation`.

    Raises:
        ValueError: With the field's name, for what is missing, unknown, of a wrong kind or outside a range.
    """
    if not isinstance(sections, dict):
        raise ValueError(f"sections is of the wrong kind: {quoted(sections)}, not fade_s, loudest and parts")
    for field in ("fade_s", "loudest", "parts"):
        if field not in sections:
            raise ValueError(f"sections.{field} is missing")
    parts, loudest = sections["parts"], sections["loudest"]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"sections.parts is of the wrong kind: {quoted(parts)}, not a list of sections")
    if type(loudest) is not int:
        raise ValueError(f"sections.loudest takes the number of a section, got {quoted(loudest)}")
    starts, consoles, labels = [], [], []
    for i, part in enumerate(parts):
        place = f"sections.parts[{i}]"
        if unknown := [key for key in part if key not in ("start_s", "label", "tracks", *_BUSES)]:
            raise ValueError(f"{place} has no field {quoted(unknown[0])}")
        if not isinstance(part.get("label"), str):
            raise ValueError(f"{place}.label takes a text, got {quoted(part.get('label'))}")
        starts.append(_number(part.get("start_s"), f"{place}.start_s"))
        labels.append(part["label"])
        consoles.append(_changed(params, part, place))
    fade_s = _number(sections["fade_s"], "sections.fade_s")
    return {"starts_s": starts, "consoles": consoles, "labels": labels, "fade_s": fade_s, "loudest": loudest}


def _leaves(console: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Walk through the numbers of a console's document: (its place, the number)."""
    for name, row in console["tracks"].items():
        for knob, value in row.items():
            yield ("tracks", name, knob), value
    for bus in _BUSES:
        for knob, value in console[bus].items():
            yield (bus, knob), value


def _different(console: dict[str, Any], main: dict[str, Any]) -> dict[str, Any]:
    """Return what of a console's document differs from the main one, nested as there."""
    found: dict[str, Any] = {}
    for (place, value), (_, old) in zip(_leaves(console), _leaves(main), strict=True):
        if value != old:
            row = found
            for key in place[:-1]:
                row = row.setdefault(key, {})
            row[place[-1]] = value
    return found


def _number(value: object, place: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{place} takes one number, got {quoted(value)}")
    return float(value)


def _changed(params: ConsoleParams, part: dict[str, Any], place: str) -> ConsoleParams:
    """Return the console of the document with the knobs that a section changes."""
    console = params.clone()
    tracks = part.get("tracks", {})
    if not isinstance(tracks, dict):
        raise ValueError(f"{place}.tracks is of the wrong kind: {quoted(tracks)}, not strips by name")
    rows = [(f"{place}.tracks.{name}", name, row) for name, row in tracks.items()]
    rows += [(f"{place}.{bus}", bus, part[bus]) for bus in _BUSES if bus in part]
    for where, name, row in rows:
        if not isinstance(row, dict):
            raise ValueError(f"{where} is of the wrong kind: {quoted(row)}, not knobs by name")
        try:
            strip = console.track(name) if ".tracks." in where else getattr(console, name)
        except KeyError as error:
            raise ValueError(f"{where}: {error.args[0]}") from None
        for knob, value in row.items():
            number = _number(value, f"{where}.{knob}")
            try:
                strip[knob] = number
            except (ValueError, KeyError) as error:
                raise ValueError(f"{where}.{knob}: {error.args[0]}") from None
    return console
