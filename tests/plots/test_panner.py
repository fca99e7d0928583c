"""Levels, widths, pans and the pan law."""

import numpy as np
import pytest
import torch
from drawn_figures import curves, drawn, entries

from diffmst_lib import ConsoleParams, effects, plots
from diffmst_lib.plots.panner import pan_db

pytestmark = pytest.mark.filterwarnings("error")


def test_mixer():
    start = ConsoleParams.neutral(["kick", "vox"])
    params = start.clone()
    vox = params.track("vox")
    vox["pan"], vox["width"], vox["input_gain_db"], vox["fader_db"] = 0.2, 1.5, -6.0, 2.0
    figure = plots.plot_mixer(params, start=start)
    assert [x for x, _ in drawn(figure)] == ["trim + fader (dB)", "width", "pan (0 left, 1 right)"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["kick", "vox"]
    for axis, before, after in zip(figure.axes, (0.0, 1.0, 0.5), (-4.0, 1.5, 0.2), strict=True):
        dots, (way,) = axis.lines[0], axis.collections
        assert dots.get_xdata().tolist() == pytest.approx([before, after])
        np.testing.assert_allclose(way.get_segments()[1], [(before, 1), (after, 1)], rtol=1e-6)
    alone = plots.plot_mixer(start)
    assert drawn(alone) and not alone.axes[1].collections


def test_mixer_of_the_paper_has_no_width():
    figure = plots.plot_mixer(ConsoleParams.neutral(["kick", "vox.L"], preset="reference"))
    assert [x for x, _ in drawn(figure)] == ["trim (dB)", "pan (0 left, 1 right)"]


def test_pan_law():
    figure = plots.plot_pan_law(0.25)
    assert drawn(figure) == [("pan (0 left, 1 right)", "gain (dB)")]
    law = curves(figure.axes[0])
    assert list(law) == ["released code", "left", "right", "total power"] == entries(figure)
    center = len(law["left"][0]) // 2
    powers = {"left": 1, "right": 1, "total power": 2, "released code": 2**-1.5}
    for name, power in powers.items():
        assert law[name][0][center] == 0.5
        assert law[name][1][center] == pytest.approx(10 * np.log10(power), abs=1e-3)
    np.testing.assert_allclose(law["total power"][1], 10 * np.log10(2))
    marks = [line.get_xydata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    wanted = 20 * torch.log10(effects.pan_gains(torch.tensor(0.25, dtype=torch.float64))).numpy()
    np.testing.assert_allclose(marks[:2], [(0.25, wanted[0]), (0.25, wanted[1])])
    assert len(plots.plot_pan_law().axes[0].lines) == 7  # two laws, the zero line, no marks


@pytest.mark.parametrize(("preset", "loudest"), [("default", 10 * np.log10(2)), ("reference", 0.0)])
def test_decibels_of_a_law(preset, loudest):
    law = pan_db([0.0, 1.0], preset=preset)
    assert law["left"].tolist() == pytest.approx([loudest, -np.inf])
    assert law["right"].tolist() == pytest.approx([-np.inf, loudest])
    assert law["total power"].tolist() == pytest.approx([loudest, loudest])
    assert law["total power"].shape == (2,) and pan_db(0.5, preset=preset)["left"].shape == ()


def test_other_presets_are_refused():
    with pytest.raises(ValueError, match="preset must be"):
        pan_db(0.5, preset="x")


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_a_side_that_is_off_is_drawn(end):
    assert drawn(plots.plot_pan_law(end))
