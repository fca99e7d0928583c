"""From a batch to a loss: random consoles, the halves of method 1, other masters, the pull."""

import dataclasses

import numpy as np
import pytest
import torch
from training_helpers import short

import diffmst_lib as dm
from diffmst_lib.data.batches import collate
from diffmst_lib.training.examples import examples_of
from diffmst_lib.training.methods import (
    distance_from_neutral,
    make_task,
    method1_task,
    random_params,
    task_loss,
    vary,
)


def batch_of(index, recipe, items=2):
    examples = examples_of(recipe, index)
    return collate([examples[i] for i in range(items)])


def generators(seed=0, count=2):
    return [np.random.default_rng([seed, i]) for i in range(count)]


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_random_consoles_are_uniform(preset):
    drawn = random_params(4000, np.random.default_rng(0), preset=preset)
    unit = drawn.to_unit()[0]
    _fader, *others = unit.T
    assert drawn.preset == preset
    for knob in others:
        assert torch.allclose(
            knob.quantile(torch.tensor([0.1, 0.5, 0.9])), torch.tensor([0.1, 0.5, 0.9]), atol=0.03
        )
    gain_db = drawn.values("track")["input_gain_db"]
    assert gain_db.min() < -11 and gain_db.max() > 11 and gain_db.abs().max() <= 12.0
    assert abs(np.corrcoef(unit[:, 1], unit[:, 2])[0, 1]) < 0.05  # each knob for itself
    assert drawn.values("master_bus")["output_gain_db"] == drawn.values("master_bus")["input_gain_db"] == 0.0


def test_the_switch_of_the_released_code():
    """There the faders of random mixes stand still, so that balance cannot be learned."""
    assert (
        random_params(50, np.random.default_rng(0), gain_db=0.0).values("track")["input_gain_db"] == 0.0
    ).all()


@pytest.mark.parametrize("gain_db", [0.0, 12.0])
def test_method_1_mixes_both_halves_by_one_console(index, gain_db):
    """From the task's own console: half B of its mix of the whole segment is the target, half A the reference."""
    recipe = short("mrstft-8", seconds=2.0, random_gain_db=gain_db)
    batch = batch_of(index, recipe)
    task = method1_task(batch, recipe, generators())
    assert task.tracks.shape[-1] == task.target.shape[-1] == task.reference.shape[-1] == 44100
    for i in range(2):
        sounding = batch.mask[i]
        params = dm.ConsoleParams(
            task.params.tracks[i][sounding], task.params.fx_bus_values[i], task.params.master_bus_values[i]
        )
        mix = dm.MixingConsole()(batch.tracks[i][sounding], params, fx_bus=False).mix
        for part, found in ((mix[:, :44100], task.reference[i]), (mix[:, 44100:], task.target[i])):
            assert torch.allclose(dm.normalize_loudness(part), found, atol=1e-5)
            assert abs(dm.loudness(found) + 16) < 0.01
        levels = [dm.loudness(track) for track in task.tracks[i][task.mask[i]]]
        assert np.allclose(levels, -30, atol=0.01)


def test_a_track_that_is_silent_in_half_b_is_left_out(index):
    recipe = short("mrstft-8", seconds=2.0)
    batch = batch_of(index, recipe)
    batch.tracks[0, 0, 44100:] = 0.0
    task = method1_task(batch, recipe, generators())
    assert not task.mask[0, 0] and task.mask[0].sum() == batch.mask[0].sum() - 1
    assert torch.isfinite(task.tracks).all()


def test_an_example_that_is_silent_in_half_b_trains_all_the_same(index):
    recipe = short("mrstft-8", seconds=2.0)
    batch = batch_of(index, recipe)
    batch.tracks[0, :, 44100:] = 0.0
    task = method1_task(batch, recipe, generators())
    assert torch.equal(task.mask[0], batch.mask[0])
    model = dm.DiffMST("tiny")
    mix, params = model(task.tracks, task.reference, sides=task.sides, mask=task.mask)
    loss = task_loss(mix, task, recipe) + distance_from_neutral(params, task.sides, task.mask)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_every_random_mix_reaches_its_level(index):
    """At -48 LUFS a sixth of uniform consoles mixes below the meter's gate."""
    config = dataclasses.replace(dm.ModelConfig.preset("tiny"), track_lufs=-48.0)
    recipe = short("mrstft-8", seconds=2.0, model=config)
    batch = batch_of(index, recipe)
    for seed in range(10):
        task = method1_task(batch, recipe, generators(seed))
        assert np.allclose([dm.loudness(mix) for mix in (*task.target, *task.reference)], -16, atol=0.01)


