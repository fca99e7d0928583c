"""The song index: measured levels, splits, resuming, broken files, every layout."""

import json
import os
import shutil
from dataclasses import replace

import data_miniatures
import numpy as np
import pytest
import soundfile
from audio_helpers import one_line
from sound_files import music, write_sound

from diffmst_lib.data import index as index_module
from diffmst_lib.data.index import SongIndex, build_index, split_of, with_facts
from diffmst_lib.data.layouts.finding import find_songs
from diffmst_lib.data.measure import measure
from diffmst_lib.data.songs import FoundSong, Problem, Source
from diffmst_lib.inputs import InputError, InputNote


def found(folder, *stems, mix=None, **about):
    about = {"name": folder.name, "title": folder.name, "layout": "folders"} | about
    return FoundSong(
        stems={s.split(".")[0]: Source(folder / s) for s in stems}, mix=mix and Source(folder / mix), **about
    )


# Broken files

BROKEN = {"zero.wav": b"", "text.flac": b"not a sound", "header.wav": b"RIFF\x24\0\0\0WAVEfmt "}


def test_broken_files_are_listed_and_the_rest_is_used(tmp_path):
    song = tmp_path / "song"
    whole = music(3)
    for name in ("kick.wav", "snare.wav"):
        write_sound(song / name, whole)
    for name, content in BROKEN.items():
        (song / name).write_bytes(content)
    nan, late = whole.copy(), whole.copy()
    nan[0, 5], late[1, 130_000] = np.nan, np.inf
    for name, sound in {"nan.wav": nan, "late.wav": late}.items():
        soundfile.write(song / name, sound.T, 44100, subtype="FLOAT")
    soundfile.write(song / "empty.wav", np.zeros((0, 2)), 44100)
    soundfile.write(song / "many.wav", np.ones((1000, 6)) / 9, 44100)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "text.wav").write_bytes(b"nothing")
    index = build_index(*_found(tmp_path), tmp_path / "index.json")
    assert [song.name for song in index.songs] == ["song"]
    assert [stem.name for stem in index["song"].stems] == ["kick", "snare"]
    reasons = {os.path.basename(p.path): p.reason for p in index.problems}
    assert set(reasons) == {*BROKEN, "nan.wav", "late.wav", "empty.wav", "many.wav"} | {"text.wav"}
    assert (
        "NaN" in reasons["nan.wav"] and "NaN" in reasons["late.wav"] and "6 channels" in reasons["many.wav"]
    )
    assert all("\n" not in reason for reason in reasons.values())
    alone, power_db, _ = measure({name: Source(song / f"{name}.wav") for name in ("kick", "snare")})
    assert np.allclose(index["song"].power_db, power_db, atol=0.1)  # what was broken left nothing in the sum
    again = SongIndex.load(tmp_path)
    assert len(again.problems) == len(index.problems)


def _found(folder):
    songs, problems = find_songs(folder, "folders")
    assert not problems
    return [songs]


def test_nothing_that_can_be_used(tmp_path):
    (tmp_path / "song").mkdir()
    (tmp_path / "song" / "a.wav").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        build_index(*_found(tmp_path), tmp_path / "index.json")
    assert one_line(caught, "no song could be used", "a.wav")
    assert [f.name for f in tmp_path.iterdir()] == ["song"]


def test_a_file_that_vanishes(tmp_path):
    write_sound(tmp_path / "song" / "a.wav")
    os.mkfifo(tmp_path / "song" / "pipe.wav")
    (tmp_path / "song" / "link.wav").symlink_to(tmp_path / "nowhere.wav")
    index = build_index([found(tmp_path / "song", "a.wav", "gone.wav", "pipe.wav", "link.wav")], tmp_path)
    assert [stem.name for stem in index["song"].stems] == ["a"]
    assert [(os.path.basename(p.path), p.reason) for p in index.problems] == [
        ("gone.wav", "No such file or directory"),
        ("link.wav", "No such file or directory"),
        ("pipe.wav", "not a file"),
    ]


# The file


