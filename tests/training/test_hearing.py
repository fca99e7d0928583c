"""What is heard of a set: of which songs, how often, by which seed; data that a rehearsal cannot use."""

import dataclasses
import signal
import threading

import pytest
import torch
from audio_helpers import one_line
from sound_files import music, write_sound
from training_helpers import short

import diffmst_lib as dm
from diffmst_lib.data.building import build_index
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.songs import FoundSong, Source
from diffmst_lib.inputs import InputError
from diffmst_lib.training import hearing
from diffmst_lib.training.hearing import hear

LIKE = short()


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return dm.DiffMST("tiny")


@pytest.fixture(scope="module")
def heard(model, long_index):
    return hear(model, LIKE, long_index, moments=4)


def test_what_is_heard(model, heard):
    """Two songs, four moments each, where the second moment has a place; two records, one moment each."""
    songs, records = heard
    assert 5 <= len(songs) <= 8 and len(records) == 2
    numbers = 2 * (2 * model.config.bands + 3)
    for song in songs:
        stems = song.power.shape[1]
        assert 2 <= stems <= 4 and song.statistics.shape == (2, stems, numbers)
        assert song.power.shape == (2, stems, 3, 40)
        assert not torch.equal(*song.power) and not torch.equal(*song.statistics)
    for record in records:
        assert record.features.shape == (54,) and record.power.shape == (3, 40)
        assert record.statistics.shape == (2, numbers // 2)
    for one in (*songs, *records):
        assert all(torch.isfinite(value).all() for value in vars(one).values())


def same(one, other):
    return all(torch.equal(value, getattr(other, name)) for name, value in vars(one).items())


def test_the_seed_decides_and_threads_do_not(model, long_index, heard, monkeypatch):
    monkeypatch.setattr(hearing.os, "cpu_count", lambda: 1)
    songs, records = hear(model, LIKE, long_index, moments=4)
    assert len(songs) == len(heard[0]) and all(map(same, songs, heard[0]))
    assert all(map(same, records, heard[1]))
    others, _ = hear(model, LIKE, long_index, moments=4, seed=1)
    assert not all(map(same, others, songs))


def test_a_moment_of_a_song_is_at_the_level_of_the_bus(heard):
    """-20 LUFS for all stems together, so each is below a record, which is at -16 LUFS."""
    songs, records = heard
    of_records = torch.stack([record.power[:2].sum() for record in records]).mean()
    for song in songs:
        for power in song.power:
            below_db = 10 * torch.log10(of_records / power[:, :2].sum())
            assert 1.0 < below_db < 8.0


def test_only_songs_and_records_to_train_on(model, long_index):
    names = []

    original = hearing.draw_example
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            hearing, "draw_example", lambda song, *rest: names.append(song.name) or original(song, *rest)
        )
        hear(model, LIKE, long_index, moments=2)
    assert sorted(names) == ["one", "one", "two", "two"]


def test_records_of_a_separate_index(model, long_index):
    songs = SongIndex(long_index.multitracks())
    assert len(hear(model, LIKE, songs, long_index, moments=1)[1]) == 2
    with pytest.raises(InputError) as caught:
        hear(model, LIKE, songs, moments=1)
    assert one_line(caught, "there are no references")


def moved(index, *names):
    """The same index, but that some of its songs are validation."""
    return SongIndex(
        [dataclasses.replace(song, split="validation") if song.name in names else song for song in index]
    )


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["one", "two"], "the train split has none of the 3 songs with stems"),
        (["record 0", "record 1"], "the train split has none of the 4 references"),
        (["record 1"], "heard 1 moments of records (1), a rehearsal needs two: give more records"),
    ],
)
def test_splits_with_too_little_in_them(model, long_index, names, says):
    with pytest.raises(InputError) as caught:
        hear(model, LIKE, moved(long_index, *names), moments=1)
    assert one_line(caught, says)


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(3.0, "none of 2 songs has"), (1.1, "no song has two moments of 3.3 s, at most 30 s apart")],
)
def test_songs_too_short(model, index, seconds, says):
    """Of 4 s: a moment of 9 s has no place, two of 3.3 s have none."""
    with pytest.raises(InputError) as caught:
        hear(model, short(seconds=seconds), index, moments=2)
    assert one_line(caught, says)


def test_a_file_that_is_gone(model, tmp_path):
    found = [
        FoundSong(
            "song",
            "song",
            "folders",
            artist="a",
            split="train",
            stems={
                name: Source(write_sound(tmp_path / f"{name}.wav", music(8, channels=1, seed=seed)))
                for seed, name in enumerate(["kick", "bass"])
            },
        )
    ]
    found += [
        FoundSong(
            name,
            name,
            "songs",
            artist=name,
            split="train",
            mix=Source(write_sound(tmp_path / f"{name}.wav", music(4, seed=9))),
        )
        for name in ("x", "y")
    ]
    index = build_index(found, tmp_path)
    (tmp_path / "bass.wav").unlink()
    with pytest.raises(InputError) as caught:
        hear(model, LIKE, index, moments=2)
    assert one_line(caught, "bass.wav")


def test_interrupted_while_it_hears(model, index, monkeypatch):
    """The rest is not heard: it would take minutes."""
    calls = []

    def draw_reference(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return None, 0.0

    monkeypatch.setattr(hearing, "draw_reference", draw_reference)
    monkeypatch.setattr(hearing.os, "cpu_count", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        hear(model, LIKE, index, moments=20_000)
    assert len(calls) < 1000
