"""A console as numbers: by name, in the unit interval, as logits, in JSON and CSV."""

import io
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from audio_helpers import one_line
from console_settings import unit

from diffmst_lib import ConsoleParams, param_table
from diffmst_lib.console.first_edition import VERSION_1_NAMES
from diffmst_lib.console.table import OFF_DB, SECTIONS, UNIT_EDGE, knob_index
from diffmst_lib.inputs import PRESETS

each_preset = pytest.mark.parametrize("preset", PRESETS)
each_section = pytest.mark.parametrize("section", SECTIONS)


def random_params(preset="default", names=("kick", "bass", "vox")):
    return ConsoleParams.from_unit(*unit(len(names), preset), preset=preset, names=names)


@each_preset
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_gradients_are_finite_over_the_whole_range(preset, value):
    leaves = [u.requires_grad_() for u in unit(preset=preset, fill=value)]
    params = ConsoleParams.from_unit(*leaves, preset=preset)
    sum(v.sum() for v in (params.tracks, params.fx_bus_values, params.master_bus_values)).backward()
    for leaf in leaves:
        assert torch.isfinite(leaf.grad).all() and (leaf.grad > 0).all()


@each_section
@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_unit_value_outside_names_the_parameter_the_value_and_the_range(section, value):
    parts = unit()
    parts[SECTIONS.index(section)][..., 3] = value
    with pytest.raises(ValueError) as caught:
        ConsoleParams.from_unit(*parts)
    assert str(caught.value) == f"{param_table(section)[3].name}: unit value {value:g} is outside 0 to 1"


def test_shapes_that_do_not_fit():
    track, fx_bus, master_bus = unit()
    with pytest.raises(ValueError, match="2 names for 3 tracks"):
        ConsoleParams(track, fx_bus, master_bus, names=["a", "b"])
    with pytest.raises(ValueError, match="track names must differ"):
        ConsoleParams(track, fx_bus, master_bus, names=["a", "b", "a"])
    with pytest.raises(ValueError, match="at least one track, got track values"):
        ConsoleParams(track[:0], fx_bus, master_bus)


MAKERS = [ConsoleParams, ConsoleParams.from_unit, ConsoleParams.from_logits]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("preset", "other"), [("default", "reference"), ("reference", "default")])
def test_values_of_another_preset_are_told_whose_they_are(make, preset, other):
    """Only the strips differ in their number of knobs."""
    many, few = len(param_table("track", preset)), len(param_table("track", other))
    words = (
        rf"^track values of preset {preset} need a last dimension of {many}, got \(3, {few}\): "
        rf"preset {other} has as many knobs$"
    )
    with pytest.raises(ValueError, match=words):
        make(*unit(preset=other), preset=preset)


@pytest.mark.parametrize("make", MAKERS)
def test_values_of_no_preset(make):
    track, fx_bus, master_bus = unit()
    with pytest.raises(ValueError, match=r"^master_bus values of preset default need .* 26, got \(25,\)$"):
        make(track, fx_bus, fx_bus)
    with pytest.raises(ValueError, match=r"^fx_bus values of preset default need .* 25, got \(24,\)$"):
        make(track, fx_bus[:24], master_bus)


@each_preset
def test_to_unit_is_the_inverse_of_from_unit(preset):
    parts = unit(preset=preset, batch=(2,))
    back = ConsoleParams.from_unit(*parts, preset=preset).to_unit()
    for a, b in zip(back, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


# Logits


@each_preset
def test_logits_are_those_of_the_unit_interval(preset):
    parts = [8 * u - 4 for u in unit(preset=preset, batch=(2,))]
    logits = [z.clone().requires_grad_() for z in parts]
    params = ConsoleParams.from_logits(*logits, preset=preset, names=["a", "b", "c"])
    want = [z.clone().requires_grad_() for z in parts]
    same = ConsoleParams.from_unit(*map(torch.sigmoid, want), preset=preset)
    assert params.names == ["a", "b", "c"] and params.preset == preset
    for section in SECTIONS:
        for name, values in same.values(section).items():
            torch.testing.assert_close(params.values(section)[name], values, rtol=0, atol=0)
    for one, leaves in ((params, logits), (same, want)):
        sum(v.sum() for section in SECTIONS for v in one.values(section).values()).backward()
        assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(logits, want, strict=True))


