"""The figure of a mix's report: its stems as on a meter bridge, its octaves beside those of its reference.

Chapter: Style by optimization.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figure import COLORS, new_figure
from .labels import plain, with_letters

if TYPE_CHECKING:
    import pandas as pd

WITHIN, BEYOND, FAINT = COLORS[0], COLORS[1], "#bbbbbb"
STYLES = {"mix": (COLORS[0], "-"), "reference": (COLORS[1], "-"), "plain sum": ("#888888", "--")}
LEAST_DB = {
    "level": 6.0,
    "lean": 4.0,
    "reduction": 6.0,
    "equalizer": 6.0,
}  # a panel reaches at least this far
MONO_DB = -60.0


def plot_report(
    stems: pd.DataFrame,
    mix: pd.DataFrame,
    octaves: pd.DataFrame,
    *,
    limits: Mapping[str, float],
    flagged: Collection[tuple[str, str]] = (),
) -> Figure:
    """Draw a report: a row for each stem, and the octaves of mix, reference and plain sum below.

    Args:
        stems: `Report.stems`.
        mix: `Report.mix`.
        octaves: `Report.octaves`.
        limits: Limits in dB to draw: "under" for the level, "lean" for the lean.
        flagged: What is beyond its limit, as (check, stem); it is drawn in another color.

    Returns:
        Figure with five panels of stems above one of octaves.
    """
    height = 0.27 * len(stems) + 0.9
    figure, axes = new_figure(
        2, height + 2.6, width=9.0, columns=5, height_ratios=(height, 2.6), width_ratios=(3, 3, 3, 3, 3)
    )
    grid = axes[0, 0].get_gridspec()
    for axis in axes[1]:
        axis.remove()
    below = figure.add_subplot(grid[1, :])
    below.spines[["top", "right"]].set_visible(False)
    rows = np.arange(len(stems))
    for axis in axes[0]:
        axis.set_yticks(rows, [plain(name) if axis is axes[0, 0] else "" for name in stems.index])
        axis.set_ylim(len(stems) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.hlines(
            rows, 0, 1, transform=axis.get_yaxis_transform(), color="#eeeeee", linewidth=0.8, zorder=0
        )
    level, lean, width, reduction, equalizer = axes[0]
    _draw_levels(level, stems, limits, flagged)
    _draw_leans(lean, stems, limits, flagged)
    _draw_widths(width, stems)
    _draw_reductions(reduction, stems)
    _draw_equalizers(equalizer, stems)
    _draw_octaves(below, octaves)
    figure.suptitle(
        "\n".join(_summary(name, mix[name]) for name in STYLES if mix[name].notna().any()), fontsize=9
    )
    return with_letters(figure)


def _colors(stems: pd.DataFrame, check: str, flagged: Collection[tuple[str, str]]) -> list[str]:
    return [BEYOND if (check, name) in flagged else WITHIN for name in stems.index]


def _bars(axis: Axes, values: pd.Series, colors: list[str] | str, least: float, *, both: bool) -> float:
    """Draw bars from 0, and return how far the panel reaches."""
    finite = values[np.isfinite(values)]
    reach = max(least, 1.08 * float(finite.abs().max())) if len(finite) else least
    drawn = values.where(np.isfinite(values), 0.0)
    axis.barh(np.arange(len(values)), drawn, color=colors, height=0.55)
    axis.set_xlim(-reach if both else 0.0, reach)
    if both:
        axis.axvline(0.0, color="#888888", linewidth=0.8)
    axis.locator_params(axis="x", nbins=4)
    return reach


def _draw_levels(
    axis: Axes, stems: pd.DataFrame, limits: Mapping[str, float], flagged: Collection[tuple[str, str]]
) -> None:
    moved = stems["moved_db"]
    _bars(axis, moved, _colors(stems, "under", flagged), LEAST_DB["level"], both=True)
    for row, value in enumerate(moved):
        if not np.isfinite(value):
            word = "silent" if np.isnan(value) else "off"
            axis.annotate(word, (0.0, row), ha="center", va="center", fontsize=8, color=BEYOND)
    _limit_line(axis, -limits["under"])
    axis.set(title="level", xlabel="change (dB)")


def _draw_leans(
    axis: Axes, stems: pd.DataFrame, limits: Mapping[str, float], flagged: Collection[tuple[str, str]]
) -> None:
    colors = _colors(stems, "lean", flagged)
    _bars(axis, stems["lean_change_db"], colors, LEAST_DB["lean"], both=True)
    for side in (-1, 1):
        _limit_line(axis, side * limits["lean"])
    axis.set(title="lean", xlabel="left   (dB)   right")


def _limit_line(axis: Axes, at: float) -> None:
    low, high = axis.get_xlim()
    if low < at < high:
        axis.axvline(at, color=BEYOND, linestyle=":", linewidth=1)


def _draw_widths(axis: Axes, stems: pd.DataFrame) -> None:
    """Draw side against mid, as delivered and now; mono is a letter at the left end."""
    was, now = stems["width_delivered_db"], stems["width_db"]
    wide = [value for value in (*was, *now) if value > MONO_DB]
    low = min([*wide, -24.0]) - 6.0
    for row, (before, after) in enumerate(zip(was, now, strict=True)):
        if np.isnan(after):
            continue
        axis.plot([max(before, low), max(after, low)], [row, row], color=FAINT, linewidth=2, zorder=1)
        axis.plot(max(before, low), row, "|", color="#444444", markersize=9, zorder=2)
        axis.plot(max(after, low), row, "o", color=WITHIN, markersize=5, zorder=3, clip_on=False)
    axis.set_xlim(low, max([*wide, 0.0]) + 1.0)
    axis.locator_params(axis="x", nbins=4)
    axis.set(title="width", xlabel="side / mid (dB)")


def _draw_reductions(axis: Axes, stems: pd.DataFrame) -> None:
    most = stems["reduction_most_db"]
    _bars(axis, most, FAINT, LEAST_DB["reduction"], both=False)
    axis.barh(np.arange(len(stems)), stems["reduction_mean_db"].fillna(0.0), color=WITHIN, height=0.55)
    axis.set(title="gain reduction", xlabel="mean, most (dB)")


def _draw_equalizers(axis: Axes, stems: pd.DataFrame) -> None:
    gains = stems["equalizer_db"].where(stems["equalizer_hz"].notna(), 0.0)
    reach = _bars(axis, gains, WITHIN, LEAST_DB["equalizer"], both=True)
    for row, (gain, hz) in enumerate(zip(gains, stems["equalizer_hz"], strict=True)):
        if not np.isnan(hz):
            text = f"{hz / 1000:.1f}k" if hz >= 1000 else f"{hz:.0f}"
            side = "left" if gain < 0 else "right"  # beside the zero line, where the bar is not
            axis.annotate(text, (-0.05 * reach * np.sign(gain), row), ha=side, va="center", fontsize=7)
    axis.set(title="equalizer", xlabel="largest (dB), at Hz")


def _draw_octaves(axis: Axes, octaves: pd.DataFrame) -> None:
    for name, (color, line) in STYLES.items():
        if octaves[name].notna().any():
            axis.plot(octaves.index, octaves[name], line, color=color, marker=".", label=name)
    axis.set_xscale("log")
    ticks = [f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}" for hz in octaves.index]
    axis.set_xticks(octaves.index, ticks)
    axis.set_xticks([], minor=True)
    low, high = axis.get_ylim()
    axis.set_ylim(max(low, high - 60.0), high)
    axis.set(xlabel="octave (Hz)", ylabel="level in the whole (dB)")
    if axis.lines:
        axis.legend(frameon=False, loc="lower left")


def _summary(name: str, values: pd.Series) -> str:
    parts = [
        f"{values[key]:.{digits}f}{unit}"
        for key, digits, unit in (("loudness_lufs", 1, " LUFS"), ("true_peak_dbtp", 1, " dBTP"))
        if np.isfinite(values[key])
    ]
    parts += [
        f"{word} {values[key]:.{digits}f}{unit}"
        for key, word, digits, unit in (
            ("plr_db", "PLR", 1, " dB"),
            ("correlation", "correlation", 2, ""),
            ("lead_voice_lu", "lead voice", 1, " LU"),
            ("master_reduction_mean_db", "master compressor", 1, " dB"),
        )
        if np.isfinite(values[key])
    ]
    return f"{name}: {', '.join(parts) or 'silent'}".replace("-", "\N{MINUS SIGN}")
