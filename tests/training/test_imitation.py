"""The console on powers against the console on sound: levels, width, loudness, features, the distance."""

import math

import pytest
import torch
from rehearsal_helpers import RATE, SAMPLES, colored, heard_record, noise_record, noise_song

import diffmst_lib as dm
from diffmst_lib.network.powers import band_power
from diffmst_lib.style.features import stereo_imbalance, stereo_width
from diffmst_lib.training.imitation import (
    BELOW_RECORD_DB,
    IMBALANCE,
    WIDTH,
    Imitation,
    imbalance,
    levels_db,
    width,
)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return dm.DiffMST("tiny").eval()


@pytest.fixture(scope="module")
def records(model):
    return [heard_record(model, noise_record(seed)) for seed in range(8)]


@pytest.fixture(scope="module")
def imitation(model, records):
    return Imitation(model, records)


def decibels(power):
    return 10 * torch.log10(power)


def batch(params):
    parts = params.tracks, params.fx_bus_values, params.master_bus_values
    return dm.ConsoleParams(*(part[None] for part in parts), preset=params.preset)


def set_console(count):
    """A console with compressors at rest, and everything that a power can follow turned."""
    params = dm.ConsoleParams.neutral([f"stem {i}" for i in range(count)])
    for i in range(count):
        strip = params.track(f"stem {i}")
        strip["fader_db"], strip["width"], strip["pan"] = -6.0 + 3 * i, 0.5 + 0.3 * i, 0.4 + 0.07 * i
        strip["peak_2_gain_db"], strip["high_shelf_gain_db"] = 5.0 - 3 * i, -4.0 + 2 * i
    master = params.master_bus
    master["width"], master["low_shelf_gain_db"], master["peak_3_gain_db"] = 1.3, 3.0, -4.0
    return params


def test_a_mix_has_the_powers_of_the_sound(imitation):
    stems, params = noise_song(4), set_console(4)
    result = dm.MixingConsole(RATE)(stems, params)
    strips, mix = imitation.mix(band_power(stems)[None], batch(params))
    torch.testing.assert_close(
        decibels(strips[0, :, :2]), decibels(band_power(result.tracks)[:, :2]), rtol=0, atol=1.0
    )
    torch.testing.assert_close(decibels(mix[0, :2]), decibels(band_power(result.mix)[:2]), rtol=0, atol=1.0)
    assert imbalance(mix[0]).item() == pytest.approx(stereo_imbalance(result.mix).item(), abs=0.02)
    plain = imitation.mix(
        band_power(stems)[None], batch(dm.ConsoleParams.neutral([f"stem {i}" for i in range(4)]))
    )[1]
    assert (decibels(plain[0, 0]) - decibels(mix[0, 0])).abs().max() > 3.0


@pytest.mark.parametrize(("left", "right"), [(1.0, 1.0), (1.0, 0.5), (0.3, 1.0), (1.0, 0.0), (1.0, -0.8)])
def test_width_and_imbalance_of_panned_sounds_are_exactly_those_of_the_features(left, right):
    sound = torch.tensor([[left], [right]]) * colored(3)[:1]
    power = band_power(sound)
    assert width(power).item() == pytest.approx(stereo_width(sound).item(), rel=1e-3, abs=1e-6)
    assert imbalance(power).item() == pytest.approx(stereo_imbalance(sound).item(), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("side", "lean_db"), [(0.5, 3.0), (0.9, -6.0)])
def test_width_and_imbalance_of_noise_differ_only_by_the_windows(side, lean_db):
    sound = colored(3, side=side, lean_db=lean_db)
    power = band_power(sound)
    assert width(power).item() == pytest.approx(stereo_width(sound).item(), rel=0.1)
    assert imbalance(power).item() == pytest.approx(stereo_imbalance(sound).item(), abs=0.05)


def test_loudness_is_that_of_a_meter_within_a_db(imitation):
    sounds = [*noise_song(6), noise_record(20), noise_record(21), noise_song(5).sum(dim=0)]
    found = torch.stack([decibels(imitation.loudness(band_power(x))) for x in sounds])
    meter = torch.tensor([dm.loudness(x) for x in sounds])
    assert ((found - meter) - (found - meter).mean()).abs().max() < 1.0, found - meter


def test_the_levels_of_records_and_of_songs(imitation, records):
    """A record is at -16 LUFS, the plain sum of a song enters the master bus 4 dB below."""
    power = band_power(3.0 * noise_song(5))
    at_level = imitation.at_record_level(power.sum(dim=0))
    as_record = torch.stack([decibels(imitation.loudness(one.power)) for one in records]).mean()
    assert decibels(imitation.loudness(at_level)).item() == pytest.approx(as_record.item(), abs=1e-3)
    trimmed = 10 ** (imitation.trim_db(power) / 10) * power.sum(dim=0)
    assert decibels(imitation.loudness(trimmed) / imitation.loudness(at_level)).item() == pytest.approx(
        -BELOW_RECORD_DB, abs=1e-3
    )


