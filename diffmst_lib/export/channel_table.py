"""The numbers of a channel sheet: rounded as an engineer writes them, in a table, and back.

Gains are rounded to 0.5 dB, frequencies, times and Q to two digits. What does nothing is left empty.

Chapter: Mix your own song.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..console.automation import Automation
from ..console.params import ConsoleParams
from ..console.specs import ParamSpec
from ..console.strip import Strip
from ..console.table import EQ_BANDS, OFF_DB, SECTIONS, param_table
from ..inputs import InputError
from .session import Session

if TYPE_CHECKING:
    import pandas as pd

STEP_DB = 0.5
DIGITS = 2
GENTLE = 2.0  # below, a ratio keeps two decimals: 1.04:1 takes off 1 dB where the sound is 26 dB above
OFF = "off"
HEAD = ("row", "name", "section", "from_s", "loudest", "role")
REDUCTION = ("reduction_typical_db", "reduction_most_db")
DYNAMICS = ("threshold_db", "ratio", "attack_ms", "release_ms", "knee_db")
_OFF_KNOBS = ("fader_db", "send_db")

Reductions = Mapping[str, Sequence[float]]  # typical and most, in dB, by the name of a track or "master_bus"


def rounded(spec: ParamSpec, value: float) -> float:
    """Round a knob as it stands on a channel sheet, within its range.

    Example:
        >>> fader, hz = param_table("track")[-2], param_table("track")[2]
        >>> rounded(fader, -3.3), rounded(fader, -59.9), rounded(hz, 123.4)
        (-3.5, -59.5, 120.0)
    """
    if spec.unit == "dB":
        near = round(value / STEP_DB) * STEP_DB + 0.0
        if spec.name in _OFF_KNOBS and value > OFF_DB >= near:
            near = OFF_DB + STEP_DB
    elif spec.scale == "linear" or (
        spec.name == "ratio" and value < GENTLE
    ):  # width, pan, the reverb's shares
        near = round(value, DIGITS)
    else:
        near = float(f"{value:.{DIGITS}g}")
    return min(max(near, spec.low), spec.high)


def kept(knobs: Mapping[str, float], specs: Sequence[ParamSpec]) -> dict[str, float]:
    """Round the knobs of a strip or a bus, and keep those that do something.

    Args:
        knobs: In physical units.
        specs: The section's table.

    Returns:
        The knobs that are not neutral; an equalizer's band with its three or not at all, a compressor with
        its five or not at all. A fader, a pan and an output gain are always there.
    """
    near = {spec.name: rounded(spec, knobs[spec.name]) for spec in specs}
    neutral = {spec.name: spec.neutral for spec in specs}
    shown = {"fader_db", "pan", "output_gain_db"}
    shown |= {name for name in near if near[name] != neutral[name]}
    for group, does in [
        *(
            (tuple(f"{band}_{k}" for k in ("gain_db", "frequency_hz", "q")), f"{band}_gain_db")
            for band in EQ_BANDS
        ),
        (DYNAMICS, "ratio"),
    ]:
        if does in near:
            shown = shown | set(group) if near[does] != neutral[does] else shown - set(group)
    return {name: value for name, value in near.items() if name in shown}


def sections_of(session: Session) -> list[tuple[str, float, bool, list[dict[str, float]], dict, dict]]:
    """List a session's consoles: label, start in seconds, whether it is the loudest, strips, buses."""
    automation = session.automation
    if automation is None:
        strips = [dict(track.knobs) for track in session.tracks]
        return [("", 0.0, True, strips, dict(session.fx_bus or {}), dict(session.master))]
    found = []
    for number, (label, start, params) in enumerate(
        zip(automation.labels, automation.starts_s, automation.consoles, strict=True)
    ):
        strips = [_knobs(params.track(name)) for name in params.names]
        fx_bus = _knobs(params.fx_bus) if session.fx_bus is not None else {}
        loudest = number == automation.loudest
        found.append((label, start, loudest, strips, fx_bus, _knobs(params.master_bus)))
    return found


def _knobs(strip: Strip) -> dict[str, float]:
    return {name: strip[name] for name in strip}


