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
