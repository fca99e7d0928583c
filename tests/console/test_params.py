"""A console as numbers: by name, in the unit interval, as logits, in JSON and CSV."""

import io
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from diffmst_lib import ConsoleParams, MixingConsole, param_table
from diffmst_lib.console.table import EQ_BANDS, SECTIONS, knob_index
from diffmst_lib.inputs import PRESETS

WIDTHS = {"track": 27, "fx_bus": 25, "master_bus": 26}
each_preset = pytest.mark.parametrize("preset", PRESETS)
each_section = pytest.mark.parametrize("section", SECTIONS)


def unit(num_tracks=3, batch=(), fill=None):
    shapes = [
        (*batch, num_tracks, WIDTHS["track"]),
        (*batch, WIDTHS["fx_bus"]),
        (*batch, WIDTHS["master_bus"]),
    ]
    generator = torch.Generator().manual_seed(0)
    return [
        torch.rand(shape, generator=generator) if fill is None else torch.full(shape, fill)
        for shape in shapes
    ]


def random_params(preset="default", names=("kick", "vox.L", "vox.R")):
    return ConsoleParams.from_unit(*unit(len(names)), preset=preset, names=names)


@each_preset
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_gradients_are_finite_over_the_whole_range(preset, value):
    leaves = [u.requires_grad_() for u in unit(fill=value)]
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
    with pytest.raises(ValueError, match="expected 26 parameters"):
        ConsoleParams.from_unit(track, fx_bus, fx_bus)
    with pytest.raises(ValueError, match="track values need a last dimension of 27"):
        ConsoleParams(master_bus, fx_bus, master_bus)
    with pytest.raises(ValueError, match="2 names for 3 tracks"):
        ConsoleParams(track, fx_bus, master_bus, names=["a", "b"])
    with pytest.raises(ValueError, match="track names must differ"):
        ConsoleParams(track, fx_bus, master_bus, names=["a", "b", "a"])


@each_preset
def test_to_unit_is_the_inverse_of_from_unit(preset):
    parts = unit(batch=(2,))
    back = ConsoleParams.from_unit(*parts, preset=preset).to_unit()
    for a, b in zip(back, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


# Logits


@each_preset
def test_logits_are_those_of_the_unit_interval(preset):
    parts = [4 * torch.randn_like(u) for u in unit(batch=(2,))]
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
    edge = math.log(0.98 / 0.02)
    assert logits[0][0, knob_index("pan")].item() == pytest.approx(-edge, rel=1e-5)
    assert logits[0][0, knob_index("send_db")].item() == pytest.approx(edge, rel=1e-5)
    for z, u in zip(logits, params.to_unit(), strict=True):
        torch.testing.assert_close(torch.sigmoid(z), u.clamp(0.02, 0.98), rtol=0, atol=1e-6)


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
    with pytest.raises(ValueError, match="track2: ratio = nan :1 is outside 1 to 10"):
        ConsoleParams.from_logits(*logits).check()


# Strips


def test_strip_reads_and_writes_numbers_by_name():
    params = random_params()
    kick = params.track("kick")
    kick["pan"] = 0.25
    kick["input_gain_db"] = -6
    kick["input_gain_db"] += 2.5
    assert (kick["pan"], kick["input_gain_db"]) == (0.25, -3.5)
    assert params.tracks[0, knob_index("input_gain_db")] == -3.5
    params.fx_bus["mix"], params.master_bus["output_gain_db"] = 0.5, 3
    assert params.fx_bus_values[24] == 0.5 and params.values("master_bus")["output_gain_db"] == 3
    assert list(kick) == list(kick.keys()) == [spec.name for spec in param_table("track")]
    assert "kick: input_gain_db -3.5" in repr(kick)


def test_strip_of_a_stereo_stem_reads_and_writes_pairs():
    params = random_params()
    vox = params.track("vox")
    vox["pan"] = 0.2, 0.8
    vox["pan"] += 0.1
    assert vox["pan"].tolist() == pytest.approx([0.3, 0.9])
    vox["ratio"] = 4
    assert params.track("vox.L")["ratio"] == params.track("vox.R")["ratio"] == 4
    assert params.track("vox.R")["pan"] == pytest.approx(0.9)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, (0.5, 2)])
