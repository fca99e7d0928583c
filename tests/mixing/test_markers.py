"""Times and files of markers, as users and their programs write them."""

import pytest

from diffmst_lib.inputs import InputError
from diffmst_lib.mixing.markers import LARGEST, read_markers, read_time, read_times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45", 45), ("45.5", 45.5), (".5", 0.5), ("0:45", 45), ("1:02:03.25", 3723.25), (" 90:00 ", 5400), ("12s", 12)],
)  # fmt: skip
def test_times(text, seconds):
    assert read_time(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-5", "1:60", "1:60:00", "5.1.00", "1e3", "nan", "one", "1:2:3:4", "0:45 v"]
)
def test_no_times(text):
    with pytest.raises(InputError, match="is no time"):
        read_time(text)


def test_times_with_commas():
    assert read_times("0:45,1:20, 130,") == [45.0, 80.0, 130.0] and read_times(",") == []


FILES = {
    "text": ("# the song\n0:00 intro\n\n0:45 verse 1\n1:20.5\tchorus\n2:00\n", [(0, "intro"), (45, "verse 1"), (80.5, "chorus"), (120, "")]),
    "audacity": ("0.000000\t4.000000\tintro\n45.5\t45.5\tverse\n\\\t100.0\t2000.0\n80\t81\t\n", [(0, "intro"), (45.5, "verse"), (80, "")]),
    "reaper": ('#,Name,Start,End,Length\nM1,"verse, soft",0:12.000,,\nR1,chorus,1:00.5,1:20,0:19.5\n', [(12, "verse, soft"), (60.5, "chorus")]),
    "marked": ("\ufeff0:10 Straße\r\n0:20 b\r\n", [(10, "Straße"), (20, "b")]),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_files(kind, tmp_path):
    content, markers = FILES[kind]
    path = tmp_path / "markers"
    path.write_bytes(content.encode())
    assert read_markers(path) == markers


def test_a_file_of_an_older_editor(tmp_path):
    (tmp_path / "m.txt").write_bytes("0:10 Straße".encode("latin-1"))
    assert read_markers(tmp_path / "m.txt") == [(10, "Straße")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\t\r\n", "is empty"),
        (b"# nothing\n", "holds no markers"),
        (b"\x00\x01RIFF", "holds no text"),
        (bytes(range(128, 256)), "holds no text"),
        (b"0:10 a\n" * (LARGEST // 7 + 1), "holds no text"),
        (b"0:10 a\nverse 0:20\n", "line 2: 'verse' is no time"),
        (b"-4 a\n", "line 1: '-4' is no time"),
        (
            b"#,Name,Start,End,Length\nM1,v,5.1.00,,\n",
            "line 2: '5.1.00' is no time.*ruler to minutes and seconds",
        ),
        (b"#,Name,Start\n", "holds no markers"),
    ],
)
def test_bad_files(content, message, tmp_path):
    path = tmp_path / "markers.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_markers(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_what_is_no_file(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_markers(tmp_path / "none.txt")
    with pytest.raises(InputError, match=str(tmp_path)):
        read_markers(tmp_path)
