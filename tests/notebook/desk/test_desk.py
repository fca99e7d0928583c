"""The mixing desk in Python: what it takes, what it holds, what it renders, what it weighs."""

import base64
import json

import numpy as np
import own_console  # noqa: F401 - it registers the console "warm"
import pytest
import torch
from desk_page import page_state
from front_end import front_end
from widget_sounds import RATE, decode, level_db, stems, tones

import diffmst_lib as dm
from diffmst_lib.notebook.desk.desk import Desk

SETUP_KEYS = {"setup", "settings", "muted", "soloed", "bypassed", "scales", "audio"}


@pytest.fixture
def toy():
    """Two stereo stems and a mono one, 2 s."""
    audio = stems(tones(2.0), tones(2.0, first_hz=500), tones(2.0, channels=1, first_hz=90))
    return dm.Multitrack(["vox", "<b> & co", "kick"], audio)


def neutral(song, **options):
    return dm.ConsoleParams.neutral(song.names, **options)


@pytest.mark.parametrize("channels", [1, 2])
def test_it_starts_with_the_song_as_delivered(channels):
    song = dm.Multitrack(["a", "b"], stems(tones(channels=channels), tones(channels=channels, first_hz=700)))
    desk = dm.desk(song)
    assert isinstance(desk, Desk)
    assert dm.loudness(desk.mix()) == pytest.approx(-16, abs=1e-3)
    mix, plain = desk.mix(), song.audio.sum(dim=0)
    torch.testing.assert_close(mix / mix.abs().max(), plain / plain.abs().max(), atol=1e-6, rtol=0)


def test_the_mix_is_the_librarys(toy):
    params = neutral(toy)
    params.track("vox")["peak_2_gain_db"] = -9.0
    params.track("kick")["ratio"] = 4.0
    params.track("kick")["threshold_db"] = -30.0
    params.track("vox")["send_db"] = -12.0
    desk = dm.desk(toy, params, start_s=0.5, seconds=1.0)
    part = toy.excerpt(0.5, 1.0)
    torch.testing.assert_close(desk.mix(), dm.MixingConsole(RATE).render(part.audio, params))
    assert desk.mix().shape == (2, RATE)


def test_a_console_with_an_effect_of_ones_own_stays_as_it_is(toy):
    params = neutral(toy, preset="warm")
    params.track("vox")["drive_db"] = 18.0
    desk = dm.desk(toy, params)
    torch.testing.assert_close(desk.mix(), dm.MixingConsole(RATE, "warm").render(toy.audio, params))
    assert desk.params.to_json() == params.to_json() and desk.setup["own_effects"] == ["saturator"]
    with pytest.raises(ValueError, match="this desk has a console of preset warm, got parameters of default"):
        desk.params = neutral(toy)


def test_assigning_params_moves_the_knobs_and_a_copy_does_not(toy):
    desk = dm.desk(toy)
    params = desk.params
    params.track("kick")["input_gain_db"] = -7.25
    params.master_bus["output_gain_db"] = 3.0
    assert desk.params.track("kick")["input_gain_db"] != -7.25
    desk.params = params
    assert desk.settings["tracks"]["kick"]["input_gain_db"] == -7.25
    assert desk.params.to_json() == params.to_json()


def test_settings_from_the_browser_keep_every_value(toy):
    desk = dm.desk(toy)
    settings = json.loads(neutral(toy).to_json())
    settings["tracks"]["kick"]["attack_ms"] = 17.5
    settings["fx_bus"]["band3_decay"] = 0.25
    settings["tracks"] = dict(reversed(settings["tracks"].items()))  # another order is no other console
    desk.set_state({"settings": settings})
    assert desk.params.names == toy.names
    assert desk.params.track("kick")["attack_ms"] == 17.5
    assert desk.params.fx_bus["band3_decay"] == 0.25


@pytest.mark.parametrize(
    ("muted", "soloed", "heard"),
    [
        (["vox"], [], ["<b> & co", "kick"]),
        ([], ["kick"], ["kick"]),
        (["kick"], ["kick", "vox"], ["vox"]),
        (["kick"], ["kick"], []),
    ],
)
def test_mute_and_solo_are_heard_and_no_part_of_the_settings(toy, muted, soloed, heard):
    desk = dm.desk(toy, neutral(toy))
    before = desk.params.to_json()
    desk.muted, desk.soloed = muted, soloed
    expected = sum((toy.stems[name] for name in heard), torch.zeros(2, toy.audio.shape[-1]))
    torch.testing.assert_close(desk.mix(), expected, atol=1e-5, rtol=0)
    assert desk.params.to_json() == before


