"""Figures of spectra, in thirds of an octave and in the Bark bands of equation 5.

Chapter: Audio features.
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import scipy.signal
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..options import SAMPLE_RATE
from ..style.features import DB_PER_NEPER, bark_edges_hz, bark_spectrum
from .figure import COLORS, frequency_axis, new_figure
from .labels import plain, with_letters


def plot_bark(sounds: dict[str, torch.Tensor], *, sample_rate: float = SAMPLE_RATE) -> Figure:
    """Draw the Bark spectra of mid and side of several stereo sounds. Equation 5.

    Args:
        sounds: Audio (2, num_samples) by label.
        sample_rate: Sample rate in Hz.

    Returns:
        Figure with mid on the left and side on the right.
    """
    figure, axes = new_figure(1, 2.9, columns=2, sharey=True)
    centers = bark_edges_hz()[1:-1]
    for (label, audio), color in zip(sounds.items(), cycle(COLORS)):
        bands = bark_spectrum(audio.detach(), sample_rate=sample_rate) * DB_PER_NEPER
        for axis, values in zip(axes, bands.T, strict=True):
            axis.plot(centers, values.cpu(), color=color, marker=".", label=plain(label))
    for axis, name in zip(axes, ("mid (L + R)", "side (L - R)"), strict=True):
        axis.set_title(name)
        frequency_axis(axis)
    axes[0].set_ylabel("band level (dB, arbitrary zero)")
    lines = axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside upper center", ncols=len(sounds), frameon=False)
    return with_letters(figure)


def plot_spectrum(sounds: dict[str, torch.Tensor], sample_rate: float = SAMPLE_RATE) -> Figure:
    """Draw the spectra of several sounds: the power in bands of a third of an octave, in dBFS.

    Args:
        sounds: Audio (num_samples,) or (channels, num_samples) by label. The power is the mean of the
            channels.
        sample_rate: Sample rate in Hz.

    Returns:
        Figure with one line per sound.
    """
    figure, axis = new_figure(1, 3.0)
    draw_spectra(axis, sounds, sample_rate)
    return with_letters(figure)


def draw_spectra(axis: Axes, sounds: dict[str, torch.Tensor], sample_rate: float) -> None:
    """Draw spectra as `plot_spectrum` does.

    Args:
        axis: Axes to draw on.
        sounds: Audio by label, as in `plot_spectrum`.
        sample_rate: Sample rate in Hz.
    """
    for (label, audio), color in zip(sounds.items(), cycle(COLORS)):
        samples = np.atleast_2d(audio.detach().cpu().numpy())
        samples = np.pad(samples, ((0, 0), (0, max(0, 2048 - samples.shape[1]))))
        window = min(16_384, samples.shape[1])
        freqs, density = scipy.signal.welch(samples, sample_rate, nperseg=window)
        edges = np.append(freqs - freqs[1] / 2, freqs[-1] + freqs[1] / 2)
        power_below = np.append(0.0, density.mean(axis=0).cumsum() * freqs[1])
        centers = np.geomspace(20, min(20_000, 0.44 * sample_rate), 90)
        low, high = (np.interp(centers * 2 ** (side / 6), edges, power_below) for side in (-1, 1))
        axis.plot(centers, 10 * np.log10(np.maximum(high - low, 1e-12)), color=color, label=plain(label))
    axis.set_ylabel("level (dBFS)")
    low, high = axis.get_ylim()
    axis.set_ylim(max(low, high - 80), high)
    frequency_axis(axis)
    axis.legend(frameon=False)
