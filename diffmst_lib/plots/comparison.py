"""The figure of `compare`: numbers, terms of the loss, Bark spectra, goniometers.

Chapter: Losses.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from .figure import COLORS, frequency_axis, new_figure
from .labels import plain, with_letters

if TYPE_CHECKING:
    import pandas as pd

_TERMS = {
    "rms": "RMS",
    "crest_factor": "crest factor",
    "stereo_width": "width",
    "stereo_imbalance": "imbalance",
    "bark_spectrum": "Bark spectrum",
}
_THREE_DIGITS = ("stereo width", "stereo imbalance", "correlation")  # the others are in dB, with one digit


def plot_comparison(
    features: pd.DataFrame,
    bark: pd.DataFrame,
    terms: pd.DataFrame,
    sounds: Sequence[torch.Tensor],
    *,
    total: float,
    compared_at: str,
) -> Figure:
    """Draw the comparison of two sounds that `compare` shows.

    Args:
        features: Features, one row per number with its unit in the name, one column per sound. The row
            "correlation" is required.
        bark: Bark spectra in dB, one row per band by its center in Hz; columns (label, "mid" or "side").
        terms: Terms of the audio-feature loss, one row per term, with a column "loss".
        sounds: The two sounds (2, num_samples), in the order of the columns of `features`.
        total: Audio-feature loss.
        compared_at: Level at which the two were compared, in words.

    Returns:
        Figure with six panels.
    """
    labels = list(features.columns)
    figure, axes = new_figure(3, 9.0, columns=2, height_ratios=(1.2, 1.1, 1.0))
    figure.set_layout_engine("constrained", hspace=0.05)
    _draw_numbers(axes[0, 0], features)
    _draw_terms(axes[0, 1], terms, total, compared_at)
    for axis, part in zip(axes[1], ("mid", "side"), strict=True):
        for label, color in zip(labels, COLORS, strict=False):
            axis.plot(bark.index, bark[label, part], marker=".", color=color)
        axis.set_title(f"Bark spectrum, {part}", fontsize=10)
        frequency_axis(axis)
    limits = [axis.get_ylim() for axis in axes[1]]
    for axis in axes[1]:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    axes[1, 0].set_ylabel("band level (dB, arbitrary zero)")
    entries = [plain(_short(label, 18)) for label in labels]
    axes[1, 0].legend(axes[1, 0].lines, entries, frameon=False, fontsize=8)
    for axis, label, audio, color in zip(axes[2], labels, sounds, COLORS, strict=False):
        _draw_goniometer(axis, audio, color)
        correlation = _minus(f"correlation {features.loc['correlation', label]:+.2f}")
        axis.set_title(f"{plain(_short(label, 24))}\n{correlation}", fontsize=10)
    return with_letters(figure)


def _draw_numbers(axis: Axes, features: pd.DataFrame) -> None:
    axis.set_axis_off()
    cells, names = [], []
    for name, values in features.iterrows():
        digits = 3 if name in _THREE_DIGITS else 1
        cells.append([_minus(f"{value:.{digits}f}") for value in values])
        names.append(name.replace("stereo ", "").replace(" as it came", ""))
    table = axis.table(
        cellText=cells,
        rowLabels=names,
        colLabels=[plain(_two_lines(label)) for label in features.columns],
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


def _draw_terms(axis: Axes, terms: pd.DataFrame, total: float, compared_at: str) -> None:
    rows = np.arange(len(terms))
    axis.barh(rows, terms["loss"], color="#888888", height=0.6)
    for row, loss in zip(rows, terms["loss"], strict=True):
        axis.annotate(f" {loss:.2g}", (loss, row), va="center", fontsize=8.5)
    axis.set_yticks(rows, [_TERMS[name] for name in terms.index])
    axis.invert_yaxis()
    axis.margins(x=0.25)
    axis.set_xlim(left=0)
    axis.locator_params(axis="x", nbins=4)
    axis.set_title(f"audio-feature loss {total:.3g}", fontsize=10)
    axis.set_xlabel(f"weighted term, {_minus(compared_at)}")


def _draw_goniometer(axis: Axes, audio: torch.Tensor, color: str) -> None:
    """Draw the density of the samples: mid upward, the left channel on the left as seen by the listener."""
    left, right = audio.numpy()
    mid, side = (left + right) / np.sqrt(2), (right - left) / np.sqrt(2)
    reach = max(1.01 * float(np.percentile(np.abs(np.concatenate([mid, side])), 99.9)), 1e-6)
    counts, x, y = np.histogram2d(side, mid, bins=81, range=((-reach, reach), (-reach, reach)))
    shades = LinearSegmentedColormap.from_list("density", ["white", color])
    axis.pcolormesh(x, y, np.log1p(counts.T), cmap=shades, rasterized=True)
    for end, name in ((-reach, "L"), (reach, "R")):
        axis.plot([-end, end], [-reach, reach], color="#bbbbbb", linewidth=0.8)
        axis.annotate(name, (0.93 * end, 0.93 * reach), ha="center", va="top", fontsize=9)
    axis.set(aspect="equal", xticks=[], yticks=[], xlabel="side", ylabel="mid")


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


def _short(label: str, length: int) -> str:
    """Shorten a long label in its middle, since labels differ at their beginnings and ends."""
    return label if len(label) <= length else f"{label[: length - length // 2]}…{label[1 - length // 2 :]}"


def _two_lines(label: str) -> str:
    lines = textwrap.wrap(label, 11)
    if len(lines) > 2:
        short = _short(label, 20)
        lines = [short[:10], short[10:]]
    return "\n".join(lines)
