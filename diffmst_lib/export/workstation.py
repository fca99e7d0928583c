"""A strip of ours in the words of a workstation's own channel: volume, pan, sends, a plain compressor.

A workstation's compressor has no look-ahead, no knee and no trim before it, and its fader ends at +6 dB. What
it is set to, so that the channel sounds alike, is computed here.

Chapter: Mix your own song.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ..console.compressor import LOOKAHEAD_MS
from ..console.params import ConsoleParams
from ..console.table import EQ_BANDS, OFF_DB
from .session import Session

VOLUME_TOP_DB = 20.0 * math.log10(2.0)  # a volume of 2: the highest that every workstation has
THRESHOLD_DB = -60.0, 0.0  # where a workstation's threshold reaches
EVEN = 1.001  # a ratio below is none
GENTLE = 1.2  # a ratio below needs nothing in place of the look-ahead
FAST_MS = 2.0  # attack of the compressor in place of the look-ahead, at a ratio of 1
FLAT_DB = 0.05  # an equalizer's band below does nothing that prints
STEPS = 16  # points in a fade: 4 dB of the steepest fade, a hundredth of a decibel of a usual one
TO_TIME_CONSTANT = 1.0 / math.log(9.0)  # of a time from 10 % to 90 %

Knobs = Mapping[str, float]
Moment = tuple[float, list[Knobs], Knobs]  # seconds, the strips' knobs, the master's


def moments(session: Session) -> list[Moment]:
    """List the times at which the knobs turn, with all knobs: one at 0 s where they stand still.

    Between two of them a knob moves in a straight line, near enough.

    Args:
        session: The session.

    Returns:
        (time in seconds, knobs of each track, knobs of the master), with ascending times.
    """
    if session.automation is None:
        return [(0.0, [track.knobs for track in session.tracks], session.master)]
    times = {0.0, *(max(0.0, time) for fade in session.automation.fades() for time in _steps(*fade))}
    return [(time, *_knobs(session.automation.at(time))) for time in sorted(times)]


def _steps(start: float, end: float) -> list[float]:
    return [start + (end - start) * step / STEPS for step in range(STEPS + 1)]


def _knobs(params: ConsoleParams) -> tuple[list[Knobs], Knobs]:
    track, master = ([spec.name for spec in params.specs(s)] for s in ("track", "master_bus"))
    strips = [dict(zip(track, row, strict=True)) for row in params.tracks.tolist()]
    return list(strips), dict(zip(master, params.master_bus_values.tolist(), strict=True))


def bands(course: Iterable[Knobs]) -> list[str]:
    """Name the bands of an equalizer that do something at any time.

    Example:
        >>> bands([{f"{band}_gain_db": 3.0 * (band == "peak_2") for band in EQ_BANDS}])
        ['peak_2']
    """
    every = list(course)
    return [band for band in EQ_BANDS if any(abs(knobs[f"{band}_gain_db"]) >= FLAT_DB for knobs in every)]


def is_compressed(course: Iterable[Knobs]) -> bool:
    """Tell whether a channel needs a compressor: for its ratio, or for a gain that its fader cannot hold."""
    return any(knobs["ratio"] > EVEN or _gain_db(knobs) + _trim_db(knobs) > VOLUME_TOP_DB for knobs in course)


def is_doubled(course: Iterable[Knobs]) -> bool:
    """Tell whether a channel needs a second compressor in place of the look-ahead, for its ratio."""
    return any(knobs["ratio"] >= GENTLE for knobs in course)


def _trim_db(knobs: Knobs) -> float:
    return knobs.get("input_gain_db", 0.0)


def _fader_db(knobs: Knobs) -> float:
    fader_db = knobs["fader_db"] if "fader_db" in knobs else knobs["output_gain_db"]
    return -math.inf if "fader_db" in knobs and fader_db <= OFF_DB else fader_db


def _gain_db(knobs: Knobs) -> float:
    return knobs["makeup_gain_db"] + _fader_db(knobs)


def channel_values(knobs: Knobs, *, compressed: bool, send_top_db: float = 0.0) -> dict[str, float]:
    """Compute what a workstation's channel is set to.

    The trim g before a compressor with threshold T is the same as a threshold of T - g and a gain of g after
    it, since the equalizer between is linear. Threshold and gain are read by every workstation, a gain before
    the equalizer is not. What would take the threshold out of -60 to 0 dB is gain before the compressor.

    A compressor that looks 10 ms ahead is on its way down when a hit comes: by the share
    s = (1 - 9^(-10 / attack)) 9^(-10 / release) of its reduction, where the second factor is what it has let
    go again before the hit is played. A fast compressor of the ratio r with 1 - 1 / r = s (1 - 1 / ratio)
    comes first in its place, and one of ratio / r after it. Its attack of 2 ms / ratio was found on our
    songs: with it peak to loudness stays within 1 dB of ours up to 10:1, where one compressor is up to 5.5 dB
    off.

    Times are time constants, to 63 % of a step: ours, from 10 % to 90 %, are log(9) = 2.2 times as long.

    Args:
        knobs: The knobs of a strip or of the master bus, in physical units.
        compressed: Whether the channel has a compressor; otherwise its gains are in its volume.
        send_top_db: What is taken off the sends, because it is added to the effects bus.

    Returns:
        "volume" and "send" as factors, "pan" from 0 to 1; with a compressor "threshold", "input" and "output"
        in dB, "ratio", "attack" and "release" in seconds; for two, "fast_ratio", "fast_attack" and
        "slow_ratio".

    Example:
        >>> from diffmst_lib.console.params import ConsoleParams
        >>> strip = ConsoleParams.neutral(["kick"]).track("kick")
        >>> strip["input_gain_db"], strip["ratio"], strip["attack_ms"] = 6.0, 2.0, 20.0
        >>> values = channel_values(dict(strip), compressed=True)
        >>> values["threshold"], values["output"], values["ratio"], values["volume"]
        (-26.0, 6.0, 2.0, 1.0)
        >>> round(values["fast_ratio"], 3), round(values["fast_ratio"] * values["slow_ratio"], 3)
        (1.365, 2.0)
    """
    trim_db, fader_db = _trim_db(knobs), _fader_db(knobs)
    values: dict[str, float] = {}
    if compressed:
        low, high = THRESHOLD_DB
        threshold_db = min(max(knobs["threshold_db"] - trim_db, low), high)
        held_db = knobs["threshold_db"] - threshold_db  # of the trim
        over_db = max(0.0, fader_db - VOLUME_TOP_DB)
        fader_db -= over_db
        values |= {
            "threshold": threshold_db,
            "ratio": knobs["ratio"],
            "attack": knobs["attack_ms"] / 1000.0 * TO_TIME_CONSTANT,
            "release": knobs["release_ms"] / 1000.0 * TO_TIME_CONSTANT,
            "fast_ratio": (fast := _fast_ratio(knobs)),
            "fast_attack": FAST_MS / knobs["ratio"] / 1000.0 * TO_TIME_CONSTANT,
            "slow_ratio": knobs["ratio"] / fast,
            "input": trim_db - held_db,
            "output": held_db + knobs["makeup_gain_db"] + over_db,
        }
    else:
        fader_db += trim_db + knobs["makeup_gain_db"]
    values["volume"] = factor(fader_db)
    if "pan" in knobs:
        values["pan"] = knobs["pan"]
    if "send_db" in knobs:
        sent_db = knobs["send_db"] if knobs["send_db"] > OFF_DB else -math.inf
        values["send"] = factor(sent_db - send_top_db)
    return values


def _fast_ratio(knobs: Knobs) -> float:
    """Compute the ratio of the compressor in place of the look-ahead."""
    down = 1.0 - 9.0 ** (-LOOKAHEAD_MS / knobs["attack_ms"])
    share = down * 9.0 ** (-LOOKAHEAD_MS / knobs["release_ms"])
    return 1.0 / (1.0 - share * (1.0 - 1.0 / knobs["ratio"]))


def factor(db: float) -> float:
    """Convert decibels to a factor; minus infinity to 0.

    Example:
        >>> factor(-20.0), factor(-math.inf)
        (0.1, 0.0)
    """
    return 10.0 ** (db / 20.0) if db > -math.inf else 0.0