def test_load_gives_what_was_built(tmp_path):
    song = tmp_path / 'Björk – "It\'s 100 % #1"'
    write_sound(song / "kick drum é.wav", music(3, gap_s=(1, 2)))
    write_sound(song / "mix.ogg")
    built = build_index(
        [
            found(
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
    build_index([found(tmp_path / "here" / "song", "a.wav")], tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    (stem,) = SongIndex.load(tmp_path / "there")["song"].stems
    assert stem.source.path == tmp_path / "there" / "song" / "a.wav"


def test_files_elsewhere_keep_their_path(tmp_path):
    write_sound(tmp_path / "audio" / "song" / "a.wav")
    build_index([found(tmp_path / "audio" / "song", "a.wav")], tmp_path / "index" / "set.json")
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


def test_an_index_that_cannot_be_written(tmp_path):
    write_sound(tmp_path / "song" / "a.wav")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError) as caught:
        build_index([found(tmp_path / "song", "a.wav")], tmp_path / "file" / "index.json")
    assert one_line(caught, tmp_path / "file")


def test_two_songs_of_one_name(tmp_path):
    write_sound(tmp_path / "song" / "a.wav")
    with pytest.raises(InputError, match="two songs are named song"):
        build_index([found(tmp_path / "song", "a.wav")] * 2, tmp_path / "index.json")
    assert not (tmp_path / "index.json").exists()


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
    build_index([found(tmp_path / "song", "a.wav")], tmp_path)
    content = json.loads((tmp_path / "index.json").read_text())
    for place in (content["songs"][0], content["songs"][0]["stems"][0]):
        place.update({key: value for key, value in wrong.items() if key in place})
    (tmp_path / "index.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        SongIndex.load(tmp_path)
    assert one_line(caught, tmp_path / "index.json", "not a song index")


# Again


@pytest.fixture
def three(tmp_path):
    for name in ("one", "two", "three"):
        write_sound(tmp_path / name / "a.wav", music(2, seed=len(name)))
    return tmp_path, [found(tmp_path / name, "a.wav") for name in ("one", "two", "three")]


@pytest.fixture
def measured(monkeypatch):
    """The songs that are really read, in order."""
    names = []

    def counting(sources):
        names.extend(source.path.parent.name for source in sources.values())
        return measure(sources)

    monkeypatch.setattr(index_module, "measure", counting)
    return names


def test_what_has_not_changed_is_not_read_again(three, measured):
    folder, songs = three
    first = build_index(songs, folder)
    measured.clear()
    songs = [replace(song, artist="New", split="test") for song in songs]
    second = build_index(songs, folder)
    assert measured == [] and [song.split for song in second.songs] == ["test"] * 3
    assert [a.power_db.round(1).tolist() for a in first.songs] == [
        b.power_db.round(1).tolist() for b in second.songs
    ]
    write_sound(folder / "two" / "a.wav", music(3))
    assert len(build_index(songs, folder)["two"].power_db) == 3 and measured == ["two"]
    write_sound(folder / "two" / "a.wav", music(3, level=0.01))  # of the same size
    assert build_index(songs, folder)["two"].stems[0].peak < 0.03 and measured == ["two", "two"]


def test_an_interrupted_run_goes_on(three, measured, monkeypatch):
    folder, songs = three

    def interrupted(sources):
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(next(iter(sources.values())).path.parent.name)
        return measure(sources)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(index_module, "measure", interrupted)
        build_index(songs, folder, workers=1)
    done = measured[:2]
    assert not (folder / "index.json").exists()
    (journal,) = folder.glob(".index.json*")
    with open(journal, "a") as part:
        part.write('{"name": "cut of')  # as a killed process leaves it
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(index_module, "measure", interrupted)
        build_index(songs, folder, workers=1)
    measured.clear()
    index = build_index(songs, folder)
    assert measured == [name for name in ("one", "two", "three") if name not in done]
    assert sorted(song.name for song in index.songs) == ["one", "three", "two"]
    assert [f.name for f in folder.glob(".*")] == []


def test_a_broken_file_is_tried_again(three, measured):
    folder, songs = three
    (folder / "one" / "b.wav").write_bytes(b"")
    songs[0] = found(folder / "one", "a.wav", "b.wav")
    assert len(build_index(songs, folder).problems) == 1
    measured.clear()
    index = build_index(songs, folder)
    assert measured == ["one", "one"] and len(index.problems) == 1


def test_workers_do_not_change_the_index(three):
    folder, songs = three
    build_index(songs, folder / "a.json", workers=1)
    build_index(songs[::-1], folder / "b.json", workers=3)
    assert (folder / "a.json").read_text() == (folder / "b.json").read_text()


# Splits


def test_proportions():
    names = [f"artist {i}" for i in range(5000)]
    shares = {
        split: sum(split_of(name) == split for name in names) / len(names)
        for split in ("train", "validation", "test")
    }
    assert shares == pytest.approx({"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.015)


def test_the_same_for_ever():
    """Written down: weights that were trained rely on it."""
    assert [
        split_of(name) for name in ("Ane Brun", "The Band", "Software-Entwicklungskit", "!!!", "椎名林檎")
    ] == ["train", "train", "validation", "test", "test"]


@pytest.mark.parametrize(
    "other",
    [
        "AClassicEducation",
        "a classic education",
        "A_Classic-Education",
        "Á Classic Education",
        "A Classic Education feat. Somebody",
        "A Classic Education (ft. X)",
    ],
)
def test_spelling_does_not_count(other):
    assert split_of(other) == split_of("A Classic Education")


def test_names_without_letters_are_names():
    assert len({split_of("!" * n) for n in range(1, 40)}) == 3


def test_no_artist_in_two_splits(tmp_path):
    write_sound(tmp_path / "song" / "a.wav", music(1))
    songs = [
        found(tmp_path / "song", "a.wav", name=f"{i}", title=f"title {i}", artist=f"artist {i % 25}")
        for i in range(200)
    ]
    index = build_index(songs, tmp_path)
    splits = index.to_frame().groupby("artist")["split"].nunique()
    assert len(splits) == 25 and (splits == 1).all()
    assert index.to_frame()["split"].nunique() > 1
    for split in ("train", "validation", "test"):
        assert {song.name for song in index.multitracks(split)} == set(
            index.to_frame().query("split == @split").index
        )


def test_an_artist_that_a_list_puts_into_two_splits_is_told(tmp_path):
    write_sound(tmp_path / "song" / "a.wav", music(1))
    songs = [
        found(tmp_path / "song", "a.wav", name=split, artist=artist, split=split)
        for split, artist in (("test", "The Band"), ("train", "the band feat. Jo"))
    ]
    with pytest.warns(InputNote, match="more than one split, by a list: The Band") as caught:
        build_index(songs, tmp_path)
    assert caught[0].filename == __file__


def test_an_unknown_split(tmp_path):
    with pytest.raises(ValueError, match="split must be"):
        SongIndex([]).multitracks("dev")


def test_facts_from_a_list(tmp_path):
    songs = [FoundSong("a", "a", "songs"), FoundSong("b", "b", "songs")]
    (tmp_path / "about.json").write_text(
        json.dumps({"b": {"split": "test", "license": "CC0 1.0", "title": "Bé"}})
    )
    a, b = with_facts(songs, tmp_path / "about.json")
    accents = [FoundSong(name, name, "songs") for name in ("caf\u00e9", "cafe\u0301 2")]
    (tmp_path / "accents.json").write_text(
        json.dumps({"cafe\u0301": {"split": "test"}, "caf\u00e9 2": {"split": "test"}})
    )
    assert [song.split for song in with_facts(accents, tmp_path / "accents.json")] == ["test", "test"]
    assert a == songs[0] and (b.split, b.license, b.title) == ("test", "CC0 1.0", "Bé")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "not JSON"),
        ("[]", "must be JSON"),
        ('{"a": "test"}', "must be JSON"),
        ('{"c": {"split": "test"}}', "no song is named c"),
        ('{"a": {"split": "dev"}}', "split 'dev'"),
        ('{"a": {"stems": "x"}}', "stems 'x'"),
        ('{"a": {"title": 1}}', "title 1"),
    ],
)
def test_a_bad_list(tmp_path, content, why):
    (tmp_path / "about.json").write_text(content)
    with pytest.raises(InputError) as caught:
        with_facts([FoundSong("a", "a", "songs")], tmp_path / "about.json")
    assert one_line(caught, tmp_path / "about.json", why)


# Layouts, with real sound

LAYOUTS = ("folders", "medleydb_v1", "medleydb_v2", "cambridge", "musdb18hq", "musdb18", "jamendo", "songs")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_indexed(tmp_path, layout):
    """Whole way: names, files of many formats, streams, levels."""

    def write(path):
        rate = 48000 if path.suffix == ".opus" else 44100
        write_sound(path, music(1.5, rate), rate)

    expected = getattr(data_miniatures, layout)(tmp_path, write)
    songs, _ = find_songs(tmp_path)
    index = build_index(songs, tmp_path / "index.json")
    assert [song.name for song in index.songs] == [song.name for song in expected]
    assert not index.problems
    for song, wanted in zip(index.songs, expected):
        assert {stem.name for stem in song.stems} == set(wanted.stems) and (song.mix is None) == (
            wanted.mix is None
        )
        assert all(
            np.isfinite(track.loudness_lufs).all() and track.duration_s == pytest.approx(1.5, abs=0.1)
            for track in song.tracks
        )


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
