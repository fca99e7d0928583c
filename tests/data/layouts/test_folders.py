"""Folders and names: links, folders that cannot be read, artists, words, mixes."""

import os
import sys

import pytest
from data_miniatures import names, touch

from diffmst_lib.data.layouts.finding import find_songs
from diffmst_lib.data.layouts.folders import artist_title, words
from diffmst_lib.inputs import InputError


def test_the_first_of_two_mixes(tmp_path):
    touch(tmp_path, "song/kick.wav", "song/master.wav", "song/mix.wav")
    (song,), (problem,) = find_songs(tmp_path)
    assert song.mix.path.name == "mix.wav" and list(song.stems) == ["kick"]
    assert problem.path.endswith("master.wav") and "second mix" in problem.reason


def test_the_human_mix_comes_before_others(tmp_path):
    touch(tmp_path, "song/kick.wav", "song/mix.wav", "song/human_mix.flac")
    (song,), (problem,) = find_songs(tmp_path)
    assert song.mix.path.name == "human_mix.flac" and list(song.stems) == ["kick"]
    assert problem.path.endswith("mix.wav") and "second mix" in problem.reason


def test_two_files_of_one_name(tmp_path):
    touch(tmp_path, "song/kick.wav", "song/kick.flac", "song/Kick.wav")
    (song,), (problem,) = find_songs(tmp_path)
    assert {name: source.path.name for name, source in song.stems.items()} == {
        "Kick": "Kick.wav",
        "kick": "kick.flac",
    }
    assert problem.path.endswith("kick.wav") and "kick.flac" in problem.reason


@pytest.mark.parametrize(
    "name, artist_and_title",
    [
        ("Artist - Title", ("Artist", "Title")),
        ("The_Artist_-_A_Title", ("The Artist", "A Title")),
        ("01 - Artist - Title", ("Artist", "Title")),
        ("01 - Title", ("", "Title")),
        ("7. Title", ("", "Title")),
        ("Artist \u2013 Title", ("Artist", "Title")),
        ("A - B - C", ("A", "B - C")),
        ("kick-drum", ("", "kick-drum")),
        (" - ", ("", "-")),
        ("12", ("", "12")),
        ("1999 - Prince", ("1999", "Prince")),
    ],
)
def test_artist_and_title(name, artist_and_title):
    assert artist_title(name) == artist_and_title


@pytest.mark.parametrize(
    "name, spelled",
    [
        ("AlexanderRoss", "Alexander Ross"),
        ("AClassicEducation", "A Classic Education"),
        ("80sRock", "80s Rock"),
        ("IAmTheDesert", "I Am The Desert"),
        ("4OutOf10", "4 Out Of 10"),
        ("McDonaldTrio", "McDonald Trio"),
        ("ANiMAL", "ANiMAL"),
        ("3DMARCo", "3DMARCo"),
        ("DJShadow", "DJShadow"),
        ("eBay", "eBay"),
        ("Måne", "Måne"),
        ("", ""),
    ],
)
def test_words(name, spelled):
    assert words(name) == spelled


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_no_utf8(tmp_path):
    for song in (b"\xe9t\xe9", b"\xe8t\xe8"):
        folder = os.path.join(os.fsencode(tmp_path), song)
        os.mkdir(folder)
        for stem in (b"\xe9.wav", b"\xe8.wav"):
            open(os.path.join(folder, stem), "w").close()
    songs, problems = find_songs(tmp_path)
    assert names(songs) == ["\ufffdt\ufffd", "\ufffdt\ufffd (2)"] and not problems
    assert [list(song.stems) for song in songs] == [["\ufffd", "\ufffd (2)"]] * 2
    assert len({source.path for song in songs for source in song.stems.values()}) == 4
    assert all(source.path.is_file() for song in songs for source in song.stems.values())
    "".join(names(songs)).encode()


def test_links_are_followed_once(tmp_path):
    touch(tmp_path, "set/song/kick.wav", "elsewhere/other/kick.wav")
    root = tmp_path / "set"
    (root / "song" / "loop").symlink_to(root)
    (root / "again").symlink_to(root / "song")
    (root / "linked").symlink_to(tmp_path / "elsewhere" / "other")
    (root / "up").symlink_to(tmp_path)
    songs, problems = find_songs(root)
    assert names(songs) == ["linked", "song"] and not problems


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    touch(tmp_path, "a/kick.wav", "secret/kick.wav")
    scandir = os.scandir

    def denied(path):
        if os.fspath(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    songs, (problem,) = find_songs(tmp_path)
    assert names(songs) == ["a"]
    assert problem.path == str(tmp_path / "secret") and "Permission denied" in problem.reason
    with pytest.raises(InputError, match=r"secret.*Permission denied"):
        find_songs(tmp_path / "secret")
