"""The fit to one reference."""

import math

import pandas as pd
import pytest
import torch
from mix_helpers import RATE, bus_lufs, contributions, is_what_the_console_makes, mono_song, with_silence

from diffmst_lib import (
    ConsoleParams,
    InputError,
    InputNote,
    MixingConsole,
    Multitrack,
    audio_feature_loss,
    equal_loudness,
    loudness,
    normalize_loudness,
    optimize_mix,
    unity,
)
from diffmst_lib.audio.loudness import loudest_window
from diffmst_lib.audio.spreading import spread_pans
from diffmst_lib.console.specs import ASPECTS
from diffmst_lib.console.table import param_table
from diffmst_lib.mixing.baselines import neutral_params
from diffmst_lib.mixing.keeping import lean_db
from diffmst_lib.mixing.start import start_params


def test_fit_comes_close_to_the_reference(fitted, reference):
    total = fitted.history["total"]
    assert len(total) == 16 and fitted.history.index.name == "step"
    assert total.min() < 0.5 * total.iloc[0]
    assert loudness(fitted.audio) == pytest.approx(-16.0, abs=0.01)
    assert is_what_the_console_makes(fitted)
    loss = audio_feature_loss(fitted.audio, normalize_loudness(reference))["total"].item()
    assert fitted.loss["total"] == pytest.approx(loss, rel=1e-3) and loss < 0.6 * total.iloc[0]
    assert torch.equal(fitted.reference, reference)


def test_history_adds_up(fitted):
    terms = fitted.history.drop(columns=["total", "pull"])
    assert list(terms) == ["rms", "crest_factor", "stereo_width", "stereo_imbalance", "bark_spectrum"]
    pd.testing.assert_series_equal(terms.sum(axis=1), fitted.history["total"], check_names=False, rtol=1e-5)
    assert abs(fitted.history["pull"].iloc[0]) < 1e-3 < fitted.history["pull"].iloc[-1]


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
    assert more.history["total"].iloc[0] == pytest.approx(
        fitted.loss["total"], rel=0.3
    )  # knobs leave their ends
    assert more.loss["total"] < 0.7 * fitted.history["total"].iloc[0]


@pytest.mark.filterwarnings("ignore:the mix is farther")  # the paper's start is in mono
def test_init_brings_its_preset(song, reference):
    init = ConsoleParams.neutral(song.as_channels()[0], preset="reference")
    result = optimize_mix(song.excerpt(0, 0.2), reference, steps=1, init=init)
    assert result.params.preset == "reference"
    assert is_what_the_console_makes(result)


def test_init_of_another_song(song, reference):
    with pytest.raises(ValueError, match="init is a console for kick"):
        optimize_mix(song, reference, steps=1, init=ConsoleParams.neutral(["kick"]))


def test_a_mono_song_starts_spread_or_as_center_says(reference, noise):
    song = mono_song(noise(3, 20_000), ["a", "b", "kick"])
    pans = [
        optimize_mix(song, reference, steps=0, center=center).params.values("track")["pan"]
        for center in (None, ["a", "b"])
    ]
    assert pans[0].tolist() == pytest.approx(spread_pans(song.names, song.audio)) and pans[0][2] == 0.5
    assert pans[1][:2].tolist() == [0.5, 0.5] and pans[1][2] != 0.5
    with pytest.raises(InputError, match="center names no stem vox: there are a, b, kick"):
        optimize_mix(song, reference, center=["vox"])


def test_balance_is_that_of_the_start(song, reference):
    equal = optimize_mix(song, reference, steps=0, balance="equal")
    trims = neutral_params(song, "equal").values("track")["input_gain_db"]
    torch.testing.assert_close(equal.params.values("track")["input_gain_db"], trims, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="balance must be one of"):
        optimize_mix(song, reference, balance="loud")


def test_no_steps_are_the_song_as_it_was_delivered(song, reference):
    mix, plain = optimize_mix(song, reference, steps=0).audio, unity(song).audio
    assert (mix - plain).norm() < 0.05 * plain.norm()  # knobs at the ends of their ranges have left them


# What a fit keeps


