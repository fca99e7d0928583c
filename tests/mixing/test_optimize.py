"""The fit to one reference."""

import math

import pandas as pd
import pytest
import torch
from mix_helpers import RATE, contributions, is_what_the_console_makes, with_silence

from diffmst_lib import (
    ConsoleParams,
    InputError,
    Multitrack,
    audio_feature_loss,
    equal_loudness,
    loudness,
    normalize_loudness,
    optimize_mix,
)
from diffmst_lib.audio.loudness import loudest_window
from diffmst_lib.mixing.baselines import neutral_params


def test_fit_comes_close_to_the_reference(fitted, reference):
    total = fitted.history["total"]
    assert len(total) == 16 and fitted.history.index.name == "step"
    assert total.min() < 0.4 * total.iloc[0]
    assert loudness(fitted.audio) == pytest.approx(-16.0, abs=0.01)
    assert is_what_the_console_makes(fitted)
    # The mix is the best step's, and its loss is the one that the history tells.
    loss = audio_feature_loss(fitted.audio, normalize_loudness(reference))["total"].item()
    assert loss == pytest.approx(total.min(), rel=0.01)


def test_history_adds_up(fitted):
    terms = fitted.history.drop(columns="total")
    assert list(terms) == ["rms", "crest_factor", "stereo_width", "stereo_imbalance", "bark_spectrum"]
    pd.testing.assert_series_equal(terms.sum(axis=1), fitted.history["total"], check_names=False, rtol=1e-5)


def test_same_input_same_mix(song, reference, fitted):
    again = optimize_mix(song, reference, steps=15)
    assert torch.equal(again.audio, fitted.audio)
    pd.testing.assert_frame_equal(again.history, fitted.history, check_exact=True)
    assert again.params.to_json() == fitted.params.to_json()


def test_nothing_given_is_changed(song, reference):
    init = neutral_params(song)
    before = song.audio.clone(), reference.clone(), init.to_json(), list(song.names)
    optimize_mix(song, reference, steps=2, init=init)
    assert torch.equal(song.audio, before[0]) and torch.equal(reference, before[1])
    assert (init.to_json(), song.names) == before[2:]


def test_fit_goes_on_from_init(song, reference, fitted):
    more = optimize_mix(song, reference, steps=1, init=fitted.params)
    best = fitted.history["total"].min()
    assert more.history["total"].iloc[0] == pytest.approx(
        best, rel=0.2
    )  # UNIT_EDGE moves a few knobs a little
    assert more.history["total"].iloc[0] < 0.6 * fitted.history["total"].iloc[0]


def test_init_brings_its_preset(song, reference):
    init = ConsoleParams.neutral(song.names, preset="reference")
    result = optimize_mix(song.excerpt(0, 0.2), reference, steps=1, init=init)
    assert result.params.preset == "reference"
    assert is_what_the_console_makes(result)


def test_init_of_another_song(song, reference):
    with pytest.raises(ValueError, match="init is a console for kick"):
        optimize_mix(song, reference, steps=1, init=ConsoleParams.neutral(["kick"]))


def test_center_is_another_start_than_spread(song, reference, fitted):
    center = optimize_mix(song, reference, steps=1, start="center")
    assert center.history["stereo_width"].iloc[0] > fitted.history["stereo_width"].iloc[0]
    with pytest.raises(ValueError, match="'spread' or 'center', not 'left'"):
        optimize_mix(song, reference, steps=1, start="left")


def test_reference_with_a_batch_axis(song, reference):
    one, batch = (optimize_mix(song, r, steps=1) for r in (reference, reference[None]))
    assert torch.equal(one.audio, batch.audio)


