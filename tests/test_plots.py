"""Every figure: its axes have names, it shows what it was given, and it draws silence as well."""

import matplotlib.pyplot as plt
import pytest
import torch

from diffmst_lib import Multitrack, audio_feature_loss, equal_loudness, optimize_mix, plots, unity

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def fit(song, reference):
    return optimize_mix(song.excerpt(0, 0.5), reference, steps=2)


@pytest.fixture(scope="module")
def silence(song):
    return Multitrack(list(song.names), torch.zeros_like(song.audio))


def drawn(figure):
    """The labels of the axes, once the figure has been drawn."""
    figure.canvas.draw()
    assert plt.get_fignums() == []  # else a notebook shows it twice
    return [(axis.get_xlabel(), axis.get_ylabel()) for axis in figure.axes]


def entries(figure):
    """The texts of its legends."""
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes)]
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def test_tracks(song):
    figure = plots.plot_tracks(song)
    labels = drawn(figure)
    assert [y for _, y in labels] == ["bgvox_main", "kick", "minilogue_synth"]
    assert labels[-1][0] == "time (s)" and figure.axes[-1].get_xlim() == (0, 1.5)


def test_levels(song):
    figure = plots.plot_levels(song.levels())
    assert drawn(figure) == [("level (LUFS, dBFS)", "")]
    assert entries(figure) == ["loudness (LUFS)", "peak (dBFS)"]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == song.levels().sort_values("loudness_lufs").index.tolist()


def test_bark(song, reference):
    figure = plots.plot_bark({"mix": unity(song).audio, "reference": reference})
    assert drawn(figure) == [("frequency (Hz)", "band level (dB, arbitrary zero)"), ("frequency (Hz)", "")]
    assert entries(figure) == ["mix", "reference"]
    assert [len(line.get_xdata()) for axis in figure.axes for line in axis.lines] == [24] * 4


def test_history(fit):
    figure = plots.plot_history({"fit": fit.history}, goal=0.1)
    assert drawn(figure) == [("gradient step", "audio-feature loss")]
    assert entries(figure) == ["fit", "goal 0.1"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == fit.history["total"].tolist()


def test_loss_terms(song, reference):
    terms = {name: audio_feature_loss(mix(song).audio, reference) for name, mix in
             {"unity": unity, "equal": equal_loudness}.items()}
    figure = plots.plot_loss_terms(terms)
    assert drawn(figure) == [("", "weighted term")] and entries(figure) == ["unity", "equal"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "rms", "crest\nfactor", "stereo\nwidth", "stereo\nimbalance", "bark\nspectrum", "total"]


def test_mixer(fit, song):
    start = unity(song).params
    figure = plots.plot_mixer(fit.params, start=start)
    assert [x for x, _ in drawn(figure)] == ["input gain (dB)", "pan (0 left, 1 right)"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == song.names
    drawn(plots.plot_mixer(start))


def test_eq(fit):
    figure = plots.plot_eq(fit.params, ["kick", "bgvox_main"])
    assert drawn(figure) == [("frequency (Hz)", "equalizer gain (dB)")]
    assert entries(figure) == ["kick", "bgvox_main", "master bus"]
    assert entries(plots.plot_eq(fit.params)) == [*fit.params.names, "master bus"]


def test_eq_draws_what_the_knobs_say(song):
    params = unity(song).params
    params.master_bus["low_shelf_gain_db"] = 6
    low, high = plots.plot_eq(params, ["kick"]).axes[0].lines[1].get_ydata()[[0, -1]]
    assert (low, high) == (pytest.approx(6, abs=0.1), pytest.approx(0, abs=0.1))


@pytest.mark.parametrize(
    "plot",
    [plots.plot_tracks, lambda s: plots.plot_levels(s.levels()), lambda s: plots.plot_bark({"silence": s.audio[:2]})],
    ids=["tracks", "levels", "bark"],
)
def test_silence_is_drawn(silence, plot):
    assert drawn(plot(silence))
