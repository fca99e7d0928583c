"""The report of one mix: what was done to each stem, and the mix beside its reference and the plain sum.

Chapter: Style by optimization.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from ..audio.loudness import MIX_LUFS, loudness
from ..audio.meters import (
    IMAGE_LIMIT_DB,
    block_levels,
    crest_factor_db,
    level_range_lu,
    stereo_powers,
    true_peak_db,
)
from ..audio.multitrack import Multitrack, check_stereo
from ..audio.octaves import OCTAVES_HZ, stereo_spectrum
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.specs import ParamSpec, own_effects
from ..console.table import normalize
from ..style.features import audio_features
from ..style.losses import feature_distance
from ..style.own_features import Feature
from .limits import LEAN_DB, UNDER_DB, MixWarning, find_warnings
from .measures import SongMeasures, StemMeasures, equalizer_grid, render_measured, shared_equalizer_db
from .references import mean_features
from .section_table import section_numbers, shown_sections
from .unsteady import Unsteady

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SOUNDS = ("mix", "reference", "plain sum")  # the columns of `Report.mix`
# Its rows, as they are printed, with their digits.
MEASURES = {
    "loudness_lufs": ("loudness (LUFS)", 1),
    "true_peak_dbtp": ("true peak (dBTP)", 1),
    "plr_db": ("peak to loudness, PLR (dB)", 1),
    "crest_factor_db": ("crest factor (dB)", 1),
    "level_range_lu": ("loud against quiet passages (LU)", 1),
    "correlation": ("correlation", 2),
    "width_db": ("side against mid (dB)", 1),
    "mono_loss_db": ("lost in mono (dB)", 1),
    "side_below_120_hz_db": ("side against mid below 120 Hz (dB)", 1),
    "lead_voice_lu": ("lead voice against the rest (LU)", 1),
    "reverb_lu": ("reverb against the dry sound (LU)", 1),
    "master_reduction_mean_db": ("master compressor, mean (dB)", 1),
    "master_reduction_high_db": ("master compressor, 95 % (dB)", 1),
    "loss": ("audio-feature loss", 4),
}
STEM_COLUMNS = (
    "moved_db",
    "lean_change_db",
    "lean_db",
    "width_delivered_db",
    "width_db",
    "reduction_mean_db",
    "reduction_most_db",
    "equalizer_db",
    "equalizer_hz",
)
FLAT_DB = 0.05  # an equalizer that moves less moves nothing: it would print as 0.0 dB
TURNED = 0.05  # moves of a knob from its neutral value; a fit leaves knobs a little inside their ranges
DECIMALS = 4  # of the numbers for JSON


class Mix(Protocol):
    """What a report needs of a `MixResult`, which makes reports and cannot be imported here."""

    audio: torch.Tensor
    params: ConsoleParams
    song: Multitrack
    loss: dict[str, float] | None
    plain_loss: float | None
    unsteady: Sequence[Unsteady]
    reference: torch.Tensor | None
    references: Sequence[tuple[torch.Tensor, float]]
    features: dict[str, Feature]
    console: MixingConsole
    sections: pd.DataFrame | None


@dataclass
class Report:
    """What was done to a song. It prints as text, shows itself in notebooks, and draws one figure.

    Everything is measured on the sound. A value is NaN where there is nothing to measure: in the column of a
    reference that is not there, for a silent stem, without a lead voice.

    Attributes:
        stems: A table with a row for each stem: `moved_db`, its loudness at the master bus against that of
            the stem as delivered, less the median of all stems (-inf for a stem that is off);
            `lean_change_db`, the change of its right against its left channel, and `lean_db`, what that is
            now; `width_delivered_db` and `width_db`, side against mid, -60 for mono; `reduction_mean_db` and
            `reduction_most_db`, what its compressor takes off while the stem sounds; `equalizer_db` and
            `equalizer_hz`, the largest gain of its equalizer, and where.
        mix: A table with the columns "mix", "reference" (of several their weighted mean) and "plain sum",
            each as it is, not level-matched:
            `loudness_lufs`; `true_peak_dbtp`, four times oversampled; `plr_db`, true peak to loudness;
            `crest_factor_db`; `level_range_lu`, the loudest 15 % of its blocks of 3 s against the quietest;
            `correlation`; `width_db`; `mono_loss_db`, how much level the sum of the channels lacks;
            `side_below_120_hz_db`; `lead_voice_lu`, the lead voice against the rest where it sounds;
            `reverb_lu`, the reverb's return against the dry sum; `master_reduction_mean_db` and
            `master_reduction_high_db` (95th percentile), what the master's compressor takes off; `loss`, the
            audio-feature loss to the reference, both at -16 LUFS.
        octaves: A table by the center of each octave in Hz: the levels of "mix", "reference" and "plain sum"
            relative to the whole sound, and "equalizer", the mean response of all strips and the master
            together, all in dB.
        effects: The knobs that a registered console has besides ours: a table with a column for each, and a row
            for each strip and bus on which one is turned. NaN where a knob is at its neutral value. Empty for
            our consoles.
        warnings: What is beyond its limit, with number, limit, source and knob.
        sections: The table of `MixResult.sections`; None without sections.
    """

    stems: pd.DataFrame
    mix: pd.DataFrame
    octaves: pd.DataFrame
    effects: pd.DataFrame
    warnings: list[MixWarning]
    sections: pd.DataFrame | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers and text, for JSON; None for what is not finite.

        Returns:
            "stems": {name: {column of `stems`: number}}; "mix": {"mix", "reference" or "plain sum": {row of
            `mix`: number}}; "octaves": {the same three or "equalizer": {center in Hz, as text: number}};
            "effects": {strip or bus: {column of `effects`: number}}; "warnings": a list of {"check", "where",
            "value", "limit", "unit", "source", "knob", "message"}. Of a mix with sections also "sections", a list
            of {column of `sections`: number or text}.
        """
        return {
            "stems": {str(name): _numbers(row) for name, row in self.stems.iterrows()},
            "mix": {str(name): _numbers(column) for name, column in self.mix.items()},
            "octaves": {str(name): _numbers(column) for name, column in self.octaves.items()},
            "effects": {str(name): _numbers(row.dropna()) for name, row in self.effects.iterrows()},
            "warnings": [warning.to_dict() for warning in self.warnings],
        } | ({} if self.sections is None else {"sections": section_numbers(self.sections)})

    def __str__(self) -> str:
        tables = "\n\n".join(table.to_string() for table in self._shown())
        return f"{tables}\n\n" + ("\n".join(f"! {warning}" for warning in self.warnings) or "no warnings")

    def _repr_html_(self) -> str:
        style = "overflow-x: auto; white-space: nowrap; margin-bottom: 1em"
        tables = "\n".join(f'<div style="{style}">{table.to_html(border=0)}</div>' for table in self._shown())
        items = "".join(f"<li>{html.escape(str(warning))}</li>" for warning in self.warnings)
        return f"{tables}\n" + (f"<ul>{items}</ul>" if items else "<p>no warnings</p>")

    def _shown(self) -> list[pd.DataFrame]:
        """Make the tables as they are read: rounded, with units, without what is not there."""
        import pandas as pd

        stems = pd.DataFrame([_stem_cells(row) for _, row in self.stems.iterrows()], index=self.stems.index)
        sounds = [name for name in SOUNDS if self.mix[name].notna().any()]
        mix = pd.DataFrame(
            [
                [_cell(self.mix.loc[key, name], digits) for name in sounds]
                for key, (_, digits) in MEASURES.items()
            ],
            index=[label for label, _ in MEASURES.values()],
            columns=sounds,
        )
        octaves = self.octaves[[*sounds, "equalizer"]].map(_cell).T
        octaves.columns = [_hz(center) for center in self.octaves.index]
        tables = {"stems, dB": stems, "the mix": mix[(mix != "").any(axis=1)], "octaves, dB": octaves}
        if len(self.effects):
            tables["own effects"] = self.effects.map(lambda value: _cell(value, 2))
        if self.sections is not None:
            tables["sections"] = shown_sections(self.sections)
        return [table.rename_axis(columns=name, index=None) for name, table in tables.items()]

    def plot(self) -> Figure:
        """Draw the report as one figure, with the stems as on a meter bridge.

        Returns:
            The figure.
        """
        from ..plots.report import plot_report

        flagged = {(warning.check, warning.where) for warning in self.warnings}
        limits = {"under": UNDER_DB, "lean": LEAN_DB}
        return plot_report(self.stems, self.mix, self.octaves, limits=limits, flagged=flagged)


