"""Figures of losses: their values by step, their terms, and their gradients.

Chapter: Losses.
"""

from __future__ import annotations

import math
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure

from .figure import COLORS, new_figure
from .labels import plain, with_letters

if TYPE_CHECKING:
    import pandas as pd


def plot_history(histories: dict[str, pd.DataFrame], *, goal: float | None = None) -> Figure:
    """Draw the loss of one or several fits by step, on a log axis.

    Args:
        histories: Histories by label, as in `MixResult.history`, with a column "total".
        goal: Loss to reach, drawn as a line.

    Returns:
        Figure with one line per history.
    """
    figure, axis = new_figure(1, 3.0)
    for (label, history), color in zip(histories.items(), cycle(COLORS)):
        step, last = history.index[-1], history["total"].iloc[-1]
        axis.semilogy(history.index, history["total"], color=color, label=plain(label))
        axis.annotate(f" {last:.3g}", (step, last), color=color)
    if goal is not None:
        axis.axhline(goal, color="#888888", linestyle=":", linewidth=1, label=f"goal {goal:g}")
    axis.set(xlabel="gradient step", ylabel="audio-feature loss")
    axis.margins(x=0.1)
    axis.legend(frameon=False)
    return with_letters(figure)


def plot_loss_terms(losses: dict[str, dict[str, torch.Tensor]]) -> Figure:
    """Draw the weighted terms of the audio-feature loss for several mixes, on a log axis.

    Args:
        losses: Terms by label, as `audio_feature_loss` returns them; a term that a mix lacks has no bar.

    Returns:
        Figure with a group of bars per term and a bar per mix.
    """
    names = sorted({name: 0 for terms in losses.values() for name in terms}, key="total".__eq__)  # total last
    figure, axis = new_figure(1, 3.0)
    positions = np.arange(len(names))
    width = 0.8 / len(losses)
    for i, ((label, terms), color) in enumerate(zip(losses.items(), cycle(COLORS))):
        heights = [max(float(terms.get(name, math.nan)), 1e-6) for name in names]
        axis.bar(
            positions + (i + 0.5) * width - 0.4, heights, width, bottom=1e-6, color=color, label=plain(label)
        )
    axis.set_yscale("log")
    axis.set_xticks(positions, [plain(name.replace("_", "\n")) for name in names])
    axis.set_ylabel("weighted term")
    axis.legend(frameon=False)
    return with_letters(figure)


def plot_gradients(table: pd.DataFrame) -> Figure:
    """Draw the size of gradients on a log axis.

    Gradients of exactly 0 are at the left edge. Gradients that are not finite are crosses at the right edge.

    Args:
        table: Gradients, one row per parameter.

    Returns:
        Figure with one row per parameter and one mark per column of the table.
    """
    sizes = table.abs().to_numpy(dtype=float)
    good = np.isfinite(sizes) & (sizes > 0)
    low, high = (sizes[good].min(), sizes[good].max()) if good.any() else (1.0, 1.0)
    left, right = 10 ** (np.floor(np.log10(low)) - 1), 10 ** (np.ceil(np.log10(high)) + 1)
    figure, axis = new_figure(1, 0.24 * len(table) + 1.1)
    rows = np.arange(len(table))
    axis.hlines(rows, left, right, color="#eeeeee", linewidth=1, zorder=0)
    for label, values, color, marker in zip(table.columns, sizes.T, cycle(COLORS), cycle("osD^vPX")):
        finite = np.isfinite(values)
        style = {"color": color, "clip_on": False}
        axis.plot(values[finite].clip(left), rows[finite], marker, label=plain(label), markersize=5, **style)
        axis.plot(np.full((~finite).sum(), right), rows[~finite], "x", markersize=7, **style)
    for edge, text, shown in ((left, "0", sizes == 0), (right, "not finite", ~np.isfinite(sizes))):
        if shown.any():
            axis.annotate(text, (edge, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom")
    axis.set_xscale("log")
    axis.set(
        yticks=rows,
        yticklabels=[plain(name) for name in table.index],
        xlim=(left, right),
        xlabel="size of the gradient",
    )
    axis.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=min(4, len(table.columns)), frameon=False)
    return with_letters(figure)
