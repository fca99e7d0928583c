"""Losses by step and by term, and gradients."""

import numpy as np
import pandas as pd
import pytest
from drawn_figures import curves, drawn, entries

from diffmst_lib import audio_feature_loss, plots

pytestmark = pytest.mark.filterwarnings("error")


def test_history():
    history = pd.DataFrame({"total": [2.0, 0.5, 0.25]})
    figure = plots.plot_history({"fit": history}, goal=0.1)
    assert drawn(figure) == [("gradient step", "audio-feature loss")]
    assert entries(figure) == ["fit", "goal 0.1"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [2.0, 0.5, 0.25]
    assert [text.get_text() for text in figure.axes[0].texts] == [" 0.25"]


def test_loss_terms(noise):
    target = noise(2, 9000)
    terms = {
        label: audio_feature_loss(noise(2, 9000, seed=1) * gain, target)
        for label, gain in (("loud", 1.0), ("soft", 0.1))
    }
    figure = plots.plot_loss_terms(terms)
    assert drawn(figure) == [("", "weighted term")] and entries(figure) == ["loud", "soft"]
    names = [label.get_text().replace("\n", "_") for label in figure.axes[0].get_xticklabels()]
    assert names == list(terms["loud"])
    for bars, values in zip(figure.axes[0].containers, terms.values(), strict=True):
        heights = [bar.get_height() for bar in bars]
        assert heights == pytest.approx([max(float(value), 1e-6) for value in values.values()])


def test_loss_terms_of_different_losses(noise):
    x, y = noise(2, 9000), noise(2, 9000, seed=1)
    options = {"features": {"peak": (lambda x, sample_rate: x.amax(dim=(1, 2)), 1.0), "rms": (None, 0)}}
    terms = {"the paper's": audio_feature_loss(x, y), "mine": audio_feature_loss(x, y, **options)}
    axis = plots.plot_loss_terms(terms).axes[0]
    names = [label.get_text().replace("\n", "_") for label in axis.get_xticklabels()]
    assert names == [*list(terms["the paper's"])[:-1], "peak", "total"]
    for bars, values in zip(axis.containers, terms.values(), strict=True):
        shown = {name: bar.get_height() for name, bar in zip(names, bars, strict=True)}
        drawn_ones = {name: height for name, height in shown.items() if np.isfinite(height)}
        assert drawn_ones == pytest.approx({name: max(float(v), 1e-6) for name, v in values.items()})


def test_gradients_show_what_is_not_healthy():
    table = pd.DataFrame(
        {"a": [1e-6, 0.0, -3.0], "b": [np.nan, 1e-2, np.inf]}, index=["gain_db", "pan", "ratio"]
    )
    figure = plots.plot_gradients(table)
    assert drawn(figure) == [("size of the gradient", "")] and entries(figure) == ["a", "b"]
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == list(table.index)
    left, right = axis.get_xlim()
    marks = {label: dict(zip(rows, sizes, strict=True)) for label, (sizes, rows) in curves(axis).items()}
    assert marks == {"a": {0: 1e-6, 1: left, 2: 3.0}, "b": {1: 1e-2}}
    crosses = [line for line in axis.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [line.get_xydata().tolist() for line in crosses] == [[[right, 0], [right, 2]]]
    assert [text.get_text() for text in axis.texts] == ["0", "not finite"]


def test_healthy_gradients_and_none_at_all():
    healthy = plots.plot_gradients(pd.DataFrame({"a": [1.0, 10.0]}, index=["gain_db", "pan"]))
    assert drawn(healthy) and not healthy.axes[0].texts
    assert drawn(plots.plot_gradients(pd.DataFrame({"a": [0.0, np.nan]}, index=["gain_db", "pan"])))
