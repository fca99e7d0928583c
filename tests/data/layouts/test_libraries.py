"""The layouts of MedleyDB, Cambridge-MT, MUSDB18 and MTG-Jamendo."""

from pathlib import Path

import data_miniatures as miniatures
import pytest
from data_miniatures import names, touch

from diffmst_lib.data.layouts.finding import find_songs


def test_medleydb_with_very_long_names(tmp_path):
    name = "A_" + "x" * 245
    touch(tmp_path, f"{name}/{name}_RAW/01.wav")
    assert names(find_songs(tmp_path)[0]) == [name]


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
