"""The numbers of a channel sheet: rounding, what is left out, and the way back."""

import math

import pytest
import torch
from console_settings import unit

from diffmst_lib import ConsoleParams, InputError
from diffmst_lib.console.automation import Automation
from diffmst_lib.console.table import SECTIONS, param_table
from diffmst_lib.export.channel_sheet import sheet_files
from diffmst_lib.export.channel_table import kept, read_sheet, rounded, sheet_table
from diffmst_lib.export.session import build_session


def random_params(names, seed=0):
    return ConsoleParams.from_unit(*unit(len(names), seed=seed), names=names)


def written(folder, song, settings):
    sheet_files(build_session(song, settings, folder))["channels.csv"](folder / "channels.csv")
    return folder / "channels.csv"


def values(params):
    return [
        *params.tracks.flatten().tolist(),
        *params.master_bus_values.tolist(),
        *params.fx_bus_values.tolist(),
    ]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_rounding_stays_near_and_in_range(section, sample_rate):
    for spec in param_table(section, sample_rate=sample_rate):
        for share in torch.linspace(0, 1, 41).tolist():
            value = spec.low + share * (spec.high - spec.low)
            near = rounded(spec, value)
            assert spec.low <= near <= spec.high and rounded(spec, near) == near
            if spec.unit == "dB":
                assert abs(near - value) <= (0.5 if spec.name in ("fader_db", "send_db") else 0.25) + 1e-9
                assert near * 2 == round(near * 2)
            else:
                assert abs(near - value) <= max(0.0501 * value, 0.005 + 1e-9)


def test_what_is_almost_off_is_not_off():
    fader = next(spec for spec in param_table("track") if spec.name == "fader_db")
    assert (rounded(fader, -60.0), rounded(fader, -59.95)) == (-60.0, -59.5)


def test_what_does_nothing_is_left_out():
    specs = param_table("track")
    knobs = {spec.name: spec.neutral for spec in specs}
    assert kept(knobs, specs) == {"pan": 0.5, "fader_db": 0.0}
    found = kept(knobs | {"peak_2_gain_db": 0.2, "high_shelf_gain_db": -1.3, "ratio": 1.04}, specs)
    assert found["high_shelf_gain_db"] == -1.5 and "high_shelf_q" in found
    assert found["ratio"] == 1.04 and {"threshold_db", "attack_ms", "release_ms", "knee_db"} <= set(found)
    assert not any(name.startswith("peak_2") for name in found)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_sheet_comes_back(tmp_path, song, seed):
    params = random_params(song.names, seed)
    back = read_sheet(written(tmp_path, song, params))
    assert back.names == params.names
    for name in song.names:
        for spec in param_table("track"):
            band = spec.name.rsplit("_", 2 if spec.name.endswith(("_db", "_hz")) else 1)[0]
            if back.track(name).keys() >= {f"{band}_gain_db"} and back.track(name)[f"{band}_gain_db"] == 0:
                continue  # a flat band has no frequency
            assert back.track(name)[spec.name] == pytest.approx(
                rounded(spec, params.track(name)[spec.name]), rel=1e-6
            )
    for spec in param_table("fx_bus"):
        assert back.fx_bus[spec.name] == pytest.approx(rounded(spec, params.fx_bus[spec.name]), rel=1e-6)
    again = read_sheet(written(tmp_path, song, back))
    assert values(again) == values(back)


def test_sections_come_back(tmp_path, song):
    parts = [random_params(song.names, seed) for seed in (0, 1)]
    automation = Automation([0.0, 0.75], parts, ["verse", "chorus, loud"], loudest=1)
    back = read_sheet(written(tmp_path, song, automation))
    assert (back.starts_s, back.labels, back.loudest) == ([0.0, 0.75], ["verse", "chorus, loud"], 1)
    for part, params in zip(back.consoles, parts, strict=True):
        assert values(part) == values(read_sheet(written(tmp_path, song, params)))