def build_report(
    result: Mix, reference: torch.Tensor | None = None, *, measures: SongMeasures | None = None
) -> Report:
    """Measure what a mix did to its song: `MixResult.report`.

    Args:
        result: The mix.
        reference: A record (2, num_samples) to stand beside it; None: that of the result, if any.
        measures: What was measured while the song was mixed; None: it is mixed once more.

    Returns:
        The report.

    Raises:
        InputError: About the "reference", for a record that is not a stereo mix.
    """
    rate = result.song.sample_rate
    own = reference is None or reference is result.reference
    records = [] if result.reference is None else list(result.references) or [(result.reference, 1.0)]
    if reference is not None and not own:
        records = [(check_stereo(reference, sample_rate=rate)[0], 1.0)]
    song = measures or render_measured(result.console, result.song, result.params)[1]
    sounds = {"mix": result.audio, "plain sum": result.song.audio.sum(dim=0)}
    everything = [*sounds.values(), *(record for record, _ in records)]
    with ThreadPoolExecutor(min(torch.get_num_threads(), len(everything))) as pool:
        measured = list(pool.map(lambda sound: _measure_sound(sound.detach(), rate), everything))
    numbers = {name: of_sound for name, (of_sound, _) in zip(sounds, measured, strict=False)}
    octaves = {name: of_octaves for name, (_, of_octaves) in zip(sounds, measured, strict=False)}
    if records:
        weights, of_records = [weight for _, weight in records], measured[len(sounds) :]
        numbers["reference"], octaves["reference"] = _mean_of_records(of_records, weights)
        known = {"plain sum": result.plain_loss} if own else {}
        if own and result.loss is not None:
            known["mix"] = result.loss["total"]
        record: dict[str, torch.Tensor] = {}
        for name in ("mix", "plain sum"):
            loss = known.get(name)
            if loss is None:
                if not record:
                    levels = [of_sound["loudness_lufs"] for of_sound, _ in of_records]
                    record = mean_features(
                        [_features(result, x, lufs) for (x, _), lufs in zip(records, levels, strict=True)],
                        weights,
                    )
                features = _features(result, sounds[name], numbers[name]["loudness_lufs"])
                loss = feature_distance(features, record, features=result.features)["total"].item()
            numbers[name]["loss"] = loss
    numbers["mix"] |= {
        "lead_voice_lu": song.lead_voice_lu,
        "reverb_lu": song.reverb_lu,
        "master_reduction_mean_db": song.master.mean_db,
        "master_reduction_high_db": song.master.high_db,
    }
    numbers["plain sum"]["lead_voice_lu"] = song.delivered_voice_lu
    octaves["equalizer"] = shared_equalizer_db(song, rate)
    report = _make_report(song, numbers, octaves, result.params, result.unsteady)
    report.sections = result.sections
    return report


