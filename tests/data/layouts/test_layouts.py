"""Layouts of data sets: what is found in them by names alone."""

import os
import random
import sys
import time
from pathlib import Path

import data_miniatures as miniatures
import pytest

import diffmst_lib as dm
from diffmst_lib.data.layouts import folders as places
from diffmst_lib.data.layouts.finding import LAYOUTS, find_songs
from diffmst_lib.inputs import InputError

LAYOUT_OF = {name: name.split()[0] for name in miniatures.ALL} | {"jamendo": "songs"}


def touch(root, *paths):
    """Empty files: no layout opens audio."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def names(found):
    return [song.name for song in found]


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


# --- folders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", ["mix.wav", "MIXTURE.flac", "song_mix.wav", "Song - Master.mp3", "song-mixdown.ogg"]
)
def test_a_mix_is_no_stem(tmp_path, file):
    touch(tmp_path, "song/kick.wav", "song/remix.wav", "song/mix bus.wav", f"song/{file}")
    (song,), problems = find_songs(tmp_path)
    assert song.mix.path.name == file and set(song.stems) == {"kick", "remix", "mix bus"} and not problems


def test_the_first_of_two_mixes(tmp_path):
    touch(tmp_path, "song/kick.wav", "song/master.wav", "song/mix.wav")
    (song,), (problem,) = find_songs(tmp_path)
    assert song.mix.path.name == "mix.wav" and list(song.stems) == ["kick"]
    assert problem.path.endswith("master.wav") and "second mix" in problem.reason


def test_two_files_of_one_name(tmp_path):
    touch(tmp_path, "song/kick.wav", "song/kick.flac", "song/Kick.wav")
    (song,), (problem,) = find_songs(tmp_path)
    assert {name: source.path.name for name, source in song.stems.items()} == {
        "Kick": "Kick.wav",
        "kick": "kick.flac",
    }
    assert problem.path.endswith("kick.wav") and "kick.flac" in problem.reason


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


def test_medleydb_with_very_long_names(tmp_path):
    name = "A_" + "x" * 245
    touch(tmp_path, f"{name}/{name}_RAW/01.wav")
    assert names(find_songs(tmp_path)[0]) == [name]


@pytest.mark.parametrize(
    "name, artist_title",
    [
        ("Artist - Title", ("Artist", "Title")),
        ("The_Artist_-_A_Title", ("The Artist", "A Title")),
        ("01 - Artist - Title", ("Artist", "Title")),
        ("01 - Title", ("", "Title")),
        ("7. Title", ("", "Title")),
        ("Artist – Title", ("Artist", "Title")),
        ("A - B - C", ("A", "B - C")),
        ("kick-drum", ("", "kick-drum")),
        (" - ", ("", "-")),
        ("12", ("", "12")),
        ("1999 - Prince", ("1999", "Prince")),
    ],
)
def test_artist_and_title(name, artist_title):
    assert places.artist_title(name) == artist_title


@pytest.mark.parametrize(
    "name, words",
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
def test_words(name, words):
    assert places.words(name) == words


# --- names that are no UTF-8, links, folders that cannot be read -----------------------------------------------------


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
    with pytest.raises(InputError, match="secret.*Permission denied"):
        find_songs(tmp_path / "secret")


# --- MedleyDB -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"artist: [",
        b"\xff\xfe\x00",
        b"- a list",
        b"",
        b"stems: [1, 2]",
        b"stems: {S01: {}}",
        b"a: 2024-99-99",
        b"x: !!python/object:os.system {}",
        b"[" * 5000,
    ],
)
def test_metadata_that_cannot_be_read(tmp_path, content):
    miniatures.medleydb_v1(tmp_path, Path.touch)
    table = tmp_path / "Audio" / "MusicDelta_80sRock" / "MusicDelta_80sRock_METADATA.yaml"
    table.write_bytes(content)
    (boys, rock), (problem,) = find_songs(tmp_path)
    assert problem.path == str(table) and "\n" not in problem.reason and "not used" in problem.reason
    assert (rock.artist, rock.title, set(rock.stems)) == (
        "Music Delta",
        "80s Rock",
        {"01_01", "02_01", "02_02"},
    )
    assert boys.artist == "Clara Berry and Wooldog"


def test_metadata_in_the_folder_above(tmp_path):
    miniatures.medleydb_v2(tmp_path, Path.touch)
    songs, problems = find_songs(tmp_path / "V2")
    assert [song.artist for song in songs] == ["Allen Stone", "Dahka Band", "Falling Sparks"] and not problems
    assert "01_01 electric bass" in songs[0].stems


def test_one_song_of_medleydb(tmp_path):
    miniatures.medleydb_v1(tmp_path, Path.touch)
    (song,), problems = find_songs(tmp_path / "Audio" / "MusicDelta_80sRock")
    assert (song.name, song.artist, song.layout) == (
        "MusicDelta_80sRock",
        "Music Delta",
        "medleydb",
    ) and not problems


def test_medleydb_tells_what_it_leaves_out(tmp_path):
    miniatures.medleydb_v1(tmp_path, Path.touch)
    touch(
        tmp_path,
        "demo.wav",
        "Audio/MusicDelta_80sRock/MusicDelta_80sRock_MIX_old.wav",
        "Audio/A_B/A_B_RAW/notes.txt",
    )
    songs, problems = find_songs(tmp_path)
    assert len(songs) == 2
    assert [(Path(problem.path).name, problem.reason.split(",")[0]) for problem in problems] == [
        (tmp_path.name, "1 audio file not of MedleyDB"),
        ("A_B", "no audio in its RAW and STEMS folders"),
        ("MusicDelta_80sRock", "1 audio file not of MedleyDB"),
    ]


def test_stems_where_there_is_no_raw(tmp_path):
    touch(tmp_path, "A_B/A_B_STEMS/A_B_STEM_01.wav", "A_B/A_B_RAW/.DS_Store")
    (song,), problems = find_songs(tmp_path)
    assert list(song.stems) == ["01"] and song.mix is None and not problems


# --- Cambridge-MT ---------------------------------------------------------------------------------------------------


def test_the_full_song_wins_in_any_order(tmp_path):
    touch(
        tmp_path,
        "A_Song_Excerpt/01_a.wav",
        "A_Song_Excerpt/02_b.wav",
        "A_Song_Full/01_a.wav",
        "A_Song_Full (1)/01_a.wav",
        "more/A_Song/01_a.wav",
    )
    songs, problems = find_songs(tmp_path)
    assert names(songs) == ["A_Song_Full"]
    assert {Path(problem.path).name: problem.reason for problem in problems} == {
        "A_Song_Excerpt": "an excerpt of A_Song_Full",
        "A_Song_Full (1)": "the same song as A_Song_Full",
        "A_Song": "the same song as A_Song_Full",
    }


def test_previews_that_belong_to_no_song(tmp_path):
    touch(
        tmp_path,
        "A_One_Full/01_a.wav",
        "B_One_Full/01_a.wav",
        "Z_Two_Full/01_a.wav",
        "Z_Two_Full/Two_Full_Preview.mp3",
        "One_Full_Preview.mp3",
        "B_One_Full_Preview.mp3",
        "Three_Full_Preview.mp3",
        "Two_Preview.mp3",
        "Two_Excerpt_Preview.mp3",
        "loose.wav",
    )
    songs, problems = find_songs(tmp_path, "cambridge")
    assert [song.mix.path.name if song.mix else None for song in songs] == [
        None,
        "B_One_Full_Preview.mp3",
        "Two_Full_Preview.mp3",
    ]
    assert all(set(song.stems) == {"01_a"} for song in songs)
    reasons = {Path(problem.path).name: problem.reason for problem in problems}
    assert reasons == {
        tmp_path.name: "1 audio file beside the folders of the songs, such as loose.wav",
        "One_Full_Preview.mp3": "the mix of several songs here",
        "Three_Full_Preview.mp3": "the mix of no song here",
        "Two_Excerpt_Preview.mp3": "the mix of no song here",
        "Two_Preview.mp3": "a second mix beside Two_Full_Preview.mp3",
    }


def test_one_song_of_cambridge(tmp_path):
    touch(tmp_path, "A_Song_Full/01_Kick.wav", "A_Song_Full/02_Snare.wav")
    (song,), _ = find_songs(tmp_path / "A_Song_Full")
    assert (song.name, song.artist, song.title, len(song.stems)) == ("A_Song_Full", "A", "Song", 2)


def test_folders_inside_a_song_of_cambridge(tmp_path):
    touch(tmp_path, "A_Song_Full/Drum_Kit/01_Kick.wav", "A_Song_Full/Guitars/02_Gtr.wav")
    (song,), problems = find_songs(tmp_path)
    assert song.name == "A_Song_Full" and set(song.stems) == {"01_Kick", "02_Gtr"} and not problems


# --- MUSDB18, songs -------------------------------------------------------------------------------------------------


def test_musdb18hq_tells_what_is_missing_and_left_out(tmp_path):
    miniatures.musdb18hq(tmp_path, Path.touch)
    home = tmp_path / "train" / "Hollow Ground - Left Blind"
    (home / "bass.wav").unlink()
    touch(home, "accompaniment.wav")
    songs, problems = find_songs(tmp_path)
    assert len(songs) == 4 and set(songs[2].stems) == {"drums", "other", "vocals"}
    assert sorted(problem.reason for problem in problems) == [
        "1 audio file not of MUSDB18-HQ, such as accompaniment.wav",
        "used without bass: not there",
    ]


def test_musdb18_leaves_out_other_files(tmp_path):
    miniatures.musdb18(tmp_path, Path.touch)
    touch(tmp_path, "train/a.mp4", "train/b.wav")
    songs, (problem,) = find_songs(tmp_path)
    assert len(songs) == 4 and problem.reason == "2 audio files no .stem.mp4, such as a.mp4"


@pytest.mark.parametrize("place", [".", "data", "audio", "audio/data"])
def test_the_table_of_artists_in_or_above_the_folder(tmp_path, place):
    touch(tmp_path, "audio/14/214.low.mp3", "audio/14/999.mp3", "audio/82/382.mp3")
    miniatures.put(tmp_path, f"{place}/autotagging.tsv", miniatures.JAMENDO_TABLE.encode())
    miniatures.put(tmp_path, f"{place}/raw.meta.tsv", b"TRACK_ID\tARTIST_ID\nx\ty\n")
    songs, (problem,) = find_songs(tmp_path / "audio")
    assert [song.artist for song in songs] == ["artist_000014", "", "artist_000020"]
    assert problem.reason.startswith("1 of 3 songs are used without an artist")


def test_one_folder_of_jamendo(tmp_path):
    miniatures.jamendo(tmp_path, Path.touch)
    (song,), _ = find_songs(tmp_path / "14")
    assert (song.name, song.layout) == ("214", "songs")


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


# --- what "auto" says, and bad input --------------------------------------------------------------------------------


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


def test_many_files_are_found_quickly(tmp_path):
    for folder in range(100):
        (tmp_path / f"{folder:02d}").mkdir()
        for number in range(30):
            (tmp_path / f"{folder:02d}" / f"{number}{folder:02d}.mp3").touch()
    start = time.perf_counter()
    songs, _ = find_songs(tmp_path)
    assert len(songs) == 3000 and time.perf_counter() - start < 2
