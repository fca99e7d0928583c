"""The level of a finished mix: moved in the master's output gain, so that no gain is hidden.

Chapter: Mix your own song.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..audio.limiting import check_ceiling, limit
from ..audio.loudness import loudness
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.table import knob_index
from ..inputs import InputError, note
from .result import OFF_LU, MixResult

LOWEST_LUFS, HIGHEST_LUFS = -60.0, -5.0
CLOSE_LU = 0.03
MOST_DRIVE_DB = 6.0  # into a limiter, beyond the level asked for: more would be distortion
MOST_PASSES = 5


def bring_to(result: MixResult, lufs: float, *, ceiling_dbtp: float | None = None) -> MixResult:
    """Bring a finished mix to another level, by the master's output gain; with sections, by that of each.

    With a ceiling, the level is the one behind the limiter that `save` applies: the gain is higher by what the
    limiter takes off, at most by 6 dB.

    Args:
        result: The mix, which is not changed.
        lufs: The level in LUFS, -60 to -5.
        ceiling_dbtp: The ceiling of the limiter in dBTP; None: no limiter.

    Returns:
        Another mix. Where the range of the output gain or the limiter does not let it reach the level, it comes as
        near as it can, which an `InputNote` says.

    Raises:
        InputError: For a level or a ceiling outside its range.

    Example:
        >>> import torch
        >>> from diffmst_lib.mixing.baselines import unity
        >>> from diffmst_lib import Multitrack
        >>> quiet = bring_to(unity(Multitrack(["pad"], torch.randn(1, 2, 44100))), -23.0)
        >>> round(loudness(quiet.audio), 1), round(quiet.loudness_lufs, 1)
        (-23.0, -23.0)
    """
    if not isinstance(lufs, int | float) or not LOWEST_LUFS <= lufs <= HIGHEST_LUFS:
        raise InputError(f"lufs must be a number from {LOWEST_LUFS:g} to {HIGHEST_LUFS:g} LUFS, got {lufs!r}")
    if ceiling_dbtp is not None:
        check_ceiling(ceiling_dbtp)
    if not math.isfinite(result.loudness_lufs):
        return result
    change_db = _within_range(result, lufs - result.loudness_lufs)
    level = lufs
    if ceiling_dbtp is not None:
        change_db, level = _through_limiter(result, lufs, change_db, ceiling_dbtp)
    moved = _moved(result, change_db)
    if ceiling_dbtp is None:
        level = moved.loudness_lufs
    if abs(level - lufs) > OFF_LU:
        gain_db = moved.params.master_bus["output_gain_db"]
        ends = _within_range(moved, lufs - level) != lufs - level
        why = "the limiter takes off too much" if ceiling_dbtp is not None else "this console bends the level"
        why = f"the master's output gain ends at {gain_db:+.0f} dB" if ends else why
        note(f"the mix is at {level:.1f} LUFS, not at {lufs:g}: {why}")
    return moved


def _through_limiter(
    result: MixResult, lufs: float, change_db: float, ceiling_dbtp: float
) -> tuple[float, float]:
    """Find the change of gain with which a mix has its level behind the limiter: it, and the level there.

    The level rises by less than the gain, so each step goes by the slope of the last one.
    """
    most_db, slope, before = change_db + MOST_DRIVE_DB, 1.0, None
    for _ in range(MOST_PASSES):
        louder = result.audio * 10.0 ** (change_db / 20.0)
        limited, _ = limit(louder, ceiling_dbtp=ceiling_dbtp, sample_rate=result.sample_rate)
        level = loudness(limited, sample_rate=result.sample_rate)
        if before and change_db != before[0]:
            slope = min(1.0, max(0.2, (level - before[1]) / (change_db - before[0])))
        before = change_db, level
        step_db = _within_range(result, min(change_db + (lufs - level) / slope, most_db)) - change_db
        if abs(lufs - level) < CLOSE_LU or abs(step_db) < CLOSE_LU:
            break
        change_db += step_db
    return before if before else (change_db, math.nan)


def _consoles(result: MixResult) -> list[ConsoleParams]:
    return result.automation.consoles if result.automation else [result.params]


def _within_range(result: MixResult, change_db: float) -> float:
    """Limit a change of the output gain to what all sections' consoles have room for."""
    preset = result.params.preset
    fader = result.params.specs("master_bus")[knob_index("output_gain_db", "master_bus", preset)]
    gains = [console.master_bus["output_gain_db"] for console in _consoles(result)]
    return min(max(change_db, fader.low - min(gains)), fader.high - max(gains))


def _moved(result: MixResult, change_db: float) -> MixResult:
    """Change the master's output gain of every section."""

    def moved(console: ConsoleParams) -> ConsoleParams:
        console = console.clone()
        console.master_bus["output_gain_db"] += change_db
        return console

    moving = result.automation
    if moving:
        moving = replace(moving, consoles=[moved(console) for console in moving.consoles])
    params = moving.params if moving else moved(result.params)
    changed = replace(result, params=params, automation=moving)
    if type(result.console) is not MixingConsole:  # in a subclass, the output gain may not be the last thing
        return changed.remix()
    return replace(
        changed,
        audio=result.audio * 10.0 ** (change_db / 20.0),
        loudness_lufs=result.loudness_lufs + change_db,
    )
