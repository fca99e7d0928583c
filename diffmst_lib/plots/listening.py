"""The figure of a listening test: what listeners said of every system.

Chapter: Results
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from .figure import COLORS, new_figure
from .labels import plain, with_letters

if TYPE_CHECKING:
    import pandas as pd

_COLORS = {"system": COLORS[0], "anchor": COLORS[6], "human": COLORS[2]}
_ROLES = {"system": "", "anchor": " (anchor)", "human": ""}


def plot_listening(ratings: pd.DataFrame, *, scales: Sequence[str] | None = None) -> Figure:
    """Draw the ratings of a listening test.

    A box holds the middle half of all ratings of a system, with their median; the line through it the middle
    nine tenths. A point is a listener: the mean of theirs. Systems stand in the order of their medians on the last scale. Simulated listeners are named in the title.

    Args:
        ratings: Table of `collect_ratings` or `simulate_listeners`.
        scales: Names of the scales, one panel each. Default: all in the table.

    Returns:
        Figure with a panel a scale, and a row a system.

    Raises:
        KeyError: For a scale that is not in the table.
    """
    names = list(dict.fromkeys(ratings["scale"])) if scales is None else list(scales)
    if missing := [name for name in names if name not in set(ratings["scale"])]:
        raise KeyError(f"no scale {', '.join(missing)} in the table")
    last = ratings[ratings["scale"] == names[-1]]
    order = last.groupby("system", sort=False)["rating"].median().sort_values(kind="stable").index
    order = [*(name for name in dict.fromkeys(ratings["system"]) if name not in set(order)), *order]
    roles = ratings.drop_duplicates("system").set_index("system")["role"]
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure, axes = new_figure(
        rows,
        rows * (0.34 * len(order) + 0.9) + 0.5,
        width=7.5,
        columns=columns,
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    jitter = np.random.default_rng(0)
    for axis, scale in zip(axes.flat, names, strict=False):
        rated = ratings[ratings["scale"] == scale]
        for row, system in enumerate(order):
            own = rated[rated["system"] == system]
            if own.empty:
                continue
            color = _COLORS[roles[system]]
            lowest, low, median, high, highest = own["rating"].quantile([0.05, 0.25, 0.5, 0.75, 0.95])
            axis.plot([lowest, highest], [row, row], color=color, linewidth=1)
            axis.barh(row, high - low, left=low, height=0.6, facecolor=f"{color}33", edgecolor=color)
            axis.plot([median, median], [row - 0.3, row + 0.3], color=color, linewidth=2.5)
            means = own.groupby("listener")["rating"].mean()
            places = row + jitter.uniform(-0.22, 0.22, len(means))
            axis.plot(means, places, "o", color=color, markersize=3, alpha=0.7)
        axis.set_title(plain(scale), fontsize=11)
        axis.set_xlim(-2, 102)
        axis.set_yticks(range(len(order)), [plain(name) + _ROLES[roles[name]] for name in order])
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("rating")
    count = ratings["listener"].nunique()
    kind = "simulated listener" if ratings["simulated"].all() else "listener"
    some = " (some simulated)" if ratings["simulated"].any() and not ratings["simulated"].all() else ""
    figure.suptitle(f"{count} {kind}{'s' if count != 1 else ''}{some}", fontsize=11)
    return with_letters(figure)
