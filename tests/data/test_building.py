"""Building an index: broken files, resuming, splits, facts from a list, every layout."""

import json
import os
import warnings
from dataclasses import replace

import data_miniatures
import numpy as np
import pytest
import soundfile
from audio_helpers import one_line
from data_miniatures import found_song
from interrupting_path import InterruptingPath
from sound_files import music, write_sound

from diffmst_lib.data.building import build_index, with_facts
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.layouts.finding import find_songs
from diffmst_lib.data.measure import measure
from diffmst_lib.data.scale.cache import build_cache
from diffmst_lib.data.segments import read_segment
from diffmst_lib.data.songs import FoundSong, Source
from diffmst_lib.inputs import InputError, InputNote

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
    index = build_index(songs_below(tmp_path), tmp_path / "index.json")
    assert [song.name for song in index.songs] == ["song"]
    assert [stem.name for stem in index["song"].stems] == ["kick", "snare"]
    reasons = {os.path.basename(p.path): p.reason for p in index.problems}
    assert set(reasons) == {*BROKEN, "nan.wav", "late.wav", "empty.wav", "many.wav"} | {"text.wav"}
    assert (
        "NaN" in reasons["nan.wav"] and "NaN" in reasons["late.wav"] and "6 channels" in reasons["many.wav"]
    )
    assert all("\n" not in reason for reason in reasons.values())
    _alone, power_db, _ = measure({name: Source(song / f"{name}.wav") for name in ("kick", "snare")})
    assert np.allclose(index["song"].power_db, power_db, atol=0.1)  # what was broken left nothing in the sum
    again = SongIndex.load(tmp_path)
    assert len(again.problems) == len(index.problems)


def songs_below(folder):
    songs, problems = find_songs(folder, "folders")
    assert not problems
    return songs


def test_nothing_that_can_be_used(tmp_path):
    (tmp_path / "song").mkdir()
    (tmp_path / "song" / "a.wav").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        build_index(songs_below(tmp_path), tmp_path / "index.json")
    assert one_line(caught, "no song could be used", "a.wav")
    assert [f.name for f in tmp_path.iterdir()] == ["song"]


def test_a_file_that_vanishes(tmp_path):
    write_sound(tmp_path / "song" / "a.wav")
    os.mkfifo(tmp_path / "song" / "pipe.wav")
    (tmp_path / "song" / "link.wav").symlink_to(tmp_path / "nowhere.wav")
    index = build_index(
        [found_song(tmp_path / "song", "a.wav", "gone.wav", "pipe.wav", "link.wav")], tmp_path
    )
    assert [stem.name for stem in index["song"].stems] == ["a"]
    assert [(os.path.basename(p.path), p.reason) for p in index.problems] == [
        ("gone.wav", "No such file or directory"),
        ("link.wav", "No such file or directory"),
        ("pipe.wav", "not a file"),
    ]


def test_an_index_that_cannot_be_written(tmp_path):
    write_sound(tmp_path / "song" / "a.wav")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError) as caught:
        build_index([found_song(tmp_path / "song", "a.wav")], tmp_path / "file" / "index.json")
    assert one_line(caught, tmp_path / "file")


def test_two_songs_of_one_name(tmp_path):
    write_sound(tmp_path / "song" / "a.wav")
    with pytest.raises(InputError, match="two songs are named song"):
        build_index([found_song(tmp_path / "song", "a.wav")] * 2, tmp_path / "index.json")
    assert not (tmp_path / "index.json").exists()


def silence_in_secret(path):
    """Replace a file by zeros of the same size and date: whoever reads it again finds no sound in it."""
    status = os.stat(path)
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_what_has_not_changed_is_not_read_again(three):
    folder, songs = three
    first = build_index(songs, folder)
    for name in ("one", "three"):
        silence_in_secret(folder / name / "a.wav")
    write_sound(folder / "two" / "a.wav", music(3))
    songs = [replace(song, artist="New", split="test") for song in songs]
    second = build_index(songs, folder)
    assert [song.split for song in second.songs] == ["test"] * 3 and not second.problems
    for name in ("one", "three"):
        assert first[name].power_db.round(1).tolist() == second[name].power_db.round(1).tolist()
    assert len(second["two"].power_db) == 3
    write_sound(folder / "two" / "a.wav", music(3, level=0.01))  # of the same size
    assert build_index(songs, folder)["two"].stems[0].peak < 0.03


def test_an_interrupted_run_goes_on(three):
    folder, songs = three

    class AfterTwoSongs(InterruptingPath):
        @staticmethod
        def ready():
            (journal,) = folder.glob(".index.json*")
            return (
                journal.read_text().count('"name": "one"') + journal.read_text().count('"name": "two"') == 2
            )

    one, two, three = (next(song for song in songs if song.name == name) for name in ("one", "two", "three"))
    interrupting = replace(three, stems={"a": Source(AfterTwoSongs(three.stems["a"].path))})
    with pytest.raises(KeyboardInterrupt):
        build_index([one, two, interrupting], folder, workers=1)
    assert not (folder / "index.json").exists()
    (journal,) = folder.glob(".index.json*")
    with open(journal, "a") as part:
        part.write('{"name": "cut of')  # as a killed process leaves it
    for name in ("one", "two"):
        silence_in_secret(folder / name / "a.wav")
    index = build_index(songs, folder)
    assert [song.name for song in index.songs] == ["one", "three", "two"] and not index.problems
    assert all(song.stems[0].peak > 0.05 for song in index)
    assert [f.name for f in folder.glob(".*")] == []