def test_bypass_is_the_neutral_effect(toy):
    params = neutral(toy)
    busy = {"low_shelf_gain_db": 6.0, "ratio": 3.0, "threshold_db": -24.0, "makeup_gain_db": 3.0}
    for strip in (params.track("vox"), params.master_bus):
        for name, value in busy.items():
            strip[name] = value
    desk = dm.desk(toy, params)
    desk.bypassed = [("vox", "eq"), ["vox", "compressor"], ("master_bus", "eq"), ("master_bus", "compressor")]
    torch.testing.assert_close(desk.mix(), toy.audio.sum(dim=0), atol=1e-5, rtol=0)
    desk.bypassed = [("vox", "eq")]
    params.track("vox")["low_shelf_gain_db"] = 0.0
    torch.testing.assert_close(desk.mix(), dm.desk(toy, params).mix(), atol=1e-5, rtol=0)


def test_the_reference_is_as_loud_as_the_mix(toy):
    reference = 0.05 * tones(1.8, first_hz=330)
    params = neutral(toy)
    params.master_bus["output_gain_db"] = 4.0
    desk = dm.desk(toy, params, reference=reference, start_s=0.5, seconds=1.5)
    state = page_state(desk)
    samples, _ = decode(base64.b64decode(state["audio"][-1]))
    heard = torch.from_numpy(samples.T).float() * state["scales"][-1]
    assert dm.loudness(heard) == pytest.approx(dm.loudness(desk.mix()), abs=0.3)
    sent = state["setup"]["reference"]
    assert sent["lufs"] == pytest.approx(dm.loudness(desk.mix()), abs=1e-3)
    assert sent["correlation"] == pytest.approx(np.corrcoef(desk.reference.numpy())[0, 1], abs=1e-3)
    # 1.8 s are too short to begin at 0.5 s: it begins at its start.
    head = reference[:, : round(1.5 * RATE)]
    correlation = np.corrcoef(heard[0, :RATE].numpy(), head[0, :RATE].numpy())[0, 1]
    assert correlation > 0.99


