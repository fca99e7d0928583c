"""A finished mix: what it carries, its stems, remixed and saved."""

import dataclasses
import math
import warnings

import pytest
import torch
from mix_helpers import contributions, is_what_the_console_makes
from model_helpers import TWIN, model

from diffmst_lib import (
    InputError,
    InputNote,
    MixingConsole,
    MixResult,
    audio_feature_loss,
    equal_loudness,
    loudness,
    normalize_loudness,
    unity,
)
from diffmst_lib.console.table import knob_index
from diffmst_lib.mixing.result import check_mix

FILES = ["mix.wav", "params.csv", "params.json", "report.json"]


def test_remix_follows_an_edit(song):
    result = equal_loudness(song, panned=True)
    result.params.track("kick")["fader_db"] += 6
    result.params.track("bgvox_main")["pan"] = 0.0
    remixed = result.remix()
    assert is_what_the_console_makes(remixed)
    assert loudness(remixed.audio) > loudness(result.audio) + 1  # the level follows, nothing is normalized
    before, after = (
        dict(zip(song.names, contributions(mix), strict=True))
        for mix in (equal_loudness(song, panned=True), remixed)
    )
    assert after["kick"] == pytest.approx(before["kick"] + 6.0, abs=0.05)
    assert not remixed.stems()["bgvox_main"][1].any()


def test_remix_leaves_the_old_result_alone(song):
    old = equal_loudness(song)
    new = old.remix()
    new.params.track("kick")["pan"] = 0.9
    assert old.params.track("kick")["pan"] == 0.5


# Stems


def through_the_master(result, stems):
    bus = sum(stems)[None]
    return MixingConsole(result.sample_rate, preset=result.params.preset).master_bus(bus, result.params)[0]


def sent(song):
    """A mix whose kick and synthesizer are sent to the reverb."""
    result = unity(song)
    result.params.track("kick")["send_db"] = -6.0
    result.params.track("minilogue_synth")["send_db"] = -12.0
    return result.remix()


def test_stems_sum_to_the_mix_through_the_master_bus(song, fitted):
    stems = fitted.stems()
    assert list(stems) == song.names and not any(stem.requires_grad for stem in stems.values())
    assert (through_the_master(fitted, stems.values()) - fitted.audio).abs().max() < 10 ** (-90 / 20)
    assert fitted.fx_return() is None


def test_the_reverbs_return_is_a_stem_of_its_own(song):
    result = sent(song)
    stems, returns = result.stems(), result.fx_return()
    assert returns.shape == result.audio.shape and returns.abs().max() > 1e-3
    error = through_the_master(result, [*stems.values(), returns]) - result.audio
    assert error.abs().max() < 10 ** (-90 / 20)
    assert (through_the_master(result, stems.values()) - result.audio).abs().max() > 1e-3


def test_a_strip_that_is_off_is_a_silent_stem(song):
    result = unity(song)
    result.params.track("kick")["fader_db"] = -60.0
    assert not result.stems()["kick"].any()


def test_stems_of_the_papers_console_are_sums_of_their_channels(song, reference):
    result = model("paper", **TWIN).mix(song.excerpt(0, 0.5), reference)
    stems = result.stems()
    assert list(stems) == song.names
    torch.testing.assert_close(through_the_master(result, stems.values()), result.audio, rtol=0, atol=1e-4)


# Loss and level


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


def test_the_reference_stays_with_the_result(song, reference, fitted):
    assert torch.equal(fitted.reference, reference) and torch.equal(fitted.remix().reference, reference)
    report, other = fitted.report(), unity(song).report(reference)
    assert report.mix["reference"].notna().any() and other.mix["reference"].notna().any()
    assert unity(song).report().mix["reference"].isna().all()
    with pytest.raises(InputError, match="the reference is silent"):
        fitted.report(torch.zeros(2, 999))


# What is checked before it is written


def changed(result, audio):
    return dataclasses.replace(result, audio=audio)


def test_a_finished_mix_sounds_and_is_finite(song):
    result = equal_loudness(song)
    assert check_mix(result) is result
    with pytest.raises(
        InputError, match=r"^caesium: nothing is left of it, the mix is silent: the stems cancel"
    ):
        check_mix(changed(result, 0 * result.audio))
    with pytest.raises(InputError, match=r"^caesium: the mix holds NaN or infinite samples$") as caught:
        check_mix(changed(result, result.audio / 0))
    assert caught.value.about == "song"


def test_a_mix_without_a_strip_that_sounds_says_so(song):
    result = equal_loudness(song)
    result.params.tracks[:, knob_index("fader_db")] = -60.0
    with pytest.raises(InputError, match=r"no strip lets its stem through$"):
        check_mix(result.remix())


def test_a_mix_that_is_not_at_its_level_is_named(song):
    result = equal_loudness(song)
    with pytest.warns(
        InputNote, match=r"^the mix is at -18.0 LUFS, not at -16: the master's output gain ends"
    ):
        check_mix(changed(result, result.audio * 10 ** (-2 / 20)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_mix(changed(result, result.audio * 10 ** (-0.05 / 20)))
        check_mix(unity(song, lufs=-30.0), -30.0)


@pytest.mark.filterwarnings("ignore:peaks far above")
def test_levels_that_a_console_does_not_reach_are_refused(song):
    assert unity(dataclasses.replace(song, audio=1e4 * song.audio)).loudness_lufs == pytest.approx(
        -16, abs=0.01
    )
    for factor in (1e6, 1e17, 1e30, 1e37):
        with pytest.raises(InputError, match=r"^stem .* times full scale, too loud for any console"):
            unity(dataclasses.replace(song, audio=factor * song.audio))


def test_a_reference_is_long_enough_and_a_sound(song, reference):
    assert math.isfinite(unity(song, reference=reference[:, :4410]).total)
    with pytest.raises(InputError, match=r"^the reference is 0.100 s long, at least 0.1 s are needed$"):
        unity(song, reference=reference[:, :4409])
    with pytest.raises(InputError, match=r"^the reference is nothing but a DC offset$"):
        unity(song, reference=torch.full((2, 44100), 0.3))
