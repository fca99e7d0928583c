"""A mix beside its reference on one sheet: `compare`. Chapter: Losses."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd
import torch
from matplotlib.colors import LinearSegmentedColormap

from ..audio.loudness import MIX_LUFS, SAMPLE_RATE, loudness, normalize_loudness
from ..audio.multitrack import check_stereo
from ..inputs import check_rate
from ..mixing.result import MixResult
from ..plots import figures as plots
from ..style.features import audio_features, bark_edges_hz
from ..style.losses import feature_distance, term_rows

_TERMS = {
    "rms": "RMS",
    "crest_factor": "crest factor",
    "stereo_width": "width",
    "stereo_imbalance": "imbalance",
    "bark_spectrum": "Bark spectrum",
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found. Shows itself as a picture in a notebook, as two tables elsewhere.

    features: a row a number (its unit in the name), a column for the mix and one for the reference.
    bark: the Bark spectra in dB; a row a band by its center in Hz, columns (label, "mid" or "side").
    terms: the audio-feature loss, a row a term: distance, weight, loss, and share of the total.
    total: the audio-feature loss.
    """

    labels: tuple[str, str]
    features: pd.DataFrame
    bark: pd.DataFrame
    terms: pd.DataFrame
    total: float
    compared_at: str
    _audio: tuple[torch.Tensor, torch.Tensor]

    @property
    def figure(self):
        """The sheet as a matplotlib figure, new at each call; `sheet.figure.savefig("sheet.pdf")` keeps it."""
        figure, axes = plots._axes(3, 9.0, columns=2, height_ratios=(1.2, 1.1, 1.0))
        figure.get_layout_engine().set(hspace=0.05)
        _draw_numbers(axes[0, 0], self.features)
        _draw_terms(axes[0, 1], self.terms, self.total, self.compared_at)
        for axis, part in zip(axes[1], ("mid", "side")):
            for label, color in zip(self.labels, plots.COLORS):
                axis.plot(self.bark.index, self.bark[label, part], marker=".", color=color)
            axis.set_title(f"Bark spectrum, {part}", fontsize=10)
            plots._frequency_axis(axis)
        limits = [axis.get_ylim() for axis in axes[1]]
        for axis in axes[1]:
            axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        axes[1, 0].set_ylabel("band level (dB, arbitrary zero)")
        axes[1, 0].legend(
            axes[1, 0].lines, [_text(_short(label, 18)) for label in self.labels], frameon=False, fontsize=8
        )
        for axis, label, audio, color in zip(axes[2], self.labels, self._audio, plots.COLORS):
            _draw_goniometer(axis, audio, color)
            axis.set_title(
                f"{_text(_short(label, 24))}\n{_minus(f'correlation {_correlation(audio):+.2f}')}",
                fontsize=10,
            )
        return figure

    def _repr_html_(self) -> str:
        picture = plots.figure_html(
            self.figure,
            f"{self.labels[0]} compared with {self.labels[1]}: audio-feature loss {self.total:.4f}; "
            "tables of features and loss terms, Bark spectra of mid and side, two goniometers.",
        )
        tables = "".join(
            table.to_html(float_format=form)
            for table, form in ((self.features, "{:.3f}".format), (self.terms, "{:.2g}".format))
        )
        return (
            f"{picture}<details><summary>The numbers as tables</summary>"
            f'<div style="overflow-x: auto">{tables}</div></details>'
        )

    def __repr__(self) -> str:
        terms = self.terms.round(4)
        return (
            f"{self.features.round(3)}\n\n{terms}\n\naudio-feature loss {self.total:.4f}, {self.compared_at}"
        )