def moves(result, song):
    """Moves of every knob of the strips from their start, (N, knobs)."""
    per_knob = torch.tensor([spec.moves for spec in param_table("track")])
    return (result.params.to_unit()[0] - start_params(song).to_unit()[0]) * per_knob


def test_the_pull_keeps_the_strips_and_lets_the_master_work(song, reference, fitted):
    """`keep=0` is the paper's way."""
    free = optimize_mix(song, reference, steps=15, keep=0.0)
    assert (free.history["pull"] == 0).all()
    assert moves(fitted, song).abs().mean() < 0.7 * moves(free, song).abs().mean()
    assert free.loss["total"] == pytest.approx(free.history["total"].min(), rel=0.01)  # the best step's


def test_no_stem_leans_whatever_the_record(song, reference):
    one_sided = reference * torch.tensor([1.0, 0.1])[:, None]
    result = optimize_mix(song.excerpt(0, 0.7), one_sided, steps=20, learning_rate=0.3)
    stems = torch.stack(list(result.stems().values()))
    assert (lean_db(stems) - lean_db(result.song.audio)).abs().max() < 3.0


@pytest.mark.parametrize("options", [{}, {"balance": "equal"}, {"fit_seconds": 0.5}], ids=str)
def test_the_level_before_the_master_bus_is_that_of_the_start(song, reference, options):
    result = optimize_mix(song, reference, steps=3, **options)
    assert bus_lufs(result) == pytest.approx(-20.0, abs=1.0 if "fit_seconds" in options else 0.1)


def test_what_is_locked_stays_where_it_started(song, reference):
    locks = ["bgvox_main", "kick.pan", "kick.fader_db", "master_bus.threshold_db"]
    params, start = optimize_mix(song, reference, steps=3, lock=locks).params, start_params(song)
    assert torch.equal(params.tracks[0], start.tracks[0])  # with its fader: it holds its level
    kick = params.track("kick")
    assert (kick["pan"], kick["fader_db"], params.master_bus["threshold_db"]) == (0.5, 0.0, -12.0)
    assert kick["peak_1_gain_db"] != 0.0 and params.master_bus["ratio"] != 1.0
    with pytest.raises(InputError, match="lock: no stem or knob 'vox_lead'"):
        optimize_mix(song, reference, lock=["vox_lead"])


def test_the_amount_is_between_the_start_and_what_was_found_and_has_its_level(song, reference):
    mixes = {amount: optimize_mix(song, reference, steps=3, amount=amount) for amount in (0, 0.5, 1)}
    torch.testing.assert_close(mixes[0].audio, unity(song).audio, rtol=0, atol=1e-5)
    whole, half, none = (mixes[amount].params.to_unit()[0] for amount in (1, 0.5, 0))
    torch.testing.assert_close(half, (whole + none) / 2, rtol=0, atol=1e-4)
    assert all(loudness(mix.audio) == pytest.approx(-16.0, abs=0.01) for mix in mixes.values())
    tone = optimize_mix(song, reference, steps=3, amount=dict.fromkeys(ASPECTS, 0) | {"tone": 1}).params
    for i, spec in enumerate(param_table("track")):
        want = mixes[1 if spec.aspect == "tone" else 0].params.tracks[:, i]
        torch.testing.assert_close(tone.tracks[:, i], want, rtol=0, atol=1e-4)


def test_the_effects_bus_takes_part_when_something_is_sent_to_it(song, reference):
    init = start_params(song)
    init.track("kick")["send_db"] = -12.0
    result = optimize_mix(song.excerpt(0, 0.5), reference, steps=2, init=init)
    assert result.fx_return().abs().max() > 0 and is_what_the_console_makes(result)
    assert not torch.equal(result.params.fx_bus_values, init.fx_bus_values)


# Records


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.mean(0).expand(2, -1), "the reference is mono"),
        (lambda r: r * torch.tensor([1.0, -0.9])[:, None], "the reference has a correlation of -"),
    ],
    ids=["mono", "opposite"],
)
def test_records_out_of_reach_are_named(song, reference, change, said):
    with pytest.warns(InputNote, match=said):
        result = optimize_mix(song, change(reference), steps=1)
    assert all(math.isfinite(term) and term < 10 for term in result.loss.values())


