"""A folder of stems as a song."""

import os
import shutil
import sys
import warnings

import numpy as np
import pytest
import torch
from audio_helpers import RATE, one_line, sine
from sound_files import music, write_sound

from diffmst_lib import InputError, InputNote, Multitrack, load_multitrack, loudness
from diffmst_lib.audio.multitrack import check_song, check_stereo


def test_stems_come_in_the_order_of_their_names(write, noise, tmp_path):
    for i, name in enumerate(["vox", "bass", "kick"]):
        write(f"{name}.wav", noise(2 if name == "kick" else 1, 100, seed=i))
    song = load_multitrack(tmp_path)
    assert song.names == ["bass", "kick.L", "kick.R", "vox"]
    assert song.channels == ["mono", "left", "right", "mono"]
    assert torch.equal(song.audio[1:3], noise(2, 100, seed=2))
    assert (song.sample_rate, song.title) == (RATE, tmp_path.name)


def test_two_equal_channels_are_one_mono_track(write, noise, tmp_path):
    write("bass.wav", noise(1, 100).repeat(2, 1))
    song = load_multitrack(tmp_path)
    assert song.names == ["bass"] and torch.equal(song.audio, noise(1, 100))


def test_a_silent_stem_is_a_silent_track(write, noise, tmp_path):
    write("bass.wav", noise(1, 100))
    write("room.wav", torch.zeros(2, 100))
    song = load_multitrack(tmp_path)
    assert song.names == ["bass", "room"] and not song.audio[1].any()


def test_what_was_changed_is_noted_once(write, noise, tmp_path):
    write("bass.wav", noise(1, RATE))
    write("kick.wav", noise(2, 100))
    write("snare.wav", noise(1, 48000), 48000)
    write("vox.wav", noise(1, 8000), 8000)
    (tmp_path / "lyrics.txt").touch()
    with pytest.warns(InputNote) as notes:
        song = load_multitrack(tmp_path)
    assert [str(note.message) for note in notes] == [
        "not audio, left out: lyrics.txt",
        "resampled to 44100 Hz: snare.wav (48000 Hz), vox.wav (8000 Hz)",
        "padded with silence to 1.00 s: kick.wav",
    ]
    assert {note.filename for note in notes} == {__file__}
    assert song.audio.shape == (5, RATE)
    assert torch.equal(song.audio[1, :100], noise(2, 100)[0]) and not song.audio[1, 100:].any()


def test_hidden_files_and_folders_are_none_of_our_business(write, noise, tmp_path):
    write("bass.wav", noise(1, 100))
    write("takes/other.wav", noise(1, 100))
    for name in (".DS_Store", "._bass.wav"):
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_multitrack(tmp_path).names == ["bass"]


@pytest.mark.parametrize("name", ["Lead vox 2", "Gesang für Zoë", "声", 'it\'s "loud"', "a.b.c", "kick.L"])
def test_unusual_names(write, noise, tmp_path, name):
    write(f"{name}.wav", noise(2, 100))
    assert list(load_multitrack(tmp_path).stems) == [name]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name is Unicode")
def test_name_from_an_old_archive_that_is_no_utf8(write, noise, tmp_path):
    os.rename(write("cafe.wav", noise(1, 100)), os.fsencode(tmp_path) + b"/caf\xe9.wav")
    assert load_multitrack(tmp_path).names == ["caf\N{REPLACEMENT CHARACTER}"]


def test_folder_missing_or_a_file(tmp_path):
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(InputError) as caught:
            load_multitrack(tmp_path / name)
        assert one_line(caught, tmp_path / name, "no such folder")