def compare(
    mix: torch.Tensor | MixResult,
    reference: torch.Tensor | MixResult,
    *,
    sample_rate: float | None = None,
    labels: tuple[str, str] = ("mix", "reference"),
    match_lufs: float | None = MIX_LUFS,
) -> Comparison:
    """Put a mix beside its reference: features, Bark spectra, loudness, stereo image and the loss, on one sheet.

    Loudness and peak are those of the sounds as they come; everything else is measured after both were brought to
    `match_lufs`, since a volume knob is not style. Content and length may differ.

    Args:
        mix, reference: stereo audio (2, num_samples), or (1, 2, num_samples); a `MixResult` also.
        sample_rate: Hz, of both; when left out that of a MixResult, or 44,100.
        labels: what to call the two.
        match_lufs: the common loudness in LUFS; None compares the sounds as they come.

    Returns a `Comparison`: `.features`, `.bark`, `.terms` (DataFrames), `.total`, `.figure`; shows itself in a
    notebook. Raises InputError, naming which of the two, for audio that is not stereo, silent or not finite, and
    ValueError for sample rates that contradict each other, for labels that are not two different words, and for a
    loudness that is no number. An InputNote tells of an offset.

    >>> import diffmst_lib as dm
    >>> mix = dm.equal_loudness(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"), panned=True)
    >>> sheet = compare(mix, dm.load_audio(dm.data_dir() / "references" / "vibe_ace.ogg"))
    >>> sheet.features.loc["loudness as it came (LUFS)"].round(1).tolist()
    [-16.0, -16.5]
    >>> bool(sheet.terms["loss"].sum().round(6) == round(sheet.total, 6))
    True
    """
    if (
        not isinstance(labels, (tuple, list))
        or len({str(label) for label in labels}) != 2
        or len(labels) != 2
    ):
        raise ValueError(f"labels must be two different words, got {labels!r}")
    labels = (str(labels[0]), str(labels[1]))
    if match_lufs is not None and not (isinstance(match_lufs, Real) and -70 < match_lufs < 0):
        raise ValueError(f"match_lufs must be a loudness between -70 and 0 LUFS or None, got {match_lufs!r}")
    rates = {sound.sample_rate for sound in (mix, reference) if isinstance(sound, MixResult)}
    if sample_rate is not None:
        check_rate(sample_rate)
        rates.add(sample_rate)
    if len(rates) > 1:
        raise ValueError(
            f"the two have different sample rates, {' and '.join(f'{rate} Hz' for rate in sorted(rates))}"
        )
    rate = rates.pop() if rates else SAMPLE_RATE
    came, sounds = [], []
    for label, sound in zip(labels, (mix, reference)):
        audio = check_stereo(sound.audio if isinstance(sound, MixResult) else sound, label, sample_rate=rate)
        came.append(audio.detach().cpu().float())
        sounds.append(
            came[-1] if match_lufs is None else normalize_loudness(came[-1], match_lufs, sample_rate=rate)
        )
    features = [audio_features(sound, sample_rate=rate) for sound in sounds]
    table = pd.DataFrame(term_rows(feature_distance(*features))).set_index("term")
    total = float(table["loss"].sum())
    table["share"] = table["loss"] / max(total, 1e-30)
    numbers = {
        label: _numbers(audio, sound, values, rate)
        for label, audio, sound, values in zip(labels, came, sounds, features)
    }
    db = {
        label: values["bark_spectrum"].numpy() * (20 / np.log(10)) for label, values in zip(labels, features)
    }
    bark = pd.DataFrame(
        np.concatenate(list(db.values()), axis=1),
        index=pd.Index(bark_edges_hz()[1:-1], name="band center (Hz)"),
        columns=pd.MultiIndex.from_product([labels, ("mid", "side")]),
    )
    at = "as they came" if match_lufs is None else f"both at {match_lufs:g} LUFS"
    return Comparison(labels, pd.DataFrame(numbers), bark, table, total, at, tuple(sounds))


def _numbers(
    audio: torch.Tensor, sound: torch.Tensor, features: dict[str, torch.Tensor], rate: float
) -> dict[str, float]:
    rms_db = (20 * features["rms"].log10()).tolist()
    crest_db = features["crest_factor"].tolist()
    return {
        "loudness as it came (LUFS)": loudness(audio, sample_rate=rate),
        "peak as it came (dBFS)": 20 * audio.abs().max().clamp(min=1e-10).log10().item(),
        "RMS left (dBFS)": rms_db[0],
        "RMS right (dBFS)": rms_db[1],
        "crest factor left (dB)": crest_db[0],
        "crest factor right (dB)": crest_db[1],
        "stereo width": features["stereo_width"].item(),
        "stereo imbalance": features["stereo_imbalance"].item(),
        "correlation": _correlation(sound),
    }


