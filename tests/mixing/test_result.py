"""Mixes as a whole: the baselines, the fit to a reference, remixing and saving."""

import json
import math
import os
from types import SimpleNamespace

import pandas as pd
import pytest
import soundfile
import torch

from diffmst_lib import (
    ConsoleParams,
    InputError,
    MixingConsole,
    MixResult,
    Multitrack,
    audio_feature_loss,
    equal_loudness,
    load_audio,
    loudness,
    normalize_loudness,
    optimize_mix,
    unity,
)
from diffmst_lib.audio.loudness import loudest_window
from diffmst_lib.mixing.baselines import neutral_params

RATE = 44100
CENTER_DB = -1.5  # a track in the center, both channels together, by the -4.5 dB pan law


@pytest.fixture(scope="module")
def fitted(song, reference):
    return optimize_mix(song, reference, steps=15)


def with_silence(song, stem):
    """The song with one stem silent."""
    keep = torch.tensor([not name.startswith(stem) for name in song.names])
    return Multitrack(list(song.names), song.audio * keep[:, None])


def contributions(result):
    """LUFS of every track as it goes into the sum, measured 30 dB louder: at -48 LUFS the gate cuts into a decay."""
    tracks = MixingConsole(result.sample_rate)(result.song.audio, result.params, master_bus=False).tracks
    return [loudness(track * 10 ** (30 / 20)) - 30 for track in tracks]


def is_what_the_console_makes(result):
    again = MixingConsole(result.sample_rate, preset=result.params.preset).render(
        result.song.audio, result.params
    )
    torch.testing.assert_close(again, result.audio, rtol=0, atol=1e-4)
    return True


# Baselines


def test_equal_loudness(song):
    result = equal_loudness(song)
    assert contributions(result) == pytest.approx([-48.0 + CENTER_DB] * 6, abs=0.05)
    assert loudness(result.audio) == pytest.approx(-16.0, abs=0.01)
    assert torch.equal(result.audio[0], result.audio[1])
    assert is_what_the_console_makes(result)
    assert result.history is None and result.sample_rate == RATE


def test_panned_equal_loudness_has_width(song):
    left, right = equal_loudness(song, panned=True).audio
    assert (left - right).square().mean() > 0.01 * (left + right).square().mean()


def test_silent_stem_stays_silent_and_leaves_the_others_alone(song):
    result = equal_loudness(with_silence(song, "kick"))
    kick = [song.names.index(name) for name in ("kick.L", "kick.R")]
    for i, level in enumerate(contributions(result)):
        assert level == (-math.inf if i in kick else pytest.approx(-48.0 + CENTER_DB, abs=0.05))
    assert loudness(result.audio) == pytest.approx(-16.0, abs=0.01)
    assert result.params.track("kick")["input_gain_db"].tolist() == [
        0,
        0,
    ]  # noise below the gate is not raised


def test_unity_is_the_stems_as_they_came(song):
    mix = unity(song, panned=False)
    want = normalize_loudness(song.audio.sum(0).repeat(2, 1))
    torch.testing.assert_close(mix.audio, want, rtol=0, atol=1e-4)
    assert is_what_the_console_makes(mix)
    panned = unity(song, lufs=-23.0)
    assert loudness(panned.audio) == pytest.approx(-23.0, abs=0.01)
    assert panned.params.track("kick")["pan"].tolist() == pytest.approx([0.18, 0.82])


@pytest.mark.parametrize("mix", [equal_loudness, unity])
@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (torch.zeros(2, 1000), "all 2 tracks are silent"),
        (1e-5 * torch.ones(2, 1000), "all 2 tracks are silent"),
        (torch.zeros(2, 0), "all 2 tracks are silent"),
        (torch.tensor([[0.1, 0.1], [0.1, math.nan]]), "track b holds NaN"),
    ],
)
def test_songs_that_cannot_be_mixed(mix, audio, reason, reference):
    song = Multitrack(["a", "b"], audio)
    for attempt in (lambda: mix(song), lambda: optimize_mix(song, reference, steps=1)):
        with pytest.raises(InputError, match=f"^[^\n]*{reason}[^\n]*$"):
            attempt()


# Editing and saving


def test_remix_follows_an_edit(song):
    result = equal_loudness(song)
    result.params.track("kick")["input_gain_db"] += 6
    result.params.track("bgvox_main")["pan"] = 0.0
    remixed = result.remix()
    assert is_what_the_console_makes(remixed)
    assert loudness(remixed.audio) > loudness(result.audio) + 1  # the level follows, nothing is normalized
    assert not torch.equal(remixed.audio[0], remixed.audio[1])
    levels = dict(zip(song.names, contributions(remixed), strict=True))
    assert [levels["kick.L"], levels["kick.R"]] == pytest.approx([-42.0 + CENTER_DB] * 2, abs=0.05)


