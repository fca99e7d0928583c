"""Which sections a song has, as found or as the user says, and which part of the record each of them follows.

Chapter: Mix your own song.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Real
from pathlib import Path

import torch

from ..audio.loudness import MIX_LUFS, loudness
from ..audio.multitrack import Multitrack
from ..audio.section_finding import Section, describe, find_sections, name_sections
from ..inputs import InputError
from ..style.features import audio_features
from .markers import read_markers
from .references import Reference

LEAST_S = 1.0  # of a section that the user sets
LEAST_GROUP_S = 5.0  # of all that sounds alike, to have a console or to be followed
QUIET_DB = 20.0  # so far under the loudest sections a part is an intro, an end or a breath
SPAN_DB = 1.5  # between the loudest and the quietest: below, levels tell nothing about verse and chorus
WHOLE = "whole"  # the record as one

Sections = str | Path | Iterable[float | tuple[float, str] | Section]


@dataclass(frozen=True)
class Match:
    """What sections of one name follow.

    Attributes:
        group: Their name without its number, `Section.group`.
        record: The part of the record, with its features; None for parts so quiet or short that they keep the
            song's console.
        follows: What part that is, in words: "B 24-40, 72-88 s" or "whole"; empty for None.
    """

    group: str
    record: Reference | None
    follows: str


def plan_sections(sections: Sections, song: Multitrack) -> list[Section]:
    """Read what a user says about the sections of a song.

    Args:
        sections: "auto": they are found. Else where they begin: times in seconds, (time, name) pairs, sections
            (as `find_sections` gives them, edited), or the name of a file of markers.
        song: The song.

    Returns:
        The sections, from 0 to the end of the song. Those without names get letters, the same where the song
        sounds alike.

    Raises:
        InputError: In one line, for times that do not ascend, repeat, lie before or after the song or closer than
            a second, and for a file that holds no markers.

    Example:
        >>> song = Multitrack(["pad"], torch.ones(1, 2, 30 * 8000), 8000)
        >>> [(part.start_s, part.label) for part in plan_sections([(10, "verse"), (20, "chorus")], song)]
        [(0.0, 'start'), (10.0, 'verse'), (20.0, 'chorus')]
    """
    if isinstance(sections, str) and sections == "auto":
        return find_sections(song)
    if isinstance(sections, str | Path):
        marks = [_mark(one) for one in read_markers(sections)]
        where = f"{sections}: "
    else:
        marks, where = [_mark(one) for one in sections], "sections: "
    if not marks:
        raise InputError(f"{where}no times are given")
    named = any(name for _, name in marks)
    if marks[0][0] > 0:
        marks.insert(0, (0.0, "start" if named else ""))
    starts, end_s = [start for start, _ in marks], song.duration_s
    _check_starts(starts, end_s, where)
    letters = [""] * len(starts)
    if not all(name for _, name in marks):
        described = describe(song.audio.sum(dim=0), sample_rate=song.sample_rate)
        letters = [section.label for section in name_sections(starts, end_s, described)]
    ends = [*starts[1:], end_s]
    return [
        Section(start, end, name or letter)
        for (start, name), end, letter in zip(marks, ends, letters, strict=True)
    ]


def _mark(one: object) -> tuple[float, str]:
    start, name = one, ""
    if isinstance(one, Section):
        start, name = one.start_s, one.label
    elif isinstance(one, tuple) and len(one) == 2 and isinstance(one[1], str):
        start, name = one[0], " ".join(one[1].split())
    if isinstance(start, bool) or not isinstance(start, Real) or not math.isfinite(start):
        raise InputError(f"sections: {one!r} is no time in seconds")
    return float(start), name


def _check_starts(starts: Sequence[float], end_s: float, where: str) -> None:
    for start in starts:
        if start < 0:
            raise InputError(f"{where}{start:g} s lies before the song")
        if start >= end_s:
            raise InputError(f"{where}{start:g} s lies after the end of the song of {end_s:.1f} s")
    for before, start in pairwise(starts):
        if start <= before:
            how = "stands there twice" if start == before else f"comes after {before:g} s: times must ascend"
            raise InputError(f"{where}{start:g} s {how}")
    for before, start in zip(starts, [*starts[1:], end_s], strict=True):
        if start - before < LEAST_S:
            raise InputError(
                f"{where}the section from {before:g} s to {start:.4g} s is too short, {LEAST_S:g} s are needed"
            )


def match_sections(
    song: Multitrack, sections: Sequence[Section], record: Reference, record_sections: Sequence[Section]
) -> list[Match]:
    """Find for each kind of section of a song the part of the record that it follows.

    The loudest sections follow the loudest ones of the record, the quietest the quietest, and others those at
    the same place between the two. Where one of them has no sections, or all are equally loud, and where there
    are several records, every section follows the whole record. What lasts less than 5 s, or is 20 dB under the loudest, follows nothing and is
    not followed.

    Args:
        song: The song.
        sections: Its sections.
        record: The record.
        record_sections: Its sections.

    Returns:
        One match for each `Section.group`, in the order in which they come.
    """
    rate = song.sample_rate
    places = _places(song.audio.sum(dim=0), sections, rate)
    of_record = {} if record.records else _places(record.audio, record_sections, rate)
    matches = []
    for group in dict.fromkeys(section.group for section in sections):
        if group not in places:
            matches.append(Match(group, None, ""))
        elif len(set(places.values())) < 2 or len(set(of_record.values())) < 2:
            matches.append(Match(group, record, WHOLE))
        else:
            nearest = min(of_record, key=lambda other: abs(of_record[other] - places[group]))
            parts = [section for section in record_sections if section.group == nearest]
            spans = ", ".join(f"{part.start_s:.0f}-{part.end_s:.0f}" for part in parts)
            matches.append(Match(group, part_of_record(record, parts, rate), f"{parts[0].label} {spans} s"))
    return matches


def _places(audio: torch.Tensor, sections: Sequence[Section], sample_rate: int) -> dict[str, float]:
    """Place kinds of sections between the loudest, 0, and the quietest, 1; all at 0 where they are equally loud."""
    levels = {}
    for group in dict.fromkeys(section.group for section in sections):
        parts = [section for section in sections if section.group == group]
        if sum(part.duration_s for part in parts) >= LEAST_GROUP_S:
            levels[group] = loudness(of_sections(audio, parts, sample_rate), sample_rate=sample_rate)
    loudest = max(levels.values(), default=-math.inf)
    levels = {group: level for group, level in levels.items() if level > loudest - QUIET_DB}
    span = loudest - min(levels.values(), default=loudest)
    if len(levels) > 1 and span < SPAN_DB:
        return dict.fromkeys(levels, 0.0)
    return {group: (loudest - level) / span if span else 0.0 for group, level in levels.items()}


def of_sections(audio: torch.Tensor, sections: Sequence[Section], sample_rate: int) -> torch.Tensor:
    """Put the parts of a sound (..., T) together that belong to some sections."""
    parts = [
        audio[..., round(part.start_s * sample_rate) : round(part.end_s * sample_rate)] for part in sections
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def part_of_record(record: Reference, parts: Sequence[Section], sample_rate: int) -> Reference:
    """Take some sections of a record as a record of their own, with features at -16 LUFS."""
    audio = of_sections(record.audio, parts, sample_rate)
    gain = 10.0 ** ((MIX_LUFS - loudness(audio, sample_rate=sample_rate)) / 20.0)
    features = audio_features(audio, sample_rate=sample_rate, features=record.own, gain=gain)
    return replace(record, audio=audio, features=features, records=[], weights=[])
