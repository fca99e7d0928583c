"""Consoles of the first edition, whose strips took mono channels, as consoles of stems."""

import json
import math

import pytest
import torch
from console_settings import unit

from diffmst_lib import ConsoleParams, InputNote, MixingConsole, param_table
from diffmst_lib.console.first_edition import VERSION_1_NAMES
from diffmst_lib.console.table import OFF_DB, knob_index
from diffmst_lib.inputs import FIRST_EDITION


def old(*names, **pans):
    """A neutral console of the first edition."""
    return ConsoleParams.neutral(
        list(names), preset=FIRST_EDITION, pans=[pans.get(name.replace(".", "_"), 0.5) for name in names]
    )


def old_file(params, version=2):
    """What versions 1 and 2 of the library wrote; version 1 had other names for the equalizer's knobs."""
    data = json.loads(params.to_json()) | {"version": version, "preset": "default"}
    if version == 1:
        data["tracks"] = {
            name: {VERSION_1_NAMES.get(k, k): v for k, v in row.items()}
            for name, row in data["tracks"].items()
        }
        data["master_bus"] = {VERSION_1_NAMES.get(k, k): v for k, v in data["master_bus"].items()}
    return json.dumps(data)


def test_a_pair_panned_hard_apart_is_a_stereo_stem_in_the_middle():
    stems = old("pad.L", "pad.R", pad_L=0.0, pad_R=1.0).as_stems()
    assert (stems.names, stems.preset) == (["pad"], "default")
    pad = stems.track("pad")
    assert (pad["width"], pad["pan"], pad["send_db"]) == (1.0, 0.5, OFF_DB)
    assert pad["fader_db"] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(
    ("left", "right", "width", "pan"),
    [(0.5, 0.5, 0.0, 0.5), (0.0, 0.6, None, 0.3), (0.3, 0.3, 0.0, 0.3), (1.0, 0.0, 1.0, 0.5)],
)
def test_a_pair_of_pans_is_a_width_and_their_mean(left, right, width, pan):
    strip = old("a.L", "a.R", a_L=left, a_R=right).as_stems().track("a")
    assert strip["pan"] == pytest.approx(pan, abs=1e-6)
    assert (0 < strip["width"] < 1) if width is None else strip["width"] == pytest.approx(width, abs=1e-6)


def test_the_strip_of_a_pair_is_the_mean_of_the_two_on_the_scale_of_each_knob():
    params = old("a.L", "a.R")
    for name, values in (("peak_2_gain_db", (-6.0, 2.0)), ("ratio", (1.0, 4.0)), ("attack_ms", (5.0, 80.0))):
        params.track("a.L")[name], params.track("a.R")[name] = values
    strip = params.as_stems().track("a")
    assert strip["peak_2_gain_db"] == pytest.approx(-2.0, abs=1e-5)
    assert strip["ratio"] == pytest.approx(2.0, rel=1e-5) and strip["attack_ms"] == pytest.approx(
        20.0, rel=1e-5
    )


NAMES = ["b.L", "kick", "b.R", "vox.L", "strings.R", "x.L", "x.R", "x"]


def test_only_two_channels_of_one_name_are_a_stereo_stem():
    """Not a lone channel, nor a name that merely ends like one, nor channels of a stem that is there itself."""
    params = old(*NAMES, vox_L=0.0)
    stems = params.as_stems()
    assert stems.names == ["b", "kick", "vox.L", "strings.R", "x.L", "x.R", "x"]
    assert stems.track("vox.L")["pan"] == 0.0 and stems.track("vox.L")["width"] == 1.0


@pytest.mark.parametrize("pan", [0.0, 0.2, 0.5, 0.9])
def test_a_mono_channel_sounds_as_before(noise, pan):
    """Both laws turn one sound to left and right by two factors: the new pan and the fader hit them exactly."""
    params = old("kick", kick=pan)
    x = noise(1, 2000)
    before = MixingConsole(preset=FIRST_EDITION)(x, params, master_bus=False).mix
    after = MixingConsole()(x.expand(2, -1)[None], params.as_stems(), master_bus=False).mix
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)


def test_a_stereo_stem_with_its_channels_apart_sounds_as_before(noise):
    """With the same settings on both channels, but for the compressor: two before, linked now."""
    params = old("a.L", "a.R", a_L=0.0, a_R=1.0)
    for name in params.names:
        params.track(name)["input_gain_db"], params.track(name)["peak_3_gain_db"] = 3.0, -6.0
    params.master_bus["input_gain_db"], params.master_bus["high_shelf_gain_db"] = -4.0, 3.0
    x = noise(2, 2000)
    before = MixingConsole(preset=FIRST_EDITION)(x, params).mix
    after = MixingConsole()(x[None], params.as_stems()).mix
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)


