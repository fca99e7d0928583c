"""Every figure: its axes have names, it shows what it was given, and it draws silence as well."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from diffmst_lib import Multitrack, audio_feature_loss, equal_loudness, optimize_mix, unity
from diffmst_lib.console import effects
from diffmst_lib.plots import figures as plots

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
    terms = {
        name: audio_feature_loss(mix(song).audio, reference)
        for name, mix in {"unity": unity, "equal": equal_loudness}.items()
    }
    figure = plots.plot_loss_terms(terms)
    assert drawn(figure) == [("", "weighted term")] and entries(figure) == ["unity", "equal"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "rms",
        "crest\nfactor",
        "stereo\nwidth",
        "stereo\nimbalance",
        "bark\nspectrum",
        "total",
    ]


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


def curves(axis):
    """Its labeled lines by name, as (x, y)."""
    return {line.get_label(): line.get_data() for line in axis.lines if not line.get_label().startswith("_")}


def test_frequencies_are_readable(fit):
    mix = {"mix": fit.audio}
    for figure in (plots.plot_eq(fit.params), plots.plot_bark(mix), plots.plot_spectrum(mix)):
        figure.canvas.draw()
        for axis in figure.axes:
            assert [label.get_text() for label in axis.get_xticklabels()] == ["20", "100", "1k", "10k"]
            assert not any(label.get_text() for label in axis.get_xticklabels(minor=True))


def test_pan_law():
    figure = plots.plot_pan_law(0.25)
    assert drawn(figure) == [("pan (0 left, 1 right)", "gain (dB)")]
    law = curves(figure.axes[0])
    assert list(law) == ["left", "right", "total power"] == entries(figure)
    center = len(law["left"][0]) // 2
    for name, wanted in (
        ("left", -4.515),
        ("right", -4.515),
        ("total power", -1.505),
    ):  # 10 log10 of 2^-1.5, 2^-0.5
        assert law[name][0][center] == 0.5 and law[name][1][center] == pytest.approx(wanted, abs=1e-3)
    marks = [line.get_xydata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    wanted = 20 * torch.log10(effects.pan_gains(torch.tensor(0.25, dtype=torch.float64))).numpy()
    np.testing.assert_allclose(marks[:2], [(0.25, wanted[0]), (0.25, wanted[1])])
    assert len(plots.plot_pan_law().axes[0].lines) == 4  # no marks
    for end in (0.0, 1.0):
        drawn(plots.plot_pan_law(end))


EQ = {"gain_db": [9.0, 0, 0, -6, 0, 0], "frequency_hz": [100.0, 200, 500, 1e3, 5e3, 9e3], "q": [0.7] * 6}


def test_eq_response():
    figure = plots.plot_eq_response(EQ)
    assert drawn(figure) == [("frequency (Hz)", "equalizer gain (dB)")]
    assert entries(figure) == ["all bands", "low shelf", "band2"]
    freqs, total = curves(figure.axes[0])["all bands"]
    assert freqs[0] == pytest.approx(20, abs=1) and total[0] == pytest.approx(9, abs=0.2)
    assert np.interp(1000, *curves(figure.axes[0])["band2"]) == pytest.approx(-6, abs=0.01)


def test_eq_responses_compared():
    tensors = {name: torch.tensor([values]) for name, values in EQ.items()}
    figure = plots.plot_eq_response(
        [("this", tensors), ("that", EQ | {"gain_db": [0.0] * 6})], sample_rate=48000
    )
    assert drawn(figure) == [("frequency (Hz)", "equalizer gain (dB)")] and entries(figure) == [
        "this",
        "that",
    ]
    drawn_lines = curves(figure.axes[0])
    assert np.abs(drawn_lines["that"][1]).max() < 1e-3 and drawn_lines["this"][1].max() > 8


def test_spectrum_is_in_dbfs(noise):
    time = torch.arange(88200) / 44100
    sine = torch.sin(2 * torch.pi * 1000 * time)
    figure = plots.plot_spectrum({"sine": sine, "noise": noise(2, 88200)})
    assert drawn(figure) == [("frequency (Hz)", "level (dBFS)")] and entries(figure) == ["sine", "noise"]
    lines = curves(figure.axes[0])
    assert np.interp(1000, *lines["sine"]) == pytest.approx(-3, abs=0.1)
    width = 1000 * (2 ** (1 / 6) - 2 ** (-1 / 6)) / 22050  # a third of an octave of white noise at -20 dBFS
    assert np.interp(1000, *lines["noise"]) == pytest.approx(-20 + 10 * np.log10(width), abs=0.4)


def test_static_curve():
    soft = {"threshold_db": -30.0, "ratio": 3.0, "knee_db": 12.0, "attack_ms": 5.0, "makeup_gain_db": 2.0}
    figure = plots.plot_static_curve(
        {"hard": {"threshold_db": -30.0, "ratio": 3.0, "knee_db": 0.0}, "soft": soft}
    )
    assert drawn(figure) == [("level in (dBFS)", "level out (dBFS)")]
    assert entries(figure) == ["unchanged", "hard", "soft"]
    lines = curves(figure.axes[0])
    assert [np.interp(level, *lines["hard"]) for level in (-50, -30, 0)] == pytest.approx(
        [-50, -30, -20], abs=1e-4
    )
    assert [np.interp(level, *lines["soft"]) for level in (-50, -30, 0)] == pytest.approx(
        [-48, -29, -18], abs=1e-4
    )
    knee = figure.axes[0].lines[-1].get_xdata()
    assert (knee[0], knee[-1]) == pytest.approx((-36, -24), abs=0.01)


def test_gain_reduction(noise):
    x = noise(1, 44100)
    y = torch.cat([x[:, :22050], 0.5 * x[:, 22050:]], dim=-1)
    figure = plots.plot_gain_reduction(x, y)
    assert drawn(figure) == [("", "peak level\n(dBFS)"), ("time (s)", "gain (dB)")] and entries(figure) == [
        "in",
        "out",
    ]
    time, gain_db = figure.axes[1].lines[-1].get_data()
    np.testing.assert_allclose(gain_db[time < 0.49], 0, atol=1e-6)
    np.testing.assert_allclose(gain_db[time > 0.51], -6.0206, atol=1e-3)
    silent = plots.plot_gain_reduction(torch.zeros(2, 500), torch.zeros(2, 500), 8000)
    assert drawn(silent) and np.isnan(silent.axes[1].lines[-1].get_ydata()).all()


def test_gradients_show_what_is_not_healthy():
    table = pd.DataFrame(
        {"a": [1e-6, 0.0, -3.0], "b": [np.nan, 1e-2, np.inf]}, index=["gain_db", "pan", "ratio"]
    )
    figure = plots.plot_gradients(table)
    assert drawn(figure) == [("size of the gradient", "")] and entries(figure) == ["a", "b"]
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == list(table.index)
    left, right = axis.get_xlim()
    marks = {label: dict(zip(*xy[::-1])) for label, xy in curves(axis).items()}
    assert marks == {"a": {0: 1e-6, 1: left, 2: 3.0}, "b": {1: 1e-2}}
    crosses = [
        line.get_xydata().tolist()
        for line in axis.lines
        if line.get_marker() == "x" and len(line.get_xdata())
    ]
    assert crosses == [[[right, 0], [right, 2]]]
    assert [text.get_text() for text in axis.texts] == ["0", "not finite"]
    healthy = plots.plot_gradients(pd.DataFrame({"a": [1.0, 10.0]}, index=["gain_db", "pan"]))
    assert drawn(healthy) and not healthy.axes[0].texts
    drawn(plots.plot_gradients(pd.DataFrame({"a": [0.0, np.nan]}, index=["gain_db", "pan"])))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.plot_eq_response({"gain_db": [0.0] * 6}), "gain_db, frequency_hz and q, got gain_db"),
        (lambda: plots.plot_eq_response(EQ | {"q": [1.0] * 5}), r"q: six values, .* got shape \(5,\)"),
        (
            lambda: plots.plot_static_curve({"soft": {"threshold_db": -20.0, "ratio": 2.0}}),
            "'soft' lacks knee_db",
        ),
        (
            lambda: plots.plot_gain_reduction(torch.zeros(5), torch.zeros(6)),
            r"one shape.*got \(5,\) and \(6,\)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    "plot",
    [
        plots.plot_tracks,
        lambda s: plots.plot_levels(s.levels()),
        lambda s: plots.plot_bark({"silence": s.audio[:2]}),
        lambda s: plots.plot_spectrum({"silence": s.audio[:2]}),
    ],
    ids=["tracks", "levels", "bark", "spectrum"],
)
def test_silence_is_drawn(silence, plot):
    assert drawn(plot(silence))
