"""Figures of faders, widths and pans: those of a console, and the pan law.

Chapter: Gain and pan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..console import effects, released
from ..console.params import ConsoleParams
from ..inputs import check_preset
from .figure import COLORS, new_figure
from .labels import plain, with_letters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PAN_LABEL = "pan (0 left, 1 right)"
OFF = 1e-12  # a factor below it is what rounding leaves of 0
LEVEL_KNOBS = {"input_gain_db": "trim", "fader_db": "fader"}  # together they say how loud a strip is
IMAGE_KNOBS = {"width": "width", "pan": PAN_LABEL}
AXES = {"width": (2.0, 1.0), PAN_LABEL: (1.0, 0.5)}  # highest and neutral value by label


def plot_mixer(params: ConsoleParams, *, start: ConsoleParams | None = None) -> Figure:
    """Draw the level of every strip, trim plus fader in dB, its width and its pan, where it has them.

    Args:
        params: Parameters of the console.
        start: Parameters of another console of the same stems. A thin line connects each of its knobs with
            that of `params`.

    Returns:
        Figure with one row per strip.
    """
    values = _mixer_values(params)
    before = _mixer_values(start) if start is not None else {}
    columns = len(values)
    figure, axes = new_figure(1, 0.26 * len(params.names) + 1.0, columns=columns, sharey=True)
    rows = np.arange(len(params.names))
    for axis, (label, knob) in zip(axes, values.items(), strict=True):
        if label in before:
            axis.hlines(rows, before[label], knob, color="#bbbbbb", linewidth=1.5)
        axis.plot(knob, rows, "o", color=COLORS[0])
        axis.set(yticks=rows, yticklabels=[plain(name) for name in params.names], xlabel=label)
        highest, neutral = AXES.get(label, (None, 0.0))
        axis.axvline(neutral, color="#dddddd", zorder=0)
        if highest is not None:
            axis.set_xlim(-0.03 * highest, 1.03 * highest)
    axes[0].invert_yaxis()
    return with_letters(figure)


def _mixer_values(params: ConsoleParams) -> dict[str, np.ndarray]:
    """Return what `plot_mixer` draws: values of the strips by the label of their axis."""
    knobs = {name: values.detach().cpu().numpy() for name, values in params.values("track").items()}
    level = [name for name in LEVEL_KNOBS if name in knobs]
    label = " + ".join(LEVEL_KNOBS[name] for name in level)
    shown = {f"{label} (dB)": sum(knobs[name] for name in level)}
    return shown | {label: knobs[name] for name, label in IMAGE_KNOBS.items() if name in knobs}


def plot_pan_law(pan: float | None = None) -> Figure:
    """Draw the pan law: the gain of each side, and the total power, in dB over pan.

    The law of the released code is drawn thin, in gray.

    Args:
        pan: Position to mark, 0 (left) to 1 (right).

    Returns:
        Figure with three curves of each law.

    Example:
        >>> plot_pan_law(0.25).axes[0].get_xlabel()
        'pan (0 left, 1 right)'
    """
    figure, axis = new_figure(1, 3.0)
    draw_pan_law(axis, pan)
    return with_letters(figure)


def draw_pan_law(axis: Axes, pan: float | None) -> None:
    """Draw the pan law as `plot_pan_law` does.

    Args:
        axis: Axes to draw on.
        pan: Position to mark, 0 (left) to 1 (right), or None.
    """
    positions = np.linspace(0.0, 1.0, 401)
    styles = {"left": "-", "right": "-", "total power": "--"}
    gray = {"color": "#999999", "linewidth": 1, "zorder": 1}
    theirs = pan_db(positions, preset="reference")
    for curve, style in styles.items():
        label = "released code" if curve == "left" else f"_released {curve}"
        axis.plot(positions, theirs[curve], style, label=label, **gray)
    ours = pan_db(positions)
    for (curve, style), color in zip(styles.items(), COLORS, strict=False):
        axis.plot(positions, ours[curve], style, color=color, label=curve)
        if pan is not None:
            axis.plot(pan, pan_db(pan)[curve], "o", color=color, clip_on=False)
    if pan is not None:
        axis.axvline(pan, color="#bbbbbb", linewidth=1, zorder=0)
    axis.set(xlim=(0, 1), ylim=(-30, 5), xlabel=PAN_LABEL, ylabel="gain (dB)")
    axis.axhline(0, color="#dddddd", zorder=0)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)


def pan_db(pan: ArrayLike, *, preset: str = "default") -> dict[str, np.ndarray]:
    """Compute a pan law in dB.

    The total power is that of both factors together, left^2 + right^2: two channels at 0 dB make +3 dB.

    Args:
        pan: Positions, 0 (left) to 1 (right), a number or an array.
        preset: "default" for the law of `effects.pan_gains`, "reference" for that of the released code.

    Returns:
        Gains {"left", "right", "total power"} in dB, each with the shape of `pan`; -inf for a side that is
        off.

    Raises:
        ValueError: For another preset, and for pans outside 0 to 1.

    Example:
        >>> round(float(pan_db(0.25)["left"]), 2), round(float(pan_db(0.5, preset="reference")["left"]), 2)
        (2.32, -4.52)
    """
    check_preset(preset)
    law = {"default": effects.pan_gains, "reference": released.pan_gains}[preset]
    gains = law(torch.as_tensor(pan, dtype=torch.float64)).numpy()
    power = np.where(gains > OFF, gains, 0.0) ** 2
    curves = {"left": power[..., 0], "right": power[..., 1], "total power": power.sum(-1)}
    with np.errstate(divide="ignore"):  # a side that is off: -inf dB, below every axis
        return {curve: 10 * np.log10(values) for curve, values in curves.items()}
