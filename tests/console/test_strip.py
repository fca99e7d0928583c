"""One strip's knobs by name: reading, writing, what is refused."""

import math

import pytest
import torch
from console_settings import unit

from diffmst_lib import ConsoleParams, param_table
from diffmst_lib.console.strip import Strip, inside
from diffmst_lib.console.table import knob_index
from diffmst_lib.inputs import PRESETS


@pytest.fixture
def params():
    return ConsoleParams.from_unit(*unit(2), names=["kick", "vox"])


def test_numbers_are_read_and_written_by_name(params):
    kick = params.track("kick")
    kick["pan"] = 0.25
    kick["fader_db"] = -6
    kick["fader_db"] += 2.5
    assert (kick["pan"], kick["fader_db"]) == (0.25, -3.5)
    assert params.tracks[0, knob_index("fader_db")] == -3.5
    params.fx_bus["mix"], params.master_bus["output_gain_db"] = 0.5, 3
    assert params.fx_bus_values[24] == 0.5 and params.values("master_bus")["output_gain_db"] == 3
    assert list(kick) == list(kick.keys()) == [spec.name for spec in param_table("track")]
    assert repr(kick).startswith("kick: input_gain_db ") and "fader_db -3.5" in repr(kick)


def test_a_strip_is_a_number_a_knob(params):
    assert all(isinstance(params.track("vox")[name], float) for name in params.track("vox"))
    assert params.track("vox")["pan"] == pytest.approx(params.tracks[1, knob_index("pan")].item(), abs=1e-6)


@pytest.mark.parametrize(
    ("value", "said"), [(-0.1, "-0.1"), (1.1, "1.1"), (math.nan, "NaN"), (math.inf, "inf")]
)
def test_a_value_outside_the_range_is_refused_and_changes_nothing(params, value, said):
    before = params.to_json()
    with pytest.raises(ValueError, match=rf"^vox: pan = {said} is outside 0 to 1$"):
        params.track("vox")["pan"] = value
    with pytest.raises(ValueError, match=r"^kick: threshold_db = 1 dB is outside -60 to 0$"):
        params.track("kick")["threshold_db"] = 1
    assert params.to_json() == before


@pytest.mark.parametrize("value", [[0.1, 0.2], (0.1, 0.9), "left", None, torch.zeros(2)])
def test_what_is_no_number_is_refused(params, value):
    with pytest.raises(ValueError, match=r"^vox: pan takes one number, got "):
        params.track("vox")["pan"] = value


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_every_value_that_can_be_read_can_be_written_back(preset, value):
    # In float32 the end of a logarithmic range can come out a little outside: at this sample rate it does.
    params = ConsoleParams.from_unit(*unit(preset=preset, fill=value), preset=preset, sample_rate=32000)
    for strip in (params.track("track1"), params.fx_bus, params.master_bus):
        for name in strip:
            strip[name] = strip[name]
    params.check()


def test_unknown_knobs_get_the_nearest_one(params):
    with pytest.raises(KeyError, match=r"kick has no parameter 'gain_db': did you mean '.*gain_db'"):
        params.track("kick")["gain_db"]
    with pytest.raises(
        KeyError, match="master_bus has no parameter 'outputgain_db': did you mean 'output_gain_db'"
    ):
        params.master_bus["outputgain_db"] = 1
    with pytest.raises(KeyError, match="fx_bus has no parameter '!': it has band0_gain"):
        params.fx_bus["!"]


def test_the_ends_of_a_range_are_inside_but_for_rounding():
    specs = tuple(spec for spec in param_table("track") if spec.name in ("threshold_db", "pan"))
    values = torch.tensor([[-60.0004, 1.000009], [-60.01, 1.0], [0.0, 1.0001], [math.nan, 0.0]])
    assert inside(values, specs).tolist() == [[True, True], [False, True], [True, False], [False, True]]
    row = torch.zeros(2)
    Strip("a", row, specs)["threshold_db"] = -60.0004
    assert row[0] == -60.0
