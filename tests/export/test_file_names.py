"""Names of files for stems: safe on every file system, and all different."""

import pytest

from diffmst_lib.export.file_names import LONGEST, file_names


def test_plain_names_stay_as_they_are():
    assert file_names(["kick", "vox lead", "Gitarre Zoë", "drums.v1"]) == [
        "kick",
        "vox lead",
        "Gitarre Zoë",
        "drums.v1",
    ]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a/b", "a_b"),
        ("..", "stem"),
        ("../up", "_up"),
        ("", "stem"),
        ("what?", "what_"),
        ("new\nline", "new_line"),
        ("CON", "_CON"),
        ("aux.2", "_aux.2"),
        ("auxiliary", "auxiliary"),
        ("dot. ", "dot"),
        ("half\ud800", "half_"),
    ],
)
def test_names_that_no_file_can_have(name, file):
    assert file_names([name]) == [file]


def test_names_that_some_file_systems_take_for_one():
    names = ["Kick", "kick", "a/b", "a_b", "a:b", "e\u0301", "\u00e9", "kick_2"]
    files = file_names(names)
    assert files == ["Kick", "kick_2", "a_b", "a_b_2", "a_b_3", "e\u0301", "\u00e9_2", "kick_2_2"]


def test_long_names_are_cut_between_letters():
    files = file_names(["é" * 400, "é" * 400])
    assert len(set(files)) == 2 and all(len(file.encode()) <= LONGEST + 2 for file in files)
    assert set(files[0]) == {"é"}