def sheet_table(session: Session, reductions: Reductions | None = None) -> pd.DataFrame:
    """Lay out the table of a channel sheet: a row for each strip and bus, once or of each section.

    Args:
        session: The session.
        reductions: Gain reduction to expect, typical and most in dB, by the track's name or "master_bus";
            None: it is not known.

    Returns:
        The table as text; empty cells do nothing.
    """
    import pandas as pd

    tables = {s: param_table(s, session.preset, session.sample_rate) for s in SECTIONS}
    knobs = list(dict.fromkeys(spec.name for section in SECTIONS for spec in tables[section]))
    reductions, rows = reductions or {}, []
    for label, start, loudest, strips, fx_bus, master in sections_of(session):
        place = {"section": label, "from_s": f"{start:g}", "loudest": "yes" if loudest else ""}
        for track, strip in zip(session.tracks, strips, strict=True):
            head = {"row": "track", "name": track.name, "role": track.role}
            rows.append(place | head | _cells(strip, tables["track"], reductions.get(track.name)))
        if fx_bus:
            near = {spec.name: f"{rounded(spec, fx_bus[spec.name]):g}" for spec in tables["fx_bus"]}
            rows.append(place | {"row": "fx_bus", "name": "reverb"} | near)
        head = {"row": "master_bus", "name": "master"}
        rows.append(place | head | _cells(master, tables["master_bus"], reductions.get("master_bus")))
    columns = [*HEAD, *knobs, *REDUCTION]
    table = pd.DataFrame([[row.get(name, "") for name in columns] for row in rows], columns=columns)
    unused = [knob for knob in param_table("fx_bus") if (table[knob.name] == "").all()]
    return table.drop(columns=[knob.name for knob in unused])


def _cells(
    knobs: Mapping[str, float], specs: Sequence[ParamSpec], reduction: Sequence[float] | None
) -> dict[str, str]:
    cells = {name: f"{value:g}" for name, value in kept(knobs, specs).items()}
    cells |= {name: OFF for name in _OFF_KNOBS if name in cells and float(cells[name]) <= OFF_DB}
    if reduction is not None and "ratio" in cells and all(map(math.isfinite, reduction)):
        typical, most = reduction
        cells |= dict(zip(REDUCTION, (f"{typical:.1f}", f"{most:.1f}"), strict=True))
    return cells


def read_sheet(path: str | Path, *, sample_rate: int = 44100) -> ConsoleParams | Automation:
    """Read the console of a channels.csv back; empty cells are neutral.

    The sheet is rounded, so `params.json` is the exact source. A table that a spreadsheet saved with
    semicolons and decimal commas is read as well.

    Args:
        path: The file.
        sample_rate: Hz.

    Returns:
        The console, or a console a section.

    Raises:
        InputError: In one line with row and column, for a file that is not such a sheet.
    """
    path = Path(path)
    rows = _rows(path)
    starts = list(dict.fromkeys(row["from_s"] for row in rows))
    consoles, labels, loudest = [], [], 0
    for number, start in enumerate(starts):
        part = [row for row in rows if row["from_s"] == start]
        consoles.append(_console(path, part, sample_rate))
        labels.append(part[0]["section"])
        loudest = number if part[0]["loudest"] else loudest
    if len(consoles) == 1 and not labels[0]:
        return consoles[0]
    try:
        times = [_number(start) for start in starts]
        return Automation(times, consoles, labels, loudest=loudest)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a channel sheet ({getattr(error, 'strerror', None) or error})"
        ) from None
    first = text.split("\n", 1)[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval=""))
    except csv.Error as error:
        raise InputError(f"{path}: not a channel sheet ({error})") from None
    if not rows or not set(HEAD[:4]) <= set(rows[0]):
        raise InputError(f"{path}: not a channel sheet, it has no columns {', '.join(HEAD[:4])}")
    return [
        {name: (cell or "").strip() if name != "name" else (cell or "") for name, cell in row.items() if name}
        for row in rows
        if any(row.values())
    ]


def _console(path: Path, rows: list[dict[str, str]], sample_rate: int) -> ConsoleParams:
    names = [row["name"] for row in rows if row["row"] == "track"]
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}: not a channel sheet, tracks must be there and have different names")
    params = ConsoleParams.neutral(names, sample_rate=sample_rate)
    for row in rows:
        if row["row"] not in SECTIONS:
            raise InputError(f"{path}: row cannot be {row['row']!r}: one of {', '.join(SECTIONS)}")
        buses = {"fx_bus": params.fx_bus, "master_bus": params.master_bus}
        strip = params.track(row["name"]) if row["row"] == "track" else buses[row["row"]]
        for name in strip:
            cell = row.get(name, "")
            if cell:
                try:
                    strip[name] = OFF_DB if cell == OFF and name in _OFF_KNOBS else _number(cell)
                except ValueError as error:
                    said = str(error).removeprefix(f"{strip.label}: ")
                    raise InputError(f"{path}: {row['name']}, column {name}: {said}") from None
    return params


def _number(cell: str) -> float:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        raise ValueError(f"{cell!r} is not a number") from None
