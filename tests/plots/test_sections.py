"""The figure of sections."""

import torch

from diffmst_lib import Multitrack, Section
from diffmst_lib.plots import plot_sections

RATE = 8000


def sound(*levels, seconds=10):
    x = torch.randn(2, seconds * RATE * len(levels), generator=torch.Generator().manual_seed(0))
    return x * torch.tensor(levels).repeat_interleave(seconds * RATE)


def test_sections_that_are_found_are_drawn():
    figure = plot_sections(sound(0.01, 0.1, 0.01), sample_rate=RATE)
    above, below = figure.axes
    assert [text.get_text() for text in above.texts if len(text.get_text()) == 1] == ["A", "B", "A"]
    assert above.get_xlim() == (0, 30) and "novelty" in below.get_ylabel()
    times, values = below.lines[0].get_data()
    assert abs(times[values.argmax()] - 10) < 1 or abs(times[values.argmax()] - 20) < 1


def test_sections_that_are_given_are_drawn():
    song = Multitrack(["pad"], sound(0.1, 0.1)[None], RATE)
    given = [Section(0, 4, "verse $1"), Section(4, 20, "chorus")]
    texts = [text.get_text() for text in plot_sections(song, given).axes[0].texts]
    assert any("verse" in text for text in texts) and "chorus" in texts
    assert plot_sections(song.excerpt(0, 2), [Section(0, 2, "A")]).axes