def test_a_long_reference_starts_with_the_song(toy):
    reference = torch.cat([torch.zeros(2, RATE), tones(1.0)], dim=1)
    state = page_state(dm.desk(toy, reference=reference, start_s=1.0, seconds=1.0))
    samples, _ = decode(base64.b64decode(state["audio"][-1]))
    assert level_db(samples[: RATE // 4]) > -40


def test_beside_silence_the_reference_keeps_its_level(toy):
    silence = dm.Multitrack(list(toy.names), torch.zeros_like(toy.audio))
    reference = tones(2.0)
    desk = dm.desk(silence, reference=reference)
    assert torch.equal(desk.reference, reference)
    assert desk.setup["reference"]["lufs"] == pytest.approx(dm.loudness(reference), abs=1e-3)


def test_what_has_no_measure_is_none(toy):
    left_only = torch.tensor([[1.0], [0.0]]) * tones(2.0)
    short = 1e-6 * tones(0.5)
    start = torch.cat([short, tones(2.0)], dim=1)
    assert dm.desk(toy, reference=left_only).setup["reference"]["correlation"] is None
    assert dm.desk(toy, reference=start, seconds=0.5).setup["reference"]["lufs"] is None


def test_ranges_come_from_the_table(toy):
    desk = dm.desk(toy)
    for section, rows in desk.setup["specs"].items():
        table = dm.param_table(section)
        assert [(row["name"], row["low"], row["high"], row["scale"], row["neutral"]) for row in rows] == [
            (spec.name, spec.low, spec.high, spec.scale, spec.neutral) for spec in table
        ]


def test_another_sample_rate_scales_the_look_ahead():
    song = dm.Multitrack(["a"], stems(tones(1.0, sample_rate=22050)), 22050)
    desk = dm.desk(song)
    assert desk.setup["lookahead"] == {"track": 220, "master_bus": 220}
    assert desk.mix().shape == (2, 22050)


@pytest.mark.parametrize(("sample_rate", "in_file"), [(96_000, 48_000), (176_400, 44_100), (30_000, 32_000)])
def test_a_rate_that_no_mp3_has_is_resampled_for_the_page_alone(sample_rate, in_file):
    song = dm.Multitrack(["a"], stems(tones(1.0, channels=1, sample_rate=sample_rate)), sample_rate)
    desk = dm.desk(song, reference=tones(1.0, sample_rate=sample_rate))
    state = page_state(desk)
    for text in state["audio"]:
        samples, rate = decode(base64.b64decode(text))
        assert rate == in_file and len(samples) / rate == pytest.approx(1.0, abs=0.1)
    assert level_db(samples) + 20 * np.log10(state["scales"][1]) == pytest.approx(
        level_db(desk.reference.numpy()), abs=0.3
    )
    assert state["setup"]["sample_rate"] == sample_rate and desk.params.sample_rate == sample_rate


def test_the_page_holds_everything_once_and_escaped(toy):
    desk = dm.desk(toy)
    bundle, _ = desk._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/html"} <= set(bundle)
    page = desk._repr_html_()
    assert "&lt;b&gt; &amp; co" in page and "<b> & co" not in page
    state = page_state(desk)
    assert set(state) == SETUP_KEYS
    assert [decode(base64.b64decode(text))[0].shape[1] for text in state["audio"]] == [2, 2, 1]
    # An executed notebook saves the traits beside the HTML: no audio among them.
    traits = {key: value for key, value in desk.get_state().items() if key not in ("_esm", "_css")}
    assert SETUP_KEYS - {"scales", "audio"} < set(traits)
    assert len(json.dumps(traits, default=str)) < 30_000


def test_a_live_page_gets_the_audio_when_it_asks(toy, monkeypatch):
    desk = dm.desk(toy, reference=tones(2.0))
    ((content, buffers),) = front_end(desk, monkeypatch, asks={"type": "load"})
    state = page_state(desk)
    assert content["type"] == "audio" and content["scales"] == pytest.approx(state["scales"])
    assert [base64.b64encode(file).decode() for file in buffers] == state["audio"]


def test_a_stem_above_full_scale_keeps_its_level(toy):
    audio = toy.audio.clone()
    audio[-1] *= 1.5 / audio[-1].abs().max()
    state = page_state(dm.desk(dm.Multitrack(list(toy.names), audio)))
    assert state["scales"] == pytest.approx([1, 1, 1.5 * 10 ** (0.5 / 20)])
    samples, _ = decode(base64.b64decode(state["audio"][-1]))
    assert np.abs(samples).max() <= 1
    assert level_db(samples * state["scales"][-1]) == pytest.approx(level_db(audio[-1].numpy()), abs=0.3)


@pytest.mark.parametrize(("name", "start_s"), [("caesium", 6.0), ("potassium", 2.0)])
def test_a_whole_song_weighs_less_than_a_page_may(data, name, start_s):
    whole = dm.load_multitrack(data / "multitracks" / name)
    reference = dm.load_audio(data / "references" / "vibe_ace.ogg")
    assert len(dm.desk(whole, reference=reference, start_s=start_s)._repr_html_()) < 1.5e6


def out_of_range(song):
    params = neutral(song)
    params.tracks[0, 0] = float("nan")
    return params


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda song: dm.desk({"kick": torch.zeros(10)}),
            "needs a song, a Multitrack, or a mix of one, got dict",
        ),
        (
            lambda song: dm.desk(song, controls=("fader", "knob")),
            "fader, pan, width, eq, compressor, master, got 'knob'",
        ),
        (lambda song: dm.desk(song, controls=()), "got none"),
        (lambda song: dm.desk(song, start_s=2.0), "past the end at 2.00 s"),
        (lambda song: dm.desk(song, seconds=0), "seconds > 0"),
        (lambda song: dm.desk(song, {"kick": {}}), "must be ConsoleParams, got dict"),
        (lambda song: dm.desk(song, out_of_range(song)), "vox: input_gain_db = NaN is outside -48 to 48"),
        (lambda song: dm.desk(song, dm.ConsoleParams.neutral(["kick"])), "have none for 'vox'"),
        (
            lambda song: dm.desk(song, dm.ConsoleParams.neutral([*song.names, "extra"])),
            "are for 'extra', too",
        ),
        (
            lambda song: dm.desk(song, dm.ConsoleParams.neutral(song.names, preset="reference")),
            "preset reference",
        ),
        (
            lambda song: dm.desk(song, dm.ConsoleParams.neutral(song.names, sample_rate=48000)),
            "48000 Hz do not fit",
        ),
        (
            lambda song: dm.desk(dm.Multitrack(["a", "master_bus"], song.audio[:2])),
            r"'master_bus' cannot .*: rename it",
        ),
        (lambda song: dm.desk(song, reference=tones(channels=1)), "1 channel; a stereo mix is needed"),
        (lambda song: dm.desk(song, reference=torch.zeros(2, RATE)), "reference is silent"),
        (lambda song: dm.desk(song, reference="vibe_ace.ogg"), "reference is a str"),
        (lambda song: dm.desk(dm.Multitrack(["a"], torch.full((1, 2, 9), torch.nan))), "'a'.*not finite"),
        (lambda song: setattr(dm.desk(song), "muted", ["snare"]), "no stem 'snare'; the stems are vox, "),
        (lambda song: setattr(dm.desk(song), "bypassed", [["vox", "reverb"]]), "cannot bypass"),
        (
            lambda song: setattr(dm.desk(song), "settings", {"tracks": {}}),
            "not a console's JSON: 'format' is missing",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(toy, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(toy)
    assert "\n" not in str(caught.value)


def test_refused_settings_change_nothing(toy):
    desk = dm.desk(toy)
    before = desk.params.to_json()
    settings = json.loads(before)
    settings["tracks"]["kick"]["pan"] = 1.5
    with pytest.raises(ValueError, match=r"tracks\.kick\.pan: 1\.5 is outside 0 to 1"):
        desk.settings = settings
    assert desk.params.to_json() == before


def test_a_reference_of_another_rate_is_refused(toy):
    mix = dm.unity(dm.Multitrack(["kick"], stems(tones(1.0)), sample_rate=22_050))
    with pytest.raises(ValueError, match="the reference has 22050 Hz, the song 44100 Hz"):
        dm.desk(toy, reference=mix)
