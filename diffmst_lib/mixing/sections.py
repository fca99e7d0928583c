"""A console a section: verse to the record's verse, chorus to its chorus, and no further apart than they must be.

The song as a whole has a console already. Each kind of section starts from it and may move what an engineer would
ride: faders, sends, the gains of equalizers, and the master's threshold, ratio, make-up and width. What moves little goes back, and a
section that gains little keeps the song's console. How loud the sections are against each other stays.

Chapter: Mix your own song.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from tqdm.auto import tqdm

from ..audio.loudness import MIX_LUFS, loudness
from ..audio.multitrack import Multitrack
from ..audio.section_finding import Section, find_sections
from ..console.automation import Automation
from ..console.course import Course
from ..console.gain_and_pan import db_to_gain
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.specs import takes_stems
from ..console.streaming import goes_in_blocks
from ..console.table import EQ_BANDS, OFF_DB, SECTIONS, knob_index, param_table
from ..inputs import note
from .bus import bus_loudness, console_tracks, move_faders
from .measures import render_measured
from .parts import Lock, blend, hold
from .references import Reference
from .result import MixResult, render_mix
from .section_plan import Match, Sections, match_sections, of_sections, plan_sections
from .windows import loudest_part

if TYPE_CHECKING:
    import pandas as pd

# A console for a part of the song and a part of the record, given the song's console and what must stay.
Propose = Callable[[Multitrack, Reference, ConsoleParams, list[Lock]], ConsoleParams]

FADE_S = 0.5
APART = 2.0  # the pull of a section towards the song's console, times that of the song towards its start
HEARD_S = 30.0  # of each kind of section, the loudest in one piece
SAME_DB = 0.05  # of level: what differs less is the same
LITTLE = 0.25  # moves of a knob: what moves less goes back
LEAST_GAIN = 0.03  # of the loss: a section that gains less keeps the song's console
SHARES = (1.0, 0.5, 0.25)  # of the way to what was proposed
RIDDEN = ("fader_db", "send_db")  # of a strip, and the gains of its bands
BAND_GAIN = tuple(f"{band}_gain_db" for band in EQ_BANDS)
NOT_RIDDEN = ("attack_ms", "release_ms", "knee_db", "output_gain_db")  # of the master


def mix_sections(
    result: MixResult,
    record: Reference,
    sections: Sections,
    propose: Propose,
    *,
    lock: Sequence[Lock] = (),
    amount: float | Mapping[str, float] = 1.0,
    fit_seconds: float = 15.0,
    progress: bool = False,
) -> MixResult:
    """Mix a song once more with a console for each kind of its sections.

    Args:
        result: The mix with one console.
        record: The record.
        sections: "auto", times, markers or a file of them: see `plan_sections`.
        propose: Finds a console for a part of the song and a part of the record.
        lock: What stays in all sections.
        amount: How far to go from the song's console to what was found, 0 to 1, also by aspect.
        fit_seconds: How much `propose` hears of a part, in seconds; what its console gains is measured on the loudest
            half minute of each kind of section at least.
        progress: Whether to show a progress bar.

    Returns:
        The mix at -16 LUFS, with `automation` and a table `sections`. With an `InputNote` that of one console, where
        the song has one section, or only sections that are alike, and where none gains from a console of its own.

    Raises:
        InputError: For sections that are none.
    """
    song, rate = result.song, result.sample_rate
    planned = plan_sections(sections, song)
    if len({section.group for section in planned}) == 1:
        alike = "one section only" if len(planned) == 1 else f"sections that are alike, {planned[0].label}"
        note(f"the song has {alike}, and so one console")
        return result
    matches = match_sections(song, planned, record, find_sections(record.audio, sample_rate=rate))
    held = [*lock, *_held(result.params)]
    consoles: dict[str, ConsoleParams] = {}
    for match in tqdm(matches, desc="sections", unit="section", disable=not progress):
        consoles[match.group] = result.params
        if match.record is not None:
            parts = [one for one in planned if one.group == match.group]
            part = _loudest_of(song, parts, max(fit_seconds, HEARD_S))
            found = propose(part, match.record, result.params, [*held, *_silent(part, result.params)])
            found = hold(result.params, found, [*held, *_silent(part, result.params)])
            found = _settled(result.params, blend(result.params, found, amount))
            consoles[match.group] = _worth(part, match.record, result.console, result.params, found)
    if all(console is result.params for console in consoles.values()):
        note("no section gains from a console of its own: the song keeps one")
        return replace(result, sections=_table(result, None, planned, matches, consoles))
    loudest = _loudest(song, planned)
    _follow_where_silent(song, planned, consoles, consoles[planned[loudest].group])
    moving = Automation(
        [section.start_s for section in planned],
        [consoles[section.group] for section in planned],
        [section.label for section in planned],
        FADE_S,
        loudest,
    )
    mixed = render_sections(result, moving, record)
    mixed.sections = _table(result, mixed, planned, matches, consoles)
    return mixed


def _held(params: ConsoleParams) -> list[Lock]:
    """List what no section may change: everything but faders, sends and gains of bands; more of the master.

    Bands stay at their frequencies: in a fade from one to another one would hear them sweep.
    """
    names = [spec.name for spec in param_table("track", params.preset)]
    ridden = RIDDEN if "fader_db" in names else ("input_gain_db", *RIDDEN)
    knobs = [name for name in names if not (name in ridden or name.endswith(BAND_GAIN))]
    held: list[Lock] = [(row, knob) for row in range(len(params.names)) for knob in knobs]
    bands = [name for name in params.values("master_bus") if name.endswith(("_q", "_hz"))]
    return [*held, *(("master_bus", knob) for knob in (*NOT_RIDDEN, *bands))]


def _silent(part: Multitrack, params: ConsoleParams) -> list[Lock]:
    """List the strips through which nothing is heard in a part of the song: nothing can be said about them."""
    tracks = console_tracks(part, params.preset)[1]
    return [(row, None) for row, track in enumerate(tracks) if not _sounds(track, part.sample_rate)]


def _sounds(track: torch.Tensor, sample_rate: int) -> bool:
    """Tell whether a stem (2, T) or a channel (T,) can be heard: what a decoder leaves of silence cannot."""
    return math.isfinite(loudness(torch.atleast_2d(track), sample_rate=sample_rate))


def at_level_of(
    console: MixingConsole, part: Multitrack, found: ConsoleParams, common: ConsoleParams
) -> ConsoleParams:
    """Bring a console that a network proposes for a part of a song to the trims and the level of the song's console.

    Args:
        console: What mixes.
        part: The part of the song.
        found: The console that was proposed for it.
        common: The song's console.

    Returns:
        The proposed console: its strips have the song's trims, what they lack is in the faders, and the part
        reaches the master bus as loud as through the song's console. One of mono channels as it is.
    """
    if not takes_stems(common.preset):
        return found
    found = found.clone()
    trim, fader = knob_index("input_gain_db"), knob_index("fader_db")
    spec = param_table("track")[fader]
    on = found.tracks[:, fader] > OFF_DB
    faders = found.tracks[:, fader] + found.tracks[:, trim] - common.tracks[:, trim]
    found.tracks[on, fader] = faders.clamp(spec.low + 1.0, spec.high)[on]
    found.tracks[:, trim] = common.tracks[:, trim]
    change_db = bus_loudness(console, part, common) - bus_loudness(console, part, found)
    sounding = part.audio.flatten(1).any(dim=1)
    return move_faders(found, change_db, sounding) if math.isfinite(change_db) else found


def _loudest_of(song: Multitrack, sections: Sequence[Section], seconds: float) -> Multitrack:
    """Cut the loudest part out of some sections of a song."""
    parts = [song.excerpt(one.start_s, one.duration_s) for one in sections]
    loudest = [loudest_part(part.audio, seconds, sample_rate=song.sample_rate) for part in parts]
    energies = [audio.sum(dim=0).square().sum().item() for audio in loudest]
    return replace(song, audio=loudest[energies.index(max(energies))])


def _loudest(song: Multitrack, sections: Sequence[Section]) -> int:
    """Return the number of the loudest section of a song."""
    total = song.audio.sum(dim=0)
    powers = [of_sections(total, [one], song.sample_rate).square().mean().item() for one in sections]
    return powers.index(max(powers))


def _follow_where_silent(
    song: Multitrack, sections: Sequence[Section], consoles: dict[str, ConsoleParams], loudest: ConsoleParams
) -> None:
    """Give strips through which nothing is heard in a kind of section those of the loudest: they need not move."""
    audio = console_tracks(song, loudest.preset)[1]
    for group, console in consoles.items():
        parts = [section for section in sections if section.group == group]
        for row, track in enumerate(audio):
            silent = not any(
                _sounds(of_sections(track, [part], song.sample_rate), song.sample_rate) for part in parts
            )
            if silent and not torch.equal(console.tracks[row], loudest.tracks[row]):
                console = consoles[group] = console.clone()
                console.tracks[row] = loudest.tracks[row]


def _settled(common: ConsoleParams, found: ConsoleParams) -> ConsoleParams:
    """Put knobs that moved less than a quarter of a move back to the song's console."""
    settled = found.clone()
    values = zip(
        SECTIONS,
        common.to_unit(),
        found.to_unit(),
        (common.tracks, common.fx_bus_values, common.master_bus_values),
        (settled.tracks, settled.fx_bus_values, settled.master_bus_values),
        strict=True,
    )
    for section, old, new, kept, own in values:
        moves = torch.tensor([spec.moves for spec in common.specs(section)], device=old.device)
        own.copy_(torch.where(((new - old) * moves).abs() < LITTLE, kept.to(own), own))
    return settled


