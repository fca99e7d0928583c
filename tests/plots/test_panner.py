"""Faders, pans and the pan law."""

import numpy as np
import pytest
import torch
from drawn_figures import curves, drawn, entries

from diffmst_lib import ConsoleParams, effects, plots

pytestmark = pytest.mark.filterwarnings("error")


def test_mixer():
    start = ConsoleParams.neutral(["kick", "vox"])
    params = start.clone()
    params.track("vox")["pan"] = 0.2
    figure = plots.plot_mixer(params, start=start)
    assert [x for x, _ in drawn(figure)] == ["input gain (dB)", "pan (0 left, 1 right)"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["kick", "vox"]
    dots, (way,) = figure.axes[1].lines[0], figure.axes[1].collections
    assert dots.get_xdata().tolist() == pytest.approx([0.5, 0.2])
    np.testing.assert_allclose(way.get_segments()[1], [(0.5, 1), (0.2, 1)], rtol=1e-6)
    alone = plots.plot_mixer(start)
    assert drawn(alone) and not alone.axes[1].collections


def test_pan_law():
    figure = plots.plot_pan_law(0.25)
    assert drawn(figure) == [("pan (0 left, 1 right)", "gain (dB)")]
    law = curves(figure.axes[0])
    assert list(law) == ["left", "right", "total power"] == entries(figure)
    center = len(law["left"][0]) // 2
    for name, power in (("left", 2**-1.5), ("right", 2**-1.5), ("total power", 2**-0.5)):
        assert law[name][0][center] == 0.5
        assert law[name][1][center] == pytest.approx(10 * np.log10(power), abs=1e-3)
    marks = [line.get_xydata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    wanted = 20 * torch.log10(effects.pan_gains(torch.tensor(0.25, dtype=torch.float64))).numpy()
    np.testing.assert_allclose(marks[:2], [(0.25, wanted[0]), (0.25, wanted[1])])
    assert len(plots.plot_pan_law().axes[0].lines) == 4  # no marks


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_a_side_that_is_off_is_drawn(end):
    assert drawn(plots.plot_pan_law(end))
