"""Known answers: random engineers, the loss stem by stem, the balance that is left."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import diffmst_lib as dm
from diffmst_lib.console.table import knob_index
from diffmst_lib.network.powers import BANDS, band_power
from diffmst_lib.training import known
from diffmst_lib.training.known import (
    Knobs,
    Settings,
    audible_share,
    balance_error_db,
    known_loss,
    settings_of,
)


def consoles(batch=1, stems=2):
    """Neutral consoles, to be changed."""
    one = dm.ConsoleParams.neutral([f"stem {i}" for i in range(stems)])
    parts = (one.tracks, one.fx_bus_values, one.master_bus_values)
    return dm.ConsoleParams(*(x.expand(batch, *x.shape).clone() for x in parts))


def nothing(batch=1, stems=2):
    return Settings(torch.zeros(batch, stems, BANDS), torch.zeros(batch, stems), torch.zeros(batch, stems))


def all_of(batch=1, stems=2):
    return torch.ones(batch, stems, dtype=torch.bool)


def powers(batch=1, stems=2, seed=None):
    """Powers of stems whose mid and side have nothing in common: ones, or at random."""
    power = torch.ones(batch, stems, 3, BANDS)
    if seed is not None:
        power = torch.rand(power.shape, generator=torch.Generator().manual_seed(seed)) + 0.1
    power[:, :, 2] = 0.0
    return power


POWER = powers()
FADER, PAN, WIDTH = (knob_index(name) for name in ("fader_db", "pan", "width"))


def test_engineers_are_as_bold_as_they_should_be():
    knobs = Knobs.draw(4000, np.random.default_rng(0), True)
    assert abs(knobs.gain_db.mean()) < 0.3 and knobs.gain_db.std() == pytest.approx(6, abs=0.3)
    assert knobs.gain_db.min() >= -15 and knobs.gain_db.max() <= 12
    pairs = [Knobs.draw_two(1, np.random.default_rng(seed)) for seed in range(2000)]
    touched = torch.tensor([[bool(k.gain_db.any()) for k in pair] for pair in pairs]).float()
    assert touched.mean(dim=0).tolist() == pytest.approx([0.75, 0.55], abs=0.03)
    assert (touched.sum(dim=1) > 0).all()  # one of them always does something
    equalized = [bool(ours.eq_gain_db.any()) for (ours, _), t in zip(pairs, touched, strict=True) if t[0]]
    assert np.mean(equalized) == pytest.approx(0.6, abs=0.04)


def test_who_touches_nothing_changes_nothing(noise):
    knobs = Knobs.draw(3, np.random.default_rng(0), False)
    stems = noise(3, 2, 4410)
    assert torch.allclose(knobs.apply(stems, 44100), stems, atol=1e-6)
    settings = knobs.settings(44100)
    assert all(value.abs().max() < 1e-4 for value in vars(settings).values())


def test_every_draw_of_an_artist_is_another_balance_halfway_between_the_songs_and_equal_levels():
    level_db = torch.tensor([-30.0, -25.0, -20.0, -17.0, -15.0, -13.0])
    apart = level_db - level_db.mean()
    found = torch.stack(
        [apart + Knobs.draw_artist(level_db, np.random.default_rng(seed)).gain_db for seed in range(200)]
    )
    spread = known.LEVEL_DB * (1 - known.LEVEL_KEPT**2) ** 0.5
    torch.testing.assert_close(found.mean(dim=0), known.LEVEL_KEPT * apart, rtol=0, atol=1.5)
    assert 0.8 * spread < found.std(dim=0).mean() < 1.2 * spread


def test_an_artist_leaves_stems_that_are_hardly_there():
    level_db = torch.tensor([-20.0, -23.0, -70.0, -torch.inf])
    gain_db = Knobs.draw_artist(level_db, np.random.default_rng(0)).gain_db
    assert (gain_db[2:] == 0).all() and gain_db[:2].abs().min() > 0.01
    assert torch.isfinite(Knobs.draw_artist(level_db[3:], np.random.default_rng(0)).gain_db).all()


def test_settings_are_what_the_knobs_do_to_sound():
    """Levels of bands, side against mid, right against left: measured on noise before and after."""
    before = torch.randn(4, 2, 20 * 44100, generator=torch.Generator().manual_seed(0))
    knobs = Knobs.draw(4, np.random.default_rng(3), True)
    assert knobs.eq_gain_db.any() and (knobs.pan != 0.5).all() and (knobs.width != 1).all()
    settings = knobs.settings(44100)
    mono = before[:, :1].expand(-1, 2, -1)
    left, right = knobs.apply(mono, 44100).square().mean(dim=-1).unbind(dim=-1)
    assert torch.allclose(10 * torch.log10(right / left), settings.lean_db[0], atol=0.01)
    straight = dataclasses.replace(knobs, pan=torch.full((4,), 0.5))  # a pan mixes mid and side
    after = straight.apply(before, 44100)
    change_db = 10 * torch.log10(band_power(after)[:, :2] / band_power(before)[:, :2])  # (4, 2, bands)
    wide = slice(4, None)  # the lowest bands are narrower than the bins of the spectrum
    assert (change_db[:, 0] - settings.response_db[0])[:, wide].abs().max() < 0.2
    of_side = change_db[:, 1] - change_db[:, 0]
    assert (of_side - settings.width_db[0][:, None])[:, wide].abs().max() < 0.2


def test_settings_of_two_engineers_add_up():
    ours, theirs = (Settings(*(torch.full((1, 2), value) for _ in range(3))) for value in (1.0, 4.0))
    assert all((value == 3).all() for value in vars(theirs - ours).values())


def test_the_answer_itself_has_no_loss():
    """Whatever it is, also when all faders are higher than asked for by the same."""
    params = consoles(3, 4)
    unit = torch.rand(params.tracks.shape, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    strips = dm.ConsoleParams.from_unit(unit, *(x for x in params.to_unit()[1:])).tracks
    params = dm.ConsoleParams(strips, params.fx_bus_values, params.master_bus_values)
    power = powers(3, 4, seed=1)
    answer = settings_of(params)
    assert known_loss(params, answer, power, all_of(3, 4)) < 1e-8
    assert balance_error_db(answer, power, all_of(3, 4), params).max() < 1e-3
    answer.response_db -= 5.0
    assert known_loss(params, answer, power, all_of(3, 4)) < 1e-8
    assert balance_error_db(answer, power, all_of(3, 4), params).max() < 1e-3
    answer.response_db[:, 0] += 3.0
    assert (known_loss(params, answer, power, all_of(3, 4), each=True) > 0.01).all()


@pytest.mark.parametrize(("error_db", "loss"), [(3.0, 0.5 * 0.5**2), (6.0, 0.5), (24.0, 2 * (4 - 1))])
def test_one_fader_of_two_is_wrong(error_db, loss):
    """Half of the error is common to both; in units of 3 dB, the half of the square, straight beyond 2."""
    params = consoles()
    params.tracks[0, 0, FADER] = 12.0 - error_db
    params.tracks[0, 1, FADER] = 12.0
    assert known_loss(params, nothing(), POWER, all_of()).item() == pytest.approx(loss, rel=1e-3)
    assert balance_error_db(nothing(), POWER, all_of(), params).item() == pytest.approx(
        error_db / 2, rel=1e-3
    )


def test_a_wrong_pan_and_a_wrong_width():
    params, answer = consoles(), nothing()
    answer.lean_db[0, 1] = 3.0  # one move, of one stem of two
    assert known_loss(params, answer, POWER, all_of()).item() == pytest.approx(0.25, rel=1e-3)
    answer = nothing()
    answer.width_db[0, 0] = -6.0
    assert known_loss(params, answer, POWER, all_of()).item() == pytest.approx(0.25, rel=1e-3)
    mono = POWER.clone()
    mono[0, 0, 1] = 0.0  # the width of a mono stem means nothing
    assert known_loss(params, answer, mono, all_of()).item() < 1e-8
    params.master_bus_values[0, knob_index("width", "master_bus")] = 0.5  # the master should do nothing
    wanted = 0.5 * (20 * math.log10(2) / 6) ** 2
    assert known_loss(params, nothing(), POWER, all_of()).item() == pytest.approx(wanted, rel=1e-3)


def test_only_bands_in_which_a_stem_sounds_count():
    params, answer, power = consoles(), nothing(), torch.zeros(1, 2, 3, BANDS)
    power[0, 0, :2, :10], power[0, 1, :2, 10:] = 1.0, 1.0
    answer.response_db[0, 0, 10:] = 9.0
    assert known_loss(params, answer, power, all_of()) < 1e-8
    assert balance_error_db(answer, power, all_of()) < 1e-3
    answer.response_db[0, 0, :10] = 9.0
    assert known_loss(params, answer, power, all_of()) > 0.5
    assert balance_error_db(answer, power, all_of()).item() == pytest.approx(4.5, rel=1e-3)


def test_the_balance_before_is_how_far_it_was_disturbed():
    """Gains of exactly 5 dB rms without what they share."""
    gains = torch.tensor([[3.0, -1.0, 4.0, 1.0, -5.0, 9.0]])
    gains = gains - gains.mean()
    gains = 5.0 * gains / gains.square().mean().sqrt()
    answer = Settings((gains + 2.0)[..., None].expand(-1, -1, BANDS), torch.zeros(1, 6), torch.zeros(1, 6))
    power = powers(1, 6, seed=0)
    assert balance_error_db(answer, power, all_of(1, 6)).item() == pytest.approx(5.0, rel=1e-4)
    params = consoles(1, 6)
    params.tracks[0, :, FADER] = gains[0] - 4.0
    assert balance_error_db(answer, power, all_of(1, 6), params) < 1e-3


def test_silent_and_padded_stems_do_not_count():
    params, answer = consoles(1, 4), nothing(1, 4)
    power = powers(1, 4)
    power[0, 2] = 0.0  # silent
    power[0, 3, :2] = 50.0  # padding, whatever it holds
    mask = torch.tensor([[True, True, True, False]])
    assert audible_share(power[:, :, :2].sum(dim=(-2, -1)), mask).tolist() == [[0.5, 0.5, 0.0, 0.0]]
    params.tracks[0, 2:, FADER], params.tracks[0, 2:, PAN] = -40.0, 0.0
    assert known_loss(params, answer, power, mask) < 1e-8
    assert balance_error_db(answer, power, mask, params) < 1e-3
    params.tracks[0, 0, FADER] = 6.0
    alone = dm.ConsoleParams(params.tracks[:, :2], params.fx_bus_values, params.master_bus_values)
    of_two = known_loss(alone, nothing(), POWER, all_of())
    assert torch.isclose(known_loss(params, answer, power, mask), of_two) and of_two > 0.1


def test_a_stem_far_below_the_sum_does_not_count():
    power = torch.tensor([[1.0, 1e-4, 1e-5]])  # 0, -40, -50 dB
    assert audible_share(power, all_of(1, 3)).tolist() == [[0.5, 0.5, 0.0]]
    assert audible_share(torch.zeros(1, 3), all_of(1, 3)).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("logit", [-20.0, 20.0])
@pytest.mark.parametrize("level", [0.0, 1e-20, 1e6])
def test_it_is_finite_at_the_ends_of_knobs_and_powers(logit, level):
    start = consoles(2, 3)
    logits = [
        torch.full_like(x, logit, requires_grad=True)
        for x in (start.tracks, start.fx_bus_values, start.master_bus_values)
    ]
    params = dm.ConsoleParams.from_logits(*logits)
    power = level * powers(2, 3)
    power[0, 0] = 0.0
    mask = torch.tensor([[True, True, False], [True, False, False]])
    loss = known_loss(params, nothing(2, 3), power, mask)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(balance_error_db(nothing(2, 3), power, mask, params)).all()
    for part in (logits[0], logits[2]):
        assert torch.isfinite(part.grad).all()


def test_huber_is_square_and_then_straight():
    x = torch.tensor([0.0, 1.0, -1.0, 2.0, 4.0, -100.0])
    assert known.huber(x).tolist() == [0.0, 0.5, 0.5, 2.0, 6.0, 198.0]
