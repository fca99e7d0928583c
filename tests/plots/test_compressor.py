"""The compressor's static curve, and its gain over time."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from drawn_figures import curves, drawn, entries

from diffmst_lib import plots

pytestmark = pytest.mark.filterwarnings("error")
HARD = {"threshold_db": -30.0, "ratio": 3.0, "knee_db": 0.0}


def test_static_curve():
    soft = HARD | {"knee_db": 12.0, "attack_ms": 5.0, "makeup_gain_db": 2.0}
    figure = plots.plot_static_curve({"hard": HARD, "soft": soft})
    assert drawn(figure) == [("level in (dBFS)", "level out (dBFS)")]
    assert entries(figure) == ["unchanged", "hard", "soft"]
    lines = curves(figure.axes[0])
    for label, out in (("hard", [-50, -30, -20]), ("soft", [-48, -29, -18])):
        assert [np.interp(x, *lines[label]) for x in (-50, -30, 0)] == pytest.approx(out, abs=1e-4)
    knee = figure.axes[0].lines[-1].get_xdata()
    assert (knee[0], knee[-1]) == pytest.approx((-36, -24), abs=0.01)


def test_gain_reduction(noise):
    x = noise(1, 44100)
    y = torch.cat([x[:, :22050], 0.5 * x[:, 22050:]], dim=-1)
    figure = plots.plot_gain_reduction(x, y)
    assert drawn(figure) == [("", "peak level\n(dBFS)"), ("time (s)", "gain (dB)")]
    assert entries(figure) == ["in", "out"]
    time, gain_db = figure.axes[1].lines[-1].get_data()
    np.testing.assert_allclose(gain_db[time < 0.49], 0, atol=1e-6)
    np.testing.assert_allclose(gain_db[time > 0.51], -6.0206, atol=1e-3)
    silent = plots.plot_gain_reduction(torch.zeros(2, 500), torch.zeros(2, 500), 8000)
    assert drawn(silent) and np.isnan(silent.axes[1].lines[-1].get_ydata()).all()


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="'soft' lacks knee_db"):
        plots.plot_static_curve({"soft": {"threshold_db": -20.0, "ratio": 2.0}})
    with pytest.raises(ValueError, match=r"one shape.*got \(5,\) and \(6,\)"):
        plots.plot_gain_reduction(torch.zeros(5), torch.zeros(6))
    assert plt.get_fignums() == []