def test_the_masters_input_gain_goes_into_the_faders_and_no_fader_over_its_top():
    params = old("a", "b", a=0.5, b=0.2)
    params.master_bus["input_gain_db"] = -10.0
    quiet = params.as_stems()
    params.master_bus["input_gain_db"] = 40.0
    loud = params.as_stems()
    faders = [[one.track(name)["fader_db"] for name in "ab"] for one in (quiet, loud)]
    assert max(faders[1]) == 12.0 and faders[0][0] == pytest.approx(-10.0 - 4.515, abs=1e-2)
    assert faders[1][0] - faders[1][1] == pytest.approx(faders[0][0] - faders[0][1], abs=1e-4)  # the balance
    params.master_bus["input_gain_db"] = -48.0
    assert min(params.as_stems().track(name)["fader_db"] for name in "ab") > OFF_DB


def test_values_outside_todays_ranges_are_moved_to_their_ends():
    for end in (0.0, 1.0):
        params = ConsoleParams.from_unit(*unit(2, FIRST_EDITION, fill=end), preset=FIRST_EDITION)
        stems = params.as_stems()
        stems.check()
        ends = {s.name: (s.low, s.high)[round(end)] for s in param_table("track")}
        for name in ("low_shelf_q", "knee_db", "ratio") if end else ("low_shelf_q", "send_db"):
            want = min(ends[name], {"knee_db": 12.0, "ratio": 10.0}.get(name, math.inf))
            assert stems.track("track1")[name] == pytest.approx(want, rel=1e-5), name
        master = stems.master_bus
        assert master["peak_1_gain_db"] == (6.0 if end else -6.0)
        assert (master["threshold_db"], master["ratio"]) == ((0.0, 3.0) if end else (-24.0, 1.0))


def test_other_consoles_are_returned_as_they_are():
    for preset in ("default", "reference"):
        params = ConsoleParams.neutral(["a"], preset=preset)
        assert params.as_stems() is params


# Files


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_versions_1_and_2_are_converted_with_a_note(version):
    drawn = ConsoleParams.from_unit(
        *unit(3, FIRST_EDITION), preset=FIRST_EDITION, names=["kick", "vox.L", "vox.R"]
    )
    with pytest.warns(InputNote, match="first edition: the two strips of vox became one; ") as notes:
        read = ConsoleParams.from_json(old_file(drawn, version))
    assert len(notes) == 1 and notes[0].filename == __file__ and "\n" not in str(notes[0].message)
    assert (read.names, read.preset) == (["kick", "vox"], "default")
    want = drawn.as_stems()
    for ours, theirs in zip(read.to_unit(), want.to_unit(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert json.loads(read.to_json())["version"] == 3


def test_the_note_names_no_pair_where_there_is_none():
    with pytest.warns(
        InputNote, match="^settings of the first edition: pans and levels follow today's console"
    ):
        ConsoleParams.from_json(old_file(old("kick", "vox.L")))


def test_the_names_of_version_1_are_needed_in_a_file_of_version_1():
    params = old("kick")
    data = json.loads(old_file(params, version=1))
    assert "band0_gain_db" in data["tracks"]["kick"] and "band0_gain" in data["fx_bus"]
    del data["master_bus"]["band2_cutoff_hz"]
    with pytest.raises(ValueError, match=r"^not a console's JSON: master_bus\.band2_cutoff_hz is missing$"):
        ConsoleParams.from_json(json.dumps(data))
    data["version"] = 2
    with pytest.raises(ValueError, match=r"^not a console's JSON: tracks\.kick\.\w+: no such knob"):
        ConsoleParams.from_json(json.dumps(data))


def test_the_preset_of_the_first_edition_is_not_for_users():
    with pytest.raises(
        ValueError, match=r"no console is registered as 'channels' \(known: default, reference"
    ):
        ConsoleParams.from_json(old("kick").to_json())
    with pytest.raises(ValueError, match="no console is registered as 'chanels'"):
        MixingConsole(preset="chanels")
    with pytest.raises(ValueError) as caught:
        ConsoleParams.from_logits(*unit(2, FIRST_EDITION))
    assert "channels" not in str(caught.value)


def test_the_old_table_keeps_its_order():
    assert len(param_table("track", FIRST_EDITION)) == 27
    assert knob_index("input_gain_db", "master_bus", FIRST_EDITION) == 25
