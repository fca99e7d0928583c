"""The figures of the two exams."""

import pandas as pd
import pytest
from drawn_figures import curves, drawn, entries

from diffmst_lib import plots

pytestmark = pytest.mark.filterwarnings("error")


def test_strip_test():
    table = pd.DataFrame(
        {"neutral": [0.4, 0.6], "master": [0.3, 0.5], "mean_strip": [0.2, 0.3], "network": [0.1, 0.2]}
    )
    figure = plots.plot_strip_test(table)
    assert drawn(figure) == [("", "audio-feature loss")]
    (axis,) = figure.axes
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([0.5, 0.4, 0.25, 0.15])
    assert [text.get_text() for text in axis.texts] == ["0.500", "0.400", "0.250", "0.150"]
    labels = [label.get_text().replace("\n", " ") for label in axis.get_xticklabels()]
    assert labels == ["plain sum", "master alone", "master and one mean strip", "network"]
    (dots,) = axis.lines
    assert dots.get_xydata()[4:].tolist() == [[0, 0.6], [1, 0.5], [2, 0.3], [3, 0.2]]


def test_balance():
    table = pd.DataFrame({"disturbed": [3.0, -4.0], "found": [0.0, -1.0]}, index=["kick", "vox"])
    figure = plots.plot_balance(table)
    assert drawn(figure) == [("level of the stem, from where it belongs (dB)", "")]
    assert entries(figure) == ["disturbed, 3.5 dB rms", "found, 0.7 dB rms"]
    (axis,) = figure.axes
    marks = [values.tolist() for values, _ in curves(axis).values()]
    assert marks == [[3.0, -4.0], [0.0, -1.0]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["kick", "vox"]
    (ways,) = axis.collections
    assert [way[:, 0].tolist() for way in ways.get_segments()] == [[3.0, 0.0], [-4.0, -1.0]]
    low, high = axis.get_xlim()
    assert low < -4.0 and high == -low
