"""Stems among the records are refused, validation songs that are trained on are named; by sound, not by name."""

import dataclasses
import shutil
import warnings

import pytest
from audio_helpers import one_line
from sound_files import music, write_sound
from training_helpers import OPTIONS, short

from diffmst_lib.data.building import build_index
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.scale.cache import build_cache
from diffmst_lib.data.songs import FoundSong, Source
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.training.examples import examples_to_judge_by
from diffmst_lib.training.loop import train
from diffmst_lib.training.rehearsing import rehearse
from diffmst_lib.training.same_sounds import note_judged_on_learned, refuse_stems_among


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A song with a stereo stem, and records: a copy of it as FLAC, another sound, silence."""
    folder = tmp_path_factory.mktemp("pair")
    stem = write_sound(folder / "song" / "keys.wav", music(3, seed=1))
    silence = write_sound(folder / "song" / "rest.wav", 0 * music(3))
    flac = write_sound(folder / "copy.flac", music(3, seed=1))
    other, nothing = write_sound(folder / "other.wav", music(3, seed=2)), folder / "nothing.wav"
    shutil.copy(silence, nothing)
    sources = {"keys": Source(stem), "rest": Source(silence)}
    songs = [FoundSong("song", "song", "folders", stems=sources, split="train")]
    for path in (flac, other, nothing):
        songs.append(FoundSong(path.stem, path.stem, "songs", split="train", mix=Source(path)))
    return build_index(songs, folder)


def test_a_stem_among_the_records_is_refused_in_one_line(pair, tmp_path):
    for start in (
        lambda: train(short(), pair, tmp_path, **OPTIONS),
        lambda: rehearse(short(), pair, tmp_path, steps=1),
    ):
        with pytest.raises(InputError) as caught:
            start()
        assert one_line(caught, "stems of the songs cannot be references: copy is keys of song")
    assert not any(path.suffix for path in tmp_path.iterdir())


def test_other_sounds_and_silence_are_not(pair):
    records = [song for song in pair.songs if song.name in ("other", "nothing")]
    refuse_stems_among(records, pair.multitracks())


def test_a_sound_that_only_measures_alike_is_another(pair):
    stem, other = pair["song"].stems[0], pair["other"]
    twin = dataclasses.replace(other.mix, peak=stem.peak, loudness_lufs=stem.loudness_lufs)
    refuse_stems_among([dataclasses.replace(other, mix=twin)], pair.multitracks())


def test_a_stem_in_a_cache_at_another_rate(pair, tmp_path):
    cached = build_cache(pair, tmp_path / "cache", sample_rate=32000)
    with pytest.raises(InputError, match="copy is keys of song"):
        refuse_stems_among(pair.references(), cached.multitracks())


def test_a_file_that_is_gone_is_for_those_who_read_it(pair, tmp_path):
    gone = dataclasses.replace(pair["copy"].mix, source=Source(tmp_path / "gone.wav"))
    refuse_stems_among([dataclasses.replace(pair["copy"], mix=gone)], pair.multitracks())


def test_validation_songs_that_are_trained_on_are_named(index):
    """A note, since a small set may want it so; songs of their own are not named. one and two sound alike."""
    again = [
        dataclasses.replace(index[name], name=f"{name} again", split="validation")
        for name in ("one", "record 0")
    ]
    both = SongIndex([*index, *again])
    with pytest.warns(InputNote) as caught:
        examples_to_judge_by(short(), both, None, 2, seed=1)
    told = [str(one.message) for one in caught if "trained on" in str(one.message)]
    assert told == [
        "judged on songs that it is trained on under other names: one again (as two)",
        "judged on references that it is trained on under other names: record 0 again (as record 0)",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        note_judged_on_learned(index, index)
        note_judged_on_learned(index, None)
