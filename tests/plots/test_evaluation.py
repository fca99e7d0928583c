"""The figure of an evaluation: a row a system, songs as dots."""

import math

import pandas as pd
from matplotlib.collections import LineCollection

from diffmst_lib.plots.evaluation import plot_evaluation


def test_systems_songs_and_intervals():
    pairs = pd.DataFrame(
        {
            "system": ["a", "a", "a", "b", "b"],
            "song": ["x", "x", "y", "x", "y"],
            "error": ["", "", "", "", "broken"],
            "af_mean": [0.1, 0.3, 0.4, 0.02, math.nan],
            "moved_db": [1.0, 3.0, 4.0, math.nan, math.nan],
        }
    )
    ends = {"af_mean_low": [0.2, math.nan], "af_mean_high": [0.4, math.nan]}
    ends |= {"moved_db": [8 / 3, math.nan], "moved_db_low": [2.0, math.nan], "moved_db_high": [4.0, math.nan]}
    summary = pd.DataFrame({"system": ["a", "b"], "af_mean": [0.8 / 3, 0.02], **ends})
    figure = plot_evaluation(pairs, summary)
    loss, moved = figure.axes
    assert [label.get_text() for label in loss.get_yticklabels()] == ["a", "b"]
    dots_a, dots_b, means = loss.lines
    assert dots_a.get_xdata().tolist() == [0.2, 0.4] and dots_b.get_xdata().tolist() == [0.02]
    assert means.get_xdata().tolist() == [0.8 / 3, 0.02]
    (intervals,) = [one for one in loss.collections if isinstance(one, LineCollection)]
    assert intervals.get_segments()[0][:, 0].tolist() == [0.2, 0.4]
    assert moved.lines[0].get_xdata().tolist() == [2.0, 4.0] and not len(moved.lines[1].get_xdata())
    assert loss.get_ylim() == (1.5, -0.5) and loss.get_xscale() == "linear"
