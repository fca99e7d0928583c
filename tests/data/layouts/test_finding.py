"""Finding songs: every layout by names alone, and what "auto" says."""

import os
import random
from pathlib import Path

import data_miniatures as miniatures
import pytest
from data_miniatures import names, touch

import diffmst_lib as dm
from diffmst_lib.data.layouts.finding import find_songs
from diffmst_lib.inputs import InputError
from diffmst_lib.options import LAYOUTS

LAYOUT_OF = {name: name.split()[0] for name in miniatures.ALL} | {"jamendo": "songs"}


@pytest.mark.parametrize("auto", [True, False])
@pytest.mark.parametrize("name", miniatures.ALL)
def test_each_layout(tmp_path, name, auto):
    root = tmp_path / "a set"
    root.mkdir()
    expected = miniatures.ALL[name](root, Path.touch)
    songs, problems = find_songs(root, "auto" if auto else LAYOUT_OF[name])
    assert songs == expected
    assert names(songs) == sorted(names(songs))
    assert {song.layout for song in songs} == {LAYOUT_OF[name]} <= set(LAYOUTS)
    excerpts = [problem.reason for problem in problems]
    assert excerpts == (["an excerpt of AngelsInAmplifiers_ImAlright_Full"] if name == "cambridge" else [])
    assert not any(song.split for song in songs)


@pytest.mark.parametrize("name", miniatures.ALL)
def test_every_source_is_there_and_used_once(tmp_path, name):
    miniatures.ALL[name](tmp_path, Path.touch)
    sources = [
        source for song in find_songs(tmp_path)[0] for source in (*song.stems.values(), song.mix) if source
    ]
    assert len(sources) == len(set(sources))
    assert all(source.path.is_file() for source in sources)


@pytest.mark.parametrize("name", miniatures.ALL)
def test_the_order_of_the_file_system_does_not_matter(tmp_path, monkeypatch, name):
    miniatures.ALL[name](tmp_path, Path.touch)
    expected, walk = find_songs(tmp_path), os.walk

    def shuffled(*args, **options):
        for path, folders, files in walk(*args, **options):
            random.shuffle(folders)
            random.shuffle(files)
            yield path, folders, files

    monkeypatch.setattr(os, "walk", shuffled)
    for seed in range(5):
        random.seed(seed)
        found = find_songs(tmp_path)
        assert found == expected
        assert [list(song.stems) for song in found[0]] == [list(song.stems) for song in expected[0]]


@pytest.mark.parametrize("name", miniatures.ALL)
def test_a_relative_folder(tmp_path, monkeypatch, name):
    expected = miniatures.ALL[name](tmp_path, Path.touch)
    monkeypatch.chdir(tmp_path)
    assert names(find_songs(".", LAYOUT_OF[name])[0]) == names(expected)


def test_the_tiny_data():
    songs, problems = find_songs(dm.data_dir() / "multitracks")
    assert names(songs) == sorted(path.name for path in (dm.data_dir() / "multitracks").iterdir())
    assert all(len(song.stems) > 3 and song.mix is None for song in songs) and not problems
    references, problems = find_songs(dm.data_dir() / "references")
    assert {song.layout for song in references} == {"songs"} and not problems
    assert all(song.mix and not song.stems for song in references)


@pytest.mark.parametrize(
    "file",
    ["mix.wav", "MIXTURE.flac", "song_mix.wav", "Song - Master.mp3", "song-mixdown.ogg", "human_mix.ogg"],
)
def test_a_mix_is_no_stem(tmp_path, file):
    touch(tmp_path, "song/kick.wav", "song/remix.wav", "song/mix bus.wav", f"song/{file}")
    (song,), problems = find_songs(tmp_path)
    assert song.mix.path.name == file and set(song.stems) == {"kick", "remix", "mix bus"} and not problems


def test_a_folder_of_stems_belongs_to_its_song(tmp_path):
    touch(tmp_path, "song/mix.wav", "song/Stems/kick.wav", "song/Stems/bass.wav", "other/kick.wav")
    songs, problems = find_songs(tmp_path)
    assert names(songs) == ["other", "song"] and not problems
    assert songs[1].mix and set(songs[1].stems) == {"kick", "bass"}


