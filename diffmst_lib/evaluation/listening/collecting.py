"""Ratings of many listeners, from the files that they saved, in one table. Chapter: Results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...disk import why
from ...inputs import InputError, note
from .building import open_seal, seal_id
from .scales import SCALES

if TYPE_CHECKING:
    import pandas as pd

FORMAT, VERSION = "diffmst-listening", 1
TRIALS = 6  # of the headphone check


def collect_ratings(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Merge the files that listeners saved on a page of `build_page`.

    A file that is damaged, or of another test than most, is told and left out. Of two files of one listener
    the one saved later counts, which is told as well.

    Args:
        paths: Files, and folders whose JSON files are all read.

    Returns:
        One row a rating: test, listener, simulated (false), headphones ("headphones", "loudspeakers" or ""),
        headphones_right (of 6, in the last check that was finished), finished, pair, song, record, place (1 for
        mix A), system, role ("system", "anchor", "human"), heard_s, scale, rating (0 to 100).

    Raises:
        InputError: For a path that is not there, and when no ratings are left.
    """
    import pandas as pd

    sittings = []
    for path in _files(paths):
        try:
            sittings.append((path, *_read(path)))
        except OSError as error:
            note(f"{path}: left out, cannot be read ({why(error)})")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            note(f"{path}: left out, no ratings of a listening page, or damaged ({_reason(error)})")
    tests = Counter(sitting["test"] for _, sitting, _ in sittings)
    latest: dict[str, tuple[Path, dict[str, Any], list[dict[str, Any]]]] = {}
    for path, sitting, rows in sittings:
        most = tests.most_common(1)[0][0]
        if sitting["test"] != most:
            note(f"{path}: left out, it is of test {sitting['test']}, not of {most}")
            continue
        before = latest.get(sitting["listener"])
        if before is None:
            latest[sitting["listener"]] = (path, sitting, rows)
            continue
        later = before[1]["saved"] <= sitting["saved"]
        kept, left = (path, before[0]) if later else (before[0], path)
        note(f"{left}: left out, {kept} is of the same listener and was not saved earlier")
        if later:
            latest[sitting["listener"]] = (path, sitting, rows)
    table = pd.DataFrame([row for _, _, rows in latest.values() for row in rows])
    if table.empty:
        raise InputError("no ratings in " + ", ".join(map(str, paths)))
    return table.sort_values(["listener", "pair", "place"], kind="stable").reset_index(drop=True)


def _files(paths: Sequence[str | Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        for file in sorted(path.rglob("*.json")) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"broken off or changed at character {error.pos}"
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    if isinstance(error, (TypeError, AttributeError)):
        return "a part of it is not what it should be"
    return " ".join(str(error).split())


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read a file and check all of it; ValueError, TypeError and KeyError for what no page saves."""
    sitting = json.loads(path.read_text("utf-8"))
    if not isinstance(sitting, dict) or sitting.get("format") != FORMAT:
        raise ValueError("another kind of file")
    if sitting["version"] != VERSION:
        raise ValueError(f"version {sitting['version']} of the page")
    if seal_id(sitting["sealed"]) != sitting["test"]:
        raise ValueError("the key is damaged")
    if not all(isinstance(sitting[name], str) and sitting[name] for name in ("listener", "saved", "test")):
        raise ValueError("no listener")
    key = {page["page"]: page for page in open_seal(sitting["sealed"])["pages"]}
    headphones = sitting["headphones"]
    finished = [attempt for attempt in headphones["attempts"] if len(attempt) == TRIALS]
    about = {
        "test": sitting["test"],
        "listener": sitting["listener"],
        "simulated": False,
        "headphones": headphones["on"] or "",
        "headphones_right": float(sum(map(bool, finished[-1]))) if finished else float("nan"),
        "finished": sitting["finished"] is not None,
    }
    rows = []
    for page in sitting["pages"]:
        known = key[page["page"]]
        if sorted(page["order"]) != sorted(known["stimuli"]):
            raise ValueError("other mixes than on the page")
        for place, name in enumerate(page["order"], start=1):
            for scale, rating in page["ratings"][name].items():
                if scale not in SCALES or type(rating) not in (int, float) or not 0 <= rating <= 100:
                    raise ValueError(f"{scale}: {rating}")
                rows.append(
                    {
                        **about,
                        **{column: known[column] for column in ("pair", "song", "record")},
                        "place": place,
                        **known["stimuli"][name],
                        "heard_s": float(page["heard_s"].get(name, 0.0)),
                        "scale": scale,
                        "rating": float(rating),
                    }
                )
    return sitting, rows
