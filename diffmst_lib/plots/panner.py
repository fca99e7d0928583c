"""Figures of faders and pans: those of a console, and the pan law.

Chapter: Gain and pan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..console import effects
from ..console.params import ConsoleParams
from .figure import COLORS, new_figure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def plot_mixer(params: ConsoleParams, *, start: ConsoleParams | None = None) -> Figure:
    """Draw the fader and the pan of every track.

    Args:
        params: Parameters of the console.
        start: Parameters of another console of the same tracks. A thin line connects each of its knobs with
            that of `params`.

    Returns:
        Figure with one row per track.
    """
    figure, axes = new_figure(1, 0.26 * len(params.names) + 1.0, columns=2, sharey=True)
    rows = np.arange(len(params.names))
    knobs = (("input_gain_db", "input gain (dB)", 0.0), ("pan", "pan (0 left, 1 right)", 0.5))
    for axis, (name, label, neutral) in zip(axes, knobs, strict=True):
        values = params.values("track")[name].detach().cpu().numpy()
        if start is not None:
            before = start.values("track")[name].detach().cpu().numpy()
            axis.hlines(rows, before, values, color="#bbbbbb", linewidth=1.5)
        axis.plot(values, rows, "o", color=COLORS[0])
        axis.set(yticks=rows, yticklabels=params.names, xlabel=label)
        axis.axvline(neutral, color="#dddddd", zorder=0)
    axes[1].set_xlim(-0.03, 1.03)
    axes[0].invert_yaxis()
    return figure


def plot_pan_law(pan: float | None = None) -> Figure:
    """Draw the pan law: the gain of each side, and the total power, in dB over pan.

    Args:
        pan: Position to mark, 0 (left) to 1 (right).

    Returns:
        Figure with three curves.

    Example:
        >>> plot_pan_law(0.25).axes[0].get_xlabel()
        'pan (0 left, 1 right)'
    """
    figure, axis = new_figure(1, 3.0)
    draw_pan_law(axis, pan)
    return figure


def draw_pan_law(axis: Axes, pan: float | None) -> None:
    """Draw the pan law as `plot_pan_law` does.

    Args:
        axis: Axes to draw on.
        pan: Position to mark, 0 (left) to 1 (right), or None.
    """
    positions = np.linspace(0.0, 1.0, 401)
    for curve, color, style in zip(("left", "right", "total power"), COLORS, ("-", "-", "--"), strict=False):
        axis.plot(positions, pan_db(positions)[curve], style, color=color, label=curve)
        if pan is not None:
            axis.plot(pan, pan_db(pan)[curve], "o", color=color, clip_on=False)
    if pan is not None:
        axis.axvline(pan, color="#bbbbbb", linewidth=1, zorder=0)
    axis.set(xlim=(0, 1), ylim=(-30, 2), xlabel="pan (0 left, 1 right)", ylabel="gain (dB)")
    axis.axhline(0, color="#dddddd", zorder=0)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)


def pan_db(pan: ArrayLike) -> dict[str, np.ndarray]:
    """Compute the pan law in dB.

    Args:
        pan: Positions, 0 (left) to 1 (right), a number or an array.

    Returns:
        Gains {"left", "right", "total power"} in dB, each with the shape of `pan`; -inf for a side that is
        off.

    Example:
        >>> round(float(pan_db(0.5)["left"]), 2)
        -4.52
    """
    power = effects.pan_gains(torch.as_tensor(pan, dtype=torch.float64)).numpy() ** 2
    curves = {"left": power[..., 0], "right": power[..., 1], "total power": power.sum(-1)}
    with np.errstate(divide="ignore"):  # a side that is off: -inf dB, below every axis
        return {curve: 10 * np.log10(values) for curve, values in curves.items()}