def test_songs_of_one_title_are_two(tmp_path):
    touch(tmp_path, "a/Intro/kick.wav", "b/Intro/kick.wav")
    assert names(find_songs(tmp_path)[0]) == ["a/Intro", "b/Intro"]


ODD_NAMES = [
    "two  spaces",
    'it\'s "quoted"',
    "100% #1",
    "naïve ÆØÅ 東京",
    "a;b & c|d",
    "[x] {y} $z",
    "x" * 250,
    "-rf",
    "v1.2",
    "line\nbreak",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(tmp_path, name):
    touch(tmp_path, f"{name}/{name}.wav")
    (song,), problems = find_songs(tmp_path, "folders")
    assert (song.name, song.title, list(song.stems)) == (name, name, [name]) and not problems
    for layout in ("cambridge", "songs"):
        assert find_songs(tmp_path, layout)[0]


def test_albums_name_their_artist(tmp_path):
    touch(
        tmp_path, "The Band/First/01 Hello.mp3", "The Band/First/A - B.mp3", "Album/01 One.mp3", "Single.mp3"
    )
    songs, _ = find_songs(tmp_path, "songs")
    assert {song.name: song.artist for song in songs} == {
        "The Band/First/01 Hello": "The Band",
        "The Band/First/A - B": "A",
        "Album/01 One": "",
        "Single": "",
    }


def test_a_song_in_two_formats_is_one(tmp_path):
    touch(tmp_path, "a.flac", "a.mp3", "deep/er/b.mp3")
    songs, (problem,) = find_songs(tmp_path, "songs")
    assert names(songs) == ["a", "deep/er/b"] and problem.path.endswith("a.mp3")


@pytest.mark.parametrize(
    "files, layout",
    [
        (["a.wav", "b.wav"], "songs"),
        (["kick.wav", "mix.wav"], "folders"),
        (["x/kick.wav", "y/kick.wav"], "folders"),
        (["x/y/z/kick.wav"], "folders"),
        (["00/1100.mp3", "99/99.mp3"], "songs"),
        (["A_B/01_x.wav"], "cambridge"),
        (["A_B/kick.wav"], "folders"),
        (["my_song/01_x.wav"], "folders"),
        (["A_B_Full/x.wav", "one/x.wav", "two/x.wav"], "folders"),
        (["A_B/A_B_MIX.wav"], "medleydb"),
    ],
)
def test_auto(tmp_path, files, layout):
    touch(tmp_path, *files)
    assert find_songs(tmp_path)[0][0].layout == layout


@pytest.mark.parametrize(
    "files, message",
    [
        ([], "no audio files"),
        (["a.txt", "b/c.pdf", "._x.wav", ".hidden/x.wav", "__MACOSX/x.wav"], "no audio files"),
        (["a.wav", "song/kick.wav"], "both beside and inside"),
        (["a.stem.mp4", "A_B/A_B_RAW/x.wav"], "musdb18 and medleydb"),
    ],
)
def test_auto_cannot_decide(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(InputError, match=message) as error:
        find_songs(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("layout", ["medleydb", "musdb18", "musdb18hq"])
def test_the_wrong_layout(tmp_path, layout):
    touch(tmp_path, "song/kick.wav")
    with pytest.raises(InputError, match=f"no song in the layout {layout}"):
        find_songs(tmp_path, layout)


def test_bad_arguments(tmp_path):
    touch(tmp_path, "a.wav")
    with pytest.raises(InputError, match="no layout 'zip': there are auto, folders"):
        find_songs(tmp_path, "zip")
    for nothing in (tmp_path / "missing", tmp_path / "a.wav"):
        with pytest.raises(InputError, match="no such folder"):
            find_songs(nothing)


def test_many_files_are_found(tmp_path):
    for folder in range(100):
        (tmp_path / f"{folder:02d}").mkdir()
        for number in range(30):
            (tmp_path / f"{folder:02d}" / f"{number}{folder:02d}.mp3").touch()
    songs, problems = find_songs(tmp_path)
    assert len(songs) == 3000 and {song.layout for song in songs} == {"songs"} and not problems
