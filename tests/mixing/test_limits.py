"""Warnings: each with its number, its limit, where that comes from, and the knob to turn."""

import math

import pandas as pd
import pytest

from diffmst_lib import ConsoleParams
from diffmst_lib.audio.octaves import OCTAVES_HZ
from diffmst_lib.mixing.limits import beyond, find_warnings
from diffmst_lib.mixing.report import MEASURES, SOUNDS, STEM_COLUMNS

QUIET = {
    "loudness_lufs": -16.0,
    "true_peak_dbtp": -3.0,
    "level_range_lu": 5.0,
    "correlation": 0.5,
    "width_db": -10.0,
}


def warnings(*, stems=None, mix=None, reference=None, plain=None, octave=None, preset="default", off=()):
    """What is said of a mix without fault, but for these values."""
    names = ["kick", "vox_lead"]
    strips = names if preset == "default" else ["kick", "vox_lead.L", "vox_lead.R"]
    table = pd.DataFrame(0.0, index=names, columns=list(STEM_COLUMNS))
    for (stem, column), value in (stems or {}).items():
        table.loc[stem, column] = value
    columns = (QUIET | (mix or {}), reference or {}, QUIET | (plain or {}))
    sounds = pd.DataFrame(dict(zip(SOUNDS, columns, strict=True)), index=list(MEASURES), dtype=float)
    octaves = pd.DataFrame({"equalizer": 0.0}, index=list(OCTAVES_HZ))
    if octave:
        octaves.loc[octave[0], "equalizer"] = octave[1]
    params = ConsoleParams.neutral(strips, preset=preset)
    for name in off:
        params.track(name)["fader_db"] = -60.0
    return find_warnings(table, sounds, octaves, params, lead_voices=["vox_lead"])


def test_a_good_mix_has_none():
    assert warnings() == []
    assert warnings(stems={("kick", "moved_db"): -10.0, ("kick", "lean_db"): 3.0}) == []


@pytest.mark.parametrize(
    ("given", "check", "where", "knob", "said"),
    [
        (
            {"stems": {("kick", "moved_db"): -12.34}},
            "under",
            "kick",
            "kick.fader_db",
            "12.3 dB under its place",
        ),
        (
            {"stems": {("kick", "moved_db"): -math.inf}, "off": ["kick"]},
            "under",
            "kick",
            "kick.fader_db",
            "is off",
        ),
        (
            {"stems": {("kick", "lean_db"): -4.5, ("kick", "lean_change_db"): -4.0}},
            "lean",
            "kick",
            "kick.pan",
            "leans 4.5 dB to the left, 0.5 dB to the left as delivered (limit 3 dB, ours); "
            "turn kick.pan towards the right",
        ),
        (
            {"mix": {"true_peak_dbtp": 0.2}},
            "true_peak",
            "mix",
            "master_bus.output_gain_db",
            "true peak at 0.2 dBTP (limit -1 dBTP, AES TD1008)",
        ),
        (
            {"mix": {"loudness_lufs": -9.0}},
            "loudness",
            "mix",
            "master_bus.output_gain_db",
            "-9.0 LUFS (limit -14 LUFS, AES TD1008)",
        ),
        (
            {"mix": {"lead_voice_lu": -8.0}, "plain": {"lead_voice_lu": 1.0}},
            "lead_voice",
            "vox_lead",
            "vox_lead.fader_db",
            "-8.0 LU against the rest of the mix, +1.0 as delivered (limit -7 LU, DAGA 2022",
        ),
        (
            {"mix": {"lead_voice_lu": 7.2}, "plain": {"lead_voice_lu": 1.0}},
            "lead_voice",
            "vox_lead",
            "vox_lead.fader_db",
            "(limit 7 LU",
        ),
        ({"mix": {"reverb_lu": 0.5}}, "reverb", "fx_bus", "send_db", "0.5 LU over the dry sound"),
        (
            {"mix": {"master_reduction_mean_db": 5.0}},
            "master_reduction_mean",
            "master_bus",
            "master_bus.threshold_db",
            "5.0 dB in the mean (limit 4 dB",
        ),
        (
            {"mix": {"master_reduction_high_db": 9.2}},
            "master_reduction_high",
            "master_bus",
            "master_bus.threshold_db",
            "9.2 dB at the 95th percentile (limit 9 dB",
        ),
        (
            {"mix": {"level_range_lu": 1.0}},
            "level_range",
            "mix",
            "master_bus.threshold_db",
            "4.0 LU closer together than in the plain sum (limit 2 LU",
        ),
        (
            {"mix": {"level_range_lu": 8.0}},
            "level_range",
            "mix",
            "master_bus.threshold_db",
            "3.0 LU farther apart than in the plain sum",
        ),
        ({"octave": (8000.0, -13.0)}, "equalizer", "master_bus", "", "8000 Hz by -13.0 dB (limit 12 dB"),
        ({"reference": {"width_db": -60.0}}, "mono_reference", "reference", "", "the record is mono"),
        ({"reference": {"correlation": -0.35}}, "opposite_reference", "reference", "", "correlation -0.35"),
        (
            {"mix": {"loss": 0.2}, "plain": {"loss": 0.1}},
            "farther",
            "mix",
            "",
            "loss 0.2000 (limit 0.1, that of the plain sum)",
        ),
    ],
)
def test_each_limit(given, check, where, knob, said):
    (warning,) = warnings(**given)
    assert (warning.check, warning.where, warning.knob) == (check, where, knob)
    message = str(warning)
    assert message.startswith(f"{where}: ") and said in message and "\n" not in message
    assert warning.source in message and knob in message


