"""The picture of a mix beside its reference: where things are, and labels of any kind."""

import numpy as np
import pytest
import torch
from drawn_figures import drawn

from diffmst_lib import compare

pytestmark = pytest.mark.filterwarnings("error")


def test_the_goniometer_has_the_left_channel_on_the_left(reference):
    sine = 0.3 * torch.sin(torch.arange(44100) / 7)
    axes = compare(torch.stack([sine, 0 * sine]), reference).figure.axes
    cells = axes[4].collections[0]
    counts = np.asarray(cells.get_array()).reshape(81, 81)  # rows upward: mid; columns: side
    rows, columns = np.nonzero(counts)
    assert counts.sum() > 0 and (rows + columns == 80).all()  # from top left to bottom right
    letters = {text.get_text(): text.xy for text in axes[4].texts}
    assert letters["L"][0] < 0 < letters["R"][0] and min(letters["L"][1], letters["R"][1]) > 0


def test_curves_and_bars_are_those_of_the_tables(reference):
    sheet = compare(reference, reference.flip(0) * torch.tensor([[0.2], [1.0]]), labels=("one", "other"))
    figure = sheet.figure
    assert drawn(figure)[1] == ("weighted term, both at \N{MINUS SIGN}16 LUFS", "")
    for axis, part in zip(figure.axes[2:4], ("mid", "side"), strict=True):
        assert part in axis.get_title() and len(axis.lines) == 2
        for line, label in zip(axis.lines, sheet.labels, strict=True):
            assert line.get_ydata().tolist() == sheet.bark[label, part].tolist()
    assert [bar.get_width() for bar in figure.axes[1].patches] == sheet.terms["loss"].tolist()
    for axis, label in zip(figure.axes[4:], sheet.labels, strict=True):
        correlation = sheet.features.loc["correlation", label]
        assert axis.get_title() == f"{label}\ncorrelation {correlation:+.2f}".replace("-", "\N{MINUS SIGN}")


@pytest.mark.parametrize(
    "label", ["<b>bold", r"a $\foo$ b", "costs $5 or $6", "_hidden", "x" * 200, "a_long_file_name.wav"]
)
def test_labels_are_text_and_fit(label, reference):
    short = reference[:, :20_000]
    sheet = compare(short, short.flip(0), labels=(label, "b"))
    page, figure = sheet._repr_html_(), sheet.figure
    assert "<b>" not in page and sheet.features.columns.tolist() == [label, "b"]
    legend = figure.axes[2].get_legend().get_texts()[0].get_text()
    title = figure.axes[4].get_title()
    assert label[:3] in legend.replace("\\$", "$") and len(legend) < 24
    assert label[-3:] in title.replace("\\$", "$")
