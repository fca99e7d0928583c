"""The loop of a rehearsal: what it leaves, resuming, other folders and models, what runs away, training after it."""

import dataclasses
import shutil
import signal

import pandas as pd
import pytest
import torch
from audio_helpers import one_line
from training_helpers import OPTIONS, interrupted, moved, same, short, small_cnn, weights

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.training import rehearsing as module
from diffmst_lib.training.loop import train
from diffmst_lib.training.rehearsing import rehearse
from diffmst_lib.training.stopping import Stopped

LIKE = short()
FEW = {"steps": 5, "moments": 2}


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """Small batches, and a row of the log every two steps."""
    monkeypatch.setattr(module, "BATCH", 4)
    monkeypatch.setattr(module, "LOG_EVERY", 2)


@pytest.fixture(scope="module")
def rehearsed(long_index, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH", 4)
        patch.setattr(module, "LOG_EVERY", 2)
        return rehearse(LIKE, long_index, tmp_path_factory.mktemp("rehearsed"), **FEW)


@pytest.fixture
def copied(rehearsed, tmp_path):
    """The folder of the rehearsal, to write in."""
    return shutil.copytree(rehearsed.folder, tmp_path / "copied")


def losses(run):
    return run.log.drop(columns="seconds")


def test_a_run(rehearsed):
    """Weights that load and that moved, constants, a log that the folder has as well."""
    loaded = dm.DiffMST.from_pretrained(rehearsed.folder)
    assert loaded.config == LIKE.config and not loaded.training and not rehearsed.model.training
    wanted = ("controller.heads.track.2.weight", "style.standardize.mean", "track_encoder.standardize.mean")
    assert moved(loaded).issuperset(wanted)
    assert rehearsed.log["step"].tolist() == [2, 4, 5] and len(rehearsed.validation) == 0
    assert list(rehearsed.log.columns) == ["step", "seconds", "known", "record"]
    assert (losses(rehearsed)[["known", "record"]] > 0).all(axis=None)
    pd.testing.assert_frame_equal(pd.read_csv(rehearsed.folder / "log.csv"), rehearsed.log)
    names = {path.name for path in rehearsed.folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "checkpoint.safetensors", "log.csv"}


def test_the_seed_decides(rehearsed, long_index, tmp_path):
    again = rehearse(LIKE, long_index, tmp_path / "again", **FEW)
    assert same(weights(again), weights(rehearsed))
    other = rehearse(LIKE, long_index, tmp_path / "other", seed=1, **FEW)
    assert not same(weights(other), weights(rehearsed))


@pytest.mark.parametrize(("step", "number"), [(1, signal.SIGINT), (3, signal.SIGTERM)])
def test_stopped_and_resumed_is_not_stopped(rehearsed, long_index, tmp_path, step, number):
    """The step is finished; the losses since the last row of the log are not lost."""
    with pytest.raises(Stopped, match=f"stopped after step {step} of 5; .* can be resumed"):
        rehearse(interrupted(LIKE, step, number), long_index, tmp_path, **FEW)
    assert dm.DiffMST.from_pretrained(tmp_path).config == LIKE.config
    run = rehearse(LIKE, long_index, tmp_path, resume=True, **FEW)
    assert same(weights(run), weights(rehearsed))
    pd.testing.assert_frame_equal(losses(run), losses(rehearsed))


def test_a_signal_in_the_last_step_ends_nothing_early(rehearsed, long_index, tmp_path):
    run = rehearse(interrupted(LIKE, 5), long_index, tmp_path, **FEW)
    assert same(weights(run), weights(rehearsed))


def test_checkpoints_on_the_way(rehearsed, long_index, tmp_path, monkeypatch):
    """A run that was killed goes on from the last one."""
    monkeypatch.setattr(module, "SAVE_EVERY", 2)
    update = module._update

    def killed(rehearsal, optimizer, recipe, state, seed):
        if state.step == 3:
            raise MemoryError
        update(rehearsal, optimizer, recipe, state, seed)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_update", killed)
        with pytest.raises(MemoryError):
            rehearse(LIKE, long_index, tmp_path, **FEW)
    run = rehearse(LIKE, long_index, tmp_path, resume=True, **FEW)
    assert same(weights(run), weights(rehearsed)) and losses(run).equals(losses(rehearsed))


def test_finished_with_nothing_to_do_and_more_steps(rehearsed, long_index, copied):
    with pytest.warns(InputNote, match="finished, all 5 steps are done"):
        again = rehearse(LIKE, long_index, copied, resume=True, **FEW)
    assert same(weights(again), weights(rehearsed)) and not again.model.training
    pd.testing.assert_frame_equal(again.log, rehearsed.log)
    with pytest.warns(InputNote, match="goes on from step 5 to 6, not to 5"):
        longer = rehearse(LIKE, long_index, copied, resume=True, **FEW | {"steps": 6})
    assert longer.log["step"].tolist() == [2, 4, 5, 6] and not same(weights(longer), weights(rehearsed))


@pytest.mark.parametrize(
    ("changes", "options", "differs"),
    [
        ({"learning_rate": 0.1}, {}, "learning_rate 0.003, now 0.1"),
        ({}, {"seed": 1}, "seed 0, now 1"),
        ({}, {"moments": 3}, "moments 2, now 3"),
        (
            {"model": dataclasses.replace(dm.ModelConfig.preset("tiny"), width=64)},
            {},
            "model.width 32, now 64",
        ),
    ],
)
def test_another_rehearsal_cannot_be_resumed(long_index, rehearsed, changes, options, differs):
    like = dataclasses.replace(LIKE, **changes)
    with pytest.raises(InputError) as caught:
        rehearse(like, long_index, rehearsed.folder, resume=True, **FEW | options)
    assert one_line(caught, "checkpoint.safetensors", differs, "another folder")


def test_other_songs_cannot_be_resumed(long_index, rehearsed):
    others = list(long_index)[1:]
    with pytest.raises(InputError) as caught:
        rehearse(LIKE, SongIndex(others), rehearsed.folder, resume=True, **FEW)
    assert one_line(caught, "data 7 songs", "now 6 songs", "another folder")


def test_a_rehearsal_and_a_training_are_not_taken_for_each_other(long_index, rehearsed, unbroken):
    with pytest.raises(InputError) as caught:
        rehearse(LIKE, long_index, unbroken.folder, resume=True, **FEW)
    assert one_line(caught, "name af-16, now rehearsal")
    with pytest.raises(InputError) as caught:
        train(LIKE, long_index, rehearsed.folder, resume=True, **OPTIONS)
    assert one_line(caught, "name rehearsal, now af-16", f"--init {rehearsed.folder}")
    with pytest.raises(InputError) as caught:
        rehearse(LIKE, long_index, rehearsed.folder, **FEW)
    assert one_line(caught, "holds a training")


def test_training_goes_on_from_it(rehearsed, long_index, tmp_path):
    """Weights and constants are those of the rehearsal when the training begins."""
    init = dm.DiffMST.from_pretrained(rehearsed.folder)
    constants = init.track_encoder.standardize.mean.clone()
    run = train(short(steps=1, validate_every=1, known=0.5), long_index, tmp_path, init=init, **OPTIONS)
    assert torch.equal(run.model.track_encoder.standardize.mean, constants)
    assert run.validation["step"].tolist() == [0, 1]


@pytest.mark.parametrize("model", ["paper", small_cnn(), dataclasses.replace(LIKE.config, evidence=False)])
def test_models_that_cannot_rehearse_are_refused_before_anything_is_made(long_index, tmp_path, model):
    like = dm.training.recipe("af-16", model) if model == "paper" else dataclasses.replace(LIKE, model=model)
    with pytest.raises(InputError) as caught:
        rehearse(like, long_index, tmp_path / "out", **FEW)
    assert one_line(caught, "a rehearsal is for models") and not (tmp_path / "out").exists()


class Tired(dm.DiffMST):
    """A class of one's own, half of whose embeddings are forgotten while it is trained."""

    def controller_logits(self, embeddings, style, **options):
        embeddings = torch.nn.functional.dropout(embeddings, 0.5, self.training)
        return super().controller_logits(embeddings, style, **options)


def tired():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Tired("tiny")


def test_a_class_of_ones_own_stopped_and_resumed(rehearsed, long_index, tmp_path):
    """What its dropout forgets follows from the seed, whoever has drawn random numbers before."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        whole = rehearse(LIKE, long_index, tmp_path / "whole", init=tired(), **FEW)
        torch.manual_seed(2)
        with pytest.raises(Stopped):
            rehearse(interrupted(LIKE, 2), long_index, tmp_path / "parts", init=tired(), **FEW)
        parts = rehearse(LIKE, long_index, tmp_path / "parts", init=tired(), resume=True, **FEW)
        other = rehearse(LIKE, long_index, tmp_path / "other", init=tired(), **FEW | {"seed": 1})
    assert isinstance(parts.model, Tired) and not same(weights(whole), weights(rehearsed))
    assert same(weights(parts), weights(whole)) and not same(weights(other), weights(whole))
    with pytest.warns(InputNote, match="finished"):
        again = rehearse(LIKE, long_index, tmp_path / "parts", init=tired(), resume=True, **FEW)
    assert isinstance(again.model, Tired) and same(weights(again), weights(whole))


def test_it_goes_on_from_a_model_with_its_constants(rehearsed, long_index, tmp_path):
    """Its weights have learned from inputs that these constants standardize, whatever is heard now."""
    init = dm.DiffMST.from_pretrained(rehearsed.folder)
    init.style.standardize.mean += 0.5
    before = {name: value.clone() for name, value in init.state_dict().items()}
    run = rehearse(LIKE, long_index, tmp_path, init=init, **FEW)
    assert run.model is init
    constants = [name for name in before if ".standardize." in name]
    assert len(constants) == 6 and all(torch.equal(weights(run)[name], before[name]) for name in constants)
    assert not same(weights(run), before)


@pytest.mark.parametrize(
    ("init", "why"),
    [
        (
            dataclasses.replace(LIKE.config, width=16),
            "another configuration than the recipe's: width 16, now 32",
        ),
        ("tiny", "init must be a model"),
    ],
)
def test_what_is_no_start(long_index, tmp_path, init, why):
    init = init if isinstance(init, str) else dm.DiffMST(init)
    with pytest.raises(ValueError, match=why):
        rehearse(LIKE, long_index, tmp_path / "out", init=init, **FEW)
    assert not (tmp_path / "out").exists()


def test_numbers_out_of_range(long_index, tmp_path):
    for wrong in ({"steps": 0}, {"moments": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} cannot be 0"):
            rehearse(LIKE, long_index, tmp_path / "out", **FEW | wrong)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(long_index, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError) as caught:
        rehearse(LIKE, long_index, tmp_path / "file" / "out", **FEW)
    assert one_line(caught, "cannot write there")


def test_stems_without_a_side_are_noted(long_index, tmp_path):
    mono = [
        dataclasses.replace(song, stems=[stem for stem in song.stems if stem.mono]) for song in long_index
    ]
    with pytest.warns(InputNote, match="none of the 6 stems to train on is stereo"):
        run = rehearse(LIKE, SongIndex(mono), tmp_path, **FEW)
    assert torch.isfinite(torch.tensor(losses(run).to_numpy())).all()


def test_weights_that_run_away_are_reported_in_one_line(long_index, tmp_path):
    like = dataclasses.replace(LIKE, learning_rate=1e30, schedule="constant")
    with pytest.raises(InputError) as caught:
        rehearse(like, long_index, tmp_path, **FEW)
    assert one_line(caught, "step ", "learning rate")


def test_nobody_elses_random_numbers_change(long_index, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    rehearse(LIKE, long_index, tmp_path, steps=1, moments=1)
    assert torch.equal(torch.rand(3), expected)


def test_it_learns(long_index, tmp_path, monkeypatch):
    """The loss of known answers falls, from about that of doing nothing."""
    monkeypatch.setattr(module, "BATCH", 16)
    monkeypatch.setattr(module, "LOG_EVERY", 10)
    log = rehearse(LIKE, long_index, tmp_path, steps=40, moments=3).log
    assert log["known"].iloc[-1] < 0.85 * log["known"].iloc[0], log
