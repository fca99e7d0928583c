"""The figure of a calibration: who hears what.

Chapter: How good is a mix?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from .figure import new_figure
from .labels import plain, with_letters

if TYPE_CHECKING:
    import pandas as pd

MAP = "PuOr_r"  # orange hears, violet prefers the damage: told apart by the color-blind, and white is deaf
NUMBER, LABEL = 15, 14  # points: to be read in a window of 400 px and from the last row
INK, PALE, GROUND = "#111111", "#707070", "#e6e6e6"
SIGNS = {"hears": "", "drowned": "*", "deaf": "", "backwards": "", "unsure": "?"}


def plot_hearing(table: pd.DataFrame, *, metrics: Sequence[str] | None = None) -> Figure:
    """Draw who hears what: the rank correlation of every metric with every kind of damage.

    In bold stands what hears, or prefers the damage (a minus). "*" ranks the damage, but is drowned by what
    songs differ by; "?" is unsure; what is deaf is pale. A gray cell cannot be told.

    Args:
        table: A table of `hearing_table`.
        metrics: Which metrics, in this order; None: all.

    Returns:
        Figure with a row per metric and a column per ladder.

    Raises:
        KeyError: With the metrics that are not in the table.
    """
    names = list(dict.fromkeys(table["metric"])) if metrics is None else list(metrics)
    if missing := [name for name in names if name not in set(table["metric"])]:
        raise KeyError(f"no metric {', '.join(missing)} in the table")
    by_length = sorted(table.groupby("metric", sort=False)["ladder"].agg(list), key=len, reverse=True)
    ladders = list(
        dict.fromkeys(ladder for climbed in by_length for ladder in climbed)
    )  # in the table's order
    labels = table.drop_duplicates("metric").set_index("metric")["label"]
    headings = table.drop_duplicates("ladder").set_index("ladder")["ladder_label"]
    rho = table.pivot(index="metric", columns="ladder", values="rho").reindex(names)[ladders].to_numpy(float)
    words = table.pivot(index="metric", columns="ladder", values="reading").reindex(names)[ladders].to_numpy()

    figure, axis = new_figure(1, 0.36 * len(names) + 1.7, width=8.0)
    axis.imshow(rho, cmap=colormaps[MAP].with_extremes(bad=GROUND), vmin=-1.0, vmax=1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(rho):
        if np.isfinite(value):
            word = words[row, column]
            axis.text(
                column,
                row,
                f"{short(value)}{SIGNS[word]}",
                ha="center",
                va="center",
                fontsize=NUMBER,
                fontweight="bold" if word in ("hears", "backwards") else "normal",
                color="white" if abs(value) > 0.75 else PALE if word == "deaf" and abs(value) < 0.35 else INK,
            )
    axis.set_xticks(range(len(ladders)), [plain(headings[name]) for name in ladders], fontsize=LABEL)
    axis.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    for label in axis.get_xticklabels():
        label.set(rotation=60, ha="left", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), [plain(labels[name]) for name in names], fontsize=LABEL)
    axis.tick_params(axis="y", length=0)
    axis.set_xticks(np.arange(len(ladders) + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=2)
    axis.tick_params(which="minor", length=0)
    axis.spines[:].set_visible(False)
    return with_letters(figure)


def short(rho: float) -> str:
    """Write a correlation with one decimal and no zero before the point, with a real minus.

    Args:
        rho: From -1 to 1.

    Returns:
        Two to four letters.

    Example:
        >>> short(0.98), short(0.42), short(-0.42), short(-0.04)
        ('1', '.4', '\N{MINUS SIGN}.4', '0')
    """
    tenths = round(10.0 * rho)
    text = f"{abs(tenths) // 10}" if tenths % 10 == 0 else f".{abs(tenths)}"
    return f"\N{MINUS SIGN}{text}" if tenths < 0 else text
