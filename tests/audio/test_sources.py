"""Where stems lie on disk: as long as their sound is what the file holds, and no longer."""

import copy
import os
import pickle
import shutil
import warnings

import pytest
import soundfile
import torch
from sound_files import music, stamp, write_sound

from diffmst_lib import InputNote, Multitrack, load_multitrack
from diffmst_lib.audio.multitrack import Source
from diffmst_lib.audio.sources import StemSources


def load(folder, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        return load_multitrack(folder, **options)


def lies(song):
    """{name: (name of the file, start_s) or None}."""
    return {name: source and (source.path.name, source.start_s) for name, source in song.sources.items()}


@pytest.fixture
def three(write, noise, tmp_path):
    """Kick and pad of a second, and a bass that is shorter."""
    write("bass.wav", noise(1, 30_000))
    write("kick.wav", noise(1, 44100, seed=1))
    write("pad.wav", noise(2, 44100, seed=2))
    return load(tmp_path)


def test_stems_lie_where_they_were_read(three, tmp_path):
    path, start_s = three.sources["bass"]
    assert path == tmp_path / "bass.wav" and path.is_absolute() and start_s == 0.0
    assert lies(three) == {name: (f"{name}.wav", 0.0) for name in ("bass", "kick", "pad")}
    assert isinstance(three.sources["kick"], Source)


def test_paths_are_absolute_and_links_stay(three, tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "here").mkdir()
    shutil.move(tmp_path / "kick.wav", tmp_path / "disk" / "0815.wav")
    (tmp_path / "here" / "kick.wav").symlink_to(tmp_path / "disk" / "0815.wav")
    monkeypatch.chdir(tmp_path)
    assert load("here").sources["kick"].path == tmp_path / "here" / "kick.wav"


@pytest.mark.parametrize("mono", [True, False])
def test_sides_of_a_stem_are_no_file_of_it(write, noise, tmp_path, mono):
    for side in "LR":
        write(f"keys.{side}.wav", noise(1 if mono else 2, 100))
    write("kick.wav", noise(1, 100))
    song = load(tmp_path)
    assert lies(song) == (
        {"keys": None, "kick": ("kick.wav", 0.0)}
        if mono
        else {f"{name}": (f"{name}.wav", 0.0) for name in ("keys.L", "keys.R", "kick")}
    )


def test_a_file_with_several_streams_is_no_file_of_a_stem(write, noise, tmp_path):
    write("kick.wav", noise(1, 44100))
    write_sound(tmp_path / "song.stem.mp4", music(1.0))
    assert lies(load(tmp_path)) == {"kick": ("kick.wav", 0.0), "song.stem": None}


def test_a_damaged_file_is_no_file_of_a_stem(write, noise, tmp_path):
    kick = write("kick.wav", noise(1, 44100))
    write("pad.wav", noise(1, 44100, seed=1))
    kick.write_bytes(kick.read_bytes()[:-50_000])
    assert lies(load(tmp_path)) == {"kick": None, "pad": ("pad.wav", 0.0)}


def test_instruments_and_other_rates_and_formats_lie_where_they_were_read(tmp_path, write, noise):
    write("Drums/kick.wav", noise(1, 48000), 48000)
    write_sound(tmp_path / "Drums" / "hat.flac", music(1.0))
    write_sound(tmp_path / "vox.mp3", music(1.0))
    song = load(tmp_path)
    assert lies(song) == {
        "Drums_hat": ("hat.flac", 0.0),
        "Drums_kick": ("kick.wav", 0.0),
        "vox": ("vox.mp3", 0.0),
    }


def test_time_stamps_say_where_a_file_begins(write, noise, tmp_path):
    for name, at in {"kick": 3600.0, "vox": 3601.5}.items():
        stamp(write(f"{name}.wav", noise(1, 44100)), at)
    assert lies(load(tmp_path, timestamps=True)) == {"kick": ("kick.wav", 0.0), "vox": ("vox.wav", 1.5)}
    assert lies(load(tmp_path)) == {"kick": ("kick.wav", 0.0), "vox": ("vox.wav", 0.0)}


EDITS = {
    "in place": lambda song: song.audio[1].mul_(0.5),
    "one sample": lambda song: song.audio[1, 1].__setitem__(40_000, 0.1),
    "through NumPy": lambda song: song.audio.numpy().__setitem__((1, 0, 7), 0.1),
    "through a view": lambda song: song.stems["kick"].neg_(),
    "channels exchanged": lambda song: song.audio.__setitem__(1, song.audio[2]),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_stem_has_no_file_and_the_others_keep_theirs(three, edit):
    EDITS[edit](three)
    assert lies(three) == {"bass": ("bass.wav", 0.0), "kick": None, "pad": ("pad.wav", 0.0)}


def test_another_audio_has_no_file_unless_it_is_the_same(three):
    audio = three.audio
    three.audio = audio.clone()
    assert all(lies(three).values())
    three.audio = audio.double()  # an exact copy
    assert all(lies(three).values())
    for other in (audio * 0.9, audio.roll(1, 0), audio[..., 1:]):
        three.audio = other
        assert lies(three)["kick"] is None
    three.names, three.audio = ["kick"], audio[:1]
    assert lies(three) == {"kick": None}


def test_new_names_go_with_their_stems(three):
    three.names[0], three.names[1] = "kick", "bass"
    assert lies(three) == {"kick": ("bass.wav", 0.0), "bass": ("kick.wav", 0.0), "pad": ("pad.wav", 0.0)}


def test_a_selection_keeps_its_sources(three):
    some = three.select("pad", "bass")
    assert lies(some) == {"bass": ("bass.wav", 0.0), "pad": ("pad.wav", 0.0)}
    some.audio[0] *= 2
    assert lies(some)["bass"] is None and all(lies(three).values())  # a selection is a copy
    three.audio[2] *= 2
    assert lies(some)["pad"]


def test_an_excerpt_shifts_its_sources(three):
    part = three.excerpt(0.25, 0.5)
    assert lies(part) == {name: (f"{name}.wav", -0.25) for name in three.names}
    assert lies(part.excerpt(0.25, 0.1))["kick"] == ("kick.wav", -0.5)
    assert lies(part.select("kick"))["kick"] == ("kick.wav", -0.25)
    part.audio[1] *= 2  # an excerpt is a view
    assert lies(part)["kick"] is None is lies(three)["kick"] and lies(part)["pad"]
    three.audio = three.audio.clone()
    part.audio[2] *= 2
    assert lies(part)["pad"] is None and lies(three)["pad"]


def test_copies_keep_their_sources(three):
    part = three.excerpt(0.25, 0.5)
    for same in (copy.copy, copy.deepcopy, lambda song: pickle.loads(pickle.dumps(song))):
        assert lies(same(three)) == lies(three) and lies(same(part)) == lies(part)
    assert dict.fromkeys(three.names) == Multitrack(three.names, three.audio).sources


def test_a_file_that_changed_or_vanished_is_none_of_the_stem(three, noise, tmp_path):
    soundfile.write(tmp_path / "kick.wav", noise(44100, seed=5), 44100, subtype="FLOAT")
    os.utime(tmp_path / "kick.wav", ns=(1, 1))
    (tmp_path / "bass.wav").unlink()
    assert lies(three) == {"bass": None, "kick": None, "pad": ("pad.wav", 0.0)}


def test_sources_may_be_set_by_hand(three, tmp_path):
    song = Multitrack(["kick", "pad"], three.audio[1:])
    assert lies(song) == {"kick": None, "pad": None}
    song.sources = {"pad": (tmp_path / "pad.wav", 0.5)}
    assert lies(song) == {"kick": None, "pad": ("pad.wav", 0.5)} and isinstance(song.sources["pad"], Source)
    with pytest.raises(ValueError, match=r"^no stem drums: there are kick, pad$"):
        song.sources = {"drums": (tmp_path / "pad.wav", 0.0)}
    with pytest.raises(ValueError, match=r"^1 sources for 2 stems$"):
        StemSources([None], torch.zeros(2, 2, 3))