def _correlation(audio: torch.Tensor) -> float:
    left, right = audio.double()
    return float(
        (left * right).mean() / (left.square().mean() * right.square().mean()).sqrt().clamp(min=1e-20)
    )


def _minus(number: str) -> str:
    return number.replace("-", "−")


def _short(label: str, length: int) -> str:
    """A label whose middle is left out where it is too long, since beginnings and ends tell labels apart."""
    return label if len(label) <= length else f"{label[: length - length // 2]}…{label[1 - length // 2 :]}"


def _two_lines(label: str) -> str:
    lines = textwrap.wrap(label, 11)
    if len(lines) > 2:
        short = _short(label, 20)
        lines = [short[:10], short[10:]]
    return "\n".join(lines)


def _text(label: str) -> str:
    """A label in which matplotlib takes nothing for mathematics, and which it shows in legends."""
    return (" " if label.startswith("_") else "") + label.replace("$", r"\$")


def _draw_numbers(axis, features: pd.DataFrame) -> None:
    axis.set_axis_off()
    digits = [
        3 if name.split(" (")[0] in ("stereo width", "stereo imbalance", "correlation") else 1
        for name in features.index
    ]
    cells = [[_minus(f"{value:.{d}f}") for value in row] for row, d in zip(features.to_numpy(), digits)]
    names = [name.replace("stereo ", "").replace(" as it came", "") for name in features.index]
    table = axis.table(
        cellText=cells,
        rowLabels=names,
        colLabels=[_text(_two_lines(label)) for label in features.columns],
        cellLoc="right",
        loc="center",
        edges="horizontal",
        bbox=(0.52, 0.0, 0.48, 1.0),
    )
    table.auto_set_font_size(False)
    table.set_fontsize(8.5)
    for (row, _), cell in table.get_celld().items():
        cell.set_edgecolor("#dddddd")
        cell.set_height(cell.get_height() * (1.6 if row == 0 else 1.0))


def _draw_terms(axis, terms: pd.DataFrame, total: float, compared_at: str) -> None:
    rows = np.arange(len(terms))
    axis.barh(rows, terms["loss"], color="#888888", height=0.6)
    for row, loss in zip(rows, terms["loss"]):
        axis.annotate(f" {loss:.2g}", (loss, row), va="center", fontsize=8.5)
    axis.set_yticks(rows, [_TERMS[name] for name in terms.index])
    axis.invert_yaxis()
    axis.margins(x=0.25)
    axis.set_xlim(left=0)
    axis.locator_params(axis="x", nbins=4)
    axis.set_title(f"audio-feature loss {total:.3g}", fontsize=10)
    axis.set_xlabel(f"weighted term, {_minus(compared_at)}")


def _draw_goniometer(axis, audio: torch.Tensor, color: str) -> None:
    """Where the sound is, sample by sample: mid upward, side to the left as seen from the listener."""
    left, right = audio.numpy()
    mid, side = (left + right) / np.sqrt(2), (right - left) / np.sqrt(2)
    reach = max(1.01 * float(np.percentile(np.abs(np.concatenate([mid, side])), 99.9)), 1e-6)
    counts, x, y = np.histogram2d(side, mid, bins=81, range=((-reach, reach), (-reach, reach)))
    shades = LinearSegmentedColormap.from_list("density", ["white", color])
    axis.pcolormesh(x, y, np.log1p(counts.T), cmap=shades, rasterized=True)
    for end, name, place in (((-1, 1), "L", "left"), ((1, 1), "R", "right")):
        axis.plot(
            [-reach * end[0], reach * end[0]],
            [-reach * end[1], reach * end[1]],
            color="#bbbbbb",
            linewidth=0.8,
        )
        axis.annotate(name, (0.93 * reach * end[0], 0.93 * reach), ha="center", va="top", fontsize=9)
    axis.set(aspect="equal", xticks=[], yticks=[], xlabel="side", ylabel="mid")