def test_strip_refuses_a_value_outside_the_range_and_changes_nothing(value):
    params = random_params()
    before = params.to_json()
    with pytest.raises(ValueError, match=r"^vox: pan = (-0.1|1.1|nan|inf|2) is outside 0 to 1$"):
        params.track("vox")["pan"] = value
    assert params.to_json() == before
    with pytest.raises(ValueError, match=r"^kick: threshold_db = 1 dB is outside -60 to 0$"):
        params.track("kick")["threshold_db"] = 1


@pytest.mark.parametrize(("name", "wanted"), [("kick", "one number"), ("vox", "one number or a pair")])
def test_strip_refuses_too_many_values(name, wanted):
    with pytest.raises(ValueError, match=rf"^{name}: pan takes {wanted}, got shape \(3,\)$"):
        random_params().track(name)["pan"] = [0.1, 0.2, 0.3]


@each_preset
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_every_value_that_can_be_read_can_be_written_back(preset, value):
    # In float32 the end of a logarithmic range can come out a little outside: at this sample rate it does.
    params = ConsoleParams.from_unit(*unit(fill=value), preset=preset, sample_rate=32000)
    for strip in (params.track("track1"), params.fx_bus, params.master_bus):
        for name in strip:
            strip[name] = strip[name]


def test_unknown_names_get_the_nearest_one():
    params = random_params()
    with pytest.raises(KeyError, match="no track 'kik': did you mean 'kick'"):
        params.track("kik")
    with pytest.raises(KeyError, match=r"no track 'drums': there are kick, vox\.L, vox\.R"):
        params.track("drums")
    with pytest.raises(KeyError, match=r"kick has no parameter 'gain_db': did you mean '.*gain_db'"):
        params.track("kick")["gain_db"]
    with pytest.raises(
        KeyError, match="master_bus has no parameter 'outputgain_db': did you mean 'output_gain_db'"
    ):
        params.master_bus["outputgain_db"] = 1
    with pytest.raises(KeyError, match="fx_bus has no parameter '!': it has band0_gain"):
        params.fx_bus["!"]


def test_strips_need_one_console_and_not_a_batch():
    params = ConsoleParams.from_unit(*unit(batch=(2,)))
    for use in (
        lambda: params.track("track1"),
        lambda: params.fx_bus,
        lambda: params.master_bus,
        params.to_json,
        params.to_frame,
    ):
        with pytest.raises(ValueError, match=r"not a batch of shape \(2, 3, 27\)"):
            use()


def test_neutral_console():
    params = ConsoleParams.neutral(["a", "b"], pans=[0.2, 0.9])
    assert [params.track(name)["pan"] for name in params.names] == pytest.approx([0.2, 0.9])
    assert params.track("a")["ratio"] == 1 and params.track("a")["input_gain_db"] == 0
    assert ConsoleParams.neutral(["a"]).track("a")["pan"] == 0.5
    assert repr(params) == "ConsoleParams(2 tracks: a, b; preset default)"


def test_clone_is_free_to_edit():
    leaves = [u.requires_grad_() for u in unit()]
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
def test_json_holds_all_that_is_heard(preset, noise):
    params = random_params(preset, names=['it\'s "é"', "vox.L", "vox.R"])
    back = ConsoleParams.from_json(params.to_json())
    assert (back.names, back.preset, back.sample_rate) == (params.names, preset, 44100)
    tracks, console = noise(3, 4000), MixingConsole(44100, preset=preset)
    torch.testing.assert_close(
        console.render(tracks, back), console.render(tracks, params), rtol=1e-4, atol=1e-4
    )
    assert back.to_json() == params.to_json()


def test_json_is_read_as_a_person_would_write_it():
    data = json.loads(ConsoleParams.neutral(["kick"]).to_json())
    data["tracks"]["kick"] |= {"input_gain_db": 3, "ratio": 2}
    kick = ConsoleParams.from_json(json.dumps(data)).track("kick")
    assert (kick["input_gain_db"], kick["ratio"]) == (3, 2)


OLD_BANDS = ("low_shelf", "band0", "band1", "band2", "band3", "high_shelf")


def as_version_1(text):
    """What version 1 of the library wrote: other names for the bands of the equalizer and their
    frequencies."""
    for band, old in zip(EQ_BANDS, OLD_BANDS, strict=True):
        for key in ("gain_db", "q"):
            text = text.replace(f'"{band}_{key}"', f'"{old}_{key}"')
        text = text.replace(f'"{band}_frequency_hz"', f'"{old}_cutoff_hz"')
    return text.replace('"version": 2', '"version": 1')


