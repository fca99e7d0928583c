"""Compiled loops: on threads, and where nothing can be written."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import diffmst_lib
from diffmst_lib.console.engines.loops import compiled, over_rows


@pytest.mark.parametrize(("threads", "rows"), [(1, 5), (2, 5), (8, 3), (4, 1)])
def test_every_row_is_done_once(threads, rows):
    before, done, lock = torch.get_num_threads(), [], threading.Lock()

    def kernel(first, last):
        with lock:
            done.extend(range(first, last))

    torch.set_num_threads(threads)
    try:
        over_rows(kernel, rows)
    finally:
        torch.set_num_threads(before)
    assert sorted(done) == list(range(rows))


def test_an_error_in_a_thread_comes_out():
    with pytest.raises(ZeroDivisionError):
        over_rows(lambda first, last: 1 / 0, 4)


def test_options_are_passed_on():
    assert compiled(fastmath={"contract"})(lambda x: x + 1)(1) == 2


def test_import_where_nothing_can_be_written(tmp_path):
    """numba keeps what it compiled beside the file or at home; with neither writable the library compiles
    anew."""
    place = tmp_path / "diffmst_lib"
    shutil.copytree(
        Path(diffmst_lib.__file__).parent, place, ignore=shutil.ignore_patterns("__pycache__", "_data")
    )
    (place / "__pycache__").write_text("a file where the folder would be")
    home = tmp_path / "home"
    home.write_text("no folder either")
    code = "from diffmst_lib.console.engines import equalizer; print(equalizer.__file__)"
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "MPLCONFIGDIR": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(place / "console" / "engines" / "equalizer.py")


TWICE = """
from diffmst_lib.console.engines.loops import compiled

@compiled
def twice(x):
    return 2 * x

if __name__ == "__main__":
    print(twice(3), sum(twice.stats.cache_hits.values()))
"""


def run_twice(folder, limit=None):
    """Run a compiled function in a new process: what it says, and how often its cache was of use."""
    (folder / "twice.py").write_text(TWICE)
    os.utime(folder / "twice.py", (1e9, 1e9))  # numba compiles anew when the file has changed
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")}
    before = None
    if limit is not None:
        import resource

        def before():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "twice.py"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=before,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [b"", b"\x80", b"no pickle at all", None])
def test_a_damaged_cache_is_dropped_and_made_again(tmp_path, kind, damage):
    assert run_twice(tmp_path) == ["6", "0"] and run_twice(tmp_path) == ["6", "1"]
    (path,) = (tmp_path / "cache").rglob(f"twice.twice*.{kind}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert run_twice(tmp_path) == ["6", "0"] and run_twice(tmp_path) == ["6", "1"]


def test_a_full_disk_of_the_cache_is_no_error(tmp_path):
    pytest.importorskip("resource")
    assert run_twice(tmp_path, limit=100) == ["6", "0"] and run_twice(tmp_path) == ["6", "0"]
    assert run_twice(tmp_path) == ["6", "1"]
