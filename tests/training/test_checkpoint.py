"""What may go on from a checkpoint and what may not; how many updates may be skipped."""

import dataclasses
import json
import shutil

import pandas as pd
import pytest
import torch
from audio_helpers import one_line
from safetensors import safe_open
from safetensors.torch import save_file
from training_helpers import OPTIONS, same, short, weights

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.training.checkpoint import Progress
from diffmst_lib.training.loop import train


@pytest.mark.parametrize(
    ("changes", "options", "differs"),
    [
        ({"learning_rate": 0.1}, {}, "learning_rate 0.003, now 0.1"),
        ({}, {"seed": 1}, "seed 0, now 1"),
        ({"pull": 0.5, "soft_limit": None}, {}, "pull 0.0003, now 0.5, soft_limit 0.3, now None"),
    ],
)
def test_another_training_cannot_be_resumed(index, unbroken, changes, options, differs):
    """The line says what differs, and the way out."""
    with pytest.raises(InputError) as caught:
        train(short(**changes), index, unbroken.folder, resume=True, **OPTIONS | options)
    assert one_line(caught, "checkpoint.safetensors", differs, "another folder", f"--init {unbroken.folder}")


def test_another_model_cannot_be_resumed(index, unbroken):
    channels = {"console": "reference", "track_lufs": -48, "evidence": False}
    config = dataclasses.replace(dm.ModelConfig.preset("tiny"), width=64, **channels)
    with pytest.raises(InputError) as caught:
        train(short(model=config), index, unbroken.folder, resume=True, **OPTIONS)
    assert one_line(
        caught, "model.width 32, now 64", "model.console default, now reference", "another folder"
    )
    assert "init" not in str(caught.value)  # whose weights do not fit


@pytest.mark.parametrize("change", ["name", "split"])
def test_other_data_cannot_be_resumed(index, unbroken, capsys, change):
    """Another song, or a song in another split; and nothing is shown that looks like progress."""
    first, *others = index
    changed = SongIndex([dataclasses.replace(first, **{change: "validation"}), *others])
    for other in (changed, SongIndex(others)):
        with pytest.raises(InputError) as caught:
            train(short(), other, unbroken.folder, resume=True, progress=True, **OPTIONS)
        assert one_line(
            caught, f"data {len(index)} songs, names", f", now {len(other)} songs, names", "another folder"
        )
    assert capsys.readouterr() == ("", "")


def test_a_finished_training_with_nothing_to_do(index, unbroken, tmp_path, capsys):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    before = (tmp_path / "run" / "log.csv").read_text()
    with pytest.warns(InputNote, match="run: finished, all 6 steps are done; it would go on with a higher"):
        again = train(short(), index, tmp_path / "run", resume=True, progress=True, **OPTIONS)
    assert same(weights(again), weights(unbroken)) and not again.model.training
    pd.testing.assert_frame_equal(again.log, unbroken.log)
    pd.testing.assert_frame_equal(again.validation, unbroken.validation)
    assert (tmp_path / "run" / "log.csv").read_text() == before and capsys.readouterr() == ("", "")


def test_a_finished_training_goes_on_with_more_steps(index, tmp_path):
    """With a constant rate, the weights are those of a training that was as long from the beginning on."""
    recipe, folder = short(steps=4, validate_every=2, schedule="constant"), tmp_path / "parts"
    whole = train(recipe, index, tmp_path / "whole", **OPTIONS)
    train(dataclasses.replace(recipe, steps=2), index, folder, **OPTIONS)
    with pytest.warns(InputNote, match="parts: goes on from step 2 to 4, not to 2$"):
        longer = train(recipe, index, folder, resume=True, **OPTIONS)
    assert same(weights(longer), weights(whole))
    assert longer.log["step"].tolist() == [2, 4] and longer.validation["step"].tolist() == [0, 2, 4]
    with pytest.raises(InputError) as caught:
        train(dataclasses.replace(recipe, steps=3), index, folder, resume=True, **OPTIONS)
    assert one_line(caught, "4 steps are done, more than the 3 asked for", "another folder")


