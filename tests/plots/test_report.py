"""The figure of a report: what it draws of each stem, and what it marks."""

import numpy as np
import pandas as pd
import pytest
from drawn_figures import curves, drawn, entries

from diffmst_lib.audio.octaves import OCTAVES_HZ
from diffmst_lib.mixing.report import MEASURES, SOUNDS, STEM_COLUMNS
from diffmst_lib.plots.report import BEYOND, WITHIN, plot_report

pytestmark = pytest.mark.filterwarnings("error")

LIMITS = {"under": 10.0, "lean": 3.0}
NAMES = ["kick", "$vox$_lead", "silent", "off"]


@pytest.fixture
def tables():
    """The tables of a report: stems, mix, octaves."""
    stems = pd.DataFrame(
        [
            [-12.0, 5.0, 5.0, -60.0, -20.0, 2.0, 6.0, 4.0, 2000.0],
            [1.0, 0.0, 0.0, -15.0, -10.0, 0.0, 0.0, 0.0, np.nan],
            [np.nan] * 9,
            [-np.inf, np.nan, np.nan, -12.0, np.nan, 0.0, 0.0, -3.0, 80.0],
        ],
        index=NAMES,
        columns=list(STEM_COLUMNS),
    )
    mix = pd.DataFrame(-16.0, index=list(MEASURES), columns=list(SOUNDS))
    octaves = pd.DataFrame(-10.0, index=list(OCTAVES_HZ), columns=[*SOUNDS, "equalizer"])
    return stems, mix, octaves


def bars(axis):
    return [bar.get_width() for bar in axis.patches]


def test_bars_are_the_numbers_of_the_table(tables):
    figure = plot_report(*tables, limits=LIMITS)
    labels = drawn(figure)
    level, lean, width, reduction, equalizer, octaves = figure.axes
    assert bars(level) == [-12.0, 1.0, 0.0, 0.0]
    assert bars(lean) == [5.0, 0.0, 0.0, 0.0]
    assert bars(reduction) == [6.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]
    assert bars(equalizer) == [4.0, 0.0, 0.0, -3.0]
    assert [text.get_text() for text in equalizer.texts] == ["2.0k", "80"]
    assert [text.get_text() for text in level.texts] == ["silent", "off"]
    assert len([line for line in width.lines if line.get_marker() == "o"]) == 2  # those that sound
    assert labels[-1] == ("octave (Hz)", "level in the whole (dB)")
    assert entries(figure) == ["mix", "reference", "plain sum"]
    assert set(curves(octaves)) == {"mix", "reference", "plain sum"}


def test_what_is_beyond_a_limit_has_another_color(tables):
    from matplotlib.colors import to_hex

    figure = plot_report(*tables, limits=LIMITS, flagged={("under", "kick"), ("lean", "$vox$_lead")})
    colors = [[to_hex(bar.get_facecolor()).upper() for bar in axis.patches] for axis in figure.axes[:2]]
    assert colors[0] == [BEYOND, WITHIN, WITHIN, WITHIN] and colors[1] == [WITHIN, BEYOND, WITHIN, WITHIN]
    dotted = [
        [line.get_xdata()[0] for line in axis.lines if line.get_linestyle() == ":"]
        for axis in figure.axes[:2]
    ]
    assert dotted == [[-10.0], [-3.0, 3.0]]


def test_names_are_text_and_there_is_no_column_of_no_reference(tables):
    stems, mix, octaves = tables
    mix["reference"] = octaves["reference"] = np.nan
    figure = plot_report(stems, mix, octaves, limits=LIMITS)
    drawn(figure)
    shown = [label.get_text().replace("\\$", "$") for label in figure.axes[0].get_yticklabels()]
    assert shown == NAMES
    assert entries(figure) == ["mix", "plain sum"]
    assert (
        "reference" not in figure.get_suptitle() and "mix: \N{MINUS SIGN}16.0 LUFS" in figure.get_suptitle()
    )


@pytest.mark.parametrize("count", [1, 64])
def test_few_and_many_stems(tables, count):
    stems, mix, octaves = tables
    many = pd.concat([stems.iloc[:1]] * count)
    many.index = [f"stem {i}" for i in range(count)]
    assert len(drawn(plot_report(many, mix, octaves, limits=LIMITS))) == 6


def test_silence_is_drawn(tables):
    stems, mix, octaves = (table * np.nan for table in tables)
    assert drawn(plot_report(stems, mix, octaves, limits=LIMITS))
