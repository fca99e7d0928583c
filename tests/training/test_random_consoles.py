"""Random consoles: every knob uniform, moderate in ours, and the levels as they are asked for."""

import numpy as np
import pytest
import torch

import diffmst_lib as dm
from diffmst_lib.training.random_consoles import random_params

QUANTILES = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])


def test_random_consoles_of_the_paper_are_uniform():
    drawn = random_params(4000, np.random.default_rng(0), preset="reference")
    unit = drawn.to_unit()[0]
    _fader, *others = unit.T
    assert drawn.preset == "reference"
    for knob in others:
        assert torch.allclose(knob.quantile(QUANTILES), QUANTILES, atol=0.03)
    gain_db = drawn.values("track")["input_gain_db"]
    assert gain_db.min() < -11 and gain_db.max() > 11 and gain_db.abs().max() <= 12.0
    assert abs(np.corrcoef(unit[:, 1], unit[:, 2])[0, 1]) < 0.05  # each knob for itself
    assert drawn.values("master_bus")["output_gain_db"] == drawn.values("master_bus")["input_gain_db"] == 0.0


@pytest.mark.parametrize(
    ("knob", "low", "high"),
    [
        ("input_gain_db", 0, 0),
        ("fader_db", -12, 12),
        ("makeup_gain_db", 0, 0),
        ("send_db", -60, -60),
        ("peak_2_gain_db", -6, 6),
        ("threshold_db", -29, -11),
        ("ratio", 1, 1.5**3),
        ("width", 0.25, 1.75),
        ("pan", 0, 1),
    ],
)
def test_random_consoles_of_ours_are_three_moves_wide(knob, low, high):
    specs = {spec.name: spec for spec in dm.param_table("track")}
    drawn = random_params(4000, np.random.default_rng(0)).values("track")[knob]
    if specs[knob].scale == "log":
        drawn, low, high = drawn.log(), np.log(low), np.log(high)
    assert torch.allclose(
        drawn.quantile(QUANTILES), low + QUANTILES * (high - low), atol=0.03 * (high - low) + 1e-4
    )


def test_knobs_of_random_consoles_do_not_know_of_each_other():
    unit = random_params(4000, np.random.default_rng(0)).to_unit()[0]
    table = np.corrcoef(unit[:, unit.std(dim=0) > 1e-6].T)
    assert np.abs(table - np.eye(len(table))).max() < 0.08 and len(table) > 20
    bus = random_params(1, np.random.default_rng(0)).values("master_bus")
    assert bus["output_gain_db"] == 0.0 and bus["ratio"] > 1.0


@pytest.mark.parametrize(("preset", "fader"), [("default", "fader_db"), ("reference", "input_gain_db")])
def test_the_switch_of_the_released_code(preset, fader):
    """There the faders of random mixes stand still, so that balance cannot be learned."""
    drawn = random_params(50, np.random.default_rng(0), gain_db=0.0, preset=preset)
    assert drawn.values("track")[fader].abs().max() < 1e-5


def test_faders_of_ours_end_where_they_end():
    faders = random_params(2000, np.random.default_rng(0), gain_db=48.0).values("track")["fader_db"]
    assert -48.1 < faders.min() < -47 and 11.9 < faders.max() <= 12.0
