"""Data sets of examples: seeds, songs that fit, and a song as its own reference."""

import tracemalloc
from dataclasses import replace

import pytest
import torch
from audio_helpers import one_line
from data_miniatures import CHANNELS, SHORT
from sound_files import music, write_sound

from diffmst_lib.data.building import build_index
from diffmst_lib.data.examples import Method1, Method2
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.sampling import Sampling
from diffmst_lib.data.songs import FoundSong, Source
from diffmst_lib.inputs import InputError, InputNote


def examples(index, sampling=SHORT, **options):
    return Method2(index.multitracks(), index.references(), sampling, **options)


def test_a_seed_is_a_sequence(index):
    first, again, other = examples(index, seed=1), examples(index, seed=1), examples(index, seed=2)
    assert torch.equal(first[7].tracks, again[7].tracks) and torch.equal(
        first[7].reference, again[7].reference
    )
    assert [first[i].start_s for i in range(6)] != [other[i].start_s for i in range(6)]
    assert len({first[i].start_s for i in range(10)}) > 5


def test_a_song_is_never_its_own_reference(index):
    both = [replace(song, mix=index["record a"].mix) for song in index.multitracks()]
    drawn = Method2(both, both, SHORT)
    assert all(drawn[item].song != drawn[item].reference_song for item in range(30))
    with pytest.raises(InputError, match="a reference of another song"):
        Method2(both[:1], both[:1], SHORT)[0]


@pytest.mark.parametrize(
    ("artist", "title", "itself"),
    [
        ("The Band", "A Song (master)", True),
        ("the band feat. Her", "A song", True),
        ("The Band", "Another", False),
        ("The Band", "A Song of ours", False),
        ("The Band", "(Intro) A Song", False),
        ("A Band", "A Song", False),
    ],
)
def test_nor_is_its_master(index, artist, title, itself):
    song = replace(index["stereo"], artist="The Band", title="A Song")
    record = replace(index["record a"], artist=artist, title=title)
    drawn = Method2([song], [record], SHORT)
    if itself:
        with pytest.raises(InputError, match="a reference of another song"):
            drawn[0]
    else:
        assert drawn[0].reference_song == "record a"


def test_nor_is_that_of_a_stem_from_anywhere(index):
    songs = [replace(song, artist="Band", title=song.name) for song in index.multitracks()]
    masters = [
        replace(index["record a"], name=f"{song.name}!", artist="Band", title=song.name) for song in songs
    ]
    drawn = Method2(songs, masters, replace(SHORT, mixed_songs=1.0))
    for item in range(20):
        example = drawn[item]
        assert example.reference_song.removesuffix("!") not in {name.split("/")[0] for name in example.names}


def test_mono_records_are_no_references(index):
    assert [song.name for song in index.references()] == ["record a", "record b"]
    assert index["mono record"].mix.mono


def test_left_out_songs_are_told(index):
    with pytest.warns(InputNote, match="no segment of 2 s fits: mono"):
        Method1(index.multitracks(), replace(CHANNELS, min_tracks=5))
    with pytest.warns(InputNote, match="no segment of 2 s fits: both, stereo") as caught:
        Method1(index.multitracks(), replace(SHORT, min_tracks=4))  # of three stems that sound, each
    assert caught[0].filename == __file__
    with pytest.raises(InputError) as caught:
        Method1(index.multitracks(), replace(SHORT, energy=10.0))
    assert one_line(caught, "none of 3 songs has 2 s", "energy 10", "2 tracks", "too quiet")
    with pytest.raises(InputError) as caught:
        Method1(index.multitracks(), replace(SHORT, seconds=60.0))
    assert one_line(caught, "none of 3 songs has 60 s", "shorter segments (seconds) fit")
    with pytest.raises(InputError, match="none of 3 songs has the 5 stems that are needed, but 4"):
        Method1(index.multitracks(), replace(SHORT, min_tracks=5, max_tracks=8))
    with pytest.raises(InputError, match="none of 3 songs has 2 s"):  # a place for one of its two moments
        Method1(index.multitracks(), replace(SHORT, seconds=4.0, nearby_s=30.0, energy=10.0))
    with pytest.raises(InputError, match="no references are given"):
        Method2(index.multitracks(), [], SHORT)
    with pytest.raises(InputError, match="no songs with stems"):
        Method1([], SHORT)


def test_memory_does_not_depend_on_the_songs_length(tmp_path):
    """What one example takes, from a song of 12 s and from one of two minutes."""

    peaks = []
    for seconds in (12, 120):
        for name in "ab":
            write_sound(tmp_path / str(seconds) / f"{name}.wav", music(seconds, seed=seconds))
        stems = {name: Source(tmp_path / str(seconds) / f"{name}.wav") for name in "ab"}
        songs = build_index(
            [FoundSong(str(seconds), "", "folders", stems=stems)], tmp_path / f"{seconds}.json"
        )
        drawn = Method1(songs.multitracks(), SHORT)
        drawn[0]
        tracemalloc.start()
        drawn[1]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_tiny_set_gives_examples_of_both_methods(data):
    tiny, sampling = SongIndex.load(data), Sampling()
    for split in ("train", "validation", "test"):
        songs, references = tiny.multitracks(split), tiny.references(split)
        assert Method1(songs, sampling)[0].tracks.shape[-1] == 441000
        assert Method2(songs, references, sampling)[0].reference.shape == (2, 441000)