@pytest.mark.parametrize("names", [[], ["lyrics.txt"], [".hidden.wav"]])
def test_folder_without_audio(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        load_multitrack(tmp_path)
    assert one_line(caught, tmp_path, "no audio files")


def test_stem_that_cannot_be_used(write, noise, tmp_path):
    write("bass.wav", noise(1, 100))
    write("room.wav", noise(6, 100))
    with pytest.raises(InputError) as caught:
        load_multitrack(tmp_path)
    assert one_line(caught, "room.wav", "6 channels")


def test_two_stems_of_one_name(write, noise, tmp_path):
    shutil.copy(write("bass.wav", noise(2, 100)), tmp_path / "bass.flac")
    with pytest.raises(InputError) as caught:
        load_multitrack(tmp_path)
    assert one_line(caught, tmp_path, "several files are named bass")


def test_a_mono_stem_with_the_name_of_a_stereo_stem_s_channel(write, noise, tmp_path):
    write("bass.wav", noise(2, 100))
    write("bass.L.wav", noise(1, 100))
    with pytest.raises(InputError) as caught:
        load_multitrack(tmp_path)
    assert one_line(caught, tmp_path, "several tracks are named bass.L")


def tiny_song():
    return Multitrack(["gtr", "gtr_2", "keys.L", "keys.R"], torch.arange(40.0).reshape(4, 10), sample_rate=10)


def test_each_track_knows_its_stem():
    assert tiny_song().stem_of_track() == ["gtr", "gtr_2", "keys", "keys"]


def test_stems_are_the_files_again():
    stems = tiny_song().stems
    assert {name: tuple(stem.shape) for name, stem in stems.items()} == {
        "gtr": (1, 10),
        "gtr_2": (1, 10),
        "keys": (2, 10),
    }
    assert torch.equal(stems["keys"], tiny_song().audio[2:])


def test_select():
    song = tiny_song()
    assert song.select("keys", "gtr").names == [
        "gtr",
        "keys.L",
        "keys.R",
    ]  # gtr_2 starts like gtr, and is not it
    assert torch.equal(song.select("gtr_2").audio, song.audio[1:2])
    assert song.select("keys").channels == ["left", "right"]
    with pytest.raises(KeyError, match="no stem drums: there are gtr, gtr_2, keys"):
        song.select("gtr", "drums")


def test_excerpt():
    part = tiny_song().excerpt(0.2, 0.5)
    assert torch.equal(part.audio, tiny_song().audio[:, 2:7]) and part.duration_s == 0.5
    assert tiny_song().excerpt(0.8, 5).audio.shape == (4, 2)
    for start_s, duration_s in [(1.0, 1.0), (-0.5, 1.0), (0.0, 0.0), (0.0, -0.5)]:
        with pytest.raises(ValueError, match="nothing at"):
            tiny_song().excerpt(start_s, duration_s)


def test_spread_pans_puts_channels_to_their_sides_and_mono_stems_alternately():
    assert tiny_song().spread_pans() == [0.18, 0.82, 0.18, 0.82]


def test_sides_are_those_of_the_channels_and_mono_alternates():
    assert tiny_song().sides() == [-0.5, 0.5, -1.0, 1.0]


def test_sides_of_mono_stems_alone_alternate_by_name_in_whatever_order_they_come(noise):
    assert Multitrack(["b", "c", "a"], noise(3, 10)).sides() == [1.0, -1.0, -1.0]
    assert Multitrack(["a"], noise(1, 10)).sides() == [0.0]
    silent = Multitrack(["b", "a", "c.L", "c.R"], torch.cat([noise(2, 10), torch.zeros(2, 10)]))
    assert silent.sides() == [1.0, -1.0, -1.0, 1.0]  # a stereo stem that does not sound gives no sides
    assert Multitrack(["b", "a"], noise(2, 10)).spread_pans() == [0.82, 0.18]


def test_levels():
    quarter = 0.25 * sine(1000)
    levels = Multitrack(["tone", "off"], torch.stack([quarter, 0 * quarter])).levels()
    assert levels.loc["tone", "peak_dbfs"] == pytest.approx(-12.04, abs=0.01)
    assert levels.loc["tone", "crest_factor_db"] == pytest.approx(3.01, abs=0.01)
    assert levels.loc["tone", "loudness_lufs"] == loudness(quarter)
    assert levels["channels"].tolist() == [1, 1] and levels.index.name == "stem"
    assert np.isneginf(levels.loc["off", ["loudness_lufs", "peak_dbfs"]].astype(float)).all()


@pytest.mark.parametrize("names", [["a"], ["a", "a"]])
def test_song_needs_a_name_of_its_own_for_every_track(noise, names):
    with pytest.raises(ValueError, match="name"):
        Multitrack(names, noise(2, 10))


def test_stems_as_m4a(tmp_path):
    for i, name in enumerate(("bass", "vox")):
        write_sound(tmp_path / f"{name}.m4a", music(2, seed=i))
    song = load_multitrack(tmp_path)
    assert song.names == ["bass.L", "bass.R", "vox.L", "vox.R"] and song.duration_s == pytest.approx(
        2, abs=0.05
    )
    error = song.stems["vox"][:, :88200].numpy() - music(2, seed=1)
    assert abs(error).mean() < 0.2 * abs(music(2, seed=1)).mean()


def test_a_song_that_can_be_mixed_has_one_track_that_sounds(noise):
    check_song(Multitrack(["a", "b"], torch.stack([torch.zeros(RATE), noise(RATE)])))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.0, "demo: all 2 tracks are silent"),
        (1e-5, "demo: all 2 tracks are silent"),
        (np.nan, "track b holds NaN"),
        (-np.inf, "track b holds NaN"),
    ],
)
def test_a_song_that_cannot(value, message):
    audio = torch.zeros(2, RATE)
    audio[1, 7] = value
    with pytest.raises(InputError) as caught:
        check_song(Multitrack(["a", "b"], audio, title="demo"))
    assert one_line(caught, message) and caught.value.about == "song"


@pytest.mark.parametrize("shape", [(2, 9000), (1, 2, 9000)])
def test_a_stereo_mix_comes_back_with_its_loudness(noise, shape):
    sound = noise(*shape)
    audio, lufs = check_stereo(sound)
    assert torch.equal(audio, sound.view(2, 9000)) and lufs == loudness(audio)
    assert audio.data_ptr() == sound.data_ptr()  # not a copy


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        ([0.0, 0.1], "the record is a list; a tensor"),
        (torch.ones(2, 100, dtype=torch.int16), "the record is int16; floating point"),
        (torch.ones(3, 2, 100), "the record is a batch of 3 sounds"),
        (torch.ones(1, 1, 2, 100), "the record has the shape (1, 1, 2, 100)"),
        (torch.ones(()), "the record has the shape ()"),
        (torch.ones(100), "the record has 1 channel; a stereo mix is needed"),
        (torch.ones(1, 100), "the record has 1 channel; a stereo mix is needed"),
        (torch.ones(100, 2), "the record has 100 channels; a stereo mix is needed, so transpose it"),
        (torch.full((2, 100), torch.nan), "the record holds NaN"),
        (torch.zeros(2, 0), "the record is silent"),
        (torch.zeros(2, 9000), "the record is silent"),
    ],
)
def test_what_is_no_stereo_mix(sound, message):
    with pytest.raises(InputError) as caught:
        check_stereo(sound, "the record")
    assert one_line(caught, message) and caught.value.about == "reference"


def test_an_offset_in_a_reference_is_told_and_others_pass_in_silence():
    sound = 0.1 * torch.randn(2, 9000, generator=torch.Generator().manual_seed(0))
    with pytest.warns(InputNote, match="the record has a DC offset of 0.2, which nobody hears but"):
        check_stereo(sound + torch.tensor([[0.0], [-0.2]]), "the record")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_stereo(sound)[0] is sound
