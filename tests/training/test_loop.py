"""The loop: stopped, killed and resumed, two processes, accumulation, gradients that are not finite, bad data."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from audio_helpers import one_line
from safetensors import safe_open
from safetensors.torch import load_file
from training_helpers import OPTIONS, miniature, same, short, weights

import diffmst_lib as dm
from diffmst_lib.inputs import InputError
from diffmst_lib.training import loop
from diffmst_lib.training.loop import Stopped, train

COMMAND = [
    sys.executable,
    "-m",
    "diffmst_lib.command.main",
    "train",
    "--preset",
    "tiny",
    "--recipe",
    "af-16",
    "--seconds",
    "1",
    "--accelerator",
    "cpu",
    "--workers",
    "0",
    "--quiet",
    "--validate-every",
    "3",
    "--steps",
    "6",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return miniature(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def unbroken(index, tmp_path_factory):
    return train(short(), index, tmp_path_factory.mktemp("unbroken"), **OPTIONS)


def apart(one, other):
    """How far two runs are from each other, as a share of the way from the first weights."""
    torch.manual_seed(0)
    start = {name: value.detach() for name, value in dm.DiffMST("tiny").named_parameters()}
    way, between = (
        sum((one[name] - to[name]).square().sum() for name in start) ** 0.5 for to in (start, other)
    )
    return float(between / way)


def stop_after(monkeypatch, step, number=signal.SIGINT):
    """Raise a signal while an update is under way."""
    update = loop.update

    def interrupted(*arguments):
        if arguments[5] == step - 1:
            signal.raise_signal(number)
        return update(*arguments)

    monkeypatch.setattr(loop, "update", interrupted)


def test_a_run(unbroken, index):
    """Weights that load, that moved, logs from step 0 on, sounds and knobs."""
    loaded = dm.DiffMST.from_pretrained(unbroken.folder)
    assert (
        not loaded.training and not unbroken.model.training and loaded.config == dm.ModelConfig.preset("tiny")
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = dm.DiffMST("tiny").state_dict()
    moved = [name for name, value in loaded.state_dict().items() if not torch.equal(value, untrained[name])]
    assert {
        "controller.heads.track.2.weight",
        "style.standardize.mean",
        "track_encoder.network.0.weight",
    } <= set(moved)
    assert unbroken.log["step"].tolist() == [6] and unbroken.validation["step"].tolist() == [0, 3, 6]
    first = unbroken.validation.iloc[0]
    assert first["right"] == pytest.approx(first["wrong"], abs=1e-6)  # nothing learned, nothing listened to
    last = unbroken.validation.iloc[-1]
    assert last["right"] != pytest.approx(last["wrong"], abs=1e-6)
    on_disk = pd.read_csv(unbroken.folder / "validation.csv")
    pd.testing.assert_frame_equal(on_disk, unbroken.validation)


def test_it_learns(index, tmp_path):
    run = train(short(steps=40, validate_every=40), index, tmp_path, **OPTIONS)
    assert run.log["loss"].iloc[-1] < 0.8 * run.log["loss"].iloc[0], run.log


def test_sounds_and_knobs_at_every_validation(unbroken):
    found = {path.name for path in (unbroken.folder / "examples").iterdir()}
    assert found == {
        f"{n}-{what}"
        for n in (1, 2)
        for what in (
            "target.ogg",
            *(f"step{step:07d}.{kind}" for step in (0, 3, 6) for kind in ("ogg", "csv")),
        )
    }
    knobs = pd.read_csv(unbroken.folder / "examples" / "1-step0000006.csv", index_col=0)
    assert 5 <= len(knobs) <= 7 and {"input_gain_db", "pan", "ratio"} <= set(
        knobs.columns
    )  # strips and two buses
    mix = dm.load_audio(unbroken.folder / "examples" / "1-step0000006.ogg")
    assert mix.shape == (2, 44100) and dm.loudness(mix) > -25


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 3, 4])
def test_stopped_and_resumed(index, unbroken, tmp_path, monkeypatch, step, number):
    with monkeypatch.context() as patch:
        stop_after(patch, step, number)
        with pytest.raises(Stopped, match=f"after step {step} of 6"):
            train(short(), index, tmp_path, **OPTIONS)
    resumed = train(short(), index, tmp_path, resume=True, **OPTIONS)
    assert same(weights(resumed), weights(unbroken))
    for name in ("log", "validation"):
        pd.testing.assert_frame_equal(
            getattr(resumed, name).drop(columns="seconds"), getattr(unbroken, name).drop(columns="seconds")
        )


def test_killed_at_any_moment_and_resumed(index, unbroken, tmp_path):
    """SIGKILL, whatever is being written; later runs go on from the checkpoint before."""
    root = index.multitracks()[0].stems[0].source.path.parent.parent
    command = [
        *COMMAND,
        "--tracks",
        str(root),
        "--output",
        str(tmp_path / "out"),
        "--resume",
        "--batch-size",
        "2",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not (tmp_path / "out" / "checkpoint.safetensors").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    step = len(pd.read_csv(tmp_path / "out" / "validation.csv"))
    assert step < 3, "the run was over before it was killed"
    assert subprocess.run(command, capture_output=True).returncode == 0
    again = tmp_path / "whole"
    whole = [*command[: command.index("--output") + 1], str(again), *command[command.index("--output") + 2 :]]
    assert subprocess.run(whole, capture_output=True).returncode == 0
    assert same(load_file(tmp_path / "out" / "model.safetensors"), load_file(again / "model.safetensors"))


def test_ctrl_c_in_a_terminal_reaches_all_processes(index, tmp_path):
    """The one that trains ends its step and saves; those that read ahead leave it to that one."""
    root = index.multitracks()[0].stems[0].source.path.parent.parent
    command = [
        *COMMAND,
        "--tracks",
        str(root),
        "--output",
        str(tmp_path),
        "--batch-size",
        "2",
        "--workers",
        "1",
        "--steps",
        "100000",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (tmp_path / "checkpoint.safetensors").exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err and "stopped after step" in err, err


def test_a_signal_that_ends_the_readers_costs_the_steps_since_the_checkpoint(index, tmp_path, monkeypatch):
    def broken(*arguments):
        signal.raise_signal(signal.SIGTERM)
        raise RuntimeError("DataLoader worker is killed by signal: Terminated.")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "update", broken)
        with pytest.raises(Stopped, match="in step 1 of 6"):
            train(short(), index, tmp_path, **OPTIONS)
    monkeypatch.setattr(loop, "update", lambda *arguments: 1 / 0 or (0, 0))
    with pytest.raises(ZeroDivisionError):
        train(short(), index, tmp_path, **OPTIONS)


def test_two_processes_are_one_with_twice_the_batch(index, tmp_path):
    """Two CPU processes (gloo): the same losses and weights, but for rounding."""
    root = index.multitracks()[0].stems[0].source.path.parent.parent
    runs = {}
    for name, devices, batch in (("one", "1", "2"), ("two", "2", "1")):
        command = [
            *COMMAND,
            "--tracks",
            str(root),
            "--output",
            str(tmp_path / name),
            "--devices",
            devices,
            "--batch-size",
            batch,
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        assert done.returncode == 0, done.stderr
        runs[name] = {file: pd.read_csv(tmp_path / name / file) for file in ("log.csv", "validation.csv")}
        runs[name]["weights"] = load_file(tmp_path / name / "model.safetensors")
    assert runs["one"]["log.csv"]["loss"].to_numpy() == pytest.approx(
        runs["two"]["log.csv"]["loss"].to_numpy(), abs=1e-5
    )
    assert apart(runs["one"]["weights"], runs["two"]["weights"]) < 0.05
    assert runs["one"]["validation.csv"]["right"].to_numpy() == pytest.approx(
        runs["two"]["validation.csv"]["right"].to_numpy(), abs=1e-4
    )


def test_accumulated_batches_are_one_large_batch(index, unbroken, tmp_path):
    run = train(short(batch_size=1, accumulate=2), index, tmp_path, **OPTIONS)
    assert run.log["loss"].to_numpy() == pytest.approx(unbroken.log["loss"].to_numpy(), abs=1e-5)
    assert apart(weights(unbroken), weights(run)) < 0.05


def test_gradients_that_are_not_finite_are_skipped_and_counted(index, tmp_path, monkeypatch):
    loss, calls = loop.task_loss, []

    def sometimes_nan(*arguments):
        calls.append(1)
        return loss(*arguments) * (float("nan") if len(calls) == 2 else 1.0)

    monkeypatch.setattr(loop, "task_loss", sometimes_nan)
    run = train(short(), index, tmp_path / "one", **OPTIONS)
    assert run.log["skipped"].tolist() == [1] and run.log["gradient_norm"].notna().all()
    assert all(torch.isfinite(value).all() for value in weights(run).values())
    monkeypatch.setattr(loop, "task_loss", lambda *arguments: loss(*arguments) * float("nan"))
    with pytest.raises(InputError) as caught:
        train(short(), index, tmp_path / "all", **OPTIONS)
    assert one_line(caught, "2 of 2 updates", "not finite", "learning rate")


@pytest.mark.parametrize("skipped, stops", [(2, True), (1, False)])
def test_more_than_one_percent_stops(index, unbroken, tmp_path, monkeypatch, skipped, stops):
    """Of all updates so far: here of 150, as far as the checkpoint knows."""
    monkeypatch.setattr(
        loop, "update", lambda *arguments: (0.1, float("nan") if arguments[5] < skipped else 1.0)
    )
    recipe = short(steps=150, validate_every=150)
    if stops:
        with pytest.raises(InputError, match="2 of 2"):
            train(recipe, index, tmp_path, **OPTIONS)
    else:
        assert train(recipe, index, tmp_path, **OPTIONS).log["skipped"].iloc[-1] == 1


def test_the_schedule_the_pull_and_the_clipping_reach_the_weights(index, unbroken, tmp_path):
    """Without them the weights are others; the logged rate is that of the step, the logged loss a mean."""
    for name, changes in {
        "rate": {"schedule": "constant"},
        "pull": {"pull": 1.0},
        "clip": {"clip_norm": 1e-3},
        "decay": {"weight_decay": 0.5},
    }.items():
        run = train(short(**changes), index, tmp_path / name, **OPTIONS)
        assert apart(weights(run), weights(unbroken)) > 0.001, name
    assert unbroken.log["learning_rate"].iloc[-1] == pytest.approx(short().rate(5))


def test_rows_of_the_log(index, unbroken, tmp_path, monkeypatch):
    """Each is the mean loss of the steps since the one before, also over a stop, also with accumulated batches."""
    losses, real = [], loop.update

    def noted(*arguments):
        losses.append(real(*arguments))
        return losses[-1]

    recipe = short(batch_size=1, accumulate=2)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "LOG_EVERY", 4)
        patch.setattr(loop, "update", noted)
        whole = train(recipe, index, tmp_path / "whole", **OPTIONS)
    means = [sum(loss for loss, _ in part) / len(part) for part in (losses[:4], losses[4:])]
    assert whole.log["step"].tolist() == [4, 6] and whole.log["loss"].tolist() == pytest.approx(
        means, rel=1e-6
    )
    assert whole.log["gradient_norm"].tolist() == pytest.approx([losses[3][1], losses[5][1]], rel=1e-6)
    assert whole.log["learning_rate"].tolist() == pytest.approx([recipe.rate(3), recipe.rate(5)])
    with monkeypatch.context() as patch:
        patch.setattr(loop, "LOG_EVERY", 4)
        stop_after(patch, 2)
        with pytest.raises(Stopped):
            train(recipe, index, tmp_path / "parts", **OPTIONS)
        patch.undo()
        patch.setattr(loop, "LOG_EVERY", 4)
        resumed = train(recipe, index, tmp_path / "parts", resume=True, **OPTIONS)
    assert (
        same(weights(resumed), weights(whole)) and resumed.log["loss"].tolist() == whole.log["loss"].tolist()
    )


def test_nobody_elses_random_numbers_change(index, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(short(steps=1), index, tmp_path, workers=1, **OPTIONS)
    assert torch.equal(torch.rand(3), expected)


def test_workers_do_not_matter(index, unbroken, tmp_path):
    assert same(weights(train(short(), index, tmp_path, workers=2, **OPTIONS)), weights(unbroken))


def test_a_kill_between_checkpoint_and_model_is_made_good(index, unbroken, tmp_path):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    (tmp_path / "run" / "config.json").unlink()
    assert same(weights(train(short(), index, tmp_path / "run", resume=True, **OPTIONS)), weights(unbroken))


def test_batch_norm_is_resumed_exactly(index, tmp_path, monkeypatch):
    config = dataclasses.replace(
        dm.ModelConfig.preset("paper"),
        name="tiny",
        width=8,
        layers=1,
        heads=2,
        feedforward=8,
        channels=(2, 4),
        pools=((4, 4), (8, 4)),
        chunk=2,
        console="default",
    )
    recipe = short("mrstft-8", model=config, steps=4, batch_size=1, max_tracks=4)
    whole = train(recipe, index, tmp_path / "whole", **OPTIONS)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Stopped):
            train(recipe, index, tmp_path / "parts", **OPTIONS)
    resumed = train(recipe, index, tmp_path / "parts", resume=True, **OPTIONS)
    assert same(weights(resumed), weights(whole)) and any("running_var" in name for name in weights(whole))


def test_fine_tuning_goes_on_from_a_model(index, tmp_path):
    first = train(short("mrstft-8", steps=2), index, tmp_path / "first", **OPTIONS)
    before = {name: value.clone() for name, value in first.model.state_dict().items()}
    for resume in (False, True):
        with pytest.raises(InputError, match="mrstft\\+af-8 goes on from a model trained as mrstft-8"):
            train(short("mrstft+af-8", steps=2), index, tmp_path / "second", resume=resume, **OPTIONS)
    second = train(short("mrstft+af-8", steps=2), index, tmp_path / "second", init=first.model, **OPTIONS)
    assert second.model is first.model and torch.equal(
        before["style.standardize.mean"], second.model.style.standardize.mean
    )
    assert not same(before, second.model.state_dict())
    assert second.validation["right"].iloc[0] == pytest.approx(first.validation["right"].iloc[-1])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_in_the_network_alone(index, unbroken, tmp_path, monkeypatch, precision):
    """Sounds and weights stay in float32; a training in mixed precision is resumed as well."""
    seen = []
    console = dm.MixingConsole.__call__

    def watched(self, tracks, params, **options):
        seen.append((tracks.dtype, params.tracks.dtype, torch.is_autocast_enabled("cpu")))
        return console(self, tracks, params, **options)

    monkeypatch.setattr(dm.MixingConsole, "__call__", watched)
    run = train(short(), index, tmp_path / "whole", precision=precision, **OPTIONS)
    assert set(seen) == {(torch.float32, torch.float32, False)}
    assert run.log["loss"].iloc[-1] == pytest.approx(unbroken.log["loss"].iloc[-1], rel=0.05)
    assert all(value.dtype == torch.float32 for value in weights(run).values()) and not same(
        weights(run), weights(unbroken)
    )
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(Stopped):
            train(short(), index, tmp_path / "parts", precision=precision, **OPTIONS)
    resumed = train(short(), index, tmp_path / "parts", precision=precision, resume=True, **OPTIONS)
    assert same(weights(resumed), weights(run))


def test_the_scale_of_fp16_falls_after_an_overflow(index, tmp_path, monkeypatch):
    loss, calls = loop.task_loss, []

    def sometimes_huge(*arguments):
        calls.append(1)
        return loss(*arguments) * (1e38 if len(calls) == 1 else 1.0)

    monkeypatch.setattr(loop, "task_loss", sometimes_huge)
    run = train(short(), index, tmp_path, precision="fp16", **OPTIONS)
    with safe_open(run.folder / "checkpoint.safetensors", "pt") as file:
        progress = json.loads(file.metadata()["about"])["progress"]
    assert progress["skipped"] == 1 and progress["scaler"]["scale"] == 32768.0  # half of where it begins


def test_paper_like_models_train_too(index, tmp_path):
    """A CNN with batch norm, no statistics, the reference console; heads that begin at random."""
    config = dataclasses.replace(
        dm.ModelConfig.preset("paper"),
        name="tiny",
        width=8,
        layers=1,
        heads=2,
        feedforward=8,
        channels=(2, 4),
        pools=((4, 4), (8, 4)),
        chunk=None,
    )
    run = train(
        short("mrstft-8", model=config, steps=2, batch_size=1, max_tracks=4), index, tmp_path, **OPTIONS
    )
    assert run.log["loss"].notna().all() and dm.DiffMST.from_pretrained(tmp_path).config == config


def test_compiled_encoders(index, tmp_path, monkeypatch):
    """Traced as for the compiler, but not compiled: that takes minutes."""
    compile_, traced = torch.compile, []
    monkeypatch.setattr(torch, "compile", lambda f: (traced.append(f), compile_(f, backend="eager"))[1])
    config = dataclasses.replace(
        dm.ModelConfig.preset("paper"),
        name="tiny",
        width=8,
        layers=1,
        heads=2,
        feedforward=8,
        channels=(2, 4),
        pools=((4, 4), (8, 4)),
        chunk=2,
        console="default",
    )
    recipe = short("mrstft-8", model=config, steps=2, batch_size=1, max_tracks=4)
    plain = train(recipe, index, tmp_path / "plain", **OPTIONS)
    run = train(recipe, index, tmp_path / "compiled", compiled=True, **OPTIONS)
    assert len(traced) == 2
    assert run.log["loss"].to_numpy() == pytest.approx(plain.log["loss"].to_numpy(), rel=1e-4)
    assert weights(run).keys() == weights(plain).keys()
    with pytest.raises(ValueError, match="CNN"):
        train(short(), index, tmp_path / "tiny", compiled=True, **OPTIONS)
