"""Figures of the equalizer: its gain over frequency.

Chapter: The equalizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..console import effects
from ..console.params import ConsoleParams
from ..console.table import EQ_BANDS
from ..options import SAMPLE_RATE
from .figure import COLORS, frequency_axis, new_figure
from .labels import plain, with_letters

EQ_KEYS = ("gain_db", "frequency_hz", "q")  # the settings of a band


def plot_eq(params: ConsoleParams, names: Sequence[str] | None = None) -> Figure:
    """Draw the equalizer curves of strips and of the master bus, in dB over frequency.

    Args:
        params: Parameters of the console.
        names: Names of stems. Default: all.

    Returns:
        Figure with one line per name, and a thick one for the master bus.
    """
    figure, axis = new_figure(1, 3.0)
    strips = {name: params.track(name) for name in names or params.names} | {"master bus": params.master_bus}
    for (label, strip), color in zip(strips.items(), cycle(COLORS)):
        settings = {key: [strip[f"{band}_{key}"] for band in EQ_BANDS] for key in EQ_KEYS}
        width = 2.5 if label == "master bus" else 1.2
        draw_eq(axis, settings, params.sample_rate, color=color, label=plain(label), linewidth=width)
    _label_axes(axis)
    figure.legend(loc="outside right upper", frameon=False)
    return with_letters(figure)


def plot_eq_response(
    settings: dict[str, Any] | list[tuple[str, dict[str, Any]]], sample_rate: float = SAMPLE_RATE
) -> Figure:
    """Draw the equalizer's gain in dB over frequency.

    Args:
        settings: Settings {"gain_db", "frequency_hz", "q"} of one equalizer as in `effects.parametric_eq`,
            six values each. Its bands are thin, the whole curve is thick. A list of (label, settings)
            compares several equalizers, one curve each.
        sample_rate: Sample rate in Hz.

    Returns:
        Figure with one panel.

    Raises:
        ValueError: For settings that are not six bands.

    Example:
        >>> smile = {"gain_db": [6, 0, -3, 0, 0, 6], "q": [0.7] * 6}
        >>> smile["frequency_hz"] = [100, 200, 800, 2000, 5000, 8000]
        >>> len(plot_eq_response(smile).axes[0].lines)    # all bands, three that do something, the zero line
        5
    """
    figure, axis = new_figure(1, 3.0)
    if isinstance(settings, dict):
        draw_bands(axis, settings, sample_rate)
    else:
        for (label, one), color in zip(settings, cycle(COLORS)):
            draw_eq(axis, one, sample_rate, color=color, label=plain(label))
        _label_axes(axis)
    figure.legend(loc="outside right upper", frameon=False)
    return with_letters(figure)


def draw_bands(axis: Axes, settings: dict[str, Any], sample_rate: float) -> None:
    """Draw one equalizer: the whole curve thick, each band with a gain other than 0 dB thin.

    Args:
        axis: Axes to draw on.
        settings: Settings {"gain_db", "frequency_hz", "q"}, six values each.
        sample_rate: Sample rate in Hz.

    Raises:
        ValueError: For settings that are not six bands.
    """
    draw_eq(axis, settings, sample_rate, color="black", label="all bands", linewidth=3)
    gains = six_bands(settings)["gain_db"][0]
    for band, (name, color) in enumerate(zip(EQ_BANDS, COLORS, strict=False)):
        if gains[band] != 0:
            alone = torch.zeros_like(gains)
            alone[band] = gains[band]
            one = settings | {"gain_db": alone}
            draw_eq(axis, one, sample_rate, color=color, label=name.replace("_", " "), linewidth=1.2)
    _label_axes(axis)


def draw_eq(axis: Axes, settings: dict[str, Any], sample_rate: float, **line: Any) -> None:
    """Draw the gain of one equalizer over frequency as one line.

    Args:
        axis: Axes to draw on.
        settings: Settings {"gain_db", "frequency_hz", "q"}, six values each.
        sample_rate: Sample rate in Hz.
        line: Further options of `matplotlib.axes.Axes.plot`.

    Raises:
        ValueError: For settings that are not six bands.
    """
    points = 65_536
    nyquist = points // 2
    bins = np.unique(np.geomspace(20 * points / sample_rate, nyquist, 600).astype(int))
    response = effects.eq_response(points, sample_rate=sample_rate, **six_bands(settings))[0, bins].abs()
    axis.plot(bins * sample_rate / points, 20 * np.log10(response.numpy()), **line)


def six_bands(settings: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Convert an equalizer's settings to tensors (1, 6) on the CPU, without gradients.

    Args:
        settings: Settings {"gain_db", "frequency_hz", "q"}, six values each.

    Returns:
        The same settings, as arguments of `effects.parametric_eq`.

    Raises:
        ValueError: For other names, and for another number of values.
    """
    if not isinstance(settings, dict) or set(settings) != set(EQ_KEYS):
        got = ", ".join(settings) if isinstance(settings, dict) else type(settings).__name__
        raise ValueError(f"an equalizer's settings are gain_db, frequency_hz and q, got {got}")
    bands = {}
    for name, values in settings.items():
        values = torch.as_tensor(values, dtype=torch.float32).detach().cpu()
        if values.shape not in ((6,), (1, 6)):
            raise ValueError(f"{name}: six values, one per band, are needed, got shape {tuple(values.shape)}")
        bands[name] = values.reshape(1, 6)
    return bands


def _label_axes(axis: Axes) -> None:
    axis.axhline(0, color="#dddddd", zorder=0)
    axis.set_ylabel("equalizer gain (dB)")
    low, high = axis.get_ylim()
    axis.set_ylim(min(low, -3), max(high, 3))
    frequency_axis(axis)