def test_to_logits_goes_back_but_for_the_ends_of_the_ranges():
    params = random_params()
    params.track("kick")["pan"], params.track("kick")["send_db"] = 0.0, 12.0
    logits = params.to_logits()
    edge = math.log((1 - UNIT_EDGE) / UNIT_EDGE)
    assert logits[0][0, knob_index("pan")].item() == pytest.approx(-edge, rel=1e-5)
    assert logits[0][0, knob_index("send_db")].item() == pytest.approx(edge, rel=1e-5)
    for z, u in zip(logits, params.to_unit(), strict=True):
        torch.testing.assert_close(torch.sigmoid(z), u.clamp(UNIT_EDGE, 1 - UNIT_EDGE), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("logit", "end"), [(-math.inf, "low"), (math.inf, "high")])
def test_an_infinite_logit_is_the_end_of_a_knob(logit, end):
    params = ConsoleParams.from_logits(*(torch.full_like(u, logit) for u in unit()))
    params.check()
    for section in SECTIONS:
        for spec in params.specs(section):
            value = params.values(section)[spec.name].flatten()[0].item()
            assert value == pytest.approx(getattr(spec, end), rel=1e-6), spec


def test_a_logit_that_is_no_number_gives_a_knob_that_is_none():
    logits = [torch.zeros_like(u) for u in unit()]
    logits[0][1, knob_index("ratio")] = math.nan
    with pytest.raises(ValueError, match="track2: ratio = NaN is outside 1 to 20"):
        ConsoleParams.from_logits(*logits).check()


# Strips


def test_unknown_names_get_the_nearest_one():
    params = random_params()
    with pytest.raises(KeyError, match="no track 'kik': did you mean 'kick'"):
        params.track("kik")
    with pytest.raises(KeyError, match="no track 'drums': there are kick, bass, vox"):
        params.track("drums")


def test_strips_need_one_console_and_not_a_batch():
    params = ConsoleParams.from_unit(*unit(batch=(2,)))
    for use in (
        lambda: params.track("track1"),
        lambda: params.fx_bus,
        lambda: params.master_bus,
        params.to_json,
        params.to_frame,
    ):
        with pytest.raises(ValueError, match=rf"not a batch of shape \(2, 3, {len(param_table('track'))}\)"):
            use()


def test_neutral_console():
    params = ConsoleParams.neutral(["a", "b"], pans=[0.2, 0.9])
    assert [params.track(name)["pan"] for name in params.names] == pytest.approx([0.2, 0.9])
    strip = params.track("a")
    assert [strip[name] for name in ("input_gain_db", "ratio", "width", "fader_db", "send_db")] == [
        0,
        1,
        1,
        0,
        OFF_DB,
    ]
    assert ConsoleParams.neutral(["a"]).track("a")["pan"] == 0.5
    assert repr(params) == "ConsoleParams(2 tracks: a, b; preset default)"


def test_clone_is_free_to_edit():
    leaves = [u.requires_grad_() for u in unit(preset="reference")]
    params = ConsoleParams.from_unit(*leaves, preset="reference", names=["a", "b", "c"])
    copy = params.clone()
    assert (copy.names, copy.preset, copy.sample_rate) == (params.names, params.preset, params.sample_rate)
    assert not copy.tracks.requires_grad
    before = params.tracks.detach().clone(), params.master_bus_values.detach().clone()
    copy.track("a")["pan"], copy.master_bus["output_gain_db"] = 0.111, 1.0
    copy.names[0] = "z"
    assert torch.equal(params.tracks, before[0]) and torch.equal(params.master_bus_values, before[1])
    assert params.names[0] == "a"


# Files


