"""From a batch to a loss: random consoles, the halves of method 1, other masters, the pull."""

import dataclasses

import numpy as np
import pytest
import torch
from training_helpers import short, small_cnn

import diffmst_lib as dm
from diffmst_lib.audio.loudness import BUS_LUFS
from diffmst_lib.console.table import knob_index
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


@pytest.mark.parametrize("gain_db", [0.0, 12.0])
def test_method_1_mixes_both_halves_by_one_console(index, gain_db):
    """From the task's own console: half B of its mix of the whole segment is the target, half A the reference.

    The song goes into the master bus at -20 LUFS, and half B of the stems reaches that level again, in its balance.
    """
    recipe = short("mrstft-8", seconds=2.0, random_gain_db=gain_db)
    batch = batch_of(index, recipe)
    task = method1_task(batch, recipe, generators())
    assert task.tracks.shape[-1] == task.target.shape[-1] == task.reference.shape[-1] == 44100
    for i in range(2):
        sounding = batch.mask[i]
        params = dm.ConsoleParams(
            task.params.tracks[i][sounding], task.params.fx_bus_values[i], task.params.master_bus_values[i]
        )
        bus = dm.MixingConsole()(batch.tracks[i][sounding], params, fx_bus=False, master_bus=False).mix
        mix = dm.MixingConsole().master_bus(dm.normalize_loudness(bus, BUS_LUFS)[None], params)[0]
        for part, found in ((mix[:, :44100], task.reference[i]), (mix[:, 44100:], task.target[i])):
            assert torch.allclose(dm.normalize_loudness(part), found, atol=1e-5)
            assert abs(dm.loudness(found) + 16) < 0.01
        levelled, half_b = task.tracks[i][task.mask[i]], batch.tracks[i][task.mask[i]][..., 44100:]
        assert dm.loudness(levelled.sum(dim=0)) == pytest.approx(BUS_LUFS, abs=0.01)
        gain = levelled[0].norm() / half_b[0].norm()
        assert torch.allclose(levelled, gain * half_b, atol=1e-5)


def test_method_1_at_equal_loudness(index):
    recipe = short("mrstft-8", seconds=2.0, balance="equal")
    task = method1_task(batch_of(index, recipe), recipe, generators())
    for i in range(2):
        levels = [dm.loudness(stem) for stem in task.tracks[i][task.mask[i]]]
        assert max(levels) - min(levels) < 0.05


def test_method_1_of_mono_channels(index):
    """As in the paper: every channel at one level, and a console of channels."""
    recipe = short("mrstft-8", seconds=2.0, model=small_cnn(console="reference", track_lufs=-48.0))
    task = method1_task(batch_of(index, recipe), recipe, generators())
    assert task.tracks.ndim == 3 and task.params.preset == "reference" and (task.pans == 0.5).all()
    for i in range(2):
        assert np.allclose([dm.loudness(x) for x in task.tracks[i][task.mask[i]]], -48, atol=0.01)


def test_a_track_that_is_silent_in_half_b_is_left_out(index):
    recipe = short("mrstft-8", seconds=2.0)
    batch = batch_of(index, recipe)
    batch.tracks[0, 0, :, 44100:] = 0.0
    task = method1_task(batch, recipe, generators())
    assert not task.mask[0, 0] and task.mask[0].sum() == batch.mask[0].sum() - 1
    assert torch.isfinite(task.tracks).all()


def test_an_example_that_is_silent_in_half_b_trains_all_the_same(index):
    recipe = short("mrstft-8", seconds=2.0)
    batch = batch_of(index, recipe)
    batch.tracks[0, ..., 44100:] = 0.0
    task = method1_task(batch, recipe, generators())
    assert torch.equal(task.mask[0], batch.mask[0])
    model = dm.DiffMST("tiny")
    mix, params = model(task.tracks, task.reference, pans=task.pans, mask=task.mask)
    loss = task_loss(mix, task, recipe) + distance_from_neutral(params, task.pans, task.mask)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_every_random_mix_reaches_its_level(index):
    """At -48 LUFS a sixth of uniform consoles mixes below the meter's gate."""
    recipe = short("mrstft-8", seconds=2.0, model=small_cnn(console="reference", track_lufs=-48.0))
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
    """0 where training starts; a fader moved by 3 dB is one move; tracks that are not there do not count."""
    torch.manual_seed(0)
    model = dm.DiffMST("tiny").eval()
    tracks, pans = 0.1 * torch.randn(2, 3, 2, 22050), torch.tensor([[0.4, 0.6, 0.5], [0.5, 0.5, 0.55]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    params = model.predict(tracks, 0.1 * torch.randn(2, 2, 22050), pans=pans, mask=mask)
    fader, output = knob_index("fader_db"), knob_index("output_gain_db", "master_bus")

    def distance():
        return distance_from_neutral(params, pans, mask).item()

    assert distance() < 1e-6
    params.tracks[0, 2] = 3.0
    assert distance() < 1e-6
    params.tracks[1, 2, fader] = 3.0  # one move of one of three strips, in one of two examples
    assert distance() == pytest.approx(1 / 3 / 2, abs=1e-4)
    params.tracks[1, 2, fader] = -6.0  # two moves
    assert distance() == pytest.approx(4 / 3 / 2, abs=1e-4)
    params.tracks[1, 2, fader] = 0.0
    params.tracks[0, 0, fader] = 3.0  # of one of two
    assert distance() == pytest.approx(1 / 2 / 2, abs=1e-4)
    params.tracks[0, 0, fader] = 0.0
    params.master_bus_values[0, output] = 3.0  # the master hardly counts
    assert distance() == pytest.approx(0.03 / 2, abs=1e-4)
