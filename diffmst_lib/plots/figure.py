"""Shared parts of the figures: colors, axes, and HTML.

Chapter: A first mix.
"""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

# Okabe and Ito, color-blind safe
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")


def new_figure(
    rows: int, height: float, *, width: float = 7.0, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """Make an empty figure. A notebook shows it once, when a cell returns it.

    Args:
        rows: Number of rows of axes.
        height: Height of the figure in inches.
        width: Width of the figure in inches.
        columns: Number of columns of axes.
        options: Further options of `matplotlib.pyplot.subplots`.

    Returns:
        Figure, and its axes: one, or an array of several.

    Example:
        >>> figure, axes = new_figure(2, 3.0)
        >>> len(axes), figure.get_size_inches().tolist()
        (2, [7.0, 3.0])
    """
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)
    plt.close(figure)  # or the inline backend would show the returned figure a second time
    for axis in np.atleast_1d(axes).flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def frequency_axis(axis: Axes) -> None:
    """Make the x axis one of frequency, logarithmic from 20 Hz to 20 kHz.

    Args:
        axis: Axes to change.
    """
    axis.set_xscale("log")
    axis.set(xlim=(20, 20_000), xlabel="frequency (Hz)")
    axis.set_xticks([20, 100, 1000, 10_000], ["20", "100", "1k", "10k"])
    axis.xaxis.set_minor_formatter(NullFormatter())


def figure_html(figure: Figure, alt: str) -> str:
    """Convert a figure to an HTML image element with a text alternative.

    Args:
        figure: Figure to convert.
        alt: Text for readers who do not see the picture, with any characters.

    Returns:
        HTML that contains the picture.

    Example:
        >>> image = figure_html(new_figure(1, 1.0)[0], "an empty axis")
        >>> 'width="672" height="96" alt="an empty axis"' in image
        True
    """
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=144)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<img style="max-width: 100%; height: auto; background: #fff" width="{width}" height="{height}" '
        f'alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'
    )
