"""The report of a mix: its tables, its text, its numbers for JSON."""

import json
import math
from dataclasses import replace

import pytest
import torch
from own_console import SATURATOR
from report_helpers import RATE, mixed, square, stereo_song

from diffmst_lib import (
    Effect,
    InputError,
    Multitrack,
    ParamSpec,
    audio_feature_loss,
    loudness,
    normalize_loudness,
    register_console,
)
from diffmst_lib.audio.octaves import OCTAVES_HZ
from diffmst_lib.mixing.report import MEASURES, STEM_COLUMNS, build_report
from diffmst_lib.mixing.result import render_mix

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module", autouse=True)
def registered():
    """A console with a saturator in strips and master, and a tilt, -6 to 6 dB, between left and right."""
    tilt = ParamSpec("tilt_db", "tilt", "dB", -6.0, 6.0, "linear", 0.0, 3.0, aspect="image")
    strip = [SATURATOR, Effect("tilt", (tilt,), tilted, after="fader")]
    register_console("tilted", strip=strip, master=[replace(SATURATOR, after="width")])


def tilted(x, sample_rate, tilt_db):
    gain = 10 ** (tilt_db / 20)[:, None, None]
    return torch.cat([x[:, :1] * gain, x[:, 1:] / gain], dim=1)


def checks(report):
    return [(warning.check, warning.where) for warning in report.warnings]


def test_neutral_changes_nothing(song):
    report = build_report(mixed(song))
    assert report.stems.index.tolist() == song.names
    changes = report.stems[
        ["moved_db", "lean_change_db", "reduction_mean_db", "reduction_most_db", "equalizer_db"]
    ]
    assert changes.abs().max().max() < 1e-3
    assert report.stems["width_db"].tolist() == pytest.approx(
        report.stems["width_delivered_db"].tolist(), abs=1e-3
    )
    gain = report.mix["mix"] - report.mix["plain sum"]
    assert gain["loudness_lufs"] == pytest.approx(gain["true_peak_dbtp"], abs=1e-3)
    level_free = gain.drop(["loudness_lufs", "true_peak_dbtp"]).dropna()
    assert len(level_free) == 7 and level_free.abs().max() < 1e-3
    assert (report.octaves["mix"] - report.octaves["plain sum"]).abs().max() < 1e-3


def test_balance_is_what_moved_less_the_median(song):
    report = build_report(mixed(song, {("kick", "fader_db"): -14.0, ("bgvox_main", "fader_db"): 1.0}))
    assert report.stems["moved_db"].to_dict() == pytest.approx(
        {"kick": -14.0, "bgvox_main": 1.0, "minilogue_synth": 0.0}, abs=0.01
    )
    assert checks(report) == [("under", "kick")]


def test_lean_is_a_change(song):
    tilted = Multitrack(song.names, song.audio * torch.tensor([0.5, 1.0])[:, None])
    report = build_report(mixed(tilted))
    assert report.stems["lean_change_db"].abs().max() < 1e-3
    assert report.stems["lean_db"].min() > 4 and checks(report) == []
    panned = build_report(mixed(song, {("kick", "pan"): 0.8}))
    expected = 20 * math.log10(math.tan(0.8 * math.pi / 2))
    assert panned.stems.loc["kick", "lean_change_db"] == pytest.approx(expected, abs=1e-3)
    assert checks(panned) == [("lean", "kick")]


def test_width_reduction_and_equalizer(song):
    settings = {("minilogue_synth", "width"): 2.0, ("kick", "ratio"): 8.0, ("kick", "threshold_db"): -50.0}
    settings |= {("bgvox_main", "peak_3_gain_db"): -8.0, ("bgvox_main", "peak_3_frequency_hz"): 3000.0}
    stems = build_report(mixed(song, settings)).stems
    kick, voices, synth = (stems.loc[name] for name in ("kick", "bgvox_main", "minilogue_synth"))
    assert synth["width_db"] - synth["width_delivered_db"] == pytest.approx(6.02, abs=0.01)
    assert kick["reduction_most_db"] > kick["reduction_mean_db"] > 3
    assert voices["equalizer_db"] == pytest.approx(-8.0, abs=0.05)
    assert voices["equalizer_hz"] == pytest.approx(3000.0, rel=0.03)
    assert math.isnan(kick["equalizer_hz"])