@each_preset
def test_json_gives_back_exactly_the_same(preset):
    params = random_params(preset, names=['it\'s "é"', "vox.L", "vox.R"])
    text = params.to_json()
    assert json.loads(text)["version"] == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = ConsoleParams.from_json(text)
    assert (back.names, back.preset, back.sample_rate) == (params.names, preset, 44100)
    for name in ("tracks", "fx_bus_values", "master_bus_values"):  # to the last bit
        assert torch.equal(getattr(back, name), getattr(params, name))
    assert back.to_json() == text


def test_json_is_read_as_a_person_would_write_it():
    data = json.loads(ConsoleParams.neutral(["kick"]).to_json())
    data["tracks"]["kick"] |= {"fader_db": 3, "ratio": 2}
    kick = ConsoleParams.from_json(json.dumps(data)).track("kick")
    assert (kick["fader_db"], kick["ratio"]) == (3, 2)


def test_json_has_a_strip_in_the_order_of_the_table():
    data = json.loads(ConsoleParams.neutral(["kick"]).to_json())
    assert list(data["tracks"]["kick"]) == [spec.name for spec in param_table("track")]
    assert list(data["master_bus"]) == [spec.name for spec in param_table("master_bus")]


@pytest.mark.parametrize("version", [1, 2])
def test_json_of_the_reference_is_the_same_in_all_versions_but_for_names(version):
    params = random_params("reference")
    data = json.loads(params.to_json()) | {"version": version}
    if version == 1:
        for row in (*data["tracks"].values(), data["master_bus"]):
            for name, old in VERSION_1_NAMES.items():
                row[old] = row.pop(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ConsoleParams.from_json(json.dumps(data)).to_json() == params.to_json()


def without(data, *path):
    for key in path[:-1]:
        data = data[key]
    del data[path[-1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: without(d, "version"), "'version' is missing"),
        (lambda d: d.update(version=5), "version 5, this library reads versions 1 to 4"),
        (lambda d: d.update(version=0), "version 0, this library reads"),
        (lambda d: d.update(version="1"), "version '1', this library reads"),
        (lambda d: d.update(version=[2]), "version [2], this library reads"),
        (lambda d: without(d, "preset"), "'preset' is missing"),
        (lambda d: without(d, "sample_rate"), "'sample_rate' is missing"),
        (lambda d: without(d, "tracks"), "'tracks' is missing"),
        (lambda d: without(d, "fx_bus"), "'fx_bus' is missing"),
        (lambda d: without(d, "tracks", "kick", "pan"), "tracks.kick.pan is missing"),
        (lambda d: without(d, "master_bus", "ratio"), "master_bus.ratio is missing"),
        (
            lambda d: d["tracks"]["kick"].update(fadr_db=3),
            "tracks.kick.fadr_db: no such knob, did you mean 'fader_db'?",
        ),
        (lambda d: d["fx_bus"].update(ratio=3), "fx_bus.ratio: no such knob"),
        (lambda d: d.update(preset="loud"), "no console is registered as 'loud' (known: default, reference"),
        (lambda d: d.update(preset=["default"]), "no console is registered as ['default']"),
        (lambda d: without(d, "format"), "'format' is missing"),
        (lambda d: d.update(format="diffmst-model"), "its format is 'diffmst-model', not diffmst-console"),
        (lambda d: d.update(format=[[1]]), "its format is [[1]]"),
        (lambda d: d.update(version=True), "version True, this library reads"),
        (lambda d: d.update(version=3.0), "version 3.0, this library reads"),
        (lambda d: d.update(version=10**400), "version inf, this library reads"),
        (lambda d: d.update(sample_rate="44100"), "sample_rate cannot be '44100'"),
        (lambda d: d.update(sample_rate=0), "sample_rate cannot be 0: a whole number of Hz, 4000 to 768000"),
        (lambda d: d.update(sample_rate=True), "sample_rate cannot be True"),
        (lambda d: d.update(sample_rate=None), "sample_rate cannot be None"),
        (lambda d: d.update(sample_rate=math.nan), "sample_rate cannot be nan"),
        (lambda d: d.update(sample_rate=math.inf), "sample_rate cannot be inf"),
        (lambda d: d.update(sample_rate=10**400), "sample_rate cannot be inf"),
        (lambda d: d.update(sample_rate=44100.5), "sample_rate cannot be 44100.5"),
        (lambda d: d.update(sample_rate=10**9), "sample_rate cannot be 1000000000"),
        (lambda d: d.update(preset="x" * 10**6), "(known: default, reference"),
        (lambda d: d["tracks"]["kick"].update(pan=10**400), "tracks.kick.pan: inf is outside 0 to 1"),
        (lambda d: d["tracks"]["kick"].update(pan=True), "tracks.kick.pan takes one number, got True"),
        (lambda d: d["tracks"]["kick"].update(pan="0.5"), "tracks.kick.pan takes one number, got '0.5'"),
        (lambda d: d["tracks"]["kick"].update(pan="a\nb" * 10**5), "tracks.kick.pan takes one number"),
        (lambda d: d["tracks"].update({"a\nb": {"pan": 5}}), "tracks.a b.input_gain_db is missing"),
        (lambda d: d["tracks"].update({"\ud800": {}}), "the name '\\ud800' of a track is no text"),
        (lambda d: d.update(tracks=[1, 2]), "tracks is of the wrong kind: [1, 2]"),
        (lambda d: d.update(tracks=None), "tracks is of the wrong kind: None"),
        (lambda d: d.update(tracks="kick"), "tracks is of the wrong kind: 'kick'"),
        (lambda d: d.update(fx_bus=[1, 2]), "fx_bus is of the wrong kind"),
        (lambda d: d["tracks"].update(kick=3), "kick is of the wrong kind: 3"),
        (lambda d: d["tracks"]["kick"].update(pan="left"), "'left'"),
        (lambda d: d["tracks"]["kick"].update(pan=None), "tracks.kick.pan takes one number, got None"),
        (lambda d: d["tracks"]["kick"].update(pan={}), "tracks.kick.pan takes one number, got {}"),
        (lambda d: d["tracks"]["kick"].update(pan=[0.1, 0.2]), "tracks.kick.pan takes one number"),
        (lambda d: d["tracks"]["kick"].update(pan=5), "tracks.kick.pan: 5 is outside 0 to 1"),
        (
            lambda d: d["master_bus"].update(output_gain_db=math.nan),
            "master_bus.output_gain_db takes one number, got NaN",
        ),
        (lambda d: d["tracks"].clear(), "at least one track"),
    ],
)
def test_json_of_no_console(change, message):
    data = json.loads(ConsoleParams.neutral(["kick", "bass"]).to_json())
    change(data)
    with pytest.raises(ValueError) as caught:
        ConsoleParams.from_json(json.dumps(data))
    text = str(caught.value)
    assert (
        text.startswith(("not a console's JSON: ", "no console is registered"))
        and message in text
        and "\n" not in text
        and len(text) < 400
    )


