"""What a report warns of: each limit with its number, where it comes from, and the knob to turn.

A check that nobody has studied, such as a low end in mono, is reported and never warned of.

Chapter: Style by optimization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..audio.meters import IMAGE_LIMIT_DB
from ..console.params import ConsoleParams
from ..console.specs import takes_stems
from ..console.table import OFF_DB
from .unsteady import UNSTEADY_DB, Unsteady

if TYPE_CHECKING:
    import pandas as pd

UNDER_DB = 10.0
NEGATIVE = -0.05  # correlation of a record whose channels are opposite; noise reaches a hundredth
LEAN_DB = 3.0
TRUE_PEAK_DBTP = -1.0
LOUDEST_LUFS = -14.0
VOICE_LU = 7.0
REVERB_LU = 0.0
MASTER_MEAN_DB, MASTER_HIGH_DB = 4.0, 9.0
LEVEL_RANGE_LU = 2.0
OCTAVE_DB = 12.0
MOST_UNSTEADY = 5  # knobs that are told, the worst
FARTHER = 1.01  # times the loss of the plain sum: less than 1 % nobody could hear

LEVEL_KNOBS = ("fader_db", "input_gain_db")  # the paper's strip has no fader

OURS = "ours"
DELIVERY = "AES TD1008"
VOICE_STUDIES = "DAGA 2022; charts since 1975 lie near +1, Gerdes and Siedenburg 2023"
REVERB_STUDY = "30 listeners liked -9 best, and 0 least, Pestana and Reiss 2014"


@dataclass(frozen=True)
class MixWarning:
    """One thing in a mix that an engineer would look at.

    Attributes:
        check: Which check it is, a word for programs.
        where: The stem, "mix", "master_bus", "fx_bus" or "reference".
        value: What was measured.
        limit: The limit that it is beyond.
        unit: The unit of both, "" where there is none.
        source: Where the limit comes from.
        knob: What to turn, as `lock` names it: "kick.pan"; "" where no knob helps.
        message: One line that says all of it.
    """

    check: str
    where: str
    value: float
    limit: float
    unit: str
    source: str
    knob: str
    message: str

    def __str__(self) -> str:
        return self.message

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes by name, None for a value that is not finite."""
        return asdict(self) | {"value": self.value if math.isfinite(self.value) else None}


def _warning(
    check: str,
    where: str,
    what: str,
    value: float,
    limit: float,
    unit: str = "dB",
    *,
    source: str = OURS,
    knob: str = "",
    advice: str,
) -> MixWarning:
    """Write a warning: `what` says the value in words, `advice` what to do about it."""
    message = f"{where}: {what} (limit {f'{limit:.4g} {unit}'.rstrip()}, {source}); {advice.format(knob)}"
    return MixWarning(check, where, value, limit, unit, source, knob, message)


def find_warnings(
    stems: pd.DataFrame,
    mix: pd.DataFrame,
    octaves: pd.DataFrame,
    params: ConsoleParams,
    unsteady: Sequence[Unsteady] = (),
    lead_voices: Sequence[str] = (),
) -> list[MixWarning]:
    """Compare the tables of a report with the limits.

    Args:
        stems: `Report.stems`.
        mix: `Report.mix`.
        octaves: `Report.octaves`.
        params: The console, for the names of its knobs.
        unsteady: `MixResult.unsteady`.
        lead_voices: The stems that are the lead voice.

    Returns:
        What is beyond its limit, stems first, in their order.
    """
    return [
        *_of_stems(stems, params),
        *_of_the_mix(mix, params, list(lead_voices)),
        *_of_the_master_bus(mix, octaves),
        *_of_the_windows(unsteady),
        *_of_the_reference(mix),
    ]


def beyond(value: float, limit: float) -> bool:
    """Tell whether a value is above a limit as it is printed, with one digit; NaN is not.

    Example:
        >>> beyond(3.04, 3.0), beyond(3.06, 3.0)
        (False, True)
    """
    return value == math.inf or (math.isfinite(value) and round(value, 1) > limit)


def _knob(stem: str, knobs: tuple[str, ...], params: ConsoleParams) -> str:
    """Name the first of these knobs that the strips have; the paper's strip is one of a stem's channels."""
    strip = stem if stem in params.names else f"{stem}.L"
    has = [spec.name for spec in params.specs("track")]
    return f"{strip}.{next(knob for knob in knobs if knob in has)}"


def _is_off(stem: str, params: ConsoleParams) -> bool:
    """Tell whether the fader of a stem is off; the paper's strips have none."""
    if stem not in params.names or not takes_stems(params.preset):
        return False
    return params.track(stem)["fader_db"] <= OFF_DB


def _of_stems(stems: pd.DataFrame, params: ConsoleParams) -> Iterator[MixWarning]:
    for name, row in stems.iterrows():
        level, pan = (_knob(name, knobs, params) for knobs in (LEVEL_KNOBS, ("pan",)))
        under, leans, change = -row["moved_db"], row["lean_db"], row["lean_change_db"]
        gated = math.isinf(under) and not _is_off(name, params)  # too soft for the meter, not for the desk
        if beyond(under, UNDER_DB) and not gated:
            what = (
                "is off" if math.isinf(under) else f"{under:.1f} dB under its place in the delivered balance"
            )
            yield _warning("under", name, what, under, UNDER_DB, knob=level, advice="turn up {}")
        outwards = leans * change > 0  # a stem that leans less than it did is no fault
        if outwards and beyond(abs(leans), LEAN_DB) and beyond(abs(change), LEAN_DB):
            what = f"leans {_lean(leans)}, {_lean(leans - change)} as delivered"
            advice = f"turn {{}} towards the {'left' if leans > 0 else 'right'}"
            yield _warning("lean", name, what, leans, LEAN_DB, knob=pan, advice=advice)


