"""Figures: stems, effects, features, consoles and fits. Every function draws one idea and returns the figure."""

from __future__ import annotations

import base64
import html
import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.signal
import torch
from matplotlib.ticker import NullFormatter

from ..audio.loudness import SAMPLE_RATE
from ..audio.multitrack import Multitrack
from ..console import effects
from ..console.params import EQ_BANDS, ConsoleParams
from ..style.features import audio_features, bark_edges_hz

# Okabe and Ito, color-blind safe
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")


def _axes(rows: int, height: float, width: float = 7.0, columns: int = 1, **options):
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)
    plt.close(figure)  # the returned figure is shown once, not a second time by the inline backend
    for axis in np.atleast_1d(axes).flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def figure_html(figure, alt: str) -> str:
    """A figure as an image element with a text for those who do not see it.

    >>> 'width="672" height="96" alt="an empty axis"' in figure_html(_axes(1, 1.0)[0], "an empty axis")
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


def _frequency_axis(axis) -> None:
    axis.set_xscale("log")
    axis.set(xlim=(20, 20_000), xlabel="frequency (Hz)")
    axis.set_xticks([20, 100, 1000, 10_000], ["20", "100", "1k", "10k"])
    axis.xaxis.set_minor_formatter(NullFormatter())


def plot_tracks(song: Multitrack):
    """The waveform of every stem over time, on one scale; the two channels of a stereo stem over each other."""
    stems = song.stems
    figure, axes = _axes(len(stems), 0.55 * len(stems) + 0.5, sharex=True, sharey=True, squeeze=False)
    peak = max(song.audio.abs().max().item(), 1e-6)
    for axis, (name, stem), color in zip(axes[:, 0], stems.items(), COLORS * len(stems)):
        _draw_waveform(axis, stem, song.sample_rate, color)
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.set(ylim=(-peak, peak), yticks=[], xlim=(0, song.duration_s))
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.tick_params(bottom=axis is axes[-1, 0])
    axes[-1, 0].spines["bottom"].set_visible(True)
    axes[-1, 0].set_xlabel("time (s)")
    return figure


def _draw_waveform(axis, audio: torch.Tensor, sample_rate: int, color: str) -> None:
    step = max(1, audio.shape[-1] // 1500)
    blocks = audio[:, : audio.shape[-1] // step * step].reshape(audio.shape[0], -1, step)
    time = np.arange(blocks.shape[1]) * step / sample_rate
    for low, high in zip(blocks.amin(-1), blocks.amax(-1)):
        axis.fill_between(time, low.numpy(), high.numpy(), color=color, alpha=0.55, linewidth=0)


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
    return figure


def plot_bark(sounds: dict[str, torch.Tensor], *, sample_rate: int = SAMPLE_RATE):
    """Bark spectra of mid and side of several stereo sounds over each other. Equation 5."""
    centers = bark_edges_hz()[1:-1]
    figure, axes = _axes(1, 2.9, columns=2, sharey=True)
    for (label, audio), color in zip(sounds.items(), COLORS):
        bands = audio_features(audio, sample_rate=sample_rate)["bark_spectrum"].detach()
        for axis, values in zip(axes, bands.T):
            axis.plot(centers, values * (20 / np.log(10)), color=color, marker=".", label=label)
    for axis, name in zip(axes, ("mid (L + R)", "side (L - R)")):
        axis.set_title(name)
        _frequency_axis(axis)
    axes[0].set_ylabel("band level (dB, arbitrary zero)")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(sounds), frameon=False
    )
    return figure


def plot_history(histories: dict[str, pd.DataFrame], *, goal: float | None = None):
    """Loss by step of one or several fits, on a log axis; `goal` draws a line to reach."""
    figure, axis = _axes(1, 3.0)
    for (label, history), color in zip(histories.items(), COLORS):
        axis.semilogy(history.index, history["total"], color=color, label=label)
        axis.annotate(
            f" {history['total'].iloc[-1]:.3g}", (history.index[-1], history["total"].iloc[-1]), color=color
        )
    if goal is not None:
        axis.axhline(goal, color="#888888", linestyle=":", linewidth=1, label=f"goal {goal:g}")
    axis.set(xlabel="gradient step", ylabel="audio-feature loss")
    axis.margins(x=0.1)
    axis.legend(frameon=False)
    return figure


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
    axis.set(
        xticks=places, xticklabels=[name.replace("_", "\n") for name in table.index], ylabel="weighted term"
    )
    axis.legend(frameon=False)
    return figure


def plot_mixer(params: ConsoleParams, *, start: ConsoleParams | None = None):
    """Faders and pans of every track; with `start`, a thin line from where each of them began."""
    figure, axes = _axes(1, 0.26 * len(params.names) + 1.0, columns=2, sharey=True)
    rows = np.arange(len(params.names))
    for axis, name, label in zip(
        axes, ("input_gain_db", "pan"), ("input gain (dB)", "pan (0 left, 1 right)")
    ):
        values = params.values("track")[name].detach().cpu().numpy()
        if start is not None:
            axis.hlines(
                rows,
                start.values("track")[name].detach().cpu().numpy(),
                values,
                color="#bbbbbb",
                linewidth=1.5,
            )
        axis.plot(values, rows, "o", color=COLORS[0])
        axis.set(yticks=rows, yticklabels=params.names, xlabel=label)
        axis.axvline(0.0 if name == "input_gain_db" else 0.5, color="#dddddd", zorder=0)
    axes[1].set_xlim(-0.03, 1.03)
    axes[0].invert_yaxis()
    return figure


def plot_eq(params: ConsoleParams, names: list[str] | None = None):
    """Equalizer curves of the named tracks (all by default) and of the master bus, in dB over frequency.

    A stereo stem's name draws the mean of its two channels' settings.
    """
    names = names or params.names
    figure, axis = _axes(1, 3.0)
    curves = {name: params.track(name) for name in names} | {"master bus": params.master_bus}
    bands = [
        spec.name[:-8]
        for spec in params.specs("track")
        if spec.name.endswith("_gain_db") and spec.effect == "eq"
    ]
    for (label, strip), color in zip(curves.items(), COLORS * len(curves)):
        settings = {
            key: [np.mean(strip[f"{band}_{key}"]) for band in bands]
            for key in ("gain_db", "frequency_hz", "q")
        }
        _draw_eq(
            axis,
            settings,
            params.sample_rate,
            color=color,
            label=label,
            linewidth=2.5 if label == "master bus" else 1.2,
        )
    _eq_axis(axis)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def plot_pan_law(pan: float | None = None):
    """What the panner does to each side, and the total power, in dB over pan; `pan` marks one position.

    >>> plot_pan_law(0.25).axes[0].get_xlabel()
    'pan (0 left, 1 right)'
    """
    figure, axis = _axes(1, 3.0)
    _draw_pan_law(axis, pan)
    return figure


def _draw_pan_law(axis, pan: float | None) -> None:
    positions = np.linspace(0.0, 1.0, 401)
    for curve, color, style in zip(("left", "right", "total power"), COLORS, ("-", "-", "--")):
        axis.plot(positions, _pan_db(positions)[curve], style, color=color, label=curve)
        if pan is not None:
            axis.plot(pan, _pan_db(pan)[curve], "o", color=color, clip_on=False)
    if pan is not None:
        axis.axvline(pan, color="#bbbbbb", linewidth=1, zorder=0)
    axis.set(xlim=(0, 1), ylim=(-30, 2), xlabel="pan (0 left, 1 right)", ylabel="gain (dB)")
    axis.axhline(0, color="#dddddd", zorder=0)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)


def _pan_db(pan) -> dict[str, np.ndarray]:
    power = effects.pan_gains(torch.as_tensor(pan, dtype=torch.float64)).numpy() ** 2
    curves = {"left": power[..., 0], "right": power[..., 1], "total power": power.sum(-1)}
    with np.errstate(divide="ignore"):  # a side that is off: -inf dB, below every axis
        return {curve: 10 * np.log10(values) for curve, values in curves.items()}


def plot_eq_response(settings: dict | list[tuple[str, dict]], sample_rate: int = SAMPLE_RATE):
    """The equalizer's gain in dB over frequency, for settings as `effects.parametric_eq` takes them.

    Args:
        settings: {"gain_db", "frequency_hz", "q"}, six values each: one equalizer, its bands thin, all of them together
            thick. A list of (label, settings) compares several, one curve each.
        sample_rate: Hz.

    Raises ValueError for settings that are not six bands.

    >>> smile = {"gain_db": [6, 0, -3, 0, 0, 6], "frequency_hz": [100, 200, 800, 2e3, 5e3, 8e3], "q": [0.7] * 6}
    >>> len(plot_eq_response(smile).axes[0].lines)    # all bands, three that do something, the zero line
    5
    """
    figure, axis = _axes(1, 3.0)
    if isinstance(settings, dict):
        _draw_bands(axis, settings, sample_rate)
    else:
        for (label, one), color in zip(settings, COLORS * len(settings)):
            _draw_eq(axis, one, sample_rate, color=color, label=label)
        _eq_axis(axis)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def _draw_bands(axis, settings: dict, sample_rate: int) -> None:
    _draw_eq(axis, settings, sample_rate, color="black", label="all bands", linewidth=3)
    gains = _six_bands(settings)["gain_db"][0]
    for band, (name, color) in enumerate(zip(EQ_BANDS, COLORS)):
        if gains[band] != 0:
            alone = torch.zeros_like(gains)
            alone[band] = gains[band]
            label = name.replace("_", " ")
            _draw_eq(
                axis, settings | {"gain_db": alone}, sample_rate, color=color, label=label, linewidth=1.2
            )
    _eq_axis(axis)


def _draw_eq(axis, settings: dict, sample_rate: int, **line) -> None:
    points = 65_536
    nyquist = points // 2
    bins = np.unique(np.geomspace(20 * points / sample_rate, nyquist, 600).astype(int))
    response = effects.eq_response(points, sample_rate=sample_rate, **_six_bands(settings))[0, bins].abs()
    axis.plot(bins * sample_rate / points, 20 * np.log10(response.numpy()), **line)


def _eq_axis(axis) -> None:
    axis.axhline(0, color="#dddddd", zorder=0)
    axis.set_ylabel("equalizer gain (dB)")
    low, high = axis.get_ylim()
    axis.set_ylim(min(low, -3), max(high, 3))
    _frequency_axis(axis)


def _six_bands(settings: dict) -> dict[str, torch.Tensor]:
    """Equalizer settings as tensors (1, 6), or ValueError."""
    if not isinstance(settings, dict) or set(settings) != {"gain_db", "frequency_hz", "q"}:
        raise ValueError(f"an equalizer's settings are gain_db, frequency_hz and q, got {_names(settings)}")
    bands = {}
    for name, values in settings.items():
        values = torch.as_tensor(values, dtype=torch.float32).detach().cpu()
        if values.shape not in ((6,), (1, 6)):
            raise ValueError(f"{name}: six values, one a band, are needed, got shape {tuple(values.shape)}")
        bands[name] = values.reshape(1, 6)
    return bands


def _names(settings) -> str:
    return ", ".join(settings) if isinstance(settings, dict) else type(settings).__name__


def plot_spectrum(sounds: dict[str, torch.Tensor], sample_rate: int = SAMPLE_RATE):
    """The level of several sounds over frequency: the power in bands of a third of an octave, in dBFS.

    `sounds` is {label: audio}, (num_samples,) or (channels, num_samples); the power of the channels is averaged.
    """
    figure, axis = _axes(1, 3.0)
    _draw_spectra(axis, sounds, sample_rate)
    return figure


def _draw_spectra(axis, sounds: dict[str, torch.Tensor], sample_rate: int) -> None:
    for (label, audio), color in zip(sounds.items(), COLORS * len(sounds)):
        samples = np.atleast_2d(audio.detach().cpu().numpy())
        samples = np.pad(samples, ((0, 0), (0, max(0, 2048 - samples.shape[1]))))
        window = min(16_384, samples.shape[1])
        freqs, density = scipy.signal.welch(samples, sample_rate, nperseg=window)
        edges = np.append(freqs - freqs[1] / 2, freqs[-1] + freqs[1] / 2)
        power_below = np.append(0.0, density.mean(axis=0).cumsum() * freqs[1])
        centers = np.geomspace(20, min(20_000, 0.44 * sample_rate), 90)
        low, high = (np.interp(centers * 2 ** (side / 6), edges, power_below) for side in (-1, 1))
        axis.plot(centers, 10 * np.log10(np.maximum(high - low, 1e-12)), color=color, label=label)
    axis.set_ylabel("level (dBFS)")
    low, high = axis.get_ylim()
    axis.set_ylim(max(low, high - 80), high)
    _frequency_axis(axis)
    axis.legend(frameon=False)


def plot_static_curve(curves: dict[str, dict]):
    """The compressor's static curve, level in to level out in dB; the knee is drawn thick.

    `curves` is {label: settings} with threshold_db, ratio, knee_db and makeup_gain_db (0 when it is left out); attack
    and release may be there as well. ValueError when one is missing.

    >>> soft = {"threshold_db": -30.0, "ratio": 4.0, "knee_db": 12.0}
    >>> plot_static_curve({"hard": soft | {"knee_db": 0.0}, "soft": soft}).axes[0].get_ylabel()
    'level out (dBFS)'
    """
    figure, axis = _axes(1, 3.6, width=4.4)
    _draw_static_curves(axis, curves)
    return figure


def _draw_static_curves(axis, curves: dict[str, dict]) -> None:
    level = torch.linspace(-60.0, 0.0, 601)
    axis.plot(level, level, ":", color="#888888", label="unchanged")
    for (label, settings), color in zip(curves.items(), COLORS * len(curves)):
        missing = {"threshold_db", "ratio", "knee_db"} - set(settings)
        if missing:
            raise ValueError(f"curve {label!r} lacks {', '.join(sorted(missing))}")
        curve = {name: float(settings[name]) for name in ("threshold_db", "ratio", "knee_db")}
        out = level + effects.gain_computer(level, **curve) + float(settings.get("makeup_gain_db", 0.0))
        axis.plot(level, out, color=color, label=label)
        inside = (level - curve["threshold_db"]).abs() <= curve["knee_db"] / 2
        axis.plot(level[inside], out[inside], color=color, linewidth=4, solid_capstyle="butt")
    axis.set(
        xlim=(-60, 0), ylim=(-60, 6), xlabel="level in (dBFS)", ylabel="level out (dBFS)", aspect="equal"
    )
    axis.legend(loc="upper left", frameon=False)


def plot_gain_reduction(x: torch.Tensor, y: torch.Tensor, sample_rate: int = SAMPLE_RATE):
    """Two levels over time, and the gain that leads from `x` to `y`, in dB; both (num_samples,) or (channels, ...).

    The gain of a block of 10 ms (longer in long sounds) is the ratio of the two powers; where `x` is below -80 dBFS
    it is left out. ValueError when the shapes differ.
    """
    figure, axes = _axes(2, 3.6, sharex=True)
    _draw_gain_reduction(axes, x, y, sample_rate)
    return figure


def _draw_gain_reduction(axes, x: torch.Tensor, y: torch.Tensor, sample_rate: int) -> None:
    if x.shape != y.shape or x.ndim not in (1, 2) or 0 in x.shape:
        raise ValueError(
            f"x and y need one shape, (num_samples,) or (channels, num_samples), "
            f"got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    step = max(round(0.01 * sample_rate), x.shape[-1] // 1000, 1)
    blocks = []
    for audio in (x, y):
        audio = torch.atleast_2d(audio.detach().cpu().double())
        audio = torch.nn.functional.pad(audio, (0, -audio.shape[-1] % step))
        blocks.append(audio.reshape(audio.shape[0], -1, step))  # (channels, blocks, step)
    powers = [block.square().sum(dim=(0, 2)) for block in blocks]
    peaks = [20 * torch.log10(block.abs().amax(dim=(0, 2)).clamp(min=1e-6)) for block in blocks]
    heard = powers[0] > 1e-8 * step * blocks[0].shape[0]
    gain_db = torch.where(
        heard, 10 * torch.log10(powers[1].clamp(min=1e-20) / powers[0].clamp(min=1e-20)), torch.nan
    )
    time = np.arange(len(gain_db)) * step / sample_rate
    for label, peak, color in zip(("in", "out"), peaks, ("#888888", COLORS[0])):
        axes[0].plot(time, peak, color=color, linewidth=1, label=label)
    axes[0].set(
        ylim=(-60, max(3.0, 3.0 + max(float(peak.max()) for peak in peaks))), ylabel="peak level\n(dBFS)"
    )
    axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    axes[1].axhline(0, color="#dddddd", zorder=0)
    axes[1].plot(time, gain_db, color=COLORS[1], linewidth=1)
    axes[1].set(xlabel="time (s)", ylabel="gain (dB)", xlim=(0, x.shape[-1] / sample_rate))
    low, high = axes[1].get_ylim()
    axes[1].set_ylim(min(low, -3.0), max(high, 1.0))


def plot_gradients(table: pd.DataFrame):
    """The size of gradients on a log axis: one row a parameter, one mark for each column of the table.

    Gradients of exactly 0 stand at the left edge, those that are not finite at the right edge as a cross.
    """
    sizes = table.abs().to_numpy(dtype=float)
    good = np.isfinite(sizes) & (sizes > 0)
    low, high = (sizes[good].min(), sizes[good].max()) if good.any() else (1.0, 1.0)
    left, right = 10 ** (np.floor(np.log10(low)) - 1), 10 ** (np.ceil(np.log10(high)) + 1)
    figure, axis = _axes(1, 0.24 * len(table) + 1.1)
    rows = np.arange(len(table))
    axis.hlines(rows, left, right, color="#eeeeee", linewidth=1, zorder=0)
    styles = zip(table.columns, sizes.T, COLORS * len(table.columns), "osD^vPX" * len(table.columns))
    for label, values, color, marker in styles:
        finite = np.isfinite(values)
        style = {"color": color, "clip_on": False}
        axis.plot(values[finite].clip(left), rows[finite], marker, label=label, markersize=5, **style)
        axis.plot(np.full((~finite).sum(), right), rows[~finite], "x", markersize=7, **style)
    edges = (["0"] if (sizes == 0).any() else []), (["not finite"] if not np.isfinite(sizes).all() else [])
    for place, words in zip((left, right), edges):
        for word in words:
            axis.annotate(word, (place, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom")
    axis.set_xscale("log")
    axis.set(yticks=rows, yticklabels=table.index, xlim=(left, right), xlabel="size of the gradient")
    axis.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=min(4, len(table.columns)), frameon=False)
    return figure