def test_records_are_described_as_they_were_heard(model, imitation, records):
    """Roughly: far nearer than their mean; width and imbalance follow from the powers alone."""
    features, views = imitation.describe(torch.stack([one.power for one in records]))
    heard = torch.stack([one.features for one in records])
    of_views = torch.stack([one.statistics for one in records])
    for column in (WIDTH, IMBALANCE):
        torch.testing.assert_close(features[:, column], heard[:, column], rtol=0.1, atol=0.03)
    for found, wanted in ((features[:, 6:], heard[:, 6:]), (views, of_views)):
        error, spread = (found - wanted).square().mean(), (wanted - wanted.mean(dim=0)).square().mean()
        assert error < 0.2 * spread
    assert views.shape == of_views.shape == (8, 2, 2 * model.config.bands + 3)


def test_the_columns_of_width_and_imbalance(model):
    sound = noise_record(3)
    features = model.style.features(sound[None])[0]
    assert features[WIDTH] == stereo_width(sound) and features[IMBALANCE] == stereo_imbalance(sound)


def test_a_record_that_was_not_heard_is_described_roughly(model, imitation, records):
    record = heard_record(model, noise_record(30))
    features, _ = imitation.describe(record.power[None])
    spread = torch.stack([one.features for one in records]).std(dim=0)
    assert ((features[0] - record.features)[6:].abs() < 3 * spread[6:] + 0.5).float().mean() > 0.8


def test_moments_that_are_all_the_same_say_nothing_but_are_allowed(model, records):
    """A record of one window, heard twice."""
    same = Imitation(model, [records[0], records[0]])
    features, _ = same.describe(records[0].power[None])
    torch.testing.assert_close(features[0, 6:], records[0].features[6:], rtol=0, atol=1e-3)


def test_the_distance_is_0_at_any_level_and_each_term_counts(imitation):
    record = imitation.at_record_level(band_power(noise_record(4)))[None]
    for gain in (0.01, 1.0, 30.0):
        assert imitation.distance(gain * record, record).item() == pytest.approx(0.0, abs=1e-6)
    brighter, wider, to_the_left = record.clone(), record.clone(), record.clone()
    brighter[..., 20:] *= 4.0
    wider[:, 1] *= 2.0
    to_the_left[:, 2] += 0.3 * record[:, 0]
    for other in (brighter, wider, to_the_left):
        assert imitation.distance(other, record) > 0.005
    left = imitation.distance(to_the_left, record).item()
    moved = imbalance(to_the_left) - imbalance(record)
    assert left == pytest.approx(moved.square().item(), rel=0.02)


def test_levels_have_floors():
    """A band at 60 dB under the mid, a side at 40 dB; silence is finite."""
    mid = torch.tensor([1.0, 0.0])
    found = levels_db(torch.stack([mid, 0 * mid, 0 * mid]))
    assert found.tolist() == pytest.approx([0.0, -60.0, -40.0, -100.0], abs=0.1)
    assert torch.isfinite(levels_db(torch.zeros(2, 3, 40))).all()


@pytest.mark.parametrize("level", [0.0, 1e-20, 1e6])
def test_everything_is_finite_for_silence_and_noise(imitation, records, level):
    power = (level * band_power(noise_song(3)))[None].requires_grad_()
    params = batch(set_console(3))
    params.tracks.requires_grad_()
    _, mix = imitation.mix(power, params)
    loss = imitation.distance(mix, records[0].power[None])
    loss.sum().backward()
    features, views = imitation.describe(imitation.at_record_level(mix.detach()))
    assert all(torch.isfinite(x).all() for x in (loss, features, views, power.grad, params.tracks.grad))
    assert math.isfinite(imitation.trim_db(power[0].detach()))


def test_gradients_lead_to_the_console_of_the_record(imitation):
    """A fader that is 8 dB too low is found by descent on its knob alone."""
    power = band_power(noise_song(3, samples=SAMPLES // 2))[None]
    record = imitation.at_record_level(power.sum(dim=1))
    params = batch(dm.ConsoleParams.neutral(["a", "b", "c"]))
    low = power.clone()
    low[:, 1] *= 10**-0.8
    gain_db = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.Adam([gain_db], lr=0.5)
    for _ in range(40):
        raised = torch.stack([low[:, 0], low[:, 1] * 10 ** (gain_db / 10), low[:, 2]], dim=1)
        optimizer.zero_grad()
        imitation.distance(imitation.mix(raised, params)[1], record).sum().backward()
        optimizer.step()
    assert gain_db.item() == pytest.approx(8.0, abs=1.0)