def test_what_is_no_fault():
    assert warnings(stems={("kick", "moved_db"): 20.0}) == []  # only what is lost is warned of
    assert warnings(stems={("kick", "lean_db"): 8.0, ("kick", "lean_change_db"): 0.5}) == []  # delivered so
    assert (
        warnings(stems={("kick", "lean_db"): 0.0, ("kick", "lean_change_db"): 9.0}) == []
    )  # brought to the middle
    assert warnings(stems={("kick", "lean_db"): -9.0, ("kick", "lean_change_db"): 40.0}) == []  # towards it
    assert warnings(mix={"side_below_120_hz_db": 0.0}) == []  # nobody has studied it
    assert warnings(mix={"lead_voice_lu": -7.0, "reverb_lu": -9.0}) == []
    assert warnings(mix={"loss": 0.1}, plain={"loss": 0.1}) == []


def test_the_papers_strips_have_other_knobs():
    given = {("kick", "moved_db"): -20.0, ("vox_lead", "moved_db"): -20.0}
    knobs = [warning.knob for warning in warnings(stems=given, preset="reference")]
    assert knobs == ["kick.input_gain_db", "vox_lead.L.input_gain_db"]


def test_stems_come_first_and_in_their_order():
    given = {("vox_lead", "moved_db"): -20.0, ("kick", "moved_db"): -20.0}
    found = warnings(stems=given, mix={"true_peak_dbtp": 1.0}, reference={"correlation": -0.1})
    assert [warning.where for warning in found] == ["kick", "vox_lead", "mix", "reference"]


def test_plain_values():
    given = {("kick", "moved_db"): -math.inf}
    off, peak = warnings(stems=given, mix={"true_peak_dbtp": 1.5}, off=["kick"])
    assert warnings(stems=given) == []  # too soft for the meter, but its fader is up
    assert off.to_dict()["value"] is None
    assert peak.to_dict() == {
        "check": "true_peak",
        "where": "mix",
        "value": 1.5,
        "limit": -1.0,
        "unit": "dBTP",
        "source": "AES TD1008",
        "knob": "master_bus.output_gain_db",
        "message": str(peak),
    }


def test_beyond_is_what_the_printed_number_says():
    assert beyond(3.06, 3.0) and beyond(math.inf, 3.0)
    assert not beyond(3.04, 3.0) and not beyond(math.nan, 3.0) and not beyond(-math.inf, 3.0)
