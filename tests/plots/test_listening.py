"""The figure of a listening test."""

import numpy as np
import pytest
from drawn_figures import drawn

from diffmst_lib.evaluation.listening.simulation import simulate_listeners
from diffmst_lib.plots.listening import plot_listening

pytestmark = pytest.mark.filterwarnings("error")
QUALITY = {"equal-loudness": 20, "cash $$": 50, "human": 80}


@pytest.fixture
def ratings():
    return simulate_listeners(QUALITY, listeners=5, pages=3)


def test_a_panel_a_scale_and_a_row_a_system(ratings):
    figure = plot_listening(ratings)
    assert [labels[0] for labels in drawn(figure)] == ["", "", "rating", "rating"]
    assert [axis.get_title() for axis in figure.axes] == ["like the record", "balance", "clarity", "overall"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["equal-loudness (anchor)", r"cash \$\$", "human"]
    assert figure.get_suptitle() == "5 simulated listeners"


def test_points_are_listeners_and_bars_are_quartiles(ratings):
    (axis,) = plot_listening(ratings, scales=["overall"]).axes
    own = ratings[(ratings["scale"] == "overall") & (ratings["system"] == "human")]
    (points,) = [line for line in axis.lines if line.get_marker() == "o" and line.get_ydata().mean() > 1.5]
    assert sorted(points.get_xdata()) == pytest.approx(sorted(own.groupby("listener")["rating"].mean()))
    box = axis.patches[2]
    low, high = own["rating"].quantile([0.25, 0.75])
    assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((low, high))
    median = own["rating"].median()
    assert any(np.allclose(line.get_xdata(), median) for line in axis.lines if len(line.get_xdata()) == 2)


def test_real_listeners_and_an_odd_number_of_scales(ratings):
    real = ratings.assign(simulated=False)
    assert plot_listening(real).get_suptitle() == "5 listeners"
    mixed = ratings.assign(simulated=ratings["listener"] == "simulated-01")
    figure = plot_listening(mixed, scales=["overall", "clarity", "balance"])
    assert figure.get_suptitle() == "5 listeners (some simulated)"
    drawn(figure)
    alone = real[real["listener"] == "simulated-01"]
    assert plot_listening(alone).get_suptitle() == "1 listener"


def test_a_system_that_was_not_rated_on_a_scale(ratings):
    some = ratings[(ratings["system"] != "human") | (ratings["scale"] != "overall")]
    figure = plot_listening(some)
    drawn(figure)
    assert len(figure.axes[3].patches) == 2 and len(figure.axes[0].patches) == 3


def test_scales_that_are_not_there(ratings):
    with pytest.raises(KeyError, match="no scale loudness in the table"):
        plot_listening(ratings, scales=["loudness"])