@each_preset
def test_json_of_version_1_is_read(preset):
    params = random_params(preset)
    old = as_version_1(params.to_json())
    assert "peak_1" not in old and "frequency_hz" not in old
    assert '"band0_gain"' in old  # the reverb's bands stay
    assert ConsoleParams.from_json(old).to_json() == params.to_json()
    data = json.loads(old)
    del data["master_bus"]["band2_cutoff_hz"]
    with pytest.raises(ValueError, match=r"^not a console's JSON: 'band2_cutoff_hz' is missing$"):
        ConsoleParams.from_json(json.dumps(data))
    with pytest.raises(ValueError, match=r"^not a console's JSON: 'peak_1_gain_db' is missing$"):
        ConsoleParams.from_json(
            old.replace('"version": 1', '"version": 2').replace("low_shelf_cutoff", "low_shelf_frequency")
        )


def without(data, *path):
    for key in path[:-1]:
        data = data[key]
    del data[path[-1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: without(d, "version"), "'version' is missing"),
        (lambda d: d.update(version=3), "version 3, this library reads versions 1 and 2"),
        (lambda d: d.update(version="1"), "version '1', this library reads"),
        (lambda d: d.update(version=[2]), "version [2], this library reads"),
        (lambda d: without(d, "preset"), "'preset' is missing"),
        (lambda d: without(d, "sample_rate"), "'sample_rate' is missing"),
        (lambda d: without(d, "tracks"), "'tracks' is missing"),
        (lambda d: without(d, "fx_bus"), "'fx_bus' is missing"),
        (lambda d: without(d, "tracks", "kick", "pan"), "'pan' is missing"),
        (lambda d: without(d, "master_bus", "ratio"), "'ratio' is missing"),
        (lambda d: d.update(preset="loud"), "not 'loud'"),
        (lambda d: d.update(preset=["default"]), "wrong kind"),
        (lambda d: d.update(sample_rate="44100"), "wrong kind"),
        (lambda d: d.update(sample_rate=0), "0 Hz"),
        (lambda d: d.update(tracks=[1, 2]), "wrong kind"),
        (lambda d: d.update(tracks=None), "wrong kind"),
        (lambda d: d.update(fx_bus=[1, 2]), "wrong kind"),
        (lambda d: d["tracks"].update(kick=3), "wrong kind"),
        (lambda d: d["tracks"]["kick"].update(pan="left"), "'left'"),
        (lambda d: d["tracks"]["kick"].update(pan=None), "kick: pan = nan is outside 0 to 1"),
        (lambda d: d["tracks"]["kick"].update(pan={}), "wrong kind"),
        (lambda d: d["tracks"]["kick"].update(pan=[0.1, 0.2]), "kick: pan takes one number"),
        (lambda d: d["tracks"]["kick"].update(pan=5), "kick: pan = 5 is outside 0 to 1"),
        (lambda d: d["master_bus"].update(output_gain_db=math.nan), "master_bus: output_gain_db = nan"),
    ],
)
def test_json_of_no_console(change, message):
    data = json.loads(ConsoleParams.neutral(["kick", "bass"]).to_json())
    change(data)
    with pytest.raises(ValueError) as caught:
        ConsoleParams.from_json(json.dumps(data))
    text = str(caught.value)
    assert text.startswith("not a console's JSON: ") and message in text and "\n" not in text


@pytest.mark.parametrize("text", ["", "{", "kick: 1", "[]", "3", "null", '"text"', "{}"])
def test_text_that_is_no_console(text):
    with pytest.raises(ValueError, match=r"^not a console's JSON: [^\n]+$"):
        ConsoleParams.from_json(text)


def test_table_has_a_row_for_every_strip_and_survives_csv():
    params = random_params(names=["kick", "vox.L", "master_bus"])  # a stem may be called like a bus
    frame = params.to_frame()
    assert frame.index.tolist() == ["kick", "vox.L", "master_bus", "fx_bus", "master_bus"]
    assert frame.shape == (5, 27 + 25 + 1)  # the master shares all but its output gain with the tracks
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
    parts = [u.requires_grad_() for u in unit()]
    params = ConsoleParams.from_unit(*parts, preset="reference", sample_rate=48000, names=["a", "b", "c"])
    moved = params.to("meta")
    assert {v.device.type for v in (moved.tracks, moved.fx_bus_values, moved.master_bus_values)} == {"meta"}
    assert (moved.names, moved.preset, moved.sample_rate) == (["a", "b", "c"], "reference", 48000)
    params.to("cpu").tracks.sum().backward()
    assert parts[0].grad is not None
