"""The examples of a training: splits, one reference alone, files that vanish."""

import dataclasses
import json
import re
import warnings

import pytest
from audio_helpers import one_line
from sound_files import music, write_sound
from training_helpers import OPTIONS, miniature, short, small_cnn

import diffmst_lib as dm
from diffmst_lib.command.main import main
from diffmst_lib.data.index import SongIndex
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.training.examples import examples_of, examples_to_judge_by, note_mono
from diffmst_lib.training.hardware import Hardware
from diffmst_lib.training.loop import train


def test_one_record_to_validate_is_noted(index):
    few = SongIndex([song for song in index if song.name != "record 3"])
    with pytest.warns(InputNote, match="one reference, record 2"):
        examples_to_judge_by(short(), few, None, 2, seed=1)


def test_without_a_validation_split_the_note_says_how_to_name_one(index, tmp_path):
    """It is judged on what it is trained on; the command and the JSON of the note put a song there."""
    only = SongIndex([song for song in index if song.split == "train"])
    with pytest.warns(InputNote, match=r"^judged on what it is trained on .the validation split") as caught:
        judged = examples_to_judge_by(short(), only, None, 2, seed=1)
    assert {example.song for example in judged} <= {"one", "two"}
    message = str(caught[0].message)
    assert "none of the 2 songs with stems" in message and "`diffmst data index SONGS --about" in message
    (tmp_path / "about.json").write_text(re.search(r"\{.*\}\}", message)[0], encoding="utf-8")
    for song in ("one", "two"):
        write_sound(tmp_path / "songs" / song / "stem.wav", music(2))
    command = ["data", "index", tmp_path / "songs", "--about", tmp_path / "about.json", "--quiet"]
    assert main([str(word) for word in command]) == 0
    splits = {song.name: song.split for song in SongIndex.load(tmp_path / "songs")}
    assert splits["two"] == "validation", message


def test_without_references_to_validate_the_note_names_their_folder(index):
    songs = SongIndex([song for song in index if song.stems])
    records = SongIndex([song for song in index if not song.stems and song.split == "train"])
    for one, other, folders in ((songs, records, "RECORDS --layout songs"), (None, None, "SONGS --ref")):
        both = one or SongIndex([*songs, *records])
        with pytest.raises(InputError) as caught:
            examples_of(short(), both, other, split="validation")
        about = '{"record 1": {"split": "validation"}}'
        assert one_line(caught, "none of the 2 references", f"data index {folders}", about)


def test_the_only_song_is_not_taken_away_from_training(index):
    alone = SongIndex([song for song in index if song.name == "one"])
    with pytest.raises(InputError, match=r"^the validation split has none of the 1 songs with stems$"):
        examples_of(short("mrstft-8", seconds=2.0), alone, split="validation")


def test_names_with_quotes_and_accents_are_json(index):
    odd = SongIndex([dataclasses.replace(song, name=f'{song.name} "é"', split="train") for song in index])
    with pytest.raises(InputError) as caught:
        examples_of(short(), odd, split="validation")
    found = json.loads(re.search(r"\{.*\}\}", str(caught.value))[0])
    assert found == {'two "é"': {"split": "validation"}}


def test_a_set_without_a_single_stereo_stem_is_noted(index):
    def mono(song):
        return dataclasses.replace(song, stems=[dataclasses.replace(stem, mono=True) for stem in song.stems])

    with pytest.warns(InputNote, match="^none of the 8 stems to train on is stereo: .* width$"):
        note_mono(short(), SongIndex(mono(song) for song in index))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        note_mono(short(), index)
        channels = small_cnn(console="reference", track_lufs=-48.0)
        note_mono(short(model=channels), SongIndex(mono(song) for song in index))


def test_an_index_without_songs_or_references(index, tmp_path):
    records = SongIndex([song for song in index if not song.stems])
    with pytest.raises(InputError, match=r"^there are no songs with stems: .* --layout folders --about"):
        train(short(), records, tmp_path, **OPTIONS)
    songs = SongIndex([song for song in index if song.stems])
    with pytest.raises(InputError, match=r"^there are no references: name a folder .* --references"):
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
