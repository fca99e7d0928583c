"""Figures as such: shown once, in colors enough, in a page with words for those who do not see them."""

import matplotlib.pyplot as plt
import pytest
from bs4 import BeautifulSoup

from diffmst_lib import plots
from diffmst_lib.plots.figure import new_figure


def test_a_figure_is_shown_by_the_notebook_alone():
    figure, axes = new_figure(2, 3.0, width=5.0, columns=2, sharex=True)
    assert plt.get_fignums() == [] and axes.shape == (2, 2)
    assert figure.get_size_inches().tolist() == [5, 3]


@pytest.mark.parametrize("alt", ["a curve", 'a "curve"', "<b>", "1 & 2"])
def test_a_figure_in_a_page(alt):
    page = BeautifulSoup(plots.figure_html(new_figure(1, 1.0)[0], alt), "html.parser")
    (image,) = page.find_all()
    assert image.name == "img" and image["alt"] == alt and (image["width"], image["height"]) == ("672", "96")
    assert image["src"].startswith("data:image/png;base64,")


def test_colors_differ():
    assert len(set(plots.COLORS)) == len(plots.COLORS) == 7