def test_with_a_cosine_the_rate_starts_again_from_its_schedule(index, unbroken, tmp_path):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    longer = short(steps=8)
    with pytest.warns(InputNote) as caught:
        run = train(longer, index, tmp_path / "run", resume=True, **OPTIONS)
    notes = [str(one.message) for one in caught if "goes on from" in str(one.message)]
    assert len(notes) == 1 and f"goes on at {longer.rate(6):.2g}, where the cosine" in notes[0]
    assert run.log["step"].tolist() == [6, 8] and run.validation["step"].tolist() == [0, 3, 6, 8]
    assert run.log["learning_rate"].iloc[-1] == pytest.approx(longer.rate(7))


def test_a_field_that_a_recipe_did_not_have_yet_means_its_default(index, unbroken, tmp_path):
    path = changed_checkpoint(unbroken, tmp_path, lambda about: about["identity"].pop("pull"))
    with pytest.warns(InputNote, match="finished"):
        train(short(), index, path.parent, resume=True, **OPTIONS)
    with pytest.raises(InputError, match=r"pull 0\.0003, now 0\.5"):
        train(short(pull=0.5), index, path.parent, resume=True, **OPTIONS)


def test_a_recipe_by_name_or_by_configuration_is_the_same(index, unbroken, tmp_path):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    train(short(model=dm.ModelConfig.preset("tiny")), index, tmp_path / "run", resume=True, **OPTIONS)
    other = dm.DiffMST(dataclasses.replace(dm.ModelConfig.preset("tiny"), width=8))
    with pytest.raises(ValueError, match="another configuration than the recipe's: width 8, now 32"):
        train(short(), index, tmp_path / "other", init=other, **OPTIONS)
    with pytest.raises(ValueError, match=r"init must be a model, as .* gives it, not 'small'"):
        train(short(), index, tmp_path / "other", init="small", **OPTIONS)


def test_a_broken_checkpoint(index, unbroken, tmp_path):
    whole = (unbroken.folder / "checkpoint.safetensors").read_bytes()
    for broken in (b"", whole[:1000], b"\0" * 500, (unbroken.folder / "model.safetensors").read_bytes()):
        (tmp_path / "checkpoint.safetensors").write_bytes(broken)
        with pytest.raises(InputError) as caught:
            train(short(), index, tmp_path, resume=True, **OPTIONS)
        assert one_line(caught, "checkpoint.safetensors", "remove it or name another folder")
    (tmp_path / "checkpoint.safetensors").unlink()  # which is the advice
    train(short(steps=1, validate_every=1), index, tmp_path, resume=True, **OPTIONS)


def test_the_way_out_of_a_truncated_checkpoint_leads_on(index, unbroken, tmp_path):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError) as caught:
        train(short(), index, path.parent, resume=True, **OPTIONS)
    assert one_line(
        caught, f"{path}: not a whole checkpoint", f"--init {path.parent} or init=", "another folder"
    )
    init = dm.DiffMST.from_pretrained(path.parent)
    train(short(steps=1, validate_every=1), index, tmp_path / "new", init=init, **OPTIONS)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"identity": None}, "identity"),
        ({"identity": {}}, "identity.model"),
        ({"identity": {"model": {}, "steps": "6", "devices": 1}}, "identity.steps"),
        ({"progress": None}, "progress"),
        ({"progress": {"step": 3}}, "progress.losses"),
        ({"step": "3"}, "progress.step"),
        ({"step": -1}, "progress.step"),
        ({"step": True}, "progress.step"),
        ({"step": 10**400}, "progress.step"),
        ({"seconds": float("nan")}, "progress.seconds"),
        ({"seconds": [1]}, "progress.seconds"),
        ({"skipped": None}, "progress.skipped"),
        ({"losses": 0.1}, "progress.losses"),
        ({"losses": ["x"]}, "progress.losses"),
        ({"scaler": []}, "progress.scaler"),
        ({"import": "os"}, "progress.import"),
    ],
)
def test_what_a_strange_checkpoint_says_about_itself(index, unbroken, tmp_path, changes, field):
    def change(about):
        outer = changes.keys() <= {"identity", "progress"}
        (about if outer else about["progress"]).update(changes)

    path = changed_checkpoint(unbroken, tmp_path, change)
    with pytest.raises(InputError) as caught:
        train(short(), index, tmp_path, resume=True, **OPTIONS)
    assert one_line(caught, path, f"its {field} is missing or of a wrong kind", "begin anew")


