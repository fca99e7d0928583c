"""Figures: stems, features, consoles and fits. Every function draws one idea and returns the matplotlib figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from . import effects
from .audio import SAMPLE_RATE, Multitrack
from .features import BARK_BANDS, audio_features, bark_to_hz, hz_to_bark
from .params import ConsoleParams

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")  # Okabe and Ito, color-blind safe


def _axes(rows: int, height: float, width: float = 7.0, columns: int = 1, **options):
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)
    for axis in np.atleast_1d(axes).flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _close(figure):
    plt.close(figure)  # the returned figure is shown once, not a second time by the inline backend
    return figure


def plot_tracks(song: Multitrack):
    """The waveform of every stem over time, on one scale; the two channels of a stereo stem over each other."""
    stems = song.stems
    figure, axes = _axes(len(stems), 0.55 * len(stems) + 0.5, sharex=True, sharey=True, squeeze=False)
    peak = max(song.audio.abs().max().item(), 1e-6)
    for axis, (name, stem), color in zip(axes[:, 0], stems.items(), COLORS * len(stems)):
        step = max(1, stem.shape[-1] // 1500)
        blocks = stem[:, : stem.shape[-1] // step * step].reshape(stem.shape[0], -1, step)
        time = np.arange(blocks.shape[1]) * step / song.sample_rate
        for low, high in zip(blocks.amin(-1), blocks.amax(-1)):
            axis.fill_between(time, low.numpy(), high.numpy(), color=color, alpha=0.55, linewidth=0)
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.set(ylim=(-peak, peak), yticks=[], xlim=(0, song.duration_s))
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.tick_params(bottom=axis is axes[-1, 0])
    axes[-1, 0].spines["bottom"].set_visible(True)
    axes[-1, 0].set_xlabel("time (s)")
    return _close(figure)


def plot_levels(levels: pd.DataFrame):
    """Loudness and peak of every stem from `Multitrack.levels()`: the peak says little about how loud it is."""
    figure, axis = _axes(1, 0.35 * len(levels) + 0.9)
    order = levels.sort_values("loudness_lufs")
    rows = np.arange(len(order))
    axis.hlines(rows, order["loudness_lufs"], order["peak_dbfs"], color="#bbbbbb", linewidth=1)
    axis.plot(order["loudness_lufs"], rows, "o", color=COLORS[0], label="loudness (LUFS)")
    axis.plot(order["peak_dbfs"], rows, "s", color=COLORS[1], label="peak (dBFS)", markersize=5)
    axis.set(yticks=rows, yticklabels=order.index, xlabel="level (LUFS, dBFS)")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return _close(figure)


def plot_bark(sounds: dict[str, torch.Tensor], *, sample_rate: int = SAMPLE_RATE):
    """Bark spectra of mid and side of several stereo sounds over each other. Equation 5."""
    centers = bark_to_hz(np.linspace(hz_to_bark(20.0), hz_to_bark(20_000.0), BARK_BANDS + 2))[1:-1]
    figure, axes = _axes(1, 2.9, columns=2, sharey=True)
    for (label, audio), color in zip(sounds.items(), COLORS):
        bands = audio_features(audio, sample_rate=sample_rate)["bark_spectrum"].detach()
        for axis, values in zip(axes, bands.T):
            axis.semilogx(centers, values * (20 / np.log(10)), color=color, marker=".", label=label)
    for axis, name in zip(axes, ("mid (L + R)", "side (L - R)")):
        axis.set(title=name, xlabel="frequency (Hz)")
    axes[0].set_ylabel("band level (dB, arbitrary zero)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(sounds), frameon=False)
    return _close(figure)


def plot_history(histories: dict[str, pd.DataFrame], *, goal: float | None = None):
    """Loss by step of one or several fits, on a log axis; `goal` draws a line to reach."""
    figure, axis = _axes(1, 3.0)
    for (label, history), color in zip(histories.items(), COLORS):
        axis.semilogy(history.index, history["total"], color=color, label=label)
        axis.annotate(f" {history['total'].iloc[-1]:.3g}", (history.index[-1], history["total"].iloc[-1]), color=color)
    if goal is not None:
        axis.axhline(goal, color="#888888", linestyle=":", linewidth=1, label=f"goal {goal:g}")
    axis.set(xlabel="gradient step", ylabel="audio-feature loss")
    axis.margins(x=0.1)
    axis.legend(frameon=False)
    return _close(figure)


def plot_loss_terms(losses: dict[str, dict[str, torch.Tensor]]):
    """The five weighted terms of the audio-feature loss for several mixes, side by side on a log axis."""
    table = pd.DataFrame({label: {k: float(v) for k, v in terms.items()} for label, terms in losses.items()})
    figure, axis = _axes(1, 3.0)
    places = np.arange(len(table.index))
    width = 0.8 / len(table.columns)
    for i, (label, color) in enumerate(zip(table.columns, COLORS)):
        heights = table[label].clip(lower=1e-6)
        axis.bar(places + (i + 0.5) * width - 0.4, heights, width, bottom=1e-6, color=color, label=label)
    axis.set_yscale("log")
    axis.set(xticks=places, xticklabels=[name.replace("_", "\n") for name in table.index], ylabel="weighted term")
    axis.legend(frameon=False)
    return _close(figure)


def plot_mixer(params: ConsoleParams, *, start: ConsoleParams | None = None):
    """Faders and pans of every track; with `start`, a thin line from where each of them began."""
    figure, axes = _axes(1, 0.26 * len(params.names) + 1.0, columns=2, sharey=True)
    rows = np.arange(len(params.names))
    for axis, name, label in zip(axes, ("input_gain_db", "pan"), ("input gain (dB)", "pan (0 left, 1 right)")):
        values = params.values("track")[name].detach().cpu().numpy()
        if start is not None:
            axis.hlines(rows, start.values("track")[name].numpy(), values, color="#bbbbbb", linewidth=1.5)
        axis.plot(values, rows, "o", color=COLORS[0])
        axis.set(yticks=rows, yticklabels=params.names, xlabel=label)
        axis.axvline(0.0 if name == "input_gain_db" else 0.5, color="#dddddd", zorder=0)
    axes[1].set_xlim(-0.03, 1.03)
    axes[0].invert_yaxis()
    return _close(figure)


def plot_eq(params: ConsoleParams, names: list[str] | None = None):
    """Equalizer curves of the named tracks (all by default) and of the master bus, in dB over frequency.

    A stereo stem's name draws the mean of its two channels' settings.
    """
    names = names or params.names
    figure, axis = _axes(1, 3.0)
    points = 16_384
    freqs = np.arange(1, points // 2 + 1) * params.sample_rate / points
    curves = {name: params.track(name) for name in names} | {"master bus": params.master_bus}
    bands = [spec.name[:-8] for spec in params.specs("track") if spec.name.endswith("_gain_db") and spec.effect == "eq"]
    for (label, strip), color in zip(curves.items(), COLORS * len(curves)):
        settings = {
            key: torch.tensor([[np.mean(strip[f"{band}_{key}"]) for band in bands]], dtype=torch.float32)
            for key in ("gain_db", "cutoff_hz", "q")
        }
        response = effects.eq_response(points, sample_rate=params.sample_rate, **settings)[0, 1:].abs()
        axis.semilogx(freqs, 20 * np.log10(response.numpy()), color=color, label=label,
                      linewidth=2.5 if label == "master bus" else 1.2)
    axis.set(xlim=(20, 20_000), xlabel="frequency (Hz)", ylabel="equalizer gain (dB)")
    axis.axhline(0, color="#dddddd", zorder=0)
    figure.legend(loc="outside right upper", frameon=False)
    return _close(figure)