def test_long_song_is_fitted_on_its_loudest_window_and_rendered_whole(song, reference):
    first = loudest_window(song.audio, 0.5)
    assert first > 0
    result = optimize_mix(song, reference, steps=2, fit_seconds=0.5)
    window = optimize_mix(song.excerpt(first / RATE, 0.5), reference, steps=2)
    assert result.audio.shape == (2, song.audio.shape[1])
    pd.testing.assert_frame_equal(result.history, window.history)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r[0], "has 1 channel;"),
        (lambda r: r[:1], "has 1 channel;"),
        (lambda r: r.repeat(3, 1), "has 6 channels;"),
        (lambda r: torch.zeros_like(r), "is silent"),
        (lambda r: r[:, :0], "is silent"),
        (lambda r: r.where(r < r.max(), torch.nan), "NaN or infinite"),
        (lambda r: r.where(r < r.max(), torch.inf), "NaN or infinite"),
    ],
)
def test_references_that_cannot_be_used(song, reference, change, reason):
    with pytest.raises(InputError, match=f"^the reference [^\n]*{reason}[^\n]*$"):
        optimize_mix(song, change(reference), steps=1)


def test_silent_stem_stays_silent_in_the_fit(song, reference):
    result = optimize_mix(with_silence(song, "kick"), reference, steps=2)
    for name, level in zip(song.names, contributions(result), strict=True):
        assert math.isinf(level) == name.startswith("kick")


def fold(x):
    return x.mean(0).repeat(len(x), 1)


def test_the_best_step_is_kept_when_the_loss_rises(noise, reference):
    song = Multitrack(["a", "b"], noise(2, 10_000))
    result = optimize_mix(
        song, reference, steps=2, learning_rate=10.0
    )  # far too bold: every step makes it worse
    losses = result.history["total"]
    assert losses.idxmin() == 0 and losses.iloc[-1] > 1.2 * losses.iloc[0]
    reached = audio_feature_loss(normalize_loudness(result.audio), normalize_loudness(reference))["total"]
    assert reached <= 1.01 * losses.iloc[0]


@pytest.mark.parametrize(
    ("tracks", "target"),
    [
        (lambda x: torch.stack([x[0], -x[0]]), lambda r: r),
        (lambda x: x, lambda r: torch.stack([r[0], -r[0]])),
        (fold, fold),
        (fold, lambda r: torch.stack([r[0], 0 * r[0]])),
        (lambda x: x[:, :1], lambda r: r),
        (lambda x: x[:, :1000], lambda r: r),
        (lambda x: x, lambda r: r[:, :1]),
        (lambda x: 1e-2 * x, lambda r: 1e-2 * r),
        (lambda x: 1e4 * x, lambda r: 1e4 * r),
    ],
    ids=[
        "song anti-phase",
        "reference anti-phase",
        "both mono",
        "reference on one side",
        "one sample",
        "1000 samples",
        "reference of one sample",
        "quiet",
        "far too loud",
    ],
)
def test_strange_material_gives_a_finite_mix(noise, reference, tracks, target):
    song = Multitrack(["gtr.L", "gtr.R"], tracks(noise(2, 10_000)))
    result = optimize_mix(song, target(reference), steps=2)
    assert result.audio.shape == (2, song.audio.shape[1])
    assert torch.isfinite(result.audio).all() and torch.isfinite(result.params.tracks).all()
    assert result.history.map(math.isfinite).all(axis=None)


def test_a_fit_is_never_worse_than_its_start(song):
    """The start lies at the ends of ranges, where the logits cannot be, and its own mix is the reference."""
    start = equal_loudness(song, panned=True)
    again = optimize_mix(song, start.audio, steps=0, init=start.params)
    torch.testing.assert_close(again.audio, start.audio, rtol=0, atol=1e-4)
    assert again.params.track("kick")["send_db"].tolist() == [-80.0, -80.0]


@pytest.mark.parametrize(
    ("options", "words"), [({"steps": -1}, "steps must be"), ({"fit_seconds": 0}, "fit_seconds above 0")]
)
def test_bad_arguments_of_a_fit(song, reference, options, words):
    with pytest.raises(ValueError, match=words):
        optimize_mix(song, reference, **options)


def test_a_fit_takes_no_part_in_the_callers_graph(song, reference):
    tracks = song.audio.clone().requires_grad_()
    ours = Multitrack(list(song.names), tracks, song.sample_rate, list(song.channels))
    optimize_mix(ours, reference.clone().requires_grad_(), steps=2)
    assert tracks.grad is None