def test_odd_names_come_back(tmp_path, song):
    odd = ['a "quoted", one', " two\nlines ", "master_bus"]
    song = type(song)(odd, song.audio)
    back = read_sheet(written(tmp_path, song, ConsoleParams.neutral(odd)))
    assert back.names == odd


def test_a_spreadsheet_may_have_saved_it(tmp_path, song):
    params = random_params(song.names)
    path = written(tmp_path, song, params)
    before = values(read_sheet(path))
    lines = path.read_text().splitlines()
    path.write_text("\ufeff" + "\n".join(line.replace(",", ";").replace(".", ",") for line in lines) + "\n")
    assert values(read_sheet(path)) == before


def test_reductions_are_told_where_there_is_a_compressor(tmp_path, song):
    params = ConsoleParams.neutral(song.names)
    params.track("kick")["ratio"] = 3.0
    every = dict.fromkeys([*song.names, "master_bus"], (1.23, 4.56))
    table = sheet_table(build_session(song, params, tmp_path), every).set_index("name")
    assert list(table.loc["kick", ["reduction_typical_db", "reduction_most_db"]]) == ["1.2", "4.6"]
    assert table.loc["bgvox_main", "reduction_most_db"] == table.loc["master", "reduction_most_db"] == ""
    silent = sheet_table(build_session(song, params, tmp_path), {"kick": (math.nan, math.nan)})
    assert (silent["reduction_most_db"] == "").all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("fader_db", "fader"), None),  # a column less is neutral
        (lambda text: "", "not a channel sheet"),
        (lambda text: "a,b\n1,2\n", "no columns row, name, section, from_s"),
        (lambda text: text.replace(",kick,", ",bgvox_main,"), "different names"),
        (lambda text: text.replace("track,kick", "strip,kick"), "row cannot be 'strip'"),
        (lambda text: text.replace("track,kick,,0,", "track,kick,,soon,"), "soon"),
        (lambda text: text.replace(",3.5,", ",loud,"), "kick, column fader_db: 'loud' is not a number"),
        (lambda text: text.replace(",3.5,", ",35,"), "kick, column fader_db: fader_db = 35 dB is outside"),
        (lambda text: text.replace(",3.5,", ",nan,"), "kick, column fader_db: fader_db = NaN is outside"),
    ],
)
def test_a_bad_sheet_is_one_line(tmp_path, song, change, told):
    params = ConsoleParams.neutral(song.names)
    params.track("kick")["fader_db"] = 3.5
    path = written(tmp_path, song, params)
    path.write_text(change(path.read_text()))
    if told is None:
        assert read_sheet(path).track("kick")["fader_db"] == 0.0
        return
    with pytest.raises(InputError) as caught:
        read_sheet(path)
    assert told in str(caught.value) and "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_files_that_are_no_text_are_one_line(tmp_path):
    (tmp_path / "noise.csv").write_bytes(bytes(range(128, 256)))
    for path in (tmp_path / "noise.csv", tmp_path / "missing.csv", tmp_path):
        with pytest.raises(InputError, match="not a channel sheet"):
            read_sheet(path)


def test_strips_stay_with_their_names_when_roles_order_them(tmp_path, song):
    verse, chorus = (ConsoleParams.neutral(song.names) for _ in range(2))
    chorus.track("kick")["fader_db"] = 4.0
    automation = Automation([0.0, 0.75], [verse, chorus], ["verse", "chorus"])
    roles = {"minilogue_synth": "voice", "kick": "drums"}
    session = build_session(song, automation, tmp_path, roles=roles)
    sheet_files(session)["channels.csv"](tmp_path / "channels.csv")
    back = read_sheet(tmp_path / "channels.csv").consoles[1]
    assert {name: back.track(name)["fader_db"] for name in song.names} == {
        "kick": 4.0,
        "bgvox_main": 0.0,
        "minilogue_synth": 0.0,
    }
