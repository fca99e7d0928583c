"""Figures of the two exams: does a model mix, or does it only master? Does it hear the balance?

Chapter: Method 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from .figure import COLORS, new_figure
from .labels import plain, with_letters

if TYPE_CHECKING:
    import pandas as pd

GRAY = "#999999"
# What each column of the mean-strip test stands for, from nothing done to everything.
SYSTEMS = {
    "neutral": "plain sum",
    "master": "master\nalone",
    "mean_strip": "master and\none mean strip",
    "network": "network",
}


def plot_strip_test(table: pd.DataFrame) -> Figure:
    """Draw the mean-strip test: the mean audio-feature loss with less and less of a model's console.

    Where the bar of the mean strip is as low as that of the network, the model only masters.

    Args:
        table: The table of `strip_test`.

    Returns:
        Figure with four bars, and a dot for every task.
    """
    figure, axis = new_figure(1, 3.6)
    positions = np.arange(len(SYSTEMS))
    means = [float(table[name].mean()) for name in SYSTEMS]
    axis.bar(positions, means, 0.6, color=[GRAY, COLORS[5], COLORS[1], COLORS[0]])
    tasks = table[list(SYSTEMS)].to_numpy(dtype=float)
    axis.plot(np.tile(positions, len(table)), tasks.flatten(), ".", color="#222222", alpha=0.35)
    for position, mean in zip(positions, means, strict=True):
        axis.annotate(
            f"{mean:.3f}", (position + 0.33, mean), ha="left", va="center", fontsize=12, fontweight="bold"
        )
    axis.set_xticks(positions, list(SYSTEMS.values()), fontsize=12)
    axis.set_ylabel("audio-feature loss", fontsize=12)
    axis.set(xlim=(-0.5, len(SYSTEMS) - 0.3), ylim=(0, None))
    return with_letters(figure)


def plot_balance(table: pd.DataFrame) -> Figure:
    """Draw one task of the balance test: where each stem was put, and where the model left it.

    Args:
        table: The table of `balance_task`.

    Returns:
        Figure with a row per stem. At 0 dB a stem is where it belongs.
    """
    figure, axis = new_figure(1, 0.34 * len(table) + 1.5)
    rows = np.arange(len(table))
    disturbed, found = (table[name].to_numpy(dtype=float) for name in ("disturbed", "found"))
    axis.axvline(0.0, color="#222222", linewidth=1, zorder=0)
    axis.hlines(rows, disturbed, found, color=GRAY, linewidth=2, zorder=1)
    for name, values, marker, color in (
        ("disturbed", disturbed, "o", COLORS[1]),
        ("found", found, "D", COLORS[0]),
    ):
        rms = float(np.sqrt(np.mean(values**2)))
        axis.plot(values, rows, marker, color=color, markersize=9, label=f"{name}, {rms:.1f} dB rms")
    axis.set_yticks(rows, [plain(name) for name in table.index], fontsize=11)
    axis.set_xlabel("level of the stem, from where it belongs (dB)", fontsize=12)
    axis.set_ylim(len(table) - 0.5, -0.5)
    furthest = 1.08 * max(1.0, np.abs([disturbed, found]).max())
    axis.set_xlim(-furthest, furthest)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=12)
    return with_letters(figure)
