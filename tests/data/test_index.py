"""The song index: what it keeps, finds and reads again."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from audio_helpers import one_line
from data_miniatures import found_song
from sound_files import music, write_sound

from diffmst_lib.data.building import build_index
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.measure import measure
from diffmst_lib.data.songs import Problem
from diffmst_lib.inputs import InputError


def test_load_gives_what_was_built(tmp_path):
    song = tmp_path / 'Björk \u2013 "It\'s 100 % #1"'
    write_sound(song / "kick drum é.wav", music(3, gap_s=(1, 2)))
    write_sound(song / "mix.ogg")
    built = build_index(
        [
            found_song(
                song,
                "kick drum é.wav",
                mix="mix.ogg",
                artist="Björk",
                license="CC0 1.0",
                split="test",
                attribution='"Song" by Björk',
            )
        ],
        tmp_path / "set.json",
    )
    loaded = SongIndex.load(tmp_path / "set.json")
    for a, b in zip(built.songs, loaded.songs, strict=True):
        assert replace(a, stems=[], mix=None, power_db=None) == replace(b, stems=[], mix=None, power_db=None)
        assert np.allclose(a.power_db, b.power_db, atol=0.06)
        for x, y in zip(a.tracks, b.tracks, strict=True):
            assert replace(x, loudness_lufs=None, peak=0) == replace(y, loudness_lufs=None, peak=0)
            quiet = x.loudness_lufs <= -120
            assert np.isneginf(y.loudness_lufs[quiet]).all()
            assert np.allclose(x.loudness_lufs[~quiet], y.loudness_lufs[~quiet], atol=0.06)


def test_problems_stay_as_they_were_told(tmp_path):
    """Some are files, some only names."""
    told = [Problem("MIDI songs", "all 31 are missing"), Problem(str(tmp_path / "a.wav"), "an empty file")]
    SongIndex([], told).save(tmp_path / "index.json")
    assert SongIndex.load(tmp_path).problems == told


def test_an_index_is_a_collection(three):
    folder, songs = three
    index = build_index(songs, folder)
    assert [song.name for song in index] == ["one", "three", "two"] and len(index) == 3
    assert "two" in index and "four" not in index and index["two"] is index.songs[2]
    assert repr(index) == "SongIndex: 3 multitracks, 0 references"
    with pytest.raises(KeyError, match="no song four"):
        index["four"]


def test_a_data_set_can_move(tmp_path):
    write_sound(tmp_path / "here" / "song" / "a.wav")
    build_index([found_song(tmp_path / "here" / "song", "a.wav")], tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    (stem,) = SongIndex.load(tmp_path / "there")["song"].stems
    assert stem.source.path == tmp_path / "there" / "song" / "a.wav"


def test_files_elsewhere_keep_their_path(tmp_path):
    write_sound(tmp_path / "audio" / "song" / "a.wav")
    build_index([found_song(tmp_path / "audio" / "song", "a.wav")], tmp_path / "index" / "set.json")
    assert SongIndex.load(tmp_path / "index" / "set.json")["song"].stems[0].source.path.is_file()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 99, "songs": []}',
        '{"version": 1, "songs": [{"name": "a"}], "problems": []}',
    ],
)
def test_no_index(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(InputError) as caught:
        SongIndex.load(tmp_path)
    assert one_line(caught, tmp_path / "index.json")


def test_no_index_there(tmp_path):
    with pytest.raises(InputError, match="diffmst data index"):
        SongIndex.load(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"split": "valid"},
        {"name": 3},
        {"artist": None},
        {"stems": []},
        {"sample_rate": 0},
        {"num_samples": "5"},
    ],
)
def test_an_index_edited_by_hand(tmp_path, wrong):
    write_sound(tmp_path / "song" / "a.wav")
    build_index([found_song(tmp_path / "song", "a.wav")], tmp_path)
    content = json.loads((tmp_path / "index.json").read_text())
    for place in (content["songs"][0], content["songs"][0]["stems"][0]):
        place.update({key: value for key, value in wrong.items() if key in place})
    (tmp_path / "index.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        SongIndex.load(tmp_path)
    assert one_line(caught, tmp_path / "index.json", "not a song index")


def test_an_unknown_split(tmp_path):
    with pytest.raises(ValueError, match="split must be"):
        SongIndex([]).multitracks("dev")


def test_the_tiny_set_has_an_index(data):
    """Made by data/build_tiny.py, and still true."""
    index = SongIndex.load(data)
    assert [song.name for song in index.multitracks("test")] == ["caesium"]
    assert {song.name for song in index.references("test")} >= {"vibe_ace", "its_simple", "lets_go_fishin"}
    assert all(song.license and song.attribution and song.artist for song in index.songs)
    files = {track.source.path for song in index.songs for track in song.tracks}
    assert files == set(data.glob("*/*/*.ogg")) | set(data.glob("*/*.ogg"))
    for song in (index["rubidium"], index["vibe_ace"]):
        sources = {track.name: track.source for track in song.tracks}
        for old, new in zip(song.tracks, measure(sources)[0], strict=True):
            sounding = new.loudness_lufs > -100
            assert np.allclose(old.loudness_lufs[sounding], new.loudness_lufs[sounding], atol=0.1)
            assert (old.sample_rate, old.num_samples, old.mono) == (
                new.sample_rate,
                new.num_samples,
                new.mono,
            )


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("num_samples", [10**15, 0, -1, 1.5, None, "x", True, 10**400]),
        ("sample_rate", [float("nan"), 1e9, None, "x", [], 0.5]),
        ("channels", [3, None, "2"]),
        ("mono", [None, 1, "x"]),
        ("peak", [None, "x", float("nan"), -1, float("inf")]),
        ("gain", [None, "x", float("nan")]),
        ("stream", [None, "x", 0.5]),
        ("path", [None, 3, []]),
        ("right", [3, []]),
        ("delay_s", [None, "x", -1, float("inf")]),
        ("loudness_lufs", [None, "x", [None], ["x"], [[1.0]], [10**400], [float("nan")], 3]),
        ("power_db", [None, "x", [None], [10**400], {}]),
        ("name", [None, 3, []]),
        ("title", [None, 3]),
        ("signature", [None, 3]),
        ("offset_s", [None, "x", float("nan")]),
        ("mix", [3, "x", [1]]),
        ("stems", [None, 3, "x", [3]]),
        ("songs", [None, 3, "x", [3], ["x"]]),
        ("problems", [None, 3, [3], [[1, 2]], [["a"]]]),
        ("version", [None, "x", 10**400]),
    ],
)
def test_wrong_types_and_numbers_cost_one_line(tmp_path, key, values):
    write_sound(tmp_path / "song" / "a.wav")
    build_index([found_song(tmp_path / "song", "a.wav")], tmp_path)
    whole = (tmp_path / "index.json").read_text()
    for value in values:
        content = json.loads(whole)
        song = content["songs"][0]
        where = content if key in content else song if key in song else song["stems"][0]
        where[key] = value
        (tmp_path / "index.json").write_text(json.dumps(content))
        with pytest.raises(InputError) as caught:
            SongIndex.load(tmp_path)
        assert one_line(caught, tmp_path / "index.json") and len(str(caught.value)) < 1000, value


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"version": ' * 100_000, '{"version": 1' + "0" * 5000 + "}"]
)
def test_deep_brackets_and_long_numbers_cost_one_line(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(InputError) as caught:
        SongIndex.load(tmp_path)
    assert one_line(caught, tmp_path / "index.json", "not a song index")


def test_names_are_compared_as_they_look(tmp_path):
    write_sound(tmp_path / "song" / "a.wav")
    build_index([found_song(tmp_path / "song", "a.wav", name="caf\u00e9")], tmp_path)
    text = (tmp_path / "index.json").read_text()
    (tmp_path / "index.json").write_text(text.replace("caf\u00e9", "cafe\u0301"))
    index = SongIndex.load(tmp_path)
    assert "cafe\u0301" in index and index["cafe\u0301"] is index["caf\u00e9"]
