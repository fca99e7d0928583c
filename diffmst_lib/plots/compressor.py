"""Figures of the compressor: its static curve, and its gain over time.

Chapter: The compressor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..console import effects
from ..options import SAMPLE_RATE
from .figure import COLORS, new_figure
from .labels import plain, with_letters


def plot_static_curve(curves: dict[str, Mapping[str, float]]) -> Figure:
    """Draw the compressor's static curve: level out over level in, in dB. The knee is thick.

    Args:
        curves: Settings by label. They hold threshold_db, ratio and knee_db. They may hold makeup_gain_db
            (default: 0 dB), attack_ms and release_ms.

    Returns:
        Figure with one curve per label.

    Raises:
        ValueError: When threshold, ratio or knee is missing.

    Example:
        >>> soft = {"threshold_db": -30.0, "ratio": 4.0, "knee_db": 12.0}
        >>> plot_static_curve({"hard": soft | {"knee_db": 0.0}, "soft": soft}).axes[0].get_ylabel()
        'level out (dBFS)'
    """
    figure, axis = new_figure(1, 3.6, width=4.4)
    draw_static_curves(axis, curves)
    return with_letters(figure)


def draw_static_curves(axis: Axes, curves: dict[str, Mapping[str, float]]) -> None:
    """Draw static curves as `plot_static_curve` does.

    Args:
        axis: Axes to draw on.
        curves: Settings by label, as in `plot_static_curve`.

    Raises:
        ValueError: When threshold, ratio or knee is missing.
    """
    level = torch.linspace(-60.0, 0.0, 601)
    axis.plot(level, level, ":", color="#888888", label="unchanged")
    for (label, settings), color in zip(curves.items(), cycle(COLORS)):
        missing = {"threshold_db", "ratio", "knee_db"} - set(settings)
        if missing:
            raise ValueError(f"curve {label!r} lacks {', '.join(sorted(missing))}")
        curve = {name: float(settings[name]) for name in ("threshold_db", "ratio", "knee_db")}
        out = level + effects.gain_computer(level, **curve) + float(settings.get("makeup_gain_db", 0.0))
        axis.plot(level, out, color=color, label=plain(label))
        inside = (level - curve["threshold_db"]).abs() <= curve["knee_db"] / 2
        axis.plot(level[inside], out[inside], color=color, linewidth=4, solid_capstyle="butt")
    axis.set(xlim=(-60, 0), ylim=(-60, 6), aspect="equal")
    axis.set(xlabel="level in (dBFS)", ylabel="level out (dBFS)")
    axis.legend(loc="upper left", frameon=False)


def plot_gain_reduction(x: torch.Tensor, y: torch.Tensor, sample_rate: float = SAMPLE_RATE) -> Figure:
    """Draw the levels of a sound before and after an effect, and the gain between them, over time in dB.

    The gain of a block of 10 ms (longer in long sounds) is the ratio of the two powers. It is not drawn where
    `x` is below -80 dBFS.

    Args:
        x: Sound before the effect, (num_samples,) or (channels, num_samples).
        y: Sound after the effect, of the same shape.
        sample_rate: Sample rate in Hz.

    Returns:
        Figure with the peak levels above and the gain below.

    Raises:
        ValueError: When the shapes differ, and for sounds without samples.
    """
    figure, axes = new_figure(2, 3.6, sharex=True)
    draw_gain_reduction(axes, x, y, sample_rate)
    return with_letters(figure)


def draw_gain_reduction(axes: Sequence[Axes], x: torch.Tensor, y: torch.Tensor, sample_rate: float) -> None:
    """Draw levels and gain as `plot_gain_reduction` does.

    Args:
        axes: Two axes, for the peak levels and for the gain.
        x: Sound before the effect, (num_samples,) or (channels, num_samples).
        y: Sound after the effect, of the same shape.
        sample_rate: Sample rate in Hz.

    Raises:
        ValueError: When the shapes differ, and for sounds without samples.
    """
    if x.shape != y.shape or x.ndim not in (1, 2) or 0 in x.shape:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x and y need one shape, (num_samples,) or (channels, num_samples), got {shapes}")
    step = max(round(0.01 * sample_rate), x.shape[-1] // 1000, 1)
    blocks = []
    for audio in (x, y):
        audio = torch.atleast_2d(audio.detach().cpu().double())
        audio = torch.nn.functional.pad(audio, (0, -audio.shape[-1] % step))
        blocks.append(audio.reshape(audio.shape[0], -1, step))  # (channels, blocks, step)
    before, after = (block.square().sum(dim=(0, 2)) for block in blocks)
    peaks = [20 * torch.log10(block.abs().amax(dim=(0, 2)).clamp(min=1e-6)) for block in blocks]
    audible = before > 1e-8 * step * blocks[0].shape[0]
    gain_db = 10 * torch.log10(after.clamp(min=1e-20) / before.clamp(min=1e-20))
    gain_db = torch.where(audible, gain_db, torch.nan)
    time = np.arange(len(gain_db)) * step / sample_rate
    levels, gains = axes
    for label, peak, color in zip(("in", "out"), peaks, ("#888888", COLORS[0]), strict=True):
        levels.plot(time, peak, color=color, linewidth=1, label=plain(label))
    highest = max(float(peak.max()) for peak in peaks)
    levels.set(ylim=(-60, max(3.0, 3.0 + highest)), ylabel="peak level\n(dBFS)")
    levels.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    gains.axhline(0, color="#dddddd", zorder=0)
    gains.plot(time, gain_db, color=COLORS[1], linewidth=1)
    gains.set(xlabel="time (s)", ylabel="gain (dB)", xlim=(0, x.shape[-1] / sample_rate))
    low, high = gains.get_ylim()
    gains.set_ylim(min(low, -3.0), max(high, 1.0))
