"""What the loop refuses or tells: outputs with something in them, other trainings, other data, files that vanish."""

import dataclasses
import shutil

import pytest
import torch
from audio_helpers import one_line
from training_helpers import OPTIONS, miniature, same, short, weights

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.training import loop
from diffmst_lib.training.loop import train


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return miniature(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def unbroken(index, tmp_path_factory):
    return train(short(), index, tmp_path_factory.mktemp("unbroken"), **OPTIONS)


def test_a_folder_with_a_training_or_a_model_is_not_overwritten(index, unbroken, tmp_path):
    with pytest.raises(InputError) as caught:
        train(short(), index, unbroken.folder, **OPTIONS)
    assert one_line(caught, unbroken.folder, "resume")
    model = unbroken.model.save_pretrained(tmp_path)
    (tmp_path / "log.csv").write_text("step\n1\n")
    for resume in (False, True):
        with pytest.raises(InputError) as caught:
            train(short(), index, model, resume=resume, **OPTIONS)
        assert one_line(caught, model, "holds a model") and (tmp_path / "log.csv").read_text() == "step\n1\n"
    again = train(short(), index, unbroken.folder, resume=True, **OPTIONS)  # nothing left to do
    assert same(weights(again), weights(unbroken)) and again.validation["step"].tolist() == [0, 3, 6]


@pytest.mark.parametrize(
    "changes, options", [({"learning_rate": 0.1}, {}), ({}, {"seed": 1}), ({"pull": 0.5}, {})]
)
def test_another_training_cannot_be_resumed(index, unbroken, changes, options):
    with pytest.raises(InputError) as caught:
        train(short(**changes), index, unbroken.folder, resume=True, **OPTIONS | options)
    assert one_line(caught, "checkpoint.safetensors", next(iter(changes or options)))


def test_other_data_are_told(index, unbroken, tmp_path):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    other = SongIndex([dataclasses.replace(song, name=f"{song.name} again") for song in index])
    with pytest.warns(InputNote, match="other data than it began with"):
        train(short(), other, tmp_path / "run", resume=True, **OPTIONS)


def test_one_record_to_validate_is_told(index, tmp_path):
    few = SongIndex([song for song in index if song.name != "record 3"])
    with pytest.warns(InputNote, match="one reference, record 2"):
        train(short(steps=1), few, tmp_path, **OPTIONS)


def test_a_recipe_by_name_or_by_configuration_is_the_same(index, unbroken, tmp_path):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    train(short(model=dm.ModelConfig.preset("tiny")), index, tmp_path / "run", resume=True, **OPTIONS)
    with pytest.raises(ValueError, match="another configuration"):
        train(
            short(),
            index,
            tmp_path / "other",
            init=dm.DiffMST(dataclasses.replace(dm.ModelConfig.preset("tiny"), width=8)),
            **OPTIONS,
        )


def test_a_broken_checkpoint(index, unbroken, tmp_path):
    whole = (unbroken.folder / "checkpoint.safetensors").read_bytes()
    for broken in (b"", whole[:1000], b"\0" * 500, (unbroken.folder / "model.safetensors").read_bytes()):
        (tmp_path / "checkpoint.safetensors").write_bytes(broken)
        with pytest.raises(InputError) as caught:
            train(short(), index, tmp_path, resume=True, **OPTIONS)
        assert one_line(caught, "checkpoint.safetensors")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_vanishes_is_told_in_one_line(tmp_path, workers):
    index = miniature(tmp_path / "set")
    real, folder = loop.update, tmp_path / "out"
    for song in ("one", "two"):
        for path in (tmp_path / "set" / song).iterdir():
            path.rename(path.with_suffix(".away"))
    with pytest.raises(InputError) as caught:
        train(short(first_look=1), index, folder, init=dm.DiffMST("tiny"), workers=workers, **OPTIONS)
    assert one_line(caught, ".wav") and loop.update is real


@pytest.mark.parametrize(
    "options, error",
    [
        ({"precision": "float16"}, ValueError),
        ({"accelerator": "tpu"}, ValueError),
        ({"validation_examples": 1}, ValueError),
    ],
)
def test_options_that_do_not_fit(index, tmp_path, options, error):
    with pytest.raises(error):
        train(short(), index, tmp_path, **OPTIONS | options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(index, tmp_path):
    with pytest.raises(InputError, match="1 GPUs are asked for, 0 are there"):
        train(short(), index, tmp_path, accelerator="cuda", **OPTIONS)


def test_outputs_that_cannot_be_written(index, tmp_path):
    (tmp_path / "file").write_text("")
    for output in ("", tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError) as caught:
            train(short(), index, output, **OPTIONS)
        assert one_line(caught)


def test_weights_that_run_away_are_told_in_one_line(index, tmp_path):
    with pytest.raises(InputError) as caught:
        train(short(learning_rate=1e30, schedule="constant"), index, tmp_path, **OPTIONS)
    assert one_line(caught, "step ", "network gives NaN", "learning rate")


def test_an_index_without_songs(index, tmp_path):
    records = SongIndex([song for song in index if not song.stems])
    with pytest.raises(InputError, match="^there are no songs with stems$"):
        train(short(), records, tmp_path, **OPTIONS)
