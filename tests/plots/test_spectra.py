"""Spectra in thirds of an octave and in Bark bands."""

import numpy as np
import pytest
import torch
from drawn_figures import curves, drawn, entries, ticks

from diffmst_lib import audio_features, plots

pytestmark = pytest.mark.filterwarnings("error")


def test_bark(reference):
    sounds = {"mix": reference.flip(0) * torch.tensor([[0.3], [1.0]]), "reference": reference}
    figure = plots.plot_bark(sounds)
    assert drawn(figure) == [("frequency (Hz)", "band level (dB, arbitrary zero)"), ("frequency (Hz)", "")]
    assert entries(figure) == ["mix", "reference"]
    for axis, part in zip(figure.axes, (0, 1), strict=True):
        assert ticks(axis) == ["20", "100", "1k", "10k"]
        for label, (centers, level_db) in curves(axis).items():
            bands = audio_features(sounds[label])["bark_spectrum"][:, part]
            assert len(centers) == 24 and level_db.tolist() == pytest.approx((8.685890 * bands).tolist())


def test_every_sound_is_drawn(noise):
    sounds = {f"sound {i}": noise(2, 500, seed=i) for i in range(len(plots.COLORS) + 1)}
    assert entries(plots.plot_bark(sounds)) == list(sounds)


def test_spectrum_is_in_dbfs(noise):
    sine = torch.sin(2 * torch.pi * 1000 * torch.arange(88200) / 44100)
    figure = plots.plot_spectrum({"sine": sine, "noise": noise(2, 88200)})
    assert drawn(figure) == [("frequency (Hz)", "level (dBFS)")] and entries(figure) == ["sine", "noise"]
    assert ticks(figure.axes[0]) == ["20", "100", "1k", "10k"]
    lines = curves(figure.axes[0])
    assert np.interp(1000, *lines["sine"]) == pytest.approx(-3, abs=0.1)
    width = 1000 * (2 ** (1 / 6) - 2 ** (-1 / 6)) / 22050  # a third of an octave of white noise at -20 dBFS
    assert np.interp(1000, *lines["noise"]) == pytest.approx(-20 + 10 * np.log10(width), abs=0.4)


@pytest.mark.parametrize("plot", [plots.plot_bark, plots.plot_spectrum], ids=["bark", "spectrum"])
def test_silence_is_drawn(plot):
    assert drawn(plot({"silence": torch.zeros(2, 44100)}))
