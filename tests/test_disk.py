"""Files that are whole or not there at all, alone or several together; folders to write in."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from diffmst_lib import InputError, data_dir, disk
from diffmst_lib.disk import (
    output_folder,
    printable,
    staging,
    sweep,
    undisturbed,
    why,
    write_together,
    write_whole,
)


def fail(error):
    def write(path):
        path.write_text("half")
        raise error

    return write


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_appears_whole_or_not_at_all(tmp_path, error):
    write_whole(tmp_path / "old.txt", lambda path: path.write_text("old"))
    for name in ("old.txt", "new.txt"):
        with pytest.raises(type(error)):
            write_whole(tmp_path / name, fail(error))
    assert content(tmp_path) == {"old.txt": "old"}


@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(28, "No space left on device"), InputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_files_appear_together_or_not_at_all(tmp_path, error, raised):
    write_together(tmp_path, {name: lambda path: path.write_text("old") for name in ("a", "b")})
    with pytest.raises(raised) as caught:
        write_together(tmp_path, {"a": lambda path: path.write_text("new"), "b": fail(error)})
    assert content(tmp_path) == {"a": "old", "b": "old"}
    assert raised is KeyboardInterrupt or str(caught.value).endswith("not written (No space left on device)")


def test_a_folder_that_was_made_is_removed_when_the_work_fails(tmp_path):
    with pytest.raises(KeyError), output_folder(tmp_path / "new" / "folder") as folder:
        assert folder.is_dir()
        raise KeyError
    assert os.listdir(tmp_path) == []
    with pytest.raises(KeyError), output_folder(tmp_path / "new" / "folder") as folder:
        (folder.parent / "theirs.txt").write_text("theirs")
        raise KeyError
    assert os.listdir(tmp_path / "new") == ["theirs.txt"]


OLD = ".checkpoint.safetensors." + 32 * "0"
THEIRS = [".diffmst-cache", ".diffmst-notes.txt", ".cache." + 32 * "0", "mix.wav", ".hidden"]
HOLDS = """
import sys, pathlib, time, diffmst_lib.disk as disk
with disk.staging(pathlib.Path(sys.argv[1])) as made:
    (made / "half").touch()
    print(made.name, flush=True)
    time.sleep(600)
"""


def age(path, seconds):
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    for name in [OLD, *THEIRS]:
        (tmp_path / name).write_text("x")
        age(tmp_path / name, 4000)
    (tmp_path / ".diffmst-00000000").symlink_to(tmp_path / "mix.wav")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, tmp_path], stdout=subprocess.PIPE, text=True
    ) as process:
        made = tmp_path / process.stdout.readline().strip()
        age(made, 3600)
        sweep(tmp_path)
        assert made.is_dir()  # it is locked
        process.kill()
    sweep(tmp_path)
    assert not made.exists() and not (tmp_path / OLD).exists()
    assert sorted(os.listdir(tmp_path)) == sorted([*THEIRS, ".diffmst-00000000"])


def test_what_was_made_just_now_stays(tmp_path):
    (tmp_path / ".diffmst-abcd0123").mkdir()
    (tmp_path / OLD).touch()
    sweep(tmp_path)
    assert len(os.listdir(tmp_path)) == 2


def test_without_locks_only_what_a_day_has_not_changed_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "fcntl", None)
    for name, seconds in ((".diffmst-abcd0123", 3600), (".diffmst-abcd4567", 100_000)):
        (tmp_path / name).mkdir()
        age(tmp_path / name, seconds)
    with staging(tmp_path) as made:
        assert sorted(os.listdir(tmp_path)) == sorted([".diffmst-abcd0123", made.name])
    assert os.listdir(tmp_path) == [".diffmst-abcd0123"]


def test_the_first_writing_in_a_folder_cleans_it(tmp_path):
    (tmp_path / ".diffmst-abcd0123").mkdir()
    age(tmp_path / ".diffmst-abcd0123", 3600)
    write_whole(tmp_path / "new.txt", lambda path: path.write_text("new"))
    assert os.listdir(tmp_path) == ["new.txt"]


def test_a_signal_waits_for_what_must_not_be_left_half_done():
    done = []
    with pytest.raises(KeyboardInterrupt), undisturbed():
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == [1] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_place_where_nothing_can_be_written_costs_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mix.wav").mkdir()
    for folder, files, words in (
        (tmp_path / "file", (), "cannot write there"),
        (tmp_path / "file" / "below", (), "cannot write there"),
        (tmp_path / "a\0b", (), "cannot write there"),
        (tmp_path, ("mix.wav",), "is a folder, cannot be replaced by a file"),
    ):
        with pytest.raises(InputError, match=words) as caught, output_folder(folder, files):
            pass
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_what_went_wrong_is_told_in_one_line():
    assert why(OSError(28, "No space left on device")) == "No space left on device"
    assert why(ValueError("two\nlines")) == "two lines"


@pytest.mark.skipif(os.name != "posix", reason="names of bytes are those of POSIX")
def test_names_that_are_no_text_can_be_printed():
    assert printable(os.fsdecode(b"caf\xe9.wav")) == "caf\ufffd.wav"


def test_data_dir_of_a_checkout_and_of_an_installed_wheel(tmp_path):
    assert (data_dir() / "SOURCES.md").is_file() and list((data_dir() / "references").glob("*.ogg"))
    package = tmp_path / "site-packages" / "diffmst_lib"
    package.mkdir(parents=True)
    (package.parent / "data").mkdir()
    (package.parent / "data" / "SOURCES.md").touch()  # somebody else's
    spec = importlib.util.spec_from_file_location(
        "diffmst_lib.installed", shutil.copy(disk.__file__, package / "disk.py")
    )
    installed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(installed)
    assert installed.data_dir() == package / "_data"
