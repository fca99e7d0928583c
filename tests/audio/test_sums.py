"""Stems that are a mix of others."""

import pytest
import torch

from diffmst_lib import InputNote, Multitrack, load_multitrack
from diffmst_lib.audio.multitrack import check_song
from diffmst_lib.audio.sums import sums_of_others

NAMES = ["kick", "snare", "bass", "vox"]


@pytest.fixture
def four(noise):
    levels = torch.tensor([1.0, 0.5, 0.7, 0.3])
    return noise(4, 2, 44100) * levels[:, None, None]


def with_one_more(four, sound):
    return sums_of_others([*NAMES, "more"], torch.cat([four, sound[None]]))


def test_a_bus_and_a_mix_are_found_at_any_level_and_place(four):
    assert with_one_more(four, 0.1 * four.sum(dim=0)) == ["more (of kick, snare, bass, vox)"]
    assert with_one_more(four, four[0] + 3 * four[1]) == ["more (of kick, snare)"]
    first = torch.cat([(four[2] + four[3])[None], four])
    assert sums_of_others(["bus", *NAMES], first) == ["bus (of bass, vox)"]


def test_a_mastered_mix_is_found(four):
    mix = four.sum(dim=0)
    assert with_one_more(four, torch.tanh(mix / mix.std())) == ["more (of kick, snare, bass, vox)"]


def test_what_is_no_mix_of_others_is_not(four, noise):
    assert sums_of_others(NAMES, four) == []
    assert with_one_more(four, 0.5 * four[1]) == []  # a copy
    assert with_one_more(four, four[0] + four[1] + noise(2, 44100, seed=9)) == []  # half of it is new
    assert with_one_more(four, torch.zeros(2, 44100)) == []
    assert sums_of_others(["a"], four[:1]) == [] and sums_of_others(["a", "b"], four[:2]) == []
    assert sums_of_others(["a", "b"], torch.zeros(2, 2, 100)) == []


def test_real_songs_hold_no_mixes_until_one_is_put_in(data):
    for name in ("caesium", "potassium", "rubidium"):
        song = load_multitrack(data / "multitracks" / name)
        assert sums_of_others(song.names, song.audio) == []
        mix = song.audio.sum(dim=0)
        loud = torch.tanh(3 * mix / mix.abs().max())
        (found,) = sums_of_others([*song.names, "final"], torch.cat([song.audio, loud[None]]))
        assert found.startswith("final (of ")


def test_a_song_with_a_mix_among_its_stems_is_told(four):
    song = Multitrack([*NAMES, "print"], torch.cat([four, four.sum(dim=0)[None]]))
    with pytest.warns(InputNote) as notes:
        check_song(song)
    assert [str(note.message) for note in notes] == [
        "a mix of other stems, which are heard twice that way: print (of kick, snare, bass, vox); leave one or the "
        "other out"
    ]
