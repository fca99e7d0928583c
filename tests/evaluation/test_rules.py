"""The mix by rules: what names say, where stems go, how loud they are."""

import math

import pytest
import torch
from mix_helpers import bus_lufs, is_what_the_console_makes, mono_song

import diffmst_lib as dm
from diffmst_lib.evaluation import rules
from diffmst_lib.evaluation.rules import LEAD, RULES, rule_of, rules_mix

NAMES = ["vox_lead", "kick", "bass", "gtr_1", "gtr_2", "gtr_3", "keys", "shaker"]


@pytest.fixture
def band(noise):
    """Two seconds of mono stems at eight levels."""
    levels = 0.5 ** torch.arange(len(NAMES))
    return mono_song(levels[:, None] * noise(len(NAMES), 2 * 44100), NAMES)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("LeadVox", "lead voice"),
        ("vox_double", "backing"),
        ("bgvox_high", "backing"),
        ("Bass Drum", "kick"),
        ("kick in", "kick"),
        ("SD top", "snare"),
        ("OH L", "cymbals"),
        ("floor tom", "percussion"),
        ("drums_outro", "drums"),
        ("Bass DI", "bass"),
        ("E-Gtr left", "guitars"),
        ("Rhodes", "keys"),
        ("pad", "pads"),
        ("alto sax", "winds"),
        ("microcosm_effect", "effects"),
    ],
)
def test_roles_by_name(name, role):
    assert rule_of(name).role == role


@pytest.mark.parametrize("name", ["track 7", "melody_break", "", "01"])
def test_names_that_say_nothing(name):
    assert rule_of(name) is None


def test_the_table_is_one():
    table = {spec.name: spec for spec in dm.param_table("track")}
    assert len({rule.role for rule in RULES}) == len(RULES)
    assert {rule.group for rule in RULES} == {"drums", "bass", "vocals", "other"}
    for rule in RULES:
        assert 0 <= rule.apart <= 0.5 and -20 <= rule.level_lu < 0 and 1 <= rule.ratio <= 4
        for knob, value in (
            ("low_shelf_gain_db", rule.low_db),
            ("low_shelf_frequency_hz", rule.low_hz),
            ("attack_ms", rule.attack_ms),
            ("release_ms", rule.release_ms),
        ):
            assert table[knob].low <= value <= table[knob].high


def test_the_middle_and_the_sides(band):
    params = rules_mix(band).params
    pans = {name: params.track(name)["pan"] for name in NAMES}
    assert [pans[name] for name in ("vox_lead", "kick", "bass")] == [0.5, 0.5, 0.5]
    # The first pair of guitars is mirrored, the second pair goes less far, and sides go by turns.
    assert pans["gtr_1"] - 0.5 == pytest.approx(0.5 - pans["gtr_2"], abs=1e-5)
    assert abs(pans["gtr_3"] - 0.5) == pytest.approx(rules.CLOSER * abs(pans["gtr_1"] - 0.5), abs=1e-5)
    sides = [math.copysign(1, pans[name] - 0.5) for name in ("shaker", "gtr_1", "gtr_2", "gtr_3", "keys")]
    assert sides == [-1, 1, -1, 1, -1]


def test_levels(band):
    result = rules_mix(band)
    assert result.loudness_lufs == pytest.approx(-16, abs=1e-3) and is_what_the_console_makes(result)
    assert bus_lufs(result) == pytest.approx(-20, abs=0.1)  # the song as the master's compressor expects it
    stems = result.stems()
    rest = sum(stem for name, stem in stems.items() if name != "vox_lead")
    assert dm.loudness(stems["vox_lead"]) - dm.loudness(rest) == pytest.approx(rules.VOICE_LU, abs=0.05)
    loud = {name: dm.loudness(stem) for name, stem in stems.items()}
    # A panned stem is as loud by itself to within what the pan law does to a mono stem's two channels.
    assert loud["kick"] - loud["bass"] == pytest.approx(-1, abs=0.05)
    assert loud["gtr_1"] - loud["gtr_2"] == pytest.approx(0, abs=0.05)
    assert loud["gtr_1"] - loud["kick"] == pytest.approx(-1 - 10 * math.log10(3), abs=0.05)


def test_the_delivered_balance_of_known_stems_does_not_matter(band):
    gains = torch.tensor([1.0, 4.0, 0.1, 1.0, 1.0, 3.0, 0.5, 1.0])[:, None, None]
    other = dm.Multitrack(band.names, band.audio * gains, band.sample_rate)
    torch.testing.assert_close(rules_mix(other).audio, rules_mix(band).audio, rtol=0, atol=1e-3)


def test_stems_whose_names_say_nothing_stay_as_delivered(noise):
    song = mono_song(torch.tensor([[1.0], [0.3]]) * noise(2, 44100), ["take 1", "take 2"])
    torch.testing.assert_close(rules_mix(song).audio, dm.unity(song).audio, rtol=0, atol=1e-5)


def test_a_stereo_stem_keeps_its_image(noise):
    song = dm.Multitrack(["gtr", "kick"], noise(2, 2, 44100))
    strip = rules_mix(song).params.track("gtr")
    assert strip["width"] == 1.0 and 0 < abs(strip["pan"] - 0.5) <= rules.OF_STEREO * 0.3 + 1e-6


def test_compressors_are_moderate(band):
    measured = rules_mix(band).report().to_dict()["stems"]
    reductions = {name: row["reduction_mean_db"] for name, row in measured.items() if rule_of(name).ratio > 1}
    assert reductions and all(0 < reduction < 6 for reduction in reductions.values())


def test_silent_stems_and_no_voice(band):
    quiet = dm.Multitrack(band.names, band.audio.clone(), band.sample_rate)
    quiet.audio[0] = 0  # the voice
    quiet.audio[3] = 0  # a guitar, whose share the others take
    result = rules_mix(quiet)
    assert result.loudness_lufs == pytest.approx(-16, abs=1e-3)
    loud = {name: dm.loudness(stem) for name, stem in result.stems().items()}
    assert loud["gtr_2"] - loud["kick"] == pytest.approx(-1 - 10 * math.log10(2), abs=0.05)
    assert result.params.track("gtr_1")["low_shelf_gain_db"] == 0


def test_a_song_of_a_voice_alone(noise):
    song = mono_song(noise(1, 44100), ["vox"])
    assert rule_of("vox") is LEAD and rules_mix(song).loudness_lufs == pytest.approx(-16, abs=1e-3)


def test_bad_input(band, reference):
    silent = dm.Multitrack(band.names, 0 * band.audio, band.sample_rate)
    with pytest.raises(dm.InputError, match="silent"):
        rules_mix(silent)
    with pytest.raises(dm.InputError, match="stereo"):
        rules_mix(band, reference=reference[:1])
    assert rules_mix(band, reference=reference).total > 0