def test_the_reference_stands_beside_the_mix(song, reference):
    alone, beside = build_report(mixed(song)), build_report(mixed(song), reference)
    assert alone.mix["reference"].isna().all() and alone.octaves["reference"].isna().all()
    assert math.isnan(alone.mix.loc["loss", "mix"])
    assert "reference" not in str(alone)
    assert beside.mix.loc["loudness_lufs", "reference"] == pytest.approx(loudness(reference), abs=1e-6)
    kept = build_report(mixed(song, reference=reference))
    assert kept.mix["reference"].equals(beside.mix["reference"])
    assert kept.mix.equals(beside.mix)


def test_the_loss_is_that_of_sounds_at_one_level(song, reference):
    result = mixed(song, {("master_bus", "output_gain_db"): -9.0})
    report = build_report(result, reference)
    target = normalize_loudness(reference)
    for name, sound in (("mix", result.audio), ("plain sum", song.audio.sum(dim=0))):
        loss = audio_feature_loss(normalize_loudness(sound), target)["total"].item()
        assert report.mix.loc["loss", name] == pytest.approx(loss, rel=1e-3)
    result.reference, result.loss = reference, {"total": 0.125}
    assert build_report(result).mix.loc["loss", "mix"] == 0.125  # what the result knows is not computed again


def test_records_out_of_reach_are_named(song, noise):
    mid, side = noise(2, 2 * RATE)
    mono = build_report(mixed(song), torch.stack([mid, mid]))
    assert ("mono_reference", "reference") in checks(mono)
    opposite = build_report(mixed(song), torch.stack([side + 0.5 * mid, 0.5 * mid - side]))
    assert ("opposite_reference", "reference") in checks(opposite)
    louder = {("kick", "fader_db"): -40.0, ("minilogue_synth", "fader_db"): -40.0}
    far = build_report(mixed(song, louder), song.audio.sum(dim=0))
    assert ("farther", "mix") in checks(far)


@pytest.mark.parametrize("reference", [torch.zeros(2, RATE), torch.ones(1, RATE), "record.wav"])
def test_a_reference_that_is_none_is_an_error(song, reference):
    with pytest.raises(InputError, match=r"^the reference [^\n]*$"):
        build_report(mixed(song), reference)


def test_the_master_bus_is_told(song):
    settings = {"threshold_db": -24.0, "ratio": 3.0, "attack_ms": 0.5, "release_ms": 1000.0}
    report = build_report(mixed(song, {("master_bus", knob): value for knob, value in settings.items()}))
    mean, high = report.mix.loc[["master_reduction_mean_db", "master_reduction_high_db"], "mix"]
    assert 1.0 < mean < high
    assert report.mix.loc["master_reduction_mean_db", ["reference", "plain sum"]].isna().all()


def test_the_lead_voice(song):
    report = build_report(mixed(stereo_song(["vox_lead", "a", "b"]), {("vox_lead", "fader_db"): -8.0}))
    assert report.mix.loc["lead_voice_lu", "mix"] == pytest.approx(-11.0, abs=0.2)
    assert ("lead_voice", "vox_lead") in checks(report)
    assert build_report(mixed(song)).mix.loc["lead_voice_lu"].isna().all()


def test_effects_of_a_users_own_are_told_where_they_are_turned(song):
    settings = {("kick", "drive_db"): 6.0, ("kick", "tilt_db"): -1.5, ("bgvox_main", "drive_db"): 0.05}
    report = build_report(mixed(song, settings | {("master_bus", "drive_db"): 1.25}, preset="tilted"))
    assert report.effects.index.tolist() == ["kick", "master_bus"]
    assert report.effects.columns.tolist() == ["drive_db", "tilt_db"]
    assert report.to_dict()["effects"] == {
        "kick": {"drive_db": 6.0, "tilt_db": -1.5},
        "master_bus": {"drive_db": 1.25},
    }
    told = str(report).partition("own effects")[2].splitlines()
    assert [line.split() for line in told[:3]] == [
        ["drive_db", "tilt_db"],
        ["kick", "6.00", "-1.50"],
        ["master_bus", "1.25"],
    ]
    assert "own effects" in report._repr_html_()
    ours = build_report(mixed(song))
    assert ours.effects.empty and "own effects" not in str(ours)
    untouched = build_report(mixed(song, preset="tilted"))
    assert untouched.to_dict()["effects"] == {} and "own effects" not in str(untouched)


def test_effects_of_the_papers_strips_are_told_by_channel(song):
    report = build_report(mixed(song, {("kick.L", "drive_db"): 6.0}, preset="paper-warm"))
    assert report.to_dict()["effects"] == {"kick.L": {"drive_db": 6.0}}