def _worth(
    part: Multitrack, record: Reference, console: MixingConsole, common: ConsoleParams, found: ConsoleParams
) -> ConsoleParams:
    """Choose how far a section goes to its own console: as far as it brings the part nearest to its record.

    The song's console itself comes back where no share of the way gains enough.
    """
    before = render_mix(part, common, console=console, reference=record)
    best, least = common, (1.0 - LEAST_GAIN) * before.total
    for share in SHARES:
        params = _settled(common, blend(common, found, share))
        after = render_mix(part, params, console=console, reference=record)
        if after.total < least:
            best, least = params, after.total
    return best


def render_sections(result: MixResult, moving: Automation, record: Reference | None = None) -> MixResult:
    """Render a song with a console a section, the sections as loud against each other as they were.

    The master's output gain of each kind of section brings it to the level that it has in `result`, and the whole
    to -16 LUFS.

    Args:
        result: A mix of the song.
        moving: The consoles.
        record: The record, for the loss of the mix; None: no loss.

    Returns:
        The mix, with automation, and as its params the console of the loudest section.
    """
    song, console = result.song, result.console
    audio, measures = render_measured(console, song, moving)
    levelled = _levelled(result.audio, audio, moving, song)
    if goes_in_blocks(console, song.audio):  # the output gain is the last thing
        audio *= _gain_between(moving, levelled, song)
    else:
        audio, measures = render_measured(console, song, levelled)
    before_db = levelled.params.master_bus["output_gain_db"]
    levelled = levelled.louder(MIX_LUFS - loudness(audio, sample_rate=song.sample_rate))
    audio *= 10.0 ** ((levelled.params.master_bus["output_gain_db"] - before_db) / 20.0)
    level = loudness(audio, sample_rate=song.sample_rate)
    return replace(
        result,
        audio=audio,
        params=levelled.params,
        automation=levelled,
        loudness_lufs=level,
        measures=measures,
        unsteady=(),
        loss=record.distance(audio, level, sample_rate=song.sample_rate) if record else None,
    )


