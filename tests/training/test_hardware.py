"""Devices and precision: two processes, mixed precision in the network alone, compiled encoders."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from training_helpers import OPTIONS, Unsteady, interrupted, same, short, small_cnn, way_apart, weights

from diffmst_lib.console.mixing_console import MixingConsole
from diffmst_lib.inputs import InputError
from diffmst_lib.training.examples import examples_of
from diffmst_lib.training.first_look import new_model
from diffmst_lib.training.hardware import Hardware
from diffmst_lib.training.loop import train
from diffmst_lib.training.stopping import Stopped

TWO_PROCESSES = """
import sys
from diffmst_lib.data.index import SongIndex
from diffmst_lib.training.hardware import Hardware
from diffmst_lib.training.loop import train
from training_helpers import OPTIONS, short
hardware = Hardware(accelerator="cpu", devices=2)
train(short(batch_size=1), SongIndex.load(sys.argv[1]), sys.argv[2], hardware=hardware, **OPTIONS)
"""


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "float16"},
        {"accelerator": "tpu"},
        {"devices": 0},
        {"num_nodes": 1.5},
        {"workers": -1},
        {"compiled": 1},
    ],
)
def test_what_is_no_hardware(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} cannot be"):
        Hardware(**options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(index, tmp_path):
    with pytest.raises(InputError, match="1 GPUs are asked for, 0 are there"):
        train(short(), index, tmp_path, hardware=Hardware(accelerator="cuda"), **OPTIONS)


def test_two_processes_are_one_with_twice_the_batch(index, unbroken, tmp_path, request):
    """Two CPU processes (gloo): the same losses and weights, but for rounding."""
    songs = index.multitracks()[0].stems[0].source.path.parent.parent
    script, out = tmp_path / "train.py", tmp_path / "out"
    script.write_text(TWO_PROCESSES)
    done = subprocess.run(
        [sys.executable, str(script), str(songs), str(out)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(request.path.parent.parent / "helpers")},
    )
    assert done.returncode == 0, done.stderr
    log, validation = (pd.read_csv(out / name) for name in ("log.csv", "validation.csv"))
    assert log["loss"].to_numpy() == pytest.approx(unbroken.log["loss"].to_numpy(), abs=1e-5)
    assert way_apart(weights(unbroken), load_file(out / "model.safetensors")) < 0.05
    assert validation["right"].to_numpy() == pytest.approx(unbroken.validation["right"].to_numpy(), abs=1e-4)


class Watched(MixingConsole):
    """A console that notes in which precision it is called."""

    def __init__(self, console):
        super().__init__(console.sample_rate, console.preset)
        self.calls = set()

    def note(self, audio, params):
        self.calls.add((audio.dtype, params.tracks.dtype, torch.is_autocast_enabled("cpu")))

    def __call__(self, tracks, params, **options):
        self.note(tracks, params)
        return super().__call__(tracks, params, **options)

    def master_bus(self, audio, params):
        self.note(audio, params)
        return super().master_bus(audio, params)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_in_the_network_alone(index, unbroken, tmp_path, precision):
    """Sounds and weights stay in float32."""
    model = new_model(short(), examples_of(short(), index), 0)
    model.console = Watched(model.console)
    run = train(short(), index, tmp_path, init=model, hardware=Hardware(precision=precision), **OPTIONS)
    assert model.console.calls == {(torch.float32, torch.float32, False)}
    assert run.log["loss"].iloc[-1] == pytest.approx(unbroken.log["loss"].iloc[-1], rel=0.05)
    assert all(value.dtype == torch.float32 for value in weights(run).values())
    assert not same(weights(run), weights(unbroken))


def test_the_scale_of_fp16_falls_after_an_overflow_and_is_resumed(index, tmp_path):
    """Half of where it begins, also after a stop; the overflow is the first update's."""

    def model():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return Unsteady(lambda number: 1e38 if number == 1 else 1.0)

    half, runs = Hardware(precision="fp16"), {}
    runs["whole"] = train(short(), index, tmp_path / "whole", init=model(), hardware=half, **OPTIONS)
    with pytest.raises(Stopped, match="after step 4"):
        train(interrupted(short(), 4), index, tmp_path / "parts", init=model(), hardware=half, **OPTIONS)
    runs["parts"] = train(short(), index, tmp_path / "parts", resume=True, hardware=half, **OPTIONS)
    for run in runs.values():
        with safe_open(run.folder / "checkpoint.safetensors", "pt") as file:
            progress = json.loads(file.metadata()["about"])["progress"]
        assert progress["skipped"] == 1 and progress["scaler"]["scale"] == 32768.0
    assert same(weights(runs["parts"]), weights(runs["whole"]))


def test_compiled_encoders(index, tmp_path, monkeypatch):
    """Traced as for the compiler, but not compiled: that takes minutes."""
    compile_, traced = torch.compile, []
    monkeypatch.setattr(torch, "compile", lambda f: (traced.append(f), compile_(f, backend="eager"))[1])
    recipe = short("mrstft-8", model=small_cnn(), steps=2, batch_size=1, max_tracks=4)
    plain = train(recipe, index, tmp_path / "plain", **OPTIONS)
    run = train(recipe, index, tmp_path / "compiled", hardware=Hardware(compiled=True), **OPTIONS)
    assert len(traced) == 2
    assert run.log["loss"].to_numpy() == pytest.approx(plain.log["loss"].to_numpy(), rel=1e-4)
    assert weights(run).keys() == weights(plain).keys()
    with pytest.raises(ValueError, match="CNN"):
        train(short(), index, tmp_path / "tiny", hardware=Hardware(compiled=True), **OPTIONS)
