"""The level of a finished mix, in the master's output gain."""

import math
import warnings

import pytest
import torch
from mix_helpers import is_what_the_console_makes

import diffmst_lib as dm
from diffmst_lib.audio.limiting import limit
from diffmst_lib.console.automation import Automation
from diffmst_lib.mixing.level import bring_to
from diffmst_lib.mixing.rendering import render


@pytest.fixture(scope="module")
def mix(song):
    return dm.unity(song)


def quietly(*arguments, **options):
    """What `bring_to` returns, and the notes on the way."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        return bring_to(*arguments, **options), [str(one.message) for one in notes]


@pytest.mark.parametrize("lufs", [-23.0, -14.0, -5.0])
def test_another_level_is_in_the_masters_output_gain(mix, lufs):
    moved, notes = quietly(mix, lufs)
    assert dm.loudness(moved.audio) == pytest.approx(lufs, abs=0.05) and notes == []
    assert moved.loudness_lufs == pytest.approx(lufs, abs=0.05)
    change_db = moved.params.master_bus["output_gain_db"] - mix.params.master_bus["output_gain_db"]
    assert change_db == pytest.approx(lufs - mix.loudness_lufs, abs=0.05)
    assert is_what_the_console_makes(moved)
    assert dm.loudness(mix.audio) == pytest.approx(-16.0, abs=0.05)  # the one that was given stays


def test_what_was_known_of_the_mix_is_kept(song, reference):
    mix = dm.unity(song, reference=reference)
    moved = bring_to(mix, -20.0)
    assert moved.loss == mix.loss and moved.reference is mix.reference and moved.measures is mix.measures


def test_the_range_of_the_output_gain_ends(mix, song):
    low = mix.params.clone()
    for name in song.names:
        low.track(name)["fader_db"] = -45.0
    moved, notes = quietly(render(song, low), -5.0)
    assert moved.params.master_bus["output_gain_db"] == 48.0
    assert len(notes) == 1 and "not at -5: the master's output gain ends at +48 dB" in notes[0]


def test_sections_keep_their_differences(song):
    quiet, loud = dm.unity(song).params, dm.unity(song).params
    loud.master_bus["output_gain_db"] += 4.0
    mix = render(song, Automation([0.0, 0.7], [quiet, loud], ["a", "b"], fade_s=0.1, loudest=1))
    moved = bring_to(mix, -20.0)
    gains = [console.master_bus["output_gain_db"] for console in moved.automation.consoles]
    assert gains[1] - gains[0] == pytest.approx(4.0, abs=1e-4)
    assert moved.params is moved.automation.params
    assert dm.loudness(moved.audio) == pytest.approx(-20.0, abs=0.05)
    torch.testing.assert_close(moved.remix().audio, moved.audio, rtol=0, atol=1e-4)


def test_the_level_holds_behind_the_limiter(mix):
    """Where the limiter takes off some dB, the gain is higher by what that costs."""
    moved, notes = quietly(mix, -14.0, ceiling_dbtp=-3.0)
    limited, done = limit(moved.audio, ceiling_dbtp=-3.0)
    assert done.most_db > 2.0 and notes == []
    assert dm.loudness(limited) == pytest.approx(-14.0, abs=0.1)
    assert moved.loudness_lufs > -14.0 and is_what_the_console_makes(moved)


def test_a_level_that_the_limiter_takes_off_again_is_told(mix):
    moved, notes = quietly(mix, -5.0, ceiling_dbtp=-20.0)
    assert len(notes) == 1 and "not at -5: the limiter takes off too much" in notes[0]
    assert moved.loudness_lufs <= -5.0 + 6.1  # at most 6 dB more than the level asks for


@pytest.mark.parametrize("lufs", [3, -90, math.nan, math.inf, "-14", None])
def test_levels_that_are_none_cost_one_line(mix, lufs):
    with pytest.raises(dm.InputError, match="lufs must be a number from -60 to -5 LUFS, got"):
        bring_to(mix, lufs)


def test_a_ceiling_above_full_scale_costs_one_line(mix):
    with pytest.raises(dm.InputError, match="ceiling must be a number from -30 to 0 dBTP"):
        bring_to(mix, -14.0, ceiling_dbtp=1.0)


def test_a_console_of_ones_own_is_rendered_again(song):
    class Bent(dm.MixingConsole):
        def render(self, tracks, params):
            return torch.tanh(super().render(tracks, params))

    mix = dm.unity(song)
    mix.console = Bent(song.sample_rate)
    moved, notes = quietly(mix, -12.0)
    torch.testing.assert_close(moved.remix().audio, moved.audio)
    assert len(notes) == 1 and "not at -12: this console bends the level" in notes[0]
    assert moved.audio.abs().max() < 1.0