@pytest.mark.parametrize("text", ["", "{", "kick: 1", "[]", "3", "null", '"text"', "{}"])
def test_text_that_is_no_console(text):
    with pytest.raises(ValueError, match=r"^not a console's JSON: [^\n]+$"):
        ConsoleParams.from_json(text)


@pytest.mark.parametrize("deep", ["[" * 10**5, '{"a":' * 10**5, "[" * 500 + "]" * 500])
def test_deep_brackets_anywhere(deep):
    whole = ConsoleParams.neutral(["kick"]).to_json()
    for text in (deep, whole.replace('"pan": 0.5', f'"pan": {deep}')):
        with pytest.raises(ValueError) as caught:
            ConsoleParams.from_json(text)
        assert str(caught.value).startswith("not a console's JSON: ") and one_line(caught)


def test_a_strip_that_stands_there_twice_is_not_lost_in_silence():
    text = ConsoleParams.neutral(["kick", "bass"]).to_json().replace('"bass"', '"kick"')
    with pytest.raises(ValueError, match=r"^not a console's JSON: 'kick' stands there twice$"):
        ConsoleParams.from_json(text)


def test_an_editor_may_leave_a_byte_order_mark():
    params = ConsoleParams.neutral(["kick"])
    assert ConsoleParams.from_json("\ufeff" + params.to_json()).to_json() == params.to_json()


