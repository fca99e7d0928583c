"""The equalizer's curves: a console's, and those of settings alone."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from drawn_figures import curves, drawn, entries, ticks

from diffmst_lib import ConsoleParams, plots

pytestmark = pytest.mark.filterwarnings("error")
EQ = {"gain_db": [9.0, 0, 0, -6, 0, 0], "frequency_hz": [100.0, 200, 500, 1e3, 5e3, 9e3], "q": [0.7] * 6}


@pytest.fixture
def params():
    return ConsoleParams.neutral(["kick", "bass", "vox"])


def test_stems_and_the_master_bus(params):
    figure = plots.plot_eq(params, ["kick", "vox"])
    assert drawn(figure) == [("frequency (Hz)", "equalizer gain (dB)")]
    assert entries(figure) == ["kick", "vox", "master bus"]
    assert ticks(figure.axes[0]) == ["20", "100", "1k", "10k"]
    assert entries(plots.plot_eq(params)) == ["kick", "bass", "vox", "master bus"]


def test_curves_are_what_the_knobs_say(params):
    params.master_bus["low_shelf_gain_db"] = 6
    params.track("vox")["high_shelf_gain_db"] = -4
    lines = curves(plots.plot_eq(params, ["kick", "vox"]).axes[0])
    low, high = lines["master bus"][1][[0, -1]]
    assert (low, high) == (pytest.approx(6, abs=0.1), pytest.approx(0, abs=0.1))
    assert lines["vox"][1][-1] == pytest.approx(-4, abs=0.1)
    assert np.abs(lines["kick"][1]).max() < 1e-3


def test_response():
    figure = plots.plot_eq_response(EQ)
    assert drawn(figure) == [("frequency (Hz)", "equalizer gain (dB)")]
    assert entries(figure) == ["all bands", "low shelf", "peak 3"]
    freqs, total = curves(figure.axes[0])["all bands"]
    assert freqs[0] == pytest.approx(20, abs=1) and total[0] == pytest.approx(9, abs=0.2)
    assert np.interp(1000, *curves(figure.axes[0])["peak 3"]) == pytest.approx(-6, abs=0.01)


def test_responses_compared():
    tensors = {name: torch.tensor([values]) for name, values in EQ.items()}
    pair = [("this", tensors), ("that", EQ | {"gain_db": [0.0] * 6})]
    figure = plots.plot_eq_response(pair, sample_rate=48000)
    assert drawn(figure) == [("frequency (Hz)", "equalizer gain (dB)")]
    assert entries(figure) == ["this", "that"]
    lines = curves(figure.axes[0])
    assert np.abs(lines["that"][1]).max() < 1e-3 and lines["this"][1].max() > 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gain_db": [0.0] * 6}, "gain_db, frequency_hz and q, got gain_db"),
        (EQ | {"q": [1.0] * 5}, r"q: six values, .* got shape \(5,\)"),
        ([("one", None)], "got NoneType"),
    ],
)
def test_settings_that_are_not_six_bands_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        plots.plot_eq_response(settings)
    assert plt.get_fignums() == []
