"""The examples of a training: splits, one reference alone, files that vanish."""

import pytest
from audio_helpers import one_line
from training_helpers import OPTIONS, miniature, short

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.training.examples import examples_of, examples_to_judge_by
from diffmst_lib.training.hardware import Hardware
from diffmst_lib.training.loop import train


def test_one_record_to_validate_is_noted(index):
    few = SongIndex([song for song in index if song.name != "record 3"])
    with pytest.warns(InputNote, match="one reference, record 2"):
        examples_to_judge_by(short(), few, None, 2, seed=1)


def test_without_a_validation_split_it_is_judged_on_what_it_is_trained_on(index):
    only = SongIndex([song for song in index if song.split == "train"])
    with pytest.warns(
        InputNote, match=r"judged on what it is trained on .the validation split has none of the 2"
    ):
        judged = examples_to_judge_by(short(), only, None, 2, seed=1)
    assert {example.song for example in judged} <= {"one", "two"}


def test_an_index_without_songs_or_references(index, tmp_path):
    records = SongIndex([song for song in index if not song.stems])
    with pytest.raises(InputError, match=r"^there are no songs with stems$"):
        train(short(), records, tmp_path, **OPTIONS)
    songs = SongIndex([song for song in index if song.stems])
    with pytest.raises(InputError, match=r"^there are no references$"):
        examples_of(short(), songs)
    assert examples_of(short("mrstft-8", seconds=2.0), songs)[0].reference is None
    assert examples_of(short(), songs, records)[0].reference_song in ("record 0", "record 1")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_vanishes_is_one_line(tmp_path, workers):
    index = miniature(tmp_path / "set")
    for song in ("one", "two"):
        for path in (tmp_path / "set" / song).iterdir():
            path.rename(path.with_suffix(".away"))
    hardware = Hardware(workers=workers)
    with pytest.raises(InputError) as caught:
        train(short(), index, tmp_path / "out", init=dm.DiffMST("tiny"), hardware=hardware, **OPTIONS)
    assert one_line(caught, ".wav")


def test_one_example_is_no_validation(index, tmp_path):
    with pytest.raises(ValueError, match="at least 2 examples"):
        train(short(), index, tmp_path, validation_examples=1)
