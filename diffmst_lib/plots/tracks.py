"""Figures of a song's stems: their waveforms and their levels.

Chapter: A first mix.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..audio.multitrack import Multitrack
from .figure import COLORS, new_figure
from .labels import plain, with_letters

if TYPE_CHECKING:
    import pandas as pd


def plot_tracks(song: Multitrack) -> Figure:
    """Draw the waveform of every stem over time, on one scale.

    Args:
        song: Song whose stems (2, num_samples) are drawn, the channels over each other.

    Returns:
        Figure with one row per stem.
    """
    # The two equal channels of a mono stem over each other would look darker than those of the others.
    stems = {
        name: stem[:1] if mono else stem
        for (name, stem), mono in zip(song.stems.items(), song.is_mono(), strict=True)
    }
    figure, axes = new_figure(len(stems), 0.55 * len(stems) + 0.5, sharex=True, sharey=True, squeeze=False)
    peak = max(song.audio.abs().max().item(), 1e-6)
    for axis, (name, stem), color in zip(axes[:, 0], stems.items(), cycle(COLORS)):
        draw_waveform(axis, stem, song.sample_rate, color)
        axis.set_ylabel(plain(name), rotation=0, ha="right", va="center")
        axis.set(ylim=(-peak, peak), yticks=[], xlim=(0, song.duration_s))
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.tick_params(bottom=axis is axes[-1, 0])
    axes[-1, 0].spines["bottom"].set_visible(True)
    axes[-1, 0].set_xlabel("time (s)")
    return with_letters(figure)


def draw_waveform(axis: Axes, audio: torch.Tensor, sample_rate: float, color: str) -> None:
    """Draw a sound's highest and lowest samples over time.

    Args:
        axis: Axes to draw on.
        audio: Audio (channels, num_samples).
        sample_rate: Sample rate in Hz.
        color: Color of all channels.
    """
    step = max(1, audio.shape[-1] // 1500)
    blocks = audio[:, : audio.shape[-1] // step * step].reshape(audio.shape[0], -1, step)
    time = np.arange(blocks.shape[1]) * step / sample_rate
    for low, high in zip(blocks.amin(-1), blocks.amax(-1), strict=True):
        axis.fill_between(time, low.numpy(), high.numpy(), color=color, alpha=0.55, linewidth=0)


def plot_levels(levels: pd.DataFrame) -> Figure:
    """Draw the loudness and the peak of every stem.

    Args:
        levels: Table of levels from `Multitrack.levels`.

    Returns:
        Figure with one row per stem, the loudest on top.
    """
    figure, axis = new_figure(1, 0.35 * len(levels) + 0.9)
    order = levels.sort_values("loudness_lufs")
    rows = np.arange(len(order))
    axis.hlines(rows, order["loudness_lufs"], order["peak_dbfs"], color="#bbbbbb", linewidth=1)
    axis.plot(order["loudness_lufs"], rows, "o", color=COLORS[0], label="loudness (LUFS)")
    axis.plot(order["peak_dbfs"], rows, "s", color=COLORS[1], label="peak (dBFS)", markersize=5)
    axis.set(yticks=rows, yticklabels=[plain(name) for name in order.index], xlabel="level (LUFS, dBFS)")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return with_letters(figure)