def test_a_mix_farther_from_its_record_than_the_plain_sum_is_named(song):
    """The plain sum is the record; one bad step with a balance of its own leads away from it."""
    record, init = unity(song).audio, neutral_params(song)
    init.track("kick")["fader_db"] = 12.0
    with pytest.warns(InputNote, match=r"farther from its record than the plain sum .* against 0\.0000"):
        optimize_mix(song, record, steps=0, init=init)


def test_reference_with_a_batch_axis(song, reference):
    one, batch = (optimize_mix(song, r, steps=1) for r in (reference, reference[None]))
    assert torch.equal(one.audio, batch.audio)


def test_long_song_is_fitted_on_its_loudest_window_and_rendered_whole(song, reference):
    first = loudest_window(song.audio, 0.5)
    assert first > 0
    start = start_params(song)  # at the level of the whole song
    result = optimize_mix(song, reference, steps=2, fit_seconds=0.5)
    window = optimize_mix(song.excerpt(first / RATE, 0.5), reference, steps=2, init=start)
    assert result.audio.shape == (2, song.audio.shape[-1])
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
        assert math.isinf(level) == (name == "kick")


def fold(x):
    return x.mean(0).repeat(len(x), 1)


def test_the_best_step_is_kept_when_the_loss_rises(noise, reference):
    song = Multitrack(["a", "b"], noise(2, 2, 10_000))
    result = optimize_mix(song, reference, steps=2, learning_rate=10.0)  # far too bold
    losses = result.history["total"] + result.history["pull"]
    assert losses.iloc[1:].min() > 1.2 * losses.iloc[0]  # every step makes it worse
    torch.testing.assert_close(result.audio, unity(song).audio, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("tracks", "target"),
    [
        (lambda x: torch.stack([x[0], -0.9 * x[0]]), lambda r: r),
        (lambda x: x, lambda r: torch.stack([r[0], -r[0]])),
        (fold, fold),
        (fold, lambda r: torch.stack([r[0], 0 * r[0]])),
        (lambda x: x[:, :1], lambda r: r),
        (lambda x: x[:, :1000], lambda r: r),
        (lambda x: x, lambda r: r[:, :4410]),
        (lambda x: 1e-2 * x, lambda r: 1e-2 * r),
        (lambda x: 1e4 * x, lambda r: 1e4 * r),
    ],
    ids=[
        "song almost anti-phase",
        "reference anti-phase",
        "both mono",
        "reference on one side",
        "one sample",
        "1000 samples",
        "reference of a tenth of a second",
        "quiet",
        "far too loud",
    ],
)
@pytest.mark.filterwarnings("ignore::diffmst_lib.InputNote")
def test_strange_material_gives_a_finite_mix(noise, reference, tracks, target):
    song = Multitrack(["gtr"], tracks(noise(2, 10_000))[None])
    result = optimize_mix(song, target(reference), steps=2)
    assert result.audio.shape == (2, song.audio.shape[-1])
    assert torch.isfinite(result.audio).all() and torch.isfinite(result.params.tracks).all()
    assert result.history.map(math.isfinite).all(axis=None)


def test_a_fit_is_never_worse_than_its_start(song):
    """The start lies at the ends of ranges, where the logits cannot be, and its own mix is the reference."""
    start = equal_loudness(song, panned=True)
    again = optimize_mix(song, start.audio, steps=0, init=start.params)
    torch.testing.assert_close(again.audio, start.audio, rtol=0, atol=1e-4)
    assert again.params.track("kick")["send_db"] == -60.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": -1}, "^steps must be a whole number of at least 0, got -1$"),
        ({"steps": 2.5}, "^steps must be a whole number of at least 0, got 2.5$"),
        ({"fit_seconds": 0}, "^fit_seconds must be a number above 0, got 0$"),
        ({"console": 5}, "^console must be a MixingConsole, or one of a class derived from it, not 5$"),
        ({"console": MixingConsole}, "^console must be a MixingConsole, .* not <class"),
        ({"keep": -1}, "keep must be"),
        ({"amount": 2}, "amount must be from 0 to 1"),
        ({"amount": math.nan}, "amount must be from 0 to 1"),
        ({"amount": {"balance": -0.1}}, "amount must be from 0 to 1"),
        ({"amount": {"color": 1}}, "amount has no aspect 'color'"),
    ],
)
def test_bad_arguments_of_a_fit(song, reference, options, words):
    with pytest.raises(ValueError, match=words):
        optimize_mix(song, reference, **options)