def test_json_has_these_keys_and_only_plain_values(song, reference):
    result = mixed(song, {("kick", "fader_db"): -60.0}, reference=reference)
    values = build_report(result).to_dict()
    assert list(values) == ["stems", "mix", "octaves", "effects", "warnings"]
    assert values["effects"] == {}
    assert list(values["stems"]) == song.names
    assert {tuple(row) for row in values["stems"].values()} == {STEM_COLUMNS}
    assert STEM_COLUMNS == (
        "moved_db",
        "lean_change_db",
        "lean_db",
        "width_delivered_db",
        "width_db",
        "reduction_mean_db",
        "reduction_most_db",
        "equalizer_db",
        "equalizer_hz",
    )
    assert list(values["mix"]) == ["mix", "reference", "plain sum"]
    assert {tuple(column) for column in values["mix"].values()} == {tuple(MEASURES)}
    assert tuple(MEASURES) == (
        "loudness_lufs",
        "true_peak_dbtp",
        "plr_db",
        "crest_factor_db",
        "level_range_lu",
        "correlation",
        "width_db",
        "mono_loss_db",
        "side_below_120_hz_db",
        "lead_voice_lu",
        "reverb_lu",
        "master_reduction_mean_db",
        "master_reduction_high_db",
        "loss",
    )
    assert list(values["octaves"]) == ["mix", "reference", "plain sum", "equalizer"]
    assert {tuple(column) for column in values["octaves"].values()} == {tuple(f"{hz:g}" for hz in OCTAVES_HZ)}
    assert values["stems"]["kick"]["moved_db"] is None
    assert values["warnings"][0]["check"] == "under"
    text = json.dumps(values, allow_nan=False)
    assert json.loads(text) == values and "-0.0," not in text


def test_the_text_is_narrow_and_has_every_stem(song, reference):
    lines = str(build_report(mixed(song, {("kick", "pan"): 0.8}, reference=reference))).splitlines()
    tables = [line for line in lines if not line.startswith("!")]
    assert max(map(len, tables)) <= 100
    rows = {line.split()[0]: line.split() for line in tables if line}
    assert rows["kick"][2:4] == ["9.8", "R"]
    assert set(song.names) <= set(rows)
    assert lines[-1].startswith("! kick: leans") or lines[-2].startswith("! kick: leans")
    assert str(build_report(mixed(song))).endswith("no warnings")


def test_a_notebook_shows_names_as_they_are():
    song = stereo_song(["<b>kick", "a & b"], 0.5)
    page = build_report(mixed(song, {("<b>kick", "fader_db"): -60.0}))._repr_html_()
    assert "<b>" not in page and "&lt;b&gt;kick" in page and "a &amp; b" in page
    assert page.count("<table") == 3 and "<li>" in page


@pytest.mark.parametrize(
    "song",
    [
        pytest.param(Multitrack(["a"], square(0.1, 0.5)[None]), id="one mono stem"),
        pytest.param(Multitrack(["a", "vox"], torch.full((2, 2, 1), 0.5)), id="one sample"),
        pytest.param(
            Multitrack(["a", "b"], torch.stack([square(0.1, 0.5), 0 * square(0.1, 0.5)])), id="a silent stem"
        ),
        pytest.param(Multitrack(["a", "vox"], torch.zeros(2, 2, 500)), id="silence"),
        pytest.param(
            Multitrack(["a"], torch.stack([square(0.1), -square(0.1)])[:, 0][None]), id="opposite channels"
        ),
        pytest.param(
            Multitrack(["a"], torch.stack([square(0.1)[0], torch.zeros(2 * RATE)])[None]), id="one channel"
        ),
    ],
)
@pytest.mark.parametrize("preset", ["default", "reference"])
def test_odd_songs(song, preset, reference):
    report = build_report(mixed(song, preset=preset), reference)
    assert not math.isinf(report.mix.loc["width_db", "mix"])
    assert str(report) and report._repr_html_() and json.dumps(report.to_dict(), allow_nan=False)
    for name in song.names:
        silent = not song.stems[name].any()
        assert math.isnan(report.stems.loc[name, "moved_db"]) == silent
        assert ("silent" in str(report)) >= silent


def test_a_result_is_measured_once(song, monkeypatch):
    result = render_mix(song, mixed(song, {("kick", "pan"): 0.8}).params)
    unmeasured = build_report(result)
    monkeypatch.setattr("diffmst_lib.mixing.report.render_measured", None)
    report = result.report()
    assert result.report() is report and str(report) == str(unmeasured)
    again = result.remix().report()
    assert again is not report and again.stems.equals(report.stems)


def test_64_stems():
    report = build_report(mixed(stereo_song([f"stem {i}" for i in range(64)], 0.05)))
    assert len(report.stems) == 64 and report.stems.notna()["moved_db"].all()
