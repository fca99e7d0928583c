"""From a batch to a task: the halves of method 1, other masters, known answers, the released code's levels."""

import dataclasses

import numpy as np
import pytest
import torch
from training_helpers import short, small_cnn

import diffmst_lib as dm
from diffmst_lib.audio.loudness import BUS_LUFS, loudness_each
from diffmst_lib.console.table import knob_index
from diffmst_lib.data.batches import collate
from diffmst_lib.data.examples import Method1
from diffmst_lib.training import known
from diffmst_lib.training.examples import examples_of
from diffmst_lib.training.losses import distance_from_neutral, step_loss, task_loss
from diffmst_lib.training.tasks import known_task, make_task, method1_task, vary


def batch_of(index, recipe, items=2):
    examples = examples_of(recipe, index)
    return collate([examples[i] for i in range(items)])


def generators(seed=0, count=2):
    return [np.random.default_rng([seed, i]) for i in range(count)]


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


def as_released(name, **changes):
    cnn = small_cnn(console="reference", track_lufs=-48.0)
    return short(name, cnn, released=True, **{"seconds": 2.0, "steps": 6} | changes)


def test_random_mixes_of_the_released_code(index):
    """A peak of 1, faders of tracks off; the output fader, left on by a misspelling, does nothing then."""
    recipe = as_released("mrstft-8")
    batch = batch_of(index, recipe)
    task = method1_task(batch, recipe, generators())
    both = torch.cat([task.reference, task.target], dim=-1)
    assert torch.allclose(both.abs().amax(dim=(1, 2)), torch.ones(2), atol=1e-5)
    assert len({round(dm.loudness(x), 2) for x in (*task.reference, *task.target)}) == 4
    assert task.params.values("track")["input_gain_db"].abs().max() < 1e-3
    master = task.params.values("master_bus")
    assert master["input_gain_db"].abs().max() < 1e-3
    assert (master["output_gain_db"].abs() > 0.5).all() and master["output_gain_db"].abs().max() <= 48
    params = task.params.clone()
    params.master_bus_values[:, knob_index("output_gain_db", "master_bus", "reference")] = 0.0
    mix = dm.MixingConsole(preset="reference")(batch.tracks, params, fx_bus=False, mask=batch.mask).mix
    assert torch.allclose(mix / mix.abs().amax(dim=(1, 2), keepdim=True), both, atol=1e-4)


def test_output_faders_of_the_released_code_are_uniform(index):
    recipe = as_released("mrstft-8")
    batch = batch_of(index, recipe)
    gains_db = torch.cat(
        [
            method1_task(batch, recipe, generators(seed)).params.values("master_bus")["output_gain_db"]
            for seed in range(8)
        ]
    )
    assert gains_db.min() < -20 and gains_db.max() > 20


def test_references_of_the_released_code_have_a_random_level(index):
    """-16 LUFS, and -16 to 12 dB: nothing else is changed, and the target has the same level."""
    recipe = as_released("af-16", seconds=1.0)
    batch = batch_of(index, recipe)
    levels = []
    for seed in range(20):
        task = make_task(batch, recipe, seed)
        assert task.target is task.reference
        levels += [dm.loudness(x) for x in task.reference]
        scaled = task.reference / task.reference.norm(dim=(1, 2), keepdim=True)
        assert torch.allclose(
            scaled, batch.reference / batch.reference.norm(dim=(1, 2), keepdim=True), atol=1e-5
        )
    assert -32.01 < min(levels) < -29 and -7 < max(levels) < -3.99
    again = make_task(batch, recipe, 0).reference
    assert torch.equal(again, make_task(batch, recipe, 0).reference)


def known_batch(index, recipe, items=2):
    """Examples whose two moments are the same: then the answer makes the record of the tracks."""
    examples = Method1(index.multitracks("train"), recipe.known_sampling)
    batch = collate([examples[i] for i in range(items)])
    half = batch.tracks.shape[-1] // 2
    return dataclasses.replace(
        batch, tracks=batch.tracks[..., :half].repeat(*[1] * (batch.tracks.ndim - 1), 2)
    )


@pytest.mark.parametrize("balance", ["delivered", "equal"])
def test_the_answer_makes_the_record_of_the_tracks(index, balance, monkeypatch):
    """Faders alone: the plain sum of the tracks with the gains of the answer is the record."""
    monkeypatch.setattr(known, "SHARE_OF_EQ", 0.0)
    monkeypatch.setattr(known, "SHARE_OF_IMAGE", 0.0)
    recipe = short(known=0.5, balance=balance)
    batch = known_batch(index, recipe)
    for seed in range(3):
        task = known_task(batch, recipe, generators(seed))
        gains_db = task.answer.response_db[..., 0]  # the same in every band
        assert gains_db.abs().max() > 1 and task.target is task.reference
        gained = task.tracks * 10 ** (gains_db / 20)[..., None, None]
        mix = (gained * task.mask[..., None, None]).sum(dim=1)
        assert torch.allclose(dm.normalize_loudness(mix), task.reference, atol=2e-4)
        for tracks, mask in zip(task.tracks, task.mask, strict=True):
            assert dm.loudness(tracks[mask].sum(dim=0)) == pytest.approx(BUS_LUFS, abs=0.01)


def test_tracks_record_and_answer_are_of_the_same_two_engineers(index):
    """One moment through the settings of one, another moment through those of the other; the answer is between."""
    recipe = short(known=0.5)
    examples = Method1(index.multitracks("train"), recipe.known_sampling)
    batch = collate([examples[0], examples[1]])
    for seed in range(4):
        task = known_task(batch, recipe, generators(seed))
        for i, rng in enumerate(generators(seed)):
            real = batch.mask[i]
            ours, theirs = known.Knobs.draw_two(batch.tracks.shape[1], rng)
            artist = known.Knobs.draw_artist(torch.tensor(loudness_each(batch.tracks[i], 44100)), rng)
            there, here = artist.apply(batch.tracks[i], 44100).split(44100, dim=-1)
            record = theirs.apply(there, 44100)[real].sum(dim=0)
            assert torch.allclose(dm.normalize_loudness(record), task.reference[i], atol=1e-4)
            disturbed = ours.apply(here, 44100)[real]
            gain = 10 ** ((BUS_LUFS - dm.loudness(disturbed.sum(dim=0))) / 20)
            assert torch.allclose(gain * disturbed, task.tracks[i][real], atol=1e-4)
            wanted = theirs.settings(44100) - ours.settings(44100)
            for name, value in vars(wanted).items():
                assert torch.allclose(getattr(task.answer, name)[i], value[0], atol=1e-4)


def test_the_record_of_a_known_task_is_another_moment(index):
    recipe = short(known=0.5)
    examples = Method1(index.multitracks("train"), recipe.known_sampling)
    batch = collate([examples[0], examples[1]])
    task = make_task(batch, recipe, 0)
    assert task.params is None and task.answer is not None and task.tracks.shape[-1] == 44100
    assert np.allclose([dm.loudness(x) for x in task.reference], -16, atol=0.01)
    silent = dataclasses.replace(batch, tracks=batch.tracks.clone())
    silent.tracks[0, 0, :, 44100:] = 0.0  # the moment of the tracks
    assert not make_task(silent, recipe, 0).mask[0, 0]
    silent.tracks[0] = 0.0
    model = dm.DiffMST("tiny")
    loss = step_loss(model, make_task(silent, recipe, 0), recipe, 1)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
