"""Notes about files that are not quite right, and what is no file."""

import os
import socket

import pytest

from diffmst_lib import InputNote
from diffmst_lib.audio.remarks import CUT, DAMAGED, few, not_a_file, seconds, tell


def test_one_note_a_kind():
    found = {f"{i}.mp3": {CUT: "1.0 s of 2.0 s are there"} for i in range(12)}
    found["3.mp3"] = {DAMAGED: "at 1.0 s of 2.0 s"}
    found["fine.wav"] = {}
    with pytest.warns(InputNote) as notes:
        tell(found)
    first, second = (str(note.message) for note in notes)
    assert first.startswith(f"{CUT}: 0.mp3 (1.0 s of 2.0 s are there), 1.mp3") and first.endswith(
        "and 6 more"
    )
    assert second == f"{DAMAGED}: 3.mp3 (at 1.0 s of 2.0 s)"


def test_few():
    assert (
        few(["a"]) == "a" and few("abcde") == "a, b, c, d, e" and few("abcdef") == "a, b, c, d, e and 1 more"
    )


def test_times():
    assert [seconds(s) for s in (0.0371, 0.5, 1.25, 3.14159, 100.0)] == [
        "0.037 s",
        "0.5 s",
        "1.2 s",
        "3.1 s",
        "100.0 s",
    ]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere such things are rare")
def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "nothing.wav").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    (tmp_path / "file.wav").touch()
    (tmp_path / "link.wav").symlink_to(tmp_path / "file.wav")
    with socket.socket(socket.AF_UNIX) as server:
        before = os.getcwd()
        os.chdir(tmp_path)  # the name of a socket must be short
        try:
            server.bind("socket.wav")
        finally:
            os.chdir(before)
        found = {path.name: not_a_file(path) for path in tmp_path.iterdir()}
    assert found == {
        "pipe.wav": "a named pipe",
        "folder.wav": "a folder",
        "nothing.wav": "a link to nothing",
        "a.wav": "a circle of links",
        "b.wav": "a circle of links",
        "file.wav": None,
        "link.wav": None,
        "socket.wav": "a socket",
    }
    assert not_a_file("/dev/null") == "a device" and not_a_file(tmp_path / "missing") is None
