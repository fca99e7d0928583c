"""The pairs of an evaluation whose mixes were kept, and those of them that a test asks about. Chapter: Results."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...disk import why
from ...inputs import InputError, note
from .scales import ANCHOR, HUMAN, MOST_STIMULI

SOUNDS = (".flac", ".wav")
RECORD = "record"  # the name of its file, which is no system's


@dataclass(frozen=True)
class KeptPair:
    """A song and a record, and their mixes as files.

    Args:
        number: Number of the pair, the name of its folder.
        song: Name of the song.
        record: Name of the record.
        start_s: Where the song's excerpt starts, in seconds.
        record_file: The record's file.
        mixes: Files of the mixes by system.
    """

    number: str
    song: str
    record: str
    start_s: float
    record_file: Path
    mixes: dict[str, Path]


def kept_pairs(folder: Path) -> list[KeptPair]:
    """Find the pairs that `diffmst evaluate --keep-audio` has left. What is damaged is told and left out.

    Args:
        folder: Output folder of the evaluation.

    Returns:
        The pairs by number.

    Raises:
        InputError: When there is no such folder, or no mix in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    pairs = [
        pair
        for place in sorted((folder / "mixes").glob("*"))
        if place.is_dir() and not place.name.startswith(".") and (pair := _read(place))
    ]
    if not pairs:
        raise InputError(f"{folder}: no mixes in it; make them with diffmst evaluate --keep-audio")
    return pairs


def _read(place: Path) -> KeptPair | None:
    sounds = {path.stem: path for path in sorted(place.iterdir()) if path.suffix.lower() in SOUNDS}
    try:
        about = json.loads((place / "pair.json").read_text("utf-8"))
        pair = KeptPair(
            place.name,
            str(about["song"]),
            str(about["record"]),
            float(about["start_s"]),
            sounds.pop(RECORD),
            sounds,
        )
    except OSError as error:
        note(f"{place}: left out, its pair.json cannot be read ({why(error)})")
    except (KeyError, TypeError, ValueError) as error:
        missing = error.args[0] if isinstance(error, KeyError) else "pair.json is damaged"
        note(f"{place}: left out ({f'no {missing}' if isinstance(error, KeyError) else missing})")
    else:
        if sounds:
            return pair
        note(f"{place}: left out, there is no mix in it")
    return None


def chosen_systems(pairs: Sequence[KeptPair], asked: Sequence[str] | None) -> list[str]:
    """Choose the systems of a test: those asked for, with the hidden anchor and the human mix where there are any.

    Args:
        pairs: Pairs of the evaluation.
        asked: Names of systems; None: all.

    Returns:
        Names of systems, at most ten.

    Raises:
        InputError: For systems that the evaluation has not, and for more than ten.
    """
    there = list(dict.fromkeys(name for pair in pairs for name in pair.mixes))
    wanted = list(dict.fromkeys(there if asked is None else asked))
    if missing := [name for name in wanted if name not in there]:
        raise InputError(f"no mixes by {', '.join(missing)}; there are some by {', '.join(there)}")
    wanted += [name for name in (ANCHOR, HUMAN) if name in there and name not in wanted]
    if ANCHOR not in wanted:
        note(f"the test has no hidden anchor: the evaluation has no mixes by {ANCHOR}")
    if len(wanted) > MOST_STIMULI:
        raise InputError(
            f"{len(wanted)} mixes on a page are too many, {MOST_STIMULI} are the most: choose some of "
            f"{', '.join(wanted)} (the anchor and the human mix are added)"
        )
    if len(wanted) < 2:
        raise InputError(f"a test compares two systems at least, here is only {wanted[0]}")
    return wanted


def chosen_pairs(pairs: Sequence[KeptPair], systems: Sequence[str], pages: int, seed: int) -> list[KeptPair]:
    """Draw the pairs of a test: every song once before any comes twice, complete pairs first.

    Args:
        pairs: Pairs of the evaluation.
        systems: Systems of the test.
        pages: How many pairs, at most.
        seed: Seed of the draw.

    Returns:
        The pairs, with the mixes of these systems only.

    Raises:
        InputError: When no pair has mixes by two of the systems.
    """
    short = [
        KeptPair(
            pair.number,
            pair.song,
            pair.record,
            pair.start_s,
            pair.record_file,
            {name: pair.mixes[name] for name in systems if name in pair.mixes},
        )
        for pair in pairs
    ]
    short = [pair for pair in short if len(pair.mixes) > 1]
    if not short:
        raise InputError(f"no pair has mixes by two of {', '.join(systems)}")
    random.Random(seed).shuffle(short)
    # A song without a human mix has a mix less, and is complete nevertheless.
    lacks = {id(pair): len(set(systems) - {HUMAN} - set(pair.mixes)) for pair in short}
    short.sort(key=lambda pair: lacks[id(pair)])
    turns: dict[str, int] = {}
    rounds = []
    for pair in short:
        rounds.append(turns.setdefault(pair.song, 0))
        turns[pair.song] += 1
    drawn = [pair for _, pair in sorted(zip(rounds, short, strict=True), key=lambda one: one[0])][:pages]
    if incomplete := [pair.number for pair in drawn if lacks[id(pair)]]:
        note(f"not every system has a mix in pair {', '.join(incomplete)}")
    if len(drawn) < pages:
        note(f"only {len(drawn)} of {pages} pages: there are no more pairs")
    return drawn