def _mean_of_records(
    measured: list[tuple[dict[str, float], np.ndarray]], weights: list[float]
) -> tuple[dict[str, float], np.ndarray]:
    """Average what was measured of several records: rows of `Report.mix`, and octaves."""
    if len(measured) == 1:
        return measured[0]
    names = measured[0][0]
    numbers = {
        name: sum(weight * of_sound[name] for weight, (of_sound, _) in zip(weights, measured, strict=True))
        for name in names
    }
    return numbers, np.average([of_octaves for _, of_octaves in measured], axis=0, weights=weights)


def _measure_sound(audio: torch.Tensor, sample_rate: int) -> tuple[dict[str, float], np.ndarray]:
    """Measure a stereo sound: rows of `Report.mix`, and its octaves."""
    lufs, peak = loudness(audio, sample_rate=sample_rate), true_peak_db(audio)
    image, spectrum = stereo_powers(audio), stereo_spectrum(audio, sample_rate=sample_rate)
    numbers = {
        "loudness_lufs": lufs,
        "true_peak_dbtp": peak,
        "plr_db": peak - lufs if math.isfinite(lufs) else math.nan,
        "crest_factor_db": crest_factor_db(audio),
        "level_range_lu": level_range_lu(block_levels(audio, sample_rate=sample_rate)),
        "correlation": image.correlation,
        "width_db": image.width_db,
        "mono_loss_db": image.mono_loss_db,
        "side_below_120_hz_db": spectrum.side_below_db(),
    }
    return numbers, spectrum.octaves_db()


@torch.no_grad()
def _features(result: Mix, audio: torch.Tensor, lufs: float) -> dict[str, torch.Tensor]:
    gain = 10.0 ** ((MIX_LUFS - lufs) / 20.0) if math.isfinite(lufs) else 1.0
    return audio_features(
        audio.detach(), sample_rate=result.song.sample_rate, features=result.features, gain=gain
    )


