"""The figure of a calibration."""

import numpy as np
import pandas as pd
import pytest
from drawn_figures import drawn

from diffmst_lib.plots.calibration import plot_hearing, short

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def table():
    """Two metrics on three ladders; the first cannot tell of one of them."""
    rows = [
        ("loss", "AF loss", "voice", "voice down", 0.25, "deaf"),
        ("loss", "AF loss", "narrow", "narrow", 0.97, "hears"),
        ("fad", "FAD $", "voice", "voice down", 1.0, "drowned"),
        ("fad", "FAD $", "reverb", "reverb", 0.61, "unsure"),
        ("fad", "FAD $", "narrow", "narrow", -0.9, "backwards"),
    ]
    return pd.DataFrame(rows, columns=["metric", "label", "ladder", "ladder_label", "rho", "reading"])


def cells(figure):
    """The texts in the cells by (row, column), and those of them that are bold."""
    texts = {
        (int(text.get_position()[1]), int(text.get_position()[0])): text for text in figure.axes[0].texts
    }
    bold = {place for place, text in texts.items() if text.get_fontweight() == "bold"}
    return {place: text.get_text() for place, text in texts.items()}, bold


def test_a_cell_a_metric_and_ladder(table):
    figure = plot_hearing(table)
    assert drawn(figure) == [("", "")]
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["AF loss", r"FAD \$"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["voice down", "reverb", "narrow"]
    texts, bold = cells(figure)
    assert texts == {(0, 0): ".2", (0, 2): "1", (1, 0): "1*", (1, 1): ".6?", (1, 2): "\N{MINUS SIGN}.9"}
    assert bold == {(0, 2), (1, 2)}
    (image,) = axis.images
    assert np.isnan(image.get_array().filled(np.nan)[0, 1]) and image.get_clim() == (-1.0, 1.0)


def test_numbers_can_be_read_in_a_small_window(table):
    figure = plot_hearing(table)
    width = 96 * figure.get_size_inches()[0]
    assert all(text.get_fontsize() * 96 / 72 * 400 / width >= 9 for text in figure.axes[0].texts)


def test_some_metrics_in_another_order(table):
    figure = plot_hearing(table, metrics=["fad", "loss"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [r"FAD \$", "AF loss"]
    assert cells(figure)[0][0, 0] == "1*"
    with pytest.raises(KeyError, match="no metric kad in the table"):
        plot_hearing(table, metrics=["fad", "kad"])


@pytest.mark.parametrize(
    ("rho", "text"),
    [(1.0, "1"), (0.96, "1"), (0.94, ".9"), (0.04, "0"), (-0.04, "0"), (-0.36, "\N{MINUS SIGN}.4")],
)
def test_short_numbers(rho, text):
    assert short(rho) == text