def test_saved_files_are_three_and_hold_the_mix(song, tmp_path):
    result = unity(song)
    folder = result.save(tmp_path / "new" / "folder")
    assert sorted(os.listdir(folder)) == ["mix.wav", "params.csv", "params.json"]
    info = soundfile.info(folder / "mix.wav")
    assert (info.samplerate, info.channels, info.frames, info.subtype) == (
        RATE,
        2,
        song.audio.shape[1],
        "FLOAT",
    )
    assert torch.equal(load_audio(folder / "mix.wav"), result.audio)
    params = ConsoleParams.from_json((folder / "params.json").read_text("utf-8"))
    assert params.names == song.names
    torch.testing.assert_close(params.tracks, result.params.tracks, rtol=0, atol=1e-5)
    torch.testing.assert_close(params.master_bus_values, result.params.master_bus_values, rtol=0, atol=1e-5)
    rows = pd.read_csv(folder / "params.csv", index_col="strip")
    assert rows.index.tolist() == [*song.names, "fx_bus", "master_bus"]
    assert rows.loc["kick.L", "pan"] == pytest.approx(0.18)


def test_saving_replaces_the_files_of_an_earlier_mix_and_no_others(song, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    equal_loudness(song).save(tmp_path)
    result = unity(song)
    result.save(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["mix.wav", "notes.txt", "params.csv", "params.json"]
    assert torch.equal(load_audio(tmp_path / "mix.wav"), result.audio)
    assert json.loads((tmp_path / "params.json").read_text("utf-8"))["tracks"]["kick.L"]["input_gain_db"] == 0


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture(params=["not finite", "interrupted"])
def failing(request, song):
    """A mix that cannot be saved, and the error that says so."""
    result = unity(song)
    if request.param == "not finite":
        return MixResult(result.audio * math.nan, result.params, song), InputError
    params = SimpleNamespace(to_json=result.params.to_json, to_frame=interrupt)  # the last of the three files
    return MixResult(result.audio, params, song), KeyboardInterrupt


def test_failing_save_leaves_no_folder(failing, tmp_path):
    result, error = failing
    with pytest.raises(error):
        result.save(tmp_path / "new" / "folder")
    assert os.listdir(tmp_path) == []


def test_failing_save_leaves_an_earlier_mix_as_it_was(failing, tmp_path):
    result, error = failing
    (tmp_path / "mix.wav").write_text("earlier")
    with pytest.raises(error):
        result.save(tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"mix.wav": "earlier"}


def test_a_file_that_outgrows_the_disk(song, tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    result = unity(song)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"^mix.wav: not written"):
            result.save(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_a_folder_in_the_place_of_a_file(song, tmp_path):
    (tmp_path / "params.json").mkdir()
    with pytest.raises(InputError, match=r"params.json: is a folder"):
        unity(song).save(tmp_path)
    assert os.listdir(tmp_path) == ["params.json"]


@pytest.mark.parametrize("target", ["file", "file/below"])
def test_saving_where_there_is_a_file(song, tmp_path, target):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=f"^[^\n]*{target}: cannot write there[^\n]*$"):
        unity(song).save(tmp_path / target)
    assert (tmp_path / "file").read_text() == "mine"


# The fit


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


def test_a_result_carries_its_loudness_and_its_loss(song, reference, fitted):
    assert fitted.loudness_lufs == pytest.approx(loudness(fitted.audio), abs=0.01)
    terms = audio_feature_loss(normalize_loudness(fitted.audio), normalize_loudness(reference))
    assert fitted.loss == pytest.approx({name: term.item() for name, term in terms.items()}, rel=1e-3)
    louder = fitted.params.clone()
    louder.master_bus["output_gain_db"] += 3.0
    remixed = MixResult(fitted.audio, louder, song, fitted.history).remix()
    assert remixed.loudness_lufs == pytest.approx(fitted.loudness_lufs + 3.0, abs=0.01)
    assert remixed.loss is None  # the console is another one
    assert equal_loudness(song, lufs=-23.0).loudness_lufs == pytest.approx(-23.0, abs=0.01)
    assert equal_loudness(song).loss is None


def test_remix_leaves_the_old_result_alone(song):
    old = equal_loudness(song)
    new = old.remix()
    new.params.track("kick")["pan"] = 0.9
    assert old.params.track("kick")["pan"].tolist() == [0.5, 0.5]


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
