"""Figure of an evaluation: how near each system comes to the records, and what that costs the song.

Chapter: Results
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from .figure import COLORS, new_figure
from .labels import plain, with_letters

if TYPE_CHECKING:
    import pandas as pd

PANELS = {"af_mean": "audio-feature loss (mean of the five)", "moved_db": "balance moved (dB)"}


def plot_evaluation(pairs: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Draw the systems of an evaluation one below the other, the audio-feature loss and how far stems were moved.

    Args:
        pairs: A row a pair and system: system, song, error, af_mean, moved_db.
        summary: A row a system: system, and the means with `_low` and `_high`.

    Returns:
        Figure with two panels: a small dot for every song, a diamond for the mean, a line for its 95 % interval
        over songs. A system without a console has no balance that could be measured.
    """
    good = pairs[pairs["error"] == ""]
    figure, axes = new_figure(1, 0.33 * len(summary) + 1.4, width=9.0, columns=2, sharey=True)
    rows = np.arange(len(summary))
    for axis, (column, label), color in zip(axes, PANELS.items(), COLORS, strict=False):
        for row, name in zip(rows, summary["system"], strict=True):
            songs = good[good["system"] == name].groupby("song")[column].mean().dropna()
            axis.plot(songs, np.full(len(songs), row), "o", color="#999999", markersize=4, zorder=1)
        mean, low, high = (
            summary[name].to_numpy(dtype=float) for name in (column, f"{column}_low", f"{column}_high")
        )
        axis.hlines(rows, low, high, color=color, linewidth=2.5, zorder=2)
        axis.plot(mean, rows, "D", color=color, markersize=7, zorder=3)
        axis.set_xlabel(label, fontsize=11)
        axis.grid(axis="x", color="#dddddd")
        axis.set_axisbelow(True)
    values = good["af_mean"].to_numpy(dtype=float)
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) and values.max() > 20 * values.min():
        axes[0].set_xscale("log")
        axes[0].xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes[0].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes[0].xaxis.set_minor_formatter(NullFormatter())
    axes[1].set_xlim(left=-0.02 * max(1.0, axes[1].get_xlim()[1]))
    axes[0].set_yticks(rows, [plain(name) for name in summary["system"]], fontsize=11)
    axes[0].set_ylim(len(summary) - 0.5, -0.5)
    return with_letters(figure)