@pytest.mark.parametrize("text", [None, 3, {}, ConsoleParams.neutral(["kick"])])
def test_what_is_no_text(text):
    with pytest.raises(ValueError, match=r"^not a console's JSON: a text is needed, not a value of type"):
        ConsoleParams.from_json(text)


@pytest.mark.parametrize("path", ["out/params.json", Path("out/params.json")])
def test_the_name_of_a_file_is_not_its_text(path):
    with pytest.raises(ValueError, match=r"^not a console's JSON: out.params\.json is the name of a file"):
        ConsoleParams.from_json(path)


def test_table_has_a_row_for_every_strip_and_survives_csv():
    params = random_params(names=["kick", "vox.L", "master_bus"])  # a stem may be called like a bus
    frame = params.to_frame()
    assert frame.index.tolist() == ["kick", "vox.L", "master_bus", "fx_bus", "master_bus"]
    # the master shares all but its output gain with the tracks
    assert frame.shape == (5, len(param_table("track")) + len(param_table("fx_bus")) + 1)
    assert frame.loc["kick", "pan"] == params.track("kick")["pan"]
    assert frame.iloc[-1]["output_gain_db"] == params.master_bus["output_gain_db"]
    assert frame.loc["fx_bus", "pan":"send_db"].isna().all() and frame["pan"].notna().sum() == 3
    back = pd.read_csv(io.StringIO(frame.to_csv()), index_col="strip")
    pd.testing.assert_frame_equal(back, frame)
    assert (frame.dtypes == np.float64).all()


def test_a_console_without_tracks_is_refused():
    with pytest.raises(ValueError, match="at least one track"):
        ConsoleParams.neutral([])


def test_one_console_of_a_batch():
    batch = ConsoleParams.from_unit(*unit(batch=(2,)), names=["a", "b", "c"])
    one = batch[1]
    assert one.names == ["a", "b", "c"] and torch.equal(one.tracks, batch.tracks[1])
    assert one.track("b")["pan"] == pytest.approx(batch.values("track")["pan"][1, 1].item(), abs=1e-6)
    with pytest.raises(ValueError, match="one console, not a batch"):
        one[0]


def test_to_another_device_keeps_names_preset_and_gradients():
    parts = [u.requires_grad_() for u in unit(preset="reference")]
    params = ConsoleParams.from_unit(*parts, preset="reference", sample_rate=48000, names=["a", "b", "c"])
    moved = params.to("meta")
    assert {v.device.type for v in (moved.tracks, moved.fx_bus_values, moved.master_bus_values)} == {"meta"}
    assert (moved.names, moved.preset, moved.sample_rate) == (["a", "b", "c"], "reference", 48000)
    params.to("cpu").tracks.sum().backward()
    assert parts[0].grad is not None


def test_names_are_compared_in_nfc():
    """A zip of macOS spells an accented letter as two characters."""
    nfc, nfd = "caf\u00e9", "cafe\u0301"
    params = ConsoleParams.neutral([nfd, "bass"])
    params.track(nfc)["pan"] = 0.25
    assert params.track(nfd)["pan"] == 0.25
    read = ConsoleParams.from_json(params.to_json())
    assert read.names == [nfc, "bass"] and read.track(nfd)["pan"] == 0.25
    with pytest.raises(KeyError, match="did you mean"):
        params.track("caff\u00e9")
    with pytest.raises(ValueError, match="track names must differ"):
        ConsoleParams.neutral([nfd, nfc])
    both = params.to_json().replace('"bass"', f'"{nfc}"')
    with pytest.raises(ValueError, match="track names must differ"):
        ConsoleParams.from_json(both)


def test_numbers_may_name_tracks():
    params = ConsoleParams.neutral(range(3))
    assert params.names == [0, 1, 2]
    params.track(1)["pan"] = 0.25
    assert params.track("1")["pan"] == 0.25
    with pytest.raises(ValueError, match="names must differ"):
        ConsoleParams.neutral([1, "1"])