def test_a_broken_file_is_tried_again(three):
    folder, songs = three
    (folder / "one" / "b.wav").write_bytes(b"")
    songs[0] = found_song(folder / "one", "a.wav", "b.wav")
    assert len(build_index(songs, folder).problems) == 1
    assert len(build_index(songs, folder).problems) == 1  # not forgotten
    status = os.stat(folder / "one" / "b.wav")
    write_sound(folder / "one" / "b.wav")
    os.utime(folder / "one" / "b.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    index = build_index(songs, folder)
    assert not index.problems and len(index["one"].stems) == 2


def test_workers_do_not_change_the_index(three):
    folder, songs = three
    build_index(songs, folder / "a.json", workers=1)
    build_index(songs[::-1], folder / "b.json", workers=3)
    assert (folder / "a.json").read_text() == (folder / "b.json").read_text()


def test_no_artist_in_two_splits(tmp_path):
    write_sound(tmp_path / "song" / "a.wav", music(1))
    songs = [
        found_song(tmp_path / "song", "a.wav", name=f"{i}", title=f"title {i}", artist=f"artist {i % 25}")
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
        found_song(tmp_path / "song", "a.wav", name=split, artist=artist, split=split)
        for split, artist in (("test", "The Band"), ("train", "the band feat. Jo"))
    ]
    with pytest.warns(InputNote, match="more than one split, by a list: The Band") as caught:
        build_index(songs, tmp_path)
    assert caught[0].filename == __file__


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
    for song, wanted in zip(index.songs, expected, strict=True):
        assert {stem.name for stem in song.stems} == set(wanted.stems) and (song.mix is None) == (
            wanted.mix is None
        )
        assert all(
            np.isfinite(track.loudness_lufs).all() and track.duration_s == pytest.approx(1.5, abs=0.1)
            for track in song.tracks
        )


def test_two_sides_are_one_stereo_stem(tmp_path):
    for side, seed in (("L", 1), ("R", 2)):
        write_sound(
            tmp_path / "song" / f"Keys.{side}.wav", music(2 if side == "L" else 1.5, channels=1, seed=seed)
        )
    songs = songs_below(tmp_path)
    index = build_index(songs, tmp_path)
    (keys,) = SongIndex.load(tmp_path)["song"].stems
    assert (keys.name, keys.channels, keys.mono, keys.duration_s) == ("Keys", 2, False, 2)
    assert keys.source == songs[0].stems["Keys"]
    sound = read_segment(keys, 0, 1)
    for row, seed in enumerate((1, 2)):
        assert np.allclose(sound[row], music(2 - row / 2, channels=1, seed=seed)[0, :44100], atol=1e-6)
    assert not read_segment(keys, 1.6, 0.3)[1].any() and read_segment(keys, 1.6, 0.3)[0].any()
    cached = build_cache(index, tmp_path / "cache")["song"].stems[0]
    assert cached.channels == 2 and np.allclose(read_segment(cached, 0, 1), sound, atol=1e-3)
    write_sound(tmp_path / "song" / "Keys.R.wav", music(1.5, channels=1, level=0.5))
    assert build_index(songs, tmp_path)["song"].stems[0].peak > 0.3  # the right file has changed
    os.unlink(tmp_path / "song" / "Keys.R.wav")
    index = build_index(songs, tmp_path)
    assert index["song"].stems[0].mono and index.problems[0].path.endswith("Keys.R.wav")


def test_stereo_files_that_are_named_like_sides_are_two_stems(tmp_path):
    for side in ("L", "R"):
        write_sound(tmp_path / "song" / f"Keys.{side}.wav", music(1))
    assert [stem.name for stem in build_index(songs_below(tmp_path), tmp_path)["song"].stems] == [
        "Keys.L",
        "Keys.R",
    ]


def test_streams_that_are_not_used_are_told(tmp_path):
    write_sound(tmp_path / "song" / "a.mp4", music(1))
    with pytest.warns(InputNote, match=r"only the first stream of a file is used.*a\.mp4"):
        build_index(songs_below(tmp_path), tmp_path)


def test_sides_that_differ_or_stand_alone_are_told_once(tmp_path):
    write_sound(tmp_path / "song" / "Keys.L.wav", music(2, channels=1))
    write_sound(tmp_path / "song" / "Keys.R.wav", music(1.5, channels=1))
    write_sound(tmp_path / "song" / "Pad_R.wav", music(1, channels=1))
    write_sound(tmp_path / "song" / "Gtr_L.wav", music(1))  # stereo: only its name looks like a side
    songs = songs_below(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build_index(songs, tmp_path)
    short, alone = [str(warning.message) for warning in caught]
    assert short.startswith("padded with silence to the length of the other side")
    assert short.endswith("Keys.R.wav") and "Keys.L" not in short
    assert alone.startswith("named like one side of a stereo stem, taken for a mono stem")
    assert alone.endswith("Pad_R.wav") and "Gtr" not in alone
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputNote)
        build_index(songs, tmp_path)  # nothing changed: nothing is told again
