"""What every figure here shares: its colors, its axes, and its way into a page."""

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
    """An empty figure, which the caller returns and a notebook shows once.

    Args:
        rows: Rows of axes.
        height: Height of the figure in inches.
        width: Width of the figure in inches.
        columns: Columns of axes.
        options: What else `matplotlib.pyplot.subplots` takes.

    Returns:
        The figure, and its axes: one, or an array of them.

    Example:
        >>> figure, axes = new_figure(2, 3.0)
        >>> len(axes), figure.get_size_inches().tolist()
        (2, [7.0, 3.0])
    """
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)
    plt.close(figure)  # the returned figure is shown once, not a second time by the inline backend
    for axis in np.atleast_1d(axes).flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def frequency_axis(axis: Axes) -> None:
    """Make the x axis one of frequency, logarithmic from 20 Hz to 20 kHz.

    Args:
        axis: The axes to change.
    """
    axis.set_xscale("log")
    axis.set(xlim=(20, 20_000), xlabel="frequency (Hz)")
    axis.set_xticks([20, 100, 1000, 10_000], ["20", "100", "1k", "10k"])
    axis.xaxis.set_minor_formatter(NullFormatter())


def figure_html(figure: Figure, alt: str) -> str:
    """A figure as an image element, with a text for those who do not see it.

    Args:
        figure: The figure.
        alt: The text, of any characters.

    Returns:
        HTML with the picture in it.

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