def _lean(lean_db: float) -> str:
    if abs(lean_db) < 0.05:
        return "0.0 dB"
    far = "at least " if abs(lean_db) >= IMAGE_LIMIT_DB else ""
    return f"{far}{abs(lean_db):.1f} dB to the {'right' if lean_db > 0 else 'left'}"


def _of_the_mix(mix: pd.DataFrame, params: ConsoleParams, voices: list[str]) -> Iterator[MixWarning]:
    values, gain, down = mix["mix"], "master_bus.output_gain_db", "turn down {}"
    for check, key, said, limit in (
        ("true_peak", "true_peak_dbtp", "true peak at", TRUE_PEAK_DBTP),
        ("loudness", "loudness_lufs", "loudness of", LOUDEST_LUFS),
    ):
        if beyond(values[key], limit):
            unit = "dBTP" if check == "true_peak" else "LUFS"
            what = f"{said} {values[key]:.1f} {unit}"
            yield _warning(
                check, "mix", what, values[key], limit, unit, source=DELIVERY, knob=gain, advice=down
            )
    voice = values["lead_voice_lu"]
    if beyond(abs(voice), VOICE_LU):
        delivered = mix.loc["lead_voice_lu", "plain sum"]
        what = f"{voice:+.1f} LU against the rest of the mix, {delivered:+.1f} as delivered"
        yield _warning(
            "lead_voice",
            " and ".join(voices),
            what,
            voice,
            math.copysign(VOICE_LU, voice),
            "LU",
            source=VOICE_STUDIES,
            knob=_knob(voices[0], LEVEL_KNOBS, params),
            advice=down if voice > 0 else "turn up {}",
        )
    reverb = values["reverb_lu"]
    if reverb >= REVERB_LU:
        what, advice = f"the reverb is {reverb:.1f} LU over the dry sound", "turn down {} of the strips"
        yield _warning(
            "reverb",
            "fx_bus",
            what,
            reverb,
            REVERB_LU,
            "LU",
            source=REVERB_STUDY,
            knob="send_db",
            advice=advice,
        )


def _of_the_master_bus(mix: pd.DataFrame, octaves: pd.DataFrame) -> Iterator[MixWarning]:
    values, threshold = mix["mix"], "master_bus.threshold_db"
    for check, limit, said in (
        ("master_reduction_mean", MASTER_MEAN_DB, "in the mean"),
        ("master_reduction_high", MASTER_HIGH_DB, "at the 95th percentile"),
    ):
        value = values[f"{check}_db"]
        if beyond(value, limit):
            what = f"its compressor takes off {value:.1f} dB {said}"
            yield _warning(check, "master_bus", what, value, limit, knob=threshold, advice="turn up {}")
    change = values["level_range_lu"] - mix.loc["level_range_lu", "plain sum"]
    if beyond(abs(change), LEVEL_RANGE_LU):
        which = "closer together" if change < 0 else "farther apart"
        what = f"loud and quiet passages are {abs(change):.1f} LU {which} than in the plain sum"
        advice = "turn up {} and those of the strips"
        if change > 0:
            advice = "look at levels and equalizers of what sounds in the quiet passages, or turn down {}"
        yield _warning(
            "level_range", "mix", what, change, LEVEL_RANGE_LU, "LU", knob=threshold, advice=advice
        )
    together = octaves["equalizer"].dropna()
    at = together.abs().idxmax()
    if beyond(abs(together[at]), OCTAVE_DB):
        what = f"strips and master together move the octave at {at:g} Hz by {together[at]:+.1f} dB"
        advice = "turn the equalizers' gains there towards 0"
        yield _warning("equalizer", "master_bus", what, together[at], OCTAVE_DB, advice=advice)


def _of_the_windows(unsteady: Sequence[Unsteady]) -> Iterator[MixWarning]:
    for one in unsteady[:MOST_UNSTEADY]:
        at = "" if one.frequency_hz is None else f" at {one.frequency_hz:.0f} Hz"
        knob = one.knob if one.frequency_hz is None else "equalizer"
        what = f"windows disagree about its {knob} by {one.deviation_db:.1f} dB{at}"
        yield _warning(
            "windows",
            one.where,
            what,
            one.deviation_db,
            UNSTEADY_DB,
            knob=f"{one.where}.{one.knob}",
            advice="listen in several places, and set {} by hand",
        )


def _of_the_reference(mix: pd.DataFrame) -> Iterator[MixWarning]:
    record, advice = mix["reference"], "choose another record"
    width, correlation = record["width_db"], record["correlation"]
    if width <= -IMAGE_LIMIT_DB:
        what = "the record is mono, its side is at least 60 dB under its mid"
        yield _warning("mono_reference", "reference", what, width, -IMAGE_LIMIT_DB, advice=advice)
    if correlation < NEGATIVE:
        what = f"its channels are more opposite than alike, correlation {correlation:.2f}"
        yield _warning("opposite_reference", "reference", what, correlation, NEGATIVE, "", advice=advice)
    loss, plain = mix.loc["loss", "mix"], mix.loc["loss", "plain sum"]
    if loss > FARTHER * plain:
        what = f"farther from its record than the plain sum of the stems, audio-feature loss {loss:.4f}"
        source = "that of the plain sum"
        yield _warning("farther", "mix", what, loss, plain, "", source=source, advice=advice)