def test_the_same_items_make_the_same_task(index):
    for recipe in (short("mrstft-8", seconds=2.0), short(varied=1.0)):
        batch = batch_of(index, recipe)
        assert batch.items == [0, 1]
        one, again = (make_task(batch, recipe, 0).reference for _ in range(2))
        assert torch.equal(one, again)
        other = make_task(dataclasses.replace(batch, items=[2, 3]), recipe, 0).reference
        assert not torch.allclose(one, other, atol=1e-3)
        assert not torch.allclose(one, make_task(batch, recipe, 1).reference, atol=1e-3)
        alone = make_task(collate([examples_of(recipe, index)[1]]), recipe, 0)  # in whatever company
        assert torch.allclose(alone.reference[0], one[1], atol=1e-5)


def test_method_2_is_judged_by_what_it_is_shown(index):
    plain, varied = (make_task(batch_of(index, short(varied=v)), short(varied=v), 0) for v in (0.0, 1.0))
    assert plain.target is plain.reference and plain.params is None
    assert not torch.allclose(plain.reference, varied.reference, atol=0.01)
    assert np.allclose([dm.loudness(x) for x in varied.reference], -16, atol=0.01)


def test_other_masters_differ_in_what_a_master_sets(reference):
    record = dm.normalize_loudness(reference)
    features = [dm.audio_features(vary(record, np.random.default_rng(seed))) for seed in range(30)]
    own = dm.audio_features(record)
    for name, spread in (("stereo_width", 0.1), ("stereo_imbalance", 0.05)):
        values = torch.stack([f[name] for f in features])
        assert values.std() > spread and values.min() < own[name] < values.max()
    bark = torch.stack([f["bark_spectrum"][:, 0] for f in features])
    assert (bark.std(dim=0)[2:] > 0.1).all()


def test_losses(index, noise):
    recipe = short("mrstft-8", seconds=2.0)
    task = make_task(batch_of(index, recipe), recipe, 0)
    assert task_loss(0.1 * task.target, task, recipe) < 1e-3  # at whatever level
    mix = noise(2, 2, 44100)
    level = dm.normalize_loudness(mix)
    assert torch.isclose(task_loss(mix, task, recipe), dm.mrstft_loss(level, task.target))
    af = short("mrstft+af-8", seconds=2.0, soft_limit=None)
    assert torch.isclose(task_loss(mix, task, af), dm.audio_feature_loss(level, task.target)["total"])
    each = [dm.audio_feature_loss(m, t)["total"] for m, t in zip(level, task.target, strict=True)]
    soft = sum(loss / (1 + loss / 0.3) for loss in each) / 2
    assert torch.isclose(task_loss(mix, task, short("mrstft+af-8", seconds=2.0, soft_limit=0.3)), soft)


def test_distance_from_neutral():
    """0 where training starts; every knob counts; tracks that are not there do not."""
    torch.manual_seed(0)
    model = dm.DiffMST("tiny").eval()
    tracks, sides = 0.1 * torch.randn(2, 3, 22050), torch.tensor([[-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    params = model.predict(tracks, 0.1 * torch.randn(2, 2, 22050), sides=sides, mask=mask)
    start = distance_from_neutral(params, sides, mask)
    assert start < 1e-3  # the sends are off, 0.02 from their end
    params.tracks[0, 2] = 3.0
    assert distance_from_neutral(params, sides, mask) == start
    params.tracks[1, 2, 0] = 48.0  # half of the range: 0.25
    assert distance_from_neutral(params, sides, mask).item() == pytest.approx(
        0.25 / 3 / 2 + start.item(), abs=1e-5
    )
    params.tracks[1, 2, 0] = 0.0
    params.tracks[0, 0, 0] = 48.0  # one of two tracks
    assert distance_from_neutral(params, sides, mask).item() == pytest.approx(
        0.25 / 2 / 2 + start.item(), abs=1e-4
    )
    params.tracks[0, 0, 0], params.tracks[1, 2, 0] = 0.0, 48.0
    params.master_bus_values[0, -1] = 48.0
    assert distance_from_neutral(params, sides, mask).item() == pytest.approx(
        0.25 / 3 / 2 + 0.25 / 2 + start.item(), abs=1e-5
    )
