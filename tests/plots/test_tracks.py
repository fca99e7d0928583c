"""Stems: waveforms and levels."""

import pytest
import torch
from drawn_figures import drawn, entries

from diffmst_lib import Multitrack, plots

pytestmark = pytest.mark.filterwarnings("error")


def test_tracks(song):
    figure = plots.plot_tracks(song)
    labels = drawn(figure)
    assert [y for _, y in labels] == ["bgvox_main", "kick", "minilogue_synth"]
    assert labels[-1][0] == "time (s)" and figure.axes[-1].get_xlim() == (0, 1.5)


def test_a_mono_stem_is_drawn_once(song):
    audio = song.audio.clone()
    audio[1, 1] = audio[1, 0]
    figure = plots.plot_tracks(Multitrack(list(song.names), audio))
    assert [len(axis.collections) for axis in figure.axes] == [2, 1, 2]


def test_levels(song):
    figure = plots.plot_levels(song.levels())
    assert drawn(figure) == [("level (LUFS, dBFS)", "")]
    assert entries(figure) == ["loudness (LUFS)", "peak (dBFS)"]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == song.levels().sort_values("loudness_lufs").index.tolist()


def test_silence_is_drawn(song):
    silence = Multitrack(list(song.names), torch.zeros_like(song.audio))
    assert drawn(plots.plot_tracks(silence)) and drawn(plots.plot_levels(silence.levels()))


def test_more_stems_than_colors():
    names = [f"stem {i}" for i in range(2 * len(plots.COLORS))]
    figure = plots.plot_tracks(Multitrack(names, torch.ones(len(names), 2, 50)))
    assert [y for _, y in drawn(figure)] == names