def test_a_fit_takes_no_part_in_the_callers_graph(song, reference):
    tracks = song.audio.clone().requires_grad_()
    ours = Multitrack(list(song.names), tracks, song.sample_rate)
    optimize_mix(ours, reference.clone().requires_grad_(), steps=2)
    assert tracks.grad is None


def low_end(x, sample_rate):
    """A user's feature: how much of the power lies below 120 Hz."""
    power = torch.fft.rfft(x).abs().square().sum(dim=1)
    below = round(120 / sample_rate * x.shape[-1])
    return power[:, :below].sum(-1) / power.sum(-1).clamp(min=1e-12)


def test_an_own_feature_takes_part_in_the_fit_its_history_and_its_report(song, reference):
    own = {"low_end": (low_end, 30.0), "crest_factor": (None, 0)}
    plain, pulled = (optimize_mix(song, reference, steps=8, keep=0, features=f) for f in (None, own))
    terms = ["rms", "stereo_width", "stereo_imbalance", "bark_spectrum", "low_end"]
    assert list(pulled.history) == [*terms, "total", "pull"] and list(pulled.loss) == [*terms, "total"]
    assert torch.allclose(
        torch.tensor(pulled.history[terms].sum(axis=1).to_numpy()),
        torch.tensor(pulled.history["total"].to_numpy()),
        rtol=1e-5,
    )
    target = normalize_loudness(reference)
    loss = audio_feature_loss(normalize_loudness(pulled.audio), target, features=own)
    assert pulled.loss == pytest.approx({name: term.item() for name, term in loss.items()}, rel=1e-3)
    wanted, *found = (low_end(x[None], RATE).item() for x in (target, plain.audio, pulled.audio))
    assert abs(found[1] - wanted) < 0.8 * abs(found[0] - wanted)

    report = pulled.report()
    assert report.mix.loc["loss", "mix"] == pulled.loss["total"]
    plain_sum = normalize_loudness(song.audio.sum(dim=0))
    expected = audio_feature_loss(plain_sum, target, features=own)["total"].item()
    assert report.mix.loc["loss", "plain sum"] == pytest.approx(expected, rel=1e-3)
    assert report.plot().axes
    again = pulled.remix()
    assert again.loss is None and again.report().mix.loc["loss", "mix"] == pytest.approx(
        pulled.loss["total"], rel=1e-3
    )


@pytest.mark.parametrize(
    ("features", "line"),
    [
        (["never_registered"], "no feature is registered as 'never_registered'"),
        ({"mine": (lambda x, rate: x.detach().mean(dim=(1, 2)), 1.0)}, "passes no gradient"),
        ({"mine": (lambda x, rate: (x - x).square().sum(dim=(1, 2)).sqrt(), 1.0)}, "gradient is not finite"),
        ({"mine": (lambda x, rate: x.mean(), 1.0)}, "must return a number or more for each"),
        ({"mine": (lambda x, rate: x.mean(dim=1), 1.0)}, "must not depend on the length"),
    ],
)
def test_a_feature_that_does_not_fit_stops_the_fit_at_once(song, reference, features, line):
    with pytest.raises(InputError, match=line):
        optimize_mix(song, reference, steps=2, fit_seconds=0.5, features=features)


def test_a_console_whose_names_come_from_macos_fits_its_song(song, reference):
    names = ["caf\u00e9", *song.names[1:]]
    song = Multitrack(names, song.audio[..., :RATE], song.sample_rate)
    init = unity(song).params
    init.names[0] = "cafe\u0301"
    result = optimize_mix(song, reference, steps=1, init=init, lock=["cafe\u0301.pan"], fit_seconds=1.0)
    assert result.params.names == names