def _make_report(
    song: SongMeasures,
    numbers: dict[str, dict[str, float]],
    octaves: dict[str, np.ndarray],
    params: ConsoleParams,
    unsteady: Sequence[Unsteady],
) -> Report:
    import pandas as pd

    moves = {name: one.mixed_lufs - one.delivered_lufs for name, one in song.stems.items()}
    moves = {name: move if move < math.inf else math.nan for name, move in moves.items()}  # delivered silent
    sounding = [move for move in moves.values() if math.isfinite(move)]
    median = float(np.median(sounding)) if sounding else 0.0
    grid = equalizer_grid(params.sample_rate)
    stems = pd.DataFrame.from_dict(
        {name: _stem_numbers(one, moves[name] - median, grid) for name, one in song.stems.items()},
        orient="index",
        columns=list(STEM_COLUMNS),
        dtype=float,
    ).rename_axis("stem")
    mix = pd.DataFrame(numbers, index=list(MEASURES), columns=list(SOUNDS), dtype=float).rename_axis(
        "measure"
    )
    table = pd.DataFrame(octaves, index=list(OCTAVES_HZ), columns=[*SOUNDS, "equalizer"], dtype=float)
    table = table.rename_axis("octave_hz")
    warnings = find_warnings(stems, mix, table, params, unsteady, song.lead_voices)
    return Report(stems, mix, table, _own_settings(params), warnings)


def _own_settings(params: ConsoleParams) -> pd.DataFrame:
    """List the knobs of a registered console's own effects that are turned: `Report.effects`."""
    import pandas as pd

    rows: dict[str, dict[str, float]] = {}
    columns: dict[str, None] = {}
    sections = {"track": [params.track(name) for name in params.names], "master_bus": [params.master_bus]}
    for section, strips in sections.items():
        knobs = [knob for effect in own_effects(params.preset, section) for knob in effect.knobs]
        columns |= dict.fromkeys(knob.name for knob in knobs)
        for strip in strips:
            if turned := {
                knob.name: strip[knob.name] for knob in knobs if _is_turned(knob, strip[knob.name])
            }:
                rows[strip.label] = turned
    return pd.DataFrame(rows.values(), list(rows), list(columns), dtype=float).rename_axis("strip")


def _is_turned(knob: ParamSpec, value: float) -> bool:
    here, neutral = normalize(torch.tensor([[value], [knob.neutral]]), (knob,)).flatten().tolist()
    return abs(here - neutral) * knob.moves > TURNED


def _stem_numbers(stem: StemMeasures, moved_db: float, grid: np.ndarray) -> list[float]:
    """List the columns of one row of `Report.stems`."""
    if math.isnan(moved_db):
        return [math.nan] * len(STEM_COLUMNS)
    most = int(np.abs(stem.equalizer_db).argmax())
    largest = float(stem.equalizer_db[most])
    return [
        moved_db,
        stem.mixed.lean_db - stem.delivered.lean_db,
        stem.mixed.lean_db,
        stem.delivered.width_db,
        stem.mixed.width_db,
        stem.reduction.mean_db,
        stem.reduction.most_db,
        largest,
        float(grid[most]) if abs(largest) >= FLAT_DB else math.nan,
    ]


def _numbers(row: pd.Series) -> dict[str, float | None]:
    names = [f"{name:g}" if isinstance(name, float) else name for name in row.index]
    return {name: _number(value) for name, value in zip(names, row, strict=True)}


def _number(value: float) -> float | None:
    return round(float(value), DECIMALS) + 0.0 if math.isfinite(value) else None  # + 0.0: no -0.0


def _cell(value: float, digits: int = 1) -> str:
    if math.isnan(value):
        return ""
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no "-0.0"


def _stem_cells(row: pd.Series) -> dict[str, str]:
    """Write one row of `Report.stems` as it is read; lean and level have a sign, "R" is the right."""
    moved, lean, hz = row["moved_db"], row["lean_change_db"], row["equalizer_hz"]
    level = "silent" if math.isnan(moved) else "off" if math.isinf(moved) else _signed(moved)
    side = "" if math.isnan(lean) or not float(_cell(lean)) else " R" if lean > 0 else " L"
    return {
        "level": level,
        "lean": _cell(abs(lean)) + (side or "  "),
        "width was": _width(row["width_delivered_db"]),
        "is": _width(row["width_db"]),
        "reduced": _cell(row["reduction_mean_db"]),
        "most": _cell(row["reduction_most_db"]),
        "equalizer": _signed(row["equalizer_db"]) if math.isfinite(hz) else "",
        "at Hz": "" if math.isnan(hz) else f"{hz:.0f}",
    }


def _signed(value: float) -> str:
    cell = _cell(value)
    return f"+{cell}" if float(cell) > 0 else cell


def _width(width_db: float) -> str:
    return "mono" if width_db <= -IMAGE_LIMIT_DB else _cell(width_db)


def _hz(center: float) -> str:
    return f"{center / 1000:g}k" if center >= 1000 else f"{center:g}"
