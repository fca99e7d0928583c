"""What training keeps of the song: free up to some dB, squares beyond, silent and padded stems left out."""

import pytest
import torch

import diffmst_lib as dm
from diffmst_lib.console.table import knob_index
from diffmst_lib.network.powers import BANDS, through_strips
from diffmst_lib.training.keeping import BALANCE_FREE_DB, BALANCE_WEIGHT, LEAN_FREE_DB, LEAN_WEIGHT, keep_song
from diffmst_lib.training.known import lean_of

FADER, PAN = knob_index("fader_db"), knob_index("pan")


def console(stems=2):
    one = dm.ConsoleParams.neutral([f"stem {i}" for i in range(stems)])
    parts = (one.tracks, one.fx_bus_values, one.master_bus_values)
    return dm.ConsoleParams(*(x[None].clone() for x in parts))


def powers(batch=1, stems=2):
    """Powers of stems whose mid and side have nothing in common."""
    power = torch.ones(batch, stems, 3, BANDS)
    power[:, :, 2] = 0.0
    return power


def kept(params, power=None, mask=None, **options):
    power = powers(1, params.tracks.shape[1]) if power is None else power
    mask = torch.ones(power.shape[:2], dtype=torch.bool) if mask is None else mask
    return keep_song(power, through_strips(power, params), params, mask, **options)


def of_moved(moved_db):
    """What it costs to move one of two stems: each is then by the half of it from their mean."""
    return BALANCE_WEIGHT * max(0.0, abs(moved_db) / 2 - BALANCE_FREE_DB) ** 2


@pytest.mark.parametrize("beyond_db", [-3.0, -0.1, 0.5, 4.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_balance_is_free_up_to_some_db(beyond_db, sign):
    params = console()
    moved_db = 2 * (BALANCE_FREE_DB + beyond_db)
    params.tracks[0, :, FADER] = torch.tensor([-10.0 + sign * moved_db / 2, -10.0 - sign * moved_db / 2])
    assert kept(params).item() == pytest.approx(BALANCE_WEIGHT * max(0.0, beyond_db) ** 2, abs=1e-5)
    assert of_moved(moved_db) == pytest.approx(kept(params).item(), abs=1e-5)


def test_all_faders_together_are_free():
    params = console(3)
    params.tracks[0, :, FADER] = -18.0
    assert kept(params) < 1e-8


@pytest.mark.parametrize("pan", [0.5, 0.51, 0.6, 0.2])
def test_a_place_is_free_up_to_some_db(pan):
    params = console()
    params.tracks[0, 1, PAN] = pan
    lean = abs(lean_of(torch.tensor(pan)).item())
    wanted = 0.5 * LEAN_WEIGHT * max(0.0, lean - LEAN_FREE_DB) ** 2
    assert kept(params).item() == pytest.approx(wanted, rel=1e-3, abs=1e-8)
    assert (wanted > 0) == (pan not in (0.5, 0.51))


def test_silent_and_padded_stems_are_left_out():
    params, power = console(4), powers(1, 4)
    power[0, 2], power[0, 3] = 0.0, 9.0 * power[0, 3]
    params.tracks[0, 2:, FADER], params.tracks[0, 2:, PAN] = 12.0, 0.9
    mask = torch.tensor([[True, True, True, False]])
    assert kept(params, power, mask) < 1e-8
    assert kept(params, power).item() > 0.1  # the last is real here
    params.tracks[0, 0, FADER] = -20.0
    assert kept(params, power, mask).item() == pytest.approx(of_moved(20), abs=1e-5)


def test_each_song_for_itself():
    params = dm.ConsoleParams(
        *(torch.cat([x, x]) for x in (console().tracks, console().fx_bus_values, console().master_bus_values))
    )
    params.tracks[1, 0, FADER] = -20.0
    power = powers(2, 2)
    each = kept(params, power, each=True)
    assert each.tolist() == pytest.approx([0.0, of_moved(20)], abs=1e-5)
    assert kept(params, power).item() == pytest.approx(each.mean().item())


@pytest.mark.parametrize("logit", [-20.0, 20.0])
@pytest.mark.parametrize("level", [0.0, 1e-20, 1.0, 1e6])
def test_it_is_finite_at_the_ends(logit, level):
    """Also with a fader that is off, and for a song that is silent."""
    start = console(3)
    strips = torch.full_like(start.tracks, logit)
    strips[0, 1, FADER] = -logit
    strips.requires_grad_()
    others = [torch.zeros_like(x) for x in (start.fx_bus_values, start.master_bus_values)]
    loss = kept(dm.ConsoleParams.from_logits(strips, *others), level * powers(1, 3))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(strips.grad).all()