@pytest.mark.parametrize("about", [None, "", "[]", "3", "null", "[" * 10**5, "9" * 5000, '{"format": [[1]]}'])
def test_a_checkpoint_that_says_nothing_about_itself(index, unbroken, tmp_path, about):
    path = tmp_path / "checkpoint.safetensors"
    metadata = None if about is None else {"about": about}
    save_file({"model.lift": torch.zeros(1)}, path, metadata)
    with pytest.raises(InputError) as caught:
        train(short(), index, tmp_path, resume=True, **OPTIONS)
    assert one_line(caught, path, "begin anew")


def test_a_state_of_the_optimizer_that_does_not_fit(index, unbroken, tmp_path):
    path = changed_checkpoint(
        unbroken,
        tmp_path,
        lambda about: about["progress"].update(step=3),
        lambda tensors: tensors.update({"optimizer.exp_avg.controller.side": torch.zeros(7)}),
    )
    with pytest.raises(InputError) as caught:
        train(short(), index, tmp_path, resume=True, **OPTIONS)
    assert one_line(caught, path, "the state of the optimizer for controller.side does not fit")


class Lifted(dm.DiffMST):
    """A model of a user's own, with a weight more."""

    def __init__(self, config="tiny"):
        super().__init__(config)
        self.lift = torch.nn.Parameter(torch.zeros(()))


def test_the_training_of_a_class_of_ones_own_goes_on_with_that_class(index, unbroken, tmp_path):
    one, two = (short(steps=steps, validate_every=1) for steps in (1, 2))
    train(one, index, tmp_path, init=Lifted(), **OPTIONS)
    for recipe in (one, two):
        with pytest.raises(InputError) as caught:
            train(recipe, index, tmp_path, resume=True, **OPTIONS)
        assert one_line(caught, "checkpoint.safetensors", "has lift, which a DiffMST like this does not")
    with pytest.raises(InputError) as caught:
        train(short(), index, unbroken.folder, init=Lifted(), resume=True, **OPTIONS)
    assert one_line(caught, "checkpoint.safetensors", "lacks lift")
    run = train(two, index, tmp_path, init=Lifted(), resume=True, **OPTIONS)
    assert type(run.model) is Lifted and type(Lifted.from_pretrained(tmp_path)) is Lifted


def changed_checkpoint(run, folder, change, change_tensors=lambda tensors: None):
    """Copy a run's checkpoint into a folder, with a change of what it says about itself or of its tensors."""
    path = folder / "checkpoint.safetensors"
    with safe_open(run.folder / path.name, "pt") as file:
        about = json.loads(file.metadata()["about"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    change(about)
    change_tensors(tensors)
    save_file(tensors, path, {"about": json.dumps(about)})
    return path


@pytest.mark.parametrize("version", [1, 2])
def test_a_training_of_the_first_edition_cannot_be_resumed(index, unbroken, tmp_path, version):
    path = changed_checkpoint(unbroken, tmp_path, lambda about: about.update(version=version))
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
        with pytest.raises(InputError, match=f"^{skipped} of {step} updates") as caught:
            progress.check_skipped(precision)
        assert ("float32" in str(caught.value)) == (precision != "float32")
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
