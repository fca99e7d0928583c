"""Two trainings in one folder: the second is refused in one line; a lock of a dead process is none."""

import contextlib
import errno
import json
import os
import platform
import signal
import subprocess
import sys
import time

import pytest
from audio_helpers import one_line
from hanging import HANGS_S
from training_helpers import OPTIONS, short

from diffmst_lib.inputs import InputError
from diffmst_lib.training import lock
from diffmst_lib.training.lock import LOCK, locked
from diffmst_lib.training.loop import train
from diffmst_lib.training.recipes import Recipe

pytest.importorskip("fcntl")

# A process that holds the lock until it is killed; "fork": with a child that lives on a little.
HOLDER = """
import os, sys, time
from pathlib import Path
from diffmst_lib.training.lock import locked
with locked(Path(sys.argv[1])):
    if sys.argv[2] == "fork" and not os.fork():
        time.sleep(20)
        os._exit(0)
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    processes = []

    def start(how="alone"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), how],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "locked\n"
        return process

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(HANGS_S)


@pytest.fixture
def no_locks(monkeypatch):
    """A file system that has no locks."""

    def refuse(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "lockf", refuse)


def taken(folder):
    """Whether the lock can be taken; afterwards nothing of it is left."""
    with locked(folder):
        assert (folder / LOCK).is_file()
    return list(folder.iterdir()) == []


def test_a_second_training_is_refused_and_the_first_goes_on(index, tmp_path):
    class Nosy(Recipe):
        """Tries to train in the same folder during its second step."""

        def rate(self, at):
            if at == 1:
                for resume in (False, True):
                    with pytest.raises(InputError) as caught:
                        train(short(), index, tmp_path, resume=resume, **OPTIONS)
                    assert one_line(caught, tmp_path, "another training runs there", os.getpid())
            return super().rate(at)

    run = train(Nosy(**vars(short(steps=2, validate_every=1))), index, tmp_path, **OPTIONS)
    assert run.validation["step"].tolist() == [0, 1, 2] and not (tmp_path / LOCK).exists()


def test_another_process_is_named(holder, tmp_path):
    process = holder()
    with pytest.raises(InputError) as caught, locked(tmp_path):
        pass
    assert one_line(caught, tmp_path, f"process {process.pid} on {platform.node()}", "name another folder")


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_the_lock_of_a_killed_process_does_not_block(holder, tmp_path, how):
    """Nor does one of its children, such as a process that reads ahead, keep it."""
    process = holder(how)
    process.kill()
    process.wait(HANGS_S)
    assert (tmp_path / LOCK).exists() and taken(tmp_path)


def test_without_locks_a_living_process_blocks_and_a_dead_one_does_not(holder, no_locks, tmp_path):
    process = holder()
    with pytest.raises(InputError) as caught, locked(tmp_path):
        pass
    assert one_line(caught, f"process {process.pid} on", f"if it has ended, remove {tmp_path / LOCK}")
    process.kill()
    process.wait(HANGS_S)
    assert taken(tmp_path)


@pytest.mark.parametrize(
    ("owner", "blocks"),
    [
        ({"process": 1, "computer": "elsewhere", "began": "1"}, True),
        ({"process": os.getppid(), "computer": platform.node(), "began": "before"}, False),  # a number again
        ({"process": 0, "computer": platform.node()}, False),
        ({"process": 10**30, "computer": platform.node()}, False),
        ({"process": "1"}, False),
        (["process"], False),
        ("", False),
    ],
)
def test_without_locks_by_what_the_file_says(no_locks, tmp_path, owner, blocks):
    (tmp_path / LOCK).write_text(json.dumps(owner) if owner else "")
    if blocks:
        with pytest.raises(InputError, match="another training runs there"), locked(tmp_path):
            pass
        assert (tmp_path / LOCK).exists()
    else:
        assert taken(tmp_path)


def test_an_error_ends_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        1 / 0  # noqa: B018 (raises)
    assert taken(tmp_path)


@pytest.mark.parametrize("rank", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_the_other_processes_of_a_training_leave_the_lock_to_the_first(monkeypatch, tmp_path, rank):
    with locked(tmp_path):
        monkeypatch.setenv(rank, "1")
        with locked(tmp_path):
            pass
        assert (tmp_path / LOCK).is_file()


def test_one_that_waits_for_the_file_of_another_takes_a_new_one(monkeypatch, tmp_path):
    """The other removes the file between opening and locking."""
    plain, removed = lock.fcntl.lockf, []

    def late(file, operation):
        if not removed:
            removed.append(time.time())
            (tmp_path / LOCK).unlink()
        return plain(file, operation)

    monkeypatch.setattr(lock.fcntl, "lockf", late)
    assert taken(tmp_path) and removed


def test_where_the_system_has_no_fcntl_nothing_is_locked(monkeypatch, tmp_path):
    """As on Windows; the README says so."""
    monkeypatch.setattr(lock, "fcntl", None)
    with locked(tmp_path), locked(tmp_path):
        assert list(tmp_path.iterdir()) == []
