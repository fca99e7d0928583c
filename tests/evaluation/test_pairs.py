"""Pairs: all, random ones that do not depend on their number, verse to chorus, published lists."""

import json

import numpy as np
import pytest

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.names import same_song
from diffmst_lib.data.songs import Song, Source, Track
from diffmst_lib.evaluation.pairs import (
    all_pairs,
    chorus_pairs,
    moments,
    random_pairs,
    read_list,
    save_list,
    verse_to_chorus,
)
from diffmst_lib.inputs import InputError, InputNote


@pytest.fixture(scope="module")
def index():
    return SongIndex.load(dm.data_dir())


def made(name, levels_db, stems=2, artist=""):
    """A song of one-second levels, without any file."""
    levels = np.array(levels_db, dtype=float)
    tracks = [
        Track(f"stem{i}", Source(f"{name}{i}.wav"), 44100, 44100 * len(levels), 2, False, 1.0, levels)
        for i in range(stems)
    ]
    mix = Track("mix", Source(f"{name}.wav"), 44100, 44100 * len(levels), 2, False, 1.0, levels)
    return Song(name, name, "made", artist or name, "test", "", "", tracks, mix, levels)


def test_every_song_meets_every_record_but_itself(index):
    songs, records = index.multitracks(), index.references()
    pairs = all_pairs(songs, records)
    assert [pair.number for pair in pairs] == list(range(1, len(pairs) + 1))
    expected = {(a.name, b.name) for a in songs for b in records if not same_song(a, b)}
    assert {(pair.song, pair.record) for pair in pairs} == expected
    assert ("caesium", "human_mixes/caesium") not in expected
    for pair in pairs:
        assert pair.wrong and pair.wrong != pair.record and not same_song(index[pair.song], index[pair.wrong])


def test_random_pairs_depend_on_seed_and_number_alone(index):
    songs, records = index.multitracks(), index.references()
    few, many = (random_pairs(songs, records, count, seed=3) for count in (4, 12))
    assert few == many[:4] and random_pairs(songs, records, 4, seed=4) != few
    assert len({pair.song for pair in many}) > 1 and len({pair.record for pair in many}) > 2
    for pair in many:
        assert pair.start_s in moments(index[pair.song], 10.0)
        assert not same_song(index[pair.song], index[pair.record])


def test_moments_of_short_quiet_and_silent_songs():
    assert moments(made("short", [-20.0, -20.0]), 10.0).tolist() == [0]
    assert moments(made("quiet", [-50.0] * 12), 10.0).tolist() == [0, 1, 2]
    assert not len(moments(made("silent", [-np.inf] * 12), 10.0))
    loud = made("loud", [-np.inf] * 12 + [-20.0] * 11)
    assert moments(loud, 10.0)[-2:].tolist() == [12, 13]


def test_a_silent_song_is_left_out_with_a_note():
    songs, records = [made("a", [-20.0] * 12), made("b", [-np.inf] * 12)], [made("c", [-20.0] * 12)]
    with pytest.warns(InputNote, match="nothing sounds in them: b"):
        assert [pair.song for pair in all_pairs(songs, records)] == ["a"]


@pytest.mark.parametrize("choose", [all_pairs, chorus_pairs, lambda a, b: random_pairs(a, b, 3)])
def test_a_song_is_never_its_own_record(choose):
    song = made("a", [-20.0] * 12)
    with pytest.raises(InputError, match="nothing to evaluate"):
        choose([song], [song])


def test_the_chorus_is_where_it_gets_loud():
    song = made("a", [-30.0] * 20 + [-14.0] * 20)
    assert verse_to_chorus(song, 10.0) == 15.0
    assert verse_to_chorus(made("b", [-60.0] * 10 + [-30.0] * 20 + [-14.0] * 20), 10.0) == 25.0


def test_chorus_pairs_take_artists_by_turns():
    levels = [-30.0] * 20 + [-14.0] * 20
    songs = [
        made("a1", levels, 9, "a"),
        made("a2", levels, 8, "a"),
        made("b", levels, 3),
        made("c", levels, 2),
    ]
    pairs = chorus_pairs(songs, [made("x", levels), made("y", levels), made("z", levels)])
    assert [pair.song for pair in pairs] == ["a1", "b", "c"]
    assert len({pair.record for pair in pairs}) == 3 and {pair.start_s for pair in pairs} == {15.0}


def test_the_tiny_list_is_what_the_index_gives(index):
    pairs, seconds, name = read_list(
        dm.data_dir() / "test_list.json", "tiny", index.multitracks(), index.references()
    )
    held_out = ("validation", "test")
    songs = [song for song in index.multitracks() if song.split in held_out]
    records = [one for one in index.references() if one.split in held_out and "/" not in one.name]
    assert (seconds, name) == (10.0, "tiny") and pairs == all_pairs(songs, records, seconds=10.0)


def test_lists_are_read_as_written_and_chosen_by_what_is_there(tmp_path, index):
    path = tmp_path / "list.json"
    songs, records = index.multitracks(), index.references()
    levels = [-20.0] * 12
    save_list(
        path, "other", all_pairs([made("x", levels)], [made("y", levels)]), seconds=10.0, about="elsewhere"
    )
    pairs = random_pairs(songs, records, 5, seconds=4.0)
    save_list(path, "mine", pairs, seconds=4.0, about="made here")
    save_list(path, "mine", pairs, seconds=4.0, about="made again")
    found, seconds, name = read_list(path, "", songs, records)
    assert (seconds, name) == (4.0, "mine")
    same = ("number", "song", "start_s", "record", "record_start_s")
    assert [[getattr(a, x) for x in same] for a in found] == [[getattr(a, x) for x in same] for a in pairs]
    with pytest.raises(InputError, match="of the list other these are not there: x, y"):
        read_list(path, "other", songs, records)
    with pytest.raises(InputError, match="no list third in it, there are other, mine"):
        read_list(path, "third", songs, records)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "lists": {}}',
        '{"version": 1, "lists": {"a": 3}}',
        '{"version": 1, "lists": []}',
    ],
)
def test_other_files_are_no_lists(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a list of pairs"):
        read_list(path, "", [], [])


@pytest.mark.parametrize(
    "row", [{"song": "a"}, {"song": "a", "start_s": -1, "record": "b", "record_start_s": 0}, 3]
)
def test_rows_that_are_no_pairs(tmp_path, row):
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"version": 1, "lists": {"a": {"seconds": 10, "pairs": [row]}}}))
    with pytest.raises(InputError, match="a is not a list of pairs"):
        read_list(path, "", [], [])


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_list(tmp_path / "no.json", "", [], [])
