"""What users ask of a mix: what is locked, how far an amount goes, how long a fit takes."""

import math

import numpy as np
import pytest
import torch

from diffmst_lib import ConsoleParams, InputError, param_table
from diffmst_lib.console.specs import ASPECTS
from diffmst_lib.console.table import SECTIONS
from diffmst_lib.mixing.parts import blend, check_amount, check_fit, check_locks, hold, locks_fader

NAMES = ["kick", "drums.v1", "vox.pan", "vox"]


def console(unit, names=NAMES, preset="default"):
    """All knobs at one place in their ranges."""
    strip, *buses = (torch.full((len(param_table(section, preset)),), unit) for section in SECTIONS)
    return ConsoleParams.from_unit(strip.repeat(len(names), 1), *buses, names=names, preset=preset)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("kick", [(0, None)]),
        ("kick.pan", [(0, "pan")]),
        ("drums.v1", [(1, None)]),
        ("drums.v1.fader_db", [(1, "fader_db")]),
        ("vox.pan", [(2, None)]),  # a whole stem first
        ("vox.width", [(3, "width")]),
        ("master_bus", [("master_bus", None)]),
        ("master_bus.ratio", [("master_bus", "ratio")]),
    ],
)
def test_names_are_stems_first_and_then_knobs(name, found):
    assert check_locks([name], NAMES) == found


def test_a_stem_of_the_papers_console_is_its_channels():
    names = ["pad.L", "pad.R", "kick"]
    assert check_locks(["pad", "pad.R.pan", "pad.input_gain_db"], names, "reference") == [
        (0, None),
        (1, None),
        (1, "pan"),
        (0, "input_gain_db"),
        (1, "input_gain_db"),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kik", "no stem or knob 'kik': did you mean 'kick'?"),
        ("kick.pam", "did you mean 'kick.pan'?"),
        ("master_bus.pan", "master_bus."),
        ("zzz", "there are kick, drums.v1, vox.pan, vox, master_bus"),
        ("", "no stem or knob ''"),
        (".pan", "no stem or knob '.pan'"),
        ("fx_bus", "no stem or knob 'fx_bus'"),
    ],
)
def test_unknown_names_cost_one_line_that_helps(name, message):
    with pytest.raises(InputError) as error:
        check_locks(["kick", name], NAMES)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_one_name_alone_is_no_list_of_names():
    with pytest.raises(InputError, match=r"lock takes a list of names, as in lock=\['kick'\]"):
        check_locks("kick", NAMES)
    with pytest.raises(InputError, match=r"lock takes names of stems and knobs, got \[0\]"):
        check_locks([0], NAMES)


def test_a_fader_is_locked_by_its_own_name_or_with_its_strip():
    assert not locks_fader([(0, "pan"), ("master_bus", None)])
    assert locks_fader([(0, "fader_db")]) and locks_fader([(0, "pan"), (1, None)])


def test_what_is_held_is_exactly_that_of_the_start_and_the_rest_is_not():
    start, found = console(0.25), console(0.75)
    held = hold(start, found, check_locks(["kick", "vox.width", "master_bus.ratio"], NAMES))
    assert torch.equal(held.tracks[0], start.tracks[0]) and torch.equal(held.tracks[1:3], found.tracks[1:3])
    strips, bus = param_table("track"), param_table("master_bus")
    for i, spec in enumerate(strips):
        assert held.tracks[3, i] == (start if spec.name == "width" else found).tracks[3, i]
    for i, spec in enumerate(bus):
        want = start if spec.name == "ratio" else found
        assert held.master_bus_values[i] == want.master_bus_values[i]
    assert torch.equal(held.fx_bus_values, found.fx_bus_values)


def test_holding_is_differentiable_where_nothing_is_held():
    start, found = console(0.25), console(0.75)
    found.tracks.requires_grad_()
    hold(start, found, [(0, None)]).tracks.sum().backward()
    assert (found.tracks.grad[0] == 0).all() and (found.tracks.grad[1:] == 1).all()


def test_an_amount_is_a_share_of_the_way_on_the_knobs_own_scale():
    start, found = console(0.2), console(0.6)
    for ours, want in zip(blend(start, found, 0.5).to_unit(), console(0.4).to_unit(), strict=True):
        torch.testing.assert_close(ours, want, rtol=0, atol=1e-5)
    assert torch.equal(blend(start, found, 0).tracks, start.tracks)
    assert torch.equal(blend(start, found, 1).tracks, found.tracks)
    assert torch.equal(blend(start, found).master_bus_values, found.master_bus_values)
    held = hold(start, found, [(0, None)])  # exactly so half of the way as well
    assert torch.equal(blend(start, held, 0.5).tracks[0], start.tracks[0])


def test_an_amount_by_aspect():
    start, found = console(0.2), console(0.6)
    amount = {"balance": 0, "tone": 1, "dynamics": 0.5}
    shares = amount | {"image": 1}  # what is not named is taken whole
    blended = blend(start, found, amount)
    for section, unit in zip(SECTIONS, blended.to_unit(), strict=True):
        for i, spec in enumerate(param_table(section)):
            want = torch.full_like(unit[..., i], 0.2 + 0.4 * shares[spec.aspect])
            torch.testing.assert_close(unit[..., i], want, rtol=0, atol=1e-5)


def test_a_blend_changes_neither_console():
    start, found = console(0.2), console(0.6)
    before = start.tracks.clone(), found.tracks.clone()
    blend(start, found, 0.3).tracks.zero_()
    assert torch.equal(start.tracks, before[0]) and torch.equal(found.tracks, before[1])


def test_amounts():
    assert check_amount(0.5) == dict.fromkeys(ASPECTS, 0.5)
    assert check_amount({"tone": 0}) == {"balance": 1.0, "tone": 0.0, "dynamics": 1.0, "image": 1.0}
    for bad in (-0.1, 1.01, math.nan, "half", None, True, {"tone": 2}, {"tone": True}):
        with pytest.raises(InputError, match="amount must be from 0 to 1"):
            check_amount(bad)
    with pytest.raises(
        InputError, match="amount has no aspect 'color': there are balance, tone, dynamics, image"
    ):
        check_amount({"color": 0.5})


def test_pulls_windows_and_steps():
    check_fit(0, 15), check_fit(2.5, 0.1, steps=0, refine_steps=np.int64(3))
    for bad in (-1, math.nan, math.inf, "much", None, True):
        with pytest.raises(ValueError, match="keep must be a number of at least 0, got"):
            check_fit(bad, 15.0)
    for bad in (0, -1.0, math.nan, math.inf, "long", None, True):
        with pytest.raises(ValueError, match="fit_seconds must be a number above 0, got"):
            check_fit(1.0, bad)
    for bad in (-1, 2.5, 2.0, "many", None, True):
        with pytest.raises(ValueError, match="refine_steps must be a whole number of at least 0, got"):
            check_fit(1.0, 15.0, steps=1, refine_steps=bad)


def test_names_of_locks_are_compared_in_nfc():
    nfc, nfd = "caf\u00e9", "cafe\u0301"
    for lock, name in ((nfc, nfd), (nfd, nfc)):
        assert check_locks([lock, f"{lock}.pan"], ["bass", name]) == [(1, None), (1, "pan")]