def _levelled(before: torch.Tensor, after: torch.Tensor, moving: Automation, song: Multitrack) -> Automation:
    """Move output gains so that each kind of section has the level that it has in another mix of the song."""
    ends = [*moving.starts_s[1:], song.duration_s]
    sections = [Section(*one) for one in zip(moving.starts_s, ends, moving.labels, strict=True)]
    column = knob_index("output_gain_db", "master_bus", moving.params.preset)
    gain = moving.params.specs("master_bus")[column]
    changes = {}
    for group in {section.group for section in sections}:
        parts = [section for section in sections if section.group == group]
        levels = [
            loudness(of_sections(audio, parts, song.sample_rate), sample_rate=song.sample_rate)
            for audio in (before, after)
        ]
        change_db = levels[0] - levels[1]
        changes[group] = change_db if math.isfinite(change_db) and abs(change_db) > SAME_DB else 0.0
    consoles = [console.clone() for console in moving.consoles]
    for console, section in zip(consoles, sections, strict=True):
        moved = console.master_bus["output_gain_db"] + changes[section.group]
        console.master_bus_values[column] = min(max(moved, gain.low), gain.high)
    return replace(moving, consoles=consoles)


def _gain_between(first: Automation, second: Automation, song: Multitrack) -> torch.Tensor:
    """Return the gain between two automations that differ in their output gains alone, (samples,) or (1,)."""
    num_samples, gains = song.audio.shape[-1], []
    for moving in (first, second):
        course = Course(moving, song.audio)
        gains.append(course.gains(db_to_gain(course.master_bus()["output_gain_db"]), 0, num_samples))
    return gains[1] / gains[0]


def _table(
    one: MixResult,
    mixed: MixResult | None,
    sections: Sequence[Section],
    matches: Sequence[Match],
    consoles: dict[str, ConsoleParams],
) -> pd.DataFrame:
    """Tabulate the sections: what each follows, and its loss with one console and with its own."""
    import pandas as pd

    by_group = {match.group: match for match in matches}
    rows = []
    for section in sections:
        match = by_group[section.group]
        losses = [
            _loss(result, section, match.record) if result else float("nan") for result in (one, mixed or one)
        ]
        rows.append(
            {
                "start_s": section.start_s,
                "end_s": section.end_s,
                "label": section.label,
                "follows": match.follows or "nothing",
                "own_console": consoles[section.group] is not one.params,
                "loss_one_console": losses[0],
                "loss": losses[1],
            }
        )
    return pd.DataFrame(rows)


def _loss(result: MixResult, section: Section, record: Reference | None) -> float:
    if record is None:
        return float("nan")
    rate = result.sample_rate
    audio = of_sections(result.audio, [section], rate)
    return record.distance(audio, loudness(audio, sample_rate=rate), sample_rate=rate)["total"]
