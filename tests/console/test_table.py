"""The table of knobs: ranges, scales, and the way between a knob and the unit interval."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmst_lib.console.specs import ASPECTS
from diffmst_lib.console.table import OFF_DB, SECTIONS, denormalize, knob_index, normalize, param_table
from diffmst_lib.inputs import FIRST_EDITION, PRESETS

WIDTHS = {  # a strip has two knobs more than the paper's: width and fader
    "default": {"track": 29, "fx_bus": 25, "master_bus": 26},
    "reference": {"track": 27, "fx_bus": 25, "master_bus": 26},
    FIRST_EDITION: {"track": 27, "fx_bus": 25, "master_bus": 26},
}
# The released ranges leave no room for the highest band below 26 kHz.
TABLES = [
    (p, s, r)
    for p, s, r in product(PRESETS, SECTIONS, (22050, 44100, 96000))
    if (p, r) != ("reference", 22050)
]
each_preset = pytest.mark.parametrize("preset", [*PRESETS, FIRST_EDITION])
each_section = pytest.mark.parametrize("section", SECTIONS)


@each_preset
@each_section
def test_table(preset, section):
    table = param_table(section, preset)
    assert len(table) == WIDTHS[preset][section]
    assert len({spec.name for spec in table}) == len(table)
    for spec in table:
        assert spec.low < spec.high and spec.low <= spec.neutral <= spec.high, spec
        assert spec.scale in ("linear", "log") and (spec.scale == "linear" or spec.low > 0), spec
        suffix = {"dB": "_db", "Hz": "_frequency_hz", "ms": "_ms"}.get(spec.unit, "")
        assert spec.name.endswith(suffix), spec


def knob(name, section="track"):
    return param_table(section)[knob_index(name, section)]


def test_the_strip_of_a_stem_is_read_in_the_order_of_its_effects():
    effects = list(dict.fromkeys(spec.effect for spec in param_table("track")))
    assert effects == ["gain", "eq", "compressor", "width", "panner", "fx_bus"]
    assert [s.name for s in param_table("track")][-4:] == ["width", "pan", "fader_db", "send_db"]
    assert [s.name for s in param_table("master_bus")][-2:] == ["width", "output_gain_db"]


@pytest.mark.parametrize(
    ("name", "section", "low", "high", "neutral"),
    [
        ("input_gain_db", "track", -48, 48, 0),
        ("peak_1_gain_db", "track", -12, 12, 0),
        ("peak_1_gain_db", "master_bus", -6, 6, 0),
        ("low_shelf_q", "track", 0.3, 1.4, math.sqrt(0.5)),
        ("peak_4_q", "master_bus", 0.3, 8, math.sqrt(0.5)),
        ("threshold_db", "track", -60, 0, -20),
        ("threshold_db", "master_bus", -24, 0, -12),
        ("ratio", "track", 1, 20, 1),
        ("ratio", "master_bus", 1, 3, 1),
        ("attack_ms", "track", 0.5, 200, 20),
        ("release_ms", "master_bus", 20, 1000, 100),
        ("knee_db", "track", 0, 12, 6),
        ("makeup_gain_db", "track", 0, 12, 0),
        ("makeup_gain_db", "master_bus", 0, 6, 0),
        ("width", "track", 0, 2, 1),
        ("width", "master_bus", 0, 2, 1),
        ("pan", "track", 0, 1, 0.5),
        ("fader_db", "track", OFF_DB, 12, 0),
        ("send_db", "track", OFF_DB, 12, OFF_DB),
        ("output_gain_db", "master_bus", -48, 48, 0),
    ],
)
def test_ranges_are_those_of_a_desk(name, section, low, high, neutral):
    spec = knob(name, section)
    assert (spec.low, spec.high, spec.neutral) == (low, high, pytest.approx(neutral))


@pytest.mark.parametrize(
    ("name", "step", "moves", "aspect"),
    [
        ("input_gain_db", 3, 32, "balance"),
        ("fader_db", 3, 24, "balance"),
        ("pan", 0.2, 5, "image"),
        ("width", 0.25, 8, "image"),
        ("send_db", 3, 24, "image"),
        ("peak_2_gain_db", 2, 12, "tone"),
        ("peak_2_frequency_hz", 2 ** (1 / 3), 3 * math.log2(2500 / 200), "tone"),  # thirds of an octave
        ("peak_2_q", 1.5, math.log(8 / 0.3, 1.5), "tone"),
        ("threshold_db", 3, 20, "dynamics"),
        ("ratio", 1.5, math.log(20, 1.5), "dynamics"),
        ("attack_ms", 2, math.log2(400), "dynamics"),
    ],
)
def test_a_knob_knows_how_many_moves_it_has(name, step, moves, aspect):
    spec = knob(name)
    assert (spec.step, spec.moves, spec.aspect) == (pytest.approx(step), pytest.approx(moves), aspect)


@each_preset
@each_section
def test_every_knob_has_a_step_and_an_aspect(preset, section):
    """A move is more than nothing, and less than half of the range."""
    for spec in param_table(section, preset):
        assert 2 <= spec.moves < 50 and spec.aspect in ASPECTS, spec
        assert spec.step > (1 if spec.scale == "log" else 0), spec


@pytest.mark.parametrize("rate", [22050, 44100, 96000])
def test_every_frequency_is_below_the_nyquist_frequency(rate):
    for section, preset in product(("track", "master_bus"), ("default", FIRST_EDITION)):
        for spec in param_table(section, preset, rate):
            assert spec.unit != "Hz" or spec.high < rate / 2


@pytest.mark.parametrize(("preset", "rate"), [("reference", 22050), ("default", 0), ("default", -44100)])
def test_no_table_where_the_bands_do_not_fit(preset, rate):
    with pytest.raises(ValueError, match=f"{preset}.* {rate} Hz"):
        param_table("track", preset, rate)


def test_unknown_preset_and_section():
    with pytest.raises(
        ValueError, match=r"^no console is registered as 'defautl' .*import the module that registers it$"
    ):
        param_table("track", "defautl")
    with pytest.raises(ValueError, match="track, fx_bus, master_bus, not 'master'"):
        param_table("master")


@pytest.mark.parametrize(("preset", "section", "rate"), TABLES)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_unit_interval_and_physical_range_are_mapped_onto_each_other(preset, section, rate, data):
    table = param_table(section, preset, rate)
    u = torch.tensor(data.draw(st.lists(st.floats(0, 1, width=32), min_size=len(table), max_size=len(table))))
    values = denormalize(u, table)
    for spec, value in zip(table, values.tolist(), strict=True):
        slack = 1e-6 * max(abs(spec.low), abs(spec.high))  # of float32
        assert spec.low - slack <= value <= spec.high + slack, spec
    torch.testing.assert_close(normalize(values, table), u, rtol=0, atol=1e-4)


@each_preset
@each_section
def test_ends_and_middle(preset, section):
    table = param_table(section, preset)
    low, middle, high = denormalize(torch.tensor([[0.0], [0.5], [1.0]]).repeat(1, len(table)), table)
    for i, spec in enumerate(table):
        half = math.sqrt(spec.low * spec.high) if spec.scale == "log" else (spec.low + spec.high) / 2
        assert [low[i].item(), middle[i].item(), high[i].item()] == pytest.approx(
            [spec.low, half, spec.high], rel=1e-5
        )


def test_ratios_are_heard_on_a_log_scale_in_the_default_and_linear_as_released_in_the_reference():
    for spec in param_table("track", "default"):
        assert (spec.scale == "log") == (spec.unit in ("Hz", "ms", ":1") or spec.name.endswith("_q")), spec
    assert {spec.scale for section in SECTIONS for spec in param_table(section, "reference")} == {"linear"}


def test_normalize_clips():
    table = param_table("track")
    beyond = torch.tensor([[-1e6], [1e6]]).repeat(1, len(table))
    assert normalize(beyond, table).tolist() == [[0.0] * len(table), [1.0] * len(table)]


@each_section
@each_preset
def test_normalize_has_the_slopes_of_its_equation(section, preset):
    specs = param_table(section, preset)
    values = denormalize(torch.full((len(specs),), 0.3, dtype=torch.float64), specs).requires_grad_()
    normalize(values, specs).sum().backward()
    want = [
        1 / (v * math.log(s.high / s.low)) if s.scale == "log" else 1 / (s.high - s.low)
        for v, s in zip(values.tolist(), specs, strict=True)
    ]
    torch.testing.assert_close(values.grad, torch.tensor(want, dtype=torch.float64))


@each_preset
@each_section
def test_a_knob_has_the_same_column_everywhere(preset, section):
    table = param_table(section, preset)
    assert [knob_index(spec.name, section, preset) for spec in table] == list(range(len(table)))


def test_a_knob_that_a_section_lacks():
    with pytest.raises(ValueError, match="section fx_bus has no knob 'pan'"):
        knob_index("pan", "fx_bus")
