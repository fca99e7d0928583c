"""Stopped, killed and resumed: the weights are those of a training without a break."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest
from hanging import HANGS_S
from training_helpers import OPTIONS, Broken, interrupted, same, short, small_cnn, weights

from diffmst_lib.training.hardware import Hardware
from diffmst_lib.training.loop import train
from diffmst_lib.training.stopping import Stopped, stop_request

# SIGKILL in the middle of step 5; the checkpoint is that of step 3.
KILLED = """
import signal, sys
from diffmst_lib.data.index import SongIndex
from diffmst_lib.training.loop import train
from training_helpers import OPTIONS, interrupted, short
train(interrupted(short(), 5, signal.SIGKILL), SongIndex.load(sys.argv[1]), sys.argv[2], **OPTIONS)
"""


def same_run(one, other):
    """The same weights, and the same logs but for the time taken."""
    for name in ("log", "validation"):
        pd.testing.assert_frame_equal(
            getattr(one, name).drop(columns="seconds"), getattr(other, name).drop(columns="seconds")
        )
    return same(weights(one), weights(other))


def test_stopped_by_sigterm_before_the_first_checkpoint(index, unbroken, tmp_path):
    with pytest.raises(Stopped, match="after step 1 of 6"):
        train(interrupted(short(), 1, signal.SIGTERM), index, tmp_path, **OPTIONS)
    assert same_run(train(short(), index, tmp_path, resume=True, **OPTIONS), unbroken)


def test_stopped_by_ctrl_c_after_a_checkpoint_with_batch_norm(index, tmp_path):
    recipe = short("mrstft-8", model=small_cnn(), steps=4, batch_size=1, max_tracks=4, validate_every=2)
    whole = train(recipe, index, tmp_path / "whole", **OPTIONS)
    with pytest.raises(Stopped, match="after step 3 of 4"):
        train(interrupted(recipe, 3, signal.SIGINT), index, tmp_path / "parts", **OPTIONS)
    assert same_run(train(recipe, index, tmp_path / "parts", resume=True, **OPTIONS), whole)
    assert any("running_var" in name for name in weights(whole))


def test_killed_and_resumed(index, unbroken, tmp_path, request):
    """Steps 4 and 5 are done again, from the checkpoint of step 3."""
    helpers, songs = (
        request.path.parent.parent / "helpers",
        index.multitracks()[0].stems[0].source.path.parent,
    )
    command = [sys.executable, "-c", KILLED, str(songs.parent), str(tmp_path)]
    killed = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(helpers)}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert pd.read_csv(tmp_path / "validation.csv")["step"].tolist() == [0, 3]
    assert same(weights(train(short(), index, tmp_path, resume=True, **OPTIONS)), weights(unbroken))


def test_a_kill_between_checkpoint_and_model_is_made_good(index, unbroken, tmp_path):
    shutil.copytree(unbroken.folder, tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    (tmp_path / "run" / "config.json").unlink()
    assert same(weights(train(short(), index, tmp_path / "run", resume=True, **OPTIONS)), weights(unbroken))


def test_ctrl_c_in_a_terminal_reaches_all_processes(index, tmp_path):
    """The one that trains ends its step and saves; those that read ahead leave it to that one."""
    songs = index.multitracks()[0].stems[0].source.path.parent.parent
    line = (
        f"train --preset tiny --recipe af-16 --seconds 1 --batch-size 2 --workers 1 --accelerator cpu --quiet \
        --validation-examples 2 --validate-every 3 --steps 100000 --tracks {songs} --output {tmp_path}"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "diffmst_lib", *line.split()],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (tmp_path / "checkpoint.safetensors").exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=HANGS_S)
    assert process.returncode == 130 and "Traceback" not in err and "stopped after step" in err, err


def test_a_signal_that_ends_the_readers_costs_the_steps_since_the_checkpoint(index, tmp_path):
    with pytest.raises(Stopped, match="in step 1 of 6"):
        train(short(), index, tmp_path, init=Broken(signal.SIGTERM), **OPTIONS)


def test_errors_of_torch_are_not_the_users(index, tmp_path):
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        train(short(), index, tmp_path, init=Broken(), **OPTIONS)


def test_workers_do_not_matter(index, unbroken, tmp_path):
    run = train(short(), index, tmp_path, hardware=Hardware(workers=2), **OPTIONS)
    assert same(weights(run), weights(unbroken))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with stop_request() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set() and signal.getsignal(number) == before  # the second is as always
    assert signal.getsignal(number) == before


def test_another_thread_gets_no_signals():
    seen = []

    def run():
        with stop_request() as stop:
            seen.append(stop.is_set())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [False]
