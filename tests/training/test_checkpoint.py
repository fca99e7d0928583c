"""What may go on from a checkpoint and what may not; how many updates may be skipped."""

import dataclasses
import json
import shutil

import pytest
from audio_helpers import one_line
from safetensors import safe_open
from safetensors.torch import save_file
from training_helpers import OPTIONS, short

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.training.checkpoint import Progress
from diffmst_lib.training.loop import train


@pytest.mark.parametrize(
    ("changes", "options"), [({"learning_rate": 0.1}, {}), ({}, {"seed": 1}), ({"pull": 0.5}, {})]
)
def test_another_training_cannot_be_resumed(index, unbroken, changes, options):
    with pytest.raises(InputError) as caught:
        train(short(**changes), index, unbroken.folder, resume=True, **OPTIONS | options)
    assert one_line(caught, "checkpoint.safetensors", next(iter(changes or options)))


def test_other_data_are_noted(index, unbroken, tmp_path):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    other = SongIndex([dataclasses.replace(song, name=f"{song.name} again") for song in index])
    with pytest.warns(InputNote, match="other data than it began with"):
        train(short(), other, tmp_path / "run", resume=True, **OPTIONS)


def test_a_recipe_by_name_or_by_configuration_is_the_same(index, unbroken, tmp_path):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    train(short(model=dm.ModelConfig.preset("tiny")), index, tmp_path / "run", resume=True, **OPTIONS)
    other = dm.DiffMST(dataclasses.replace(dm.ModelConfig.preset("tiny"), width=8))
    with pytest.raises(ValueError, match="another configuration"):
        train(short(), index, tmp_path / "other", init=other, **OPTIONS)


def test_a_broken_checkpoint(index, unbroken, tmp_path):
    whole = (unbroken.folder / "checkpoint.safetensors").read_bytes()
    for broken in (b"", whole[:1000], b"\0" * 500, (unbroken.folder / "model.safetensors").read_bytes()):
        (tmp_path / "checkpoint.safetensors").write_bytes(broken)
        with pytest.raises(InputError) as caught:
            train(short(), index, tmp_path, resume=True, **OPTIONS)
        assert one_line(caught, "checkpoint.safetensors")


@pytest.mark.parametrize("version", [1, 2])
def test_a_training_of_the_first_edition_cannot_be_resumed(index, unbroken, tmp_path, version):
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(unbroken.folder / path.name, "pt") as file:
        about = json.loads(file.metadata()["about"]) | {"version": version}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    save_file(tensors, path, {"about": json.dumps(about)})
    with pytest.raises(InputError) as caught:
        train(short(), index, tmp_path, resume=True, **OPTIONS)
    assert one_line(caught, path, "first edition", "begin anew")


@pytest.mark.parametrize(
    ("step", "skipped", "precision", "stops"),
    [
        (2, 1, "float32", False),
        (2, 2, "float32", True),
        (2, 2, "bf16", True),
        (199, 2, "float32", True),
        (200, 2, "float32", False),
        (20, 10, "fp16", False),  # while it looks for its scale
        (20, 11, "fp16", True),
        (1100, 11, "fp16", False),
    ],
)
def test_more_than_one_percent_of_skipped_updates_stops(step, skipped, precision, stops):
    progress = Progress()
    for number in range(step):
        progress.add(0.1, float("nan") if number < skipped else 1.0, 0.5)
    if stops:
        with pytest.raises(InputError, match=f"^{skipped} of {step} updates"):
            progress.check_skipped(precision)
    else:
        progress.check_skipped(precision)


def test_rows_of_the_log():
    """Each is the mean loss of the steps since the one before."""
    progress = Progress()
    for loss in (1.0, 3.0, 5.0):
        progress.add(loss, 0.1, 0.5)
    row = {"step": 3, "seconds": 1.5, "loss": 3.0, "learning_rate": 0.01, "gradient_norm": 0.2, "skipped": 0}
    assert progress.row(0.01, 0.2) == row
    progress.add(7.0, float("inf"), 0.5)
    assert progress.row(0.01, 0.2)["loss"] == 7.0 and progress.skipped == 1
