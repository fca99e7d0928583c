"""Folders of instruments: one song, not several."""

import pytest
from data_miniatures import names, touch

from diffmst_lib.data.layouts.finding import find_songs
from diffmst_lib.data.songs import Source
from diffmst_lib.inputs import InputError, InputNote

FILES = ["bass.wav", "Drums/kick.wav", "Vocals/lead.wav"]


@pytest.mark.parametrize("above", ["", "song/", "train/song/"])
def test_folders_named_like_instruments_are_one_song(tmp_path, above):
    touch(tmp_path, *(above + file for file in FILES))
    with pytest.warns(
        InputNote, match="taken for instruments of the song above them: .*Drums, .*Vocals"
    ) as notes:
        (song,), problems = find_songs(tmp_path)
    assert len(notes) == 1 and not problems
    assert song.name == above.rstrip("/") or (tmp_path.name and song.layout == "instruments")
    assert set(song.stems) == {"bass", "Drums_kick", "Vocals_lead"}


def test_by_hand_they_are_songs_or_instruments(tmp_path):
    touch(tmp_path, "song/bass.wav", "song/Drums/kick.wav", "song/Foo/a.wav", "two/Bar/b.wav")
    assert names(find_songs(tmp_path, "folders")[0]) == ["song", "song/Drums", "song/Foo", "two/Bar"]
    one, two = find_songs(tmp_path, "instruments")[0]
    assert set(one.stems) == {"bass", "Drums_kick", "Foo_a"} and set(two.stems) == {"Bar_b"}
    assert (one.layout, two.layout) == ("instruments", "instruments")
    (whole,) = find_songs(tmp_path / "song", "instruments")[0]
    assert whole.name == "song" and set(whole.stems) == set(one.stems)


def test_songs_named_like_instruments_among_others_are_songs(tmp_path):
    touch(tmp_path, "Piano/a.wav", "Yesterday/a.wav", "Strings/a.wav", "Help/a.wav")
    assert names(find_songs(tmp_path)[0]) == ["Help", "Piano", "Strings", "Yesterday"]


def test_what_is_no_instrument_beside_instruments_is_left_out(tmp_path):
    touch(
        tmp_path, *(f"song/{file}" for file in FILES), "song/takes/a.wav", "song/Drums/old/b.wav", "two/c.wav"
    )
    with pytest.warns(InputNote, match="instruments"):
        songs, problems = find_songs(tmp_path)
    assert names(songs) == ["song", "two"] and len(songs[0].stems) == 3
    assert [problem.path for problem in problems] == [
        str(tmp_path / "song" / "Drums" / "old"),
        str(tmp_path / "song" / "takes"),
    ]


def test_folders_inside_a_song_are_told(tmp_path):
    touch(tmp_path, "song/bass.wav", "song/verse/kick.wav", "song/chorus/kick.wav")
    with pytest.warns(
        InputNote, match="taken for songs of their own: song/chorus, song/verse; layout instruments"
    ):
        assert len(find_songs(tmp_path)[0]) == 3


def test_a_flat_folder_is_told(tmp_path):
    touch(tmp_path, "kick.wav", "bass.wav", "vox.wav")
    with pytest.warns(
        InputNote, match="3 files taken for finished songs; layout folders takes them for the stems"
    ):
        assert len(find_songs(tmp_path)[0]) == 3
    (song,), _ = find_songs(tmp_path, "folders")
    assert set(song.stems) == {"kick", "bass", "vox"}


def test_two_sides_are_one_stem(tmp_path):
    touch(tmp_path, "song/Keys.L.wav", "song/Keys.R.wav", "song/Pad_L.wav")
    (song,), _ = find_songs(tmp_path)
    home = tmp_path / "song"
    assert song.stems == {
        "Keys": Source(home / "Keys.L.wav", right=home / "Keys.R.wav"),
        "Pad_L": Source(home / "Pad_L.wav"),
    }


@pytest.mark.parametrize("layout", ["auto", "folders", "songs"])
def test_an_earlier_mix_is_no_song(tmp_path, layout):
    touch(tmp_path, "song/kick.wav", "out/mix.wav", "out/params.json", "out/stems/kick.wav")
    songs, (problem,) = find_songs(tmp_path, layout)
    assert len(songs) == 1 and "an earlier mix" in problem.reason
    assert problem.path == str(tmp_path / "out" / "mix.wav")
    with pytest.raises(InputError, match="an earlier mix"):
        find_songs(tmp_path / "out", layout)


def test_sounds_that_are_not_read_are_named(tmp_path):
    touch(tmp_path, "song/kick.wav", "song/a.mka", "song/.b.wav", "song/._kick.wav", "song/c.txt")
    (tmp_path / "song" / "d.wav").mkdir()
    _, problems = find_songs(tmp_path)
    assert [problem.path.rpartition("/")[2] for problem in problems] == [".b.wav", "a.mka", "d.wav"]


def test_songs_whose_names_look_alike_are_told(tmp_path):
    touch(tmp_path, "\u00e9/a.wav", "e\u0301/a.wav")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("both are one folder here")
    with pytest.warns(InputNote, match="songs of the same name, renamed: \u00e9 \\(2\\)"):
        assert names(find_songs(tmp_path)[0]) == ["\u00e9", "\u00e9 (2)"]


def test_files_whose_names_look_alike_are_one(tmp_path):
    touch(tmp_path, "song/\u00e9.wav", "song/e\u0301.flac")
    (song,), (problem,) = find_songs(tmp_path)
    assert list(song.stems) == ["\u00e9"] and "has the name of" in problem.reason
