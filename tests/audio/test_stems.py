"""A folder of stems as a song."""

import os
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import soundfile
import torch
from audio_helpers import RATE, one_line
from hanging import HANGS_S
from sound_files import music, stamp, write_sound

from diffmst_lib import InputError, InputNote, load_multitrack


def test_stems_come_in_the_order_of_their_names(write, noise, tmp_path):
    for i, name in enumerate(["vox", "bass", "kick"]):
        write(f"{name}.wav", noise(2 if name == "kick" else 1, 100, seed=i))
    song = load_multitrack(tmp_path)
    assert song.names == ["bass", "kick", "vox"] and song.audio.shape == (3, 2, 100)
    assert song.is_mono() == [True, False, True]
    assert torch.equal(song.audio[1], noise(2, 100, seed=2))
    assert (song.sample_rate, song.title) == (RATE, tmp_path.name)


def test_a_mono_file_is_a_stem_of_two_equal_channels_like_mono_in_a_stereo_file(write, noise, tmp_path):
    write("bass.wav", noise(1, 100))
    write("kick.wav", noise(1, 100).repeat(2, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        song = load_multitrack(tmp_path)
    assert song.names == ["bass", "kick"] and song.is_mono() == [True, True]
    assert torch.equal(song.audio, noise(1, 100).expand(2, 2, -1))


def test_a_silent_stem_stays(write, noise, tmp_path):
    write("bass.wav", noise(1, 100))
    write("room.wav", torch.zeros(2, 100))
    song = load_multitrack(tmp_path)
    assert song.names == ["bass", "room"] and not song.audio[1].any()


def test_many_stems_are_read_in_their_order(write, tmp_path):
    """By several threads, of which the first may be the slowest."""
    for i in range(64):
        write(f"{i:02d}.wav", torch.full((1 + i % 2, 50_000 if i == 0 else 100), i / 64))
    with pytest.warns(InputNote, match="padded with silence"):
        song = load_multitrack(tmp_path)
    assert song.audio[:, :, 0].tolist() == [[i / 64, i / 64] for i in range(64)]


@pytest.mark.parametrize("rate", [22050, 48000])
def test_a_song_at_another_rate(write, noise, tmp_path, rate):
    write("bass.wav", noise(1, rate), rate)
    write("kick.wav", noise(2, RATE), RATE)
    with pytest.warns(InputNote, match=rf"^resampled to {rate} Hz: kick.wav \(44100 Hz\)$") as notes:
        song = load_multitrack(tmp_path, sample_rate=rate)
    assert len(notes) == 1  # nothing had to be padded
    assert (song.sample_rate, song.duration_s) == (rate, 1.0)
    assert torch.equal(song.audio[0], noise(1, rate).expand(2, -1))


def test_what_was_changed_is_noted_once(write, noise, tmp_path):
    write("bass.wav", noise(1, RATE))
    write("kick.wav", noise(2, 100))
    write("snare.wav", noise(1, 48000), 48000)
    write("vox.wav", noise(1, 8000), 8000)
    (tmp_path / "lyrics.txt").touch()
    (tmp_path / "click.mka").touch()
    with pytest.warns(InputNote) as notes:
        song = load_multitrack(tmp_path)
    assert [str(note.message) for note in notes] == [
        "left out: click.mka (not read here, convert it to WAV or FLAC)",
        "resampled to 44100 Hz: snare.wav (48000 Hz), vox.wav (8000 Hz)",
        "padded with silence to 1.00 s: kick.wav",
    ]
    assert {note.filename for note in notes} == {__file__}
    assert song.audio.shape == (4, 2, RATE)
    assert torch.equal(song.audio[1, :, :100], noise(2, 100)) and not song.audio[1, :, 100:].any()


def told(folder, **options):
    """The song, and the notes about it."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        song = load_multitrack(folder, **options)
    return song, [str(one.message) for one in notes]


def test_companions_of_stems_are_left_out_without_a_word(write, noise, tmp_path):
    write("bass.wav", noise(1, 100))
    names = ".DS_Store ._bass.wav a.txt b.md c.jpg d.png e.pdf f.mid g.json h.csv bass.wav.asd i.reapeaks Thumbs.db"
    for name in names.split():
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "no sounds").mkdir()
    assert (told(tmp_path)[0].names, told(tmp_path)[1]) == (["bass"], [])


def test_what_may_be_missed_is_named(write, noise, tmp_path):
    write("bass.wav", noise(1, 100))
    write("mix.wav", noise(2, 100))
    write("takes/other.wav", noise(1, 100))
    write("out/mix.wav", noise(2, 100))
    (tmp_path / "out" / "params.json").touch()
    for name in (".vox.wav", "a.mka", "readme"):
        (tmp_path / name).touch()
    song, (note,) = told(tmp_path)
    assert song.names == ["bass"] and note.startswith("left out: ") and note.endswith(" and 1 more")
    for part in (
        ".vox.wav (a hidden file)",
        "a.mka (not read here",
        "out (an earlier mix",
        "takes (a folder of 1 ",
    ):
        assert part in note


def test_an_earlier_mix_is_no_song(write, noise, tmp_path):
    write("mix.wav", noise(2, 100))
    assert told(tmp_path)[0].names == ["mix"]
    (tmp_path / "params.json").touch()
    with pytest.raises(InputError) as caught:
        load_multitrack(tmp_path)
    assert one_line(caught, tmp_path, "no audio files", "an earlier mix")


@pytest.mark.skipif(os.name != "posix", reason="links and pipes are those of POSIX")
@pytest.mark.parametrize("kind", ["link", "circle", "pipe", "folder"])
def test_what_only_has_the_name_of_a_stem_is_refused(write, noise, tmp_path, kind):
    write("bass.wav", noise(1, 100))
    path = tmp_path / "kick.wav"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere" if kind == "link" else "kick.wav")
    with pytest.raises(InputError) as caught:
        load_multitrack(tmp_path)
    assert one_line(caught, path)


def test_folders_of_instruments_are_parts_of_the_song(write, noise, tmp_path):
    for i, name in enumerate(["bass", "Drums/kick", "01 Lead Vocals/lead", "takes/lead", "Stems/pad"]):
        write(f"{name}.wav", noise(1, 100, seed=i))
    song, notes = told(tmp_path)
    assert song.names == ["01 Lead Vocals_lead", "Drums_kick", "pad", "bass"]
    assert torch.equal(song.stems["Drums_kick"][0], noise(1, 100, seed=1)[0])
    assert notes[0] == "folders taken for instruments, not for songs: 01 Lead Vocals, Drums"
    assert "takes (a folder of 1 sound file" in notes[1] and len(notes) == 2
    assert "takes_lead" in told(tmp_path, layout="instruments")[0].names
    song, (note,) = told(tmp_path, layout="folders")
    assert song.names == ["bass"] and all(name in note for name in ("Drums", "Vocals", "takes", "Stems"))
    with pytest.raises(InputError, match="no layout 'songs': there are auto, instruments, folders"):
        load_multitrack(tmp_path, layout="songs")


def test_a_folder_that_leads_back_is_left_out(write, noise, tmp_path):
    write("bass.wav", noise(1, 100))
    (tmp_path / "Drums").symlink_to(tmp_path)
    song, (note,) = told(tmp_path)
    assert song.names == ["bass"] and "Drums (a link to a folder above it)" in note


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (".L", ".R"),
        ("_L", "_R"),
        ("-L", "-R"),
        (" l", " r"),
        (".left", ".right"),
        ("_Left", "_Right"),
        (" (L)", " (R)"),
    ],
)
def test_two_sides_are_one_stereo_stem(write, noise, tmp_path, left, right):
    write(f"Keys{left}.wav", noise(1, 100))
    write(f"Keys{right}.wav", noise(1, 80, seed=1))
    song, notes = told(tmp_path)
    assert song.names == ["Keys"] and torch.equal(song.audio[0, 0], noise(1, 100)[0])
    assert torch.equal(song.audio[0, 1, :80], noise(1, 80, seed=1)[0]) and not song.audio[0, 1, 80:].any()
    assert notes[0].startswith("padded with silence") and notes[0].endswith(f": Keys{right}.wav")
    assert notes[1] == f"left and right of one stereo stem: Keys (Keys{left}, Keys{right})"


def test_sides_at_two_rates(write, noise, tmp_path):
    write("Keys.L.wav", noise(1, RATE))
    write("Keys.R.wav", noise(1, 48000), 48000)
    song, notes = told(tmp_path)
    assert song.audio.shape == (1, 2, RATE) and notes[0] == "resampled to 44100 Hz: Keys.R.wav (48000 Hz)"


def test_one_side_alone_is_a_mono_stem(write, noise, tmp_path):
    write("Keys.L.wav", noise(1, 100))
    song, notes = told(tmp_path)
    assert song.names == ["Keys.L"] and song.is_mono() == [True]
    assert notes == ["named like one side of a stereo stem, taken for a mono stem: Keys.L"]
    write("Keys.R.wav", noise(1, 100))
    write("Keys.wav", noise(1, 100))  # has the name of both
    song, notes = told(tmp_path)
    assert song.names == ["Keys.L", "Keys.R", "Keys"] and notes[0].endswith(": Keys.L, Keys.R")


def test_a_microphone_on_one_side_stays_there(write, noise, tmp_path):
    write("mic.wav", torch.tensor([[0.0], [1.0]]) * noise(1, 100))
    write("off.wav", torch.zeros(2, 100))
    song, notes = told(tmp_path)
    assert not song.audio[0, 0].any() and song.audio[0, 1].any()
    assert notes == ["on one side of a stereo file, and left there: mic (right)"]


def test_streams_that_are_not_read_are_named(tmp_path):
    write_sound(tmp_path / "song.stem.mp4", music(1))
    write_sound(tmp_path / "vox.m4a", music(1))
    _, notes = told(tmp_path)
    assert any(note.endswith("the others are left out: song.stem.mp4 (5 streams)") for note in notes)


def test_time_stamps_place_stems_when_asked(write, noise, tmp_path):
    for name, start_s in (("bass", 3600.0), ("vox", 3600.5), ("kick", None)):
        path = write(f"{name}.wav", noise(1, RATE))
        if start_s is not None:
            stamp(path, start_s)
    song, notes = told(tmp_path)
    assert song.audio.shape[-1] == RATE and "up to 0.500 s after each other" in notes[0]
    song, notes = told(tmp_path, timestamps=True)
    vox = song.stems["vox"]
    assert song.audio.shape[-1] == 1.5 * RATE and not vox[:, : RATE // 2].any()
    assert torch.equal(vox[0, RATE // 2 :], noise(1, RATE)[0])
    assert torch.equal(song.stems["bass"][0, :RATE], noise(1, RATE)[0])
    assert notes[0] == "without a time stamp, put at the beginning: kick"


def test_equal_time_stamps_say_nothing(write, noise, tmp_path):
    for name in ("bass", "vox"):
        stamp(write(f"{name}.wav", noise(1, 100)), 86000.0)
    assert told(tmp_path)[1] == []
    assert told(tmp_path, timestamps=True)[0].audio.shape[-1] == 100


@pytest.mark.parametrize(
    ("starts_s", "why"), [([], "no file has a time stamp"), ([0, 40000], "11.1 hours apart")]
)
def test_time_stamps_that_place_nothing(write, noise, tmp_path, starts_s, why):
    write("a.wav", noise(1, 100))
    for i, start_s in enumerate(starts_s):
        stamp(write(f"{i}.wav", noise(1, 100)), start_s)
    with pytest.raises(InputError) as caught:
        load_multitrack(tmp_path, timestamps=True)
    assert one_line(caught, tmp_path, why)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere peaks of memory have other units")
@pytest.mark.parametrize(
    "options", [{"MALLOC_MMAP_THRESHOLD_": "1000000"}, {}], ids=["gives back", "as it is"]
)
def test_a_song_is_in_memory_once(tmp_path, options):
    """12 stems of 16 MB as they are kept, and half of them 8 MB as they are read."""
    for i in range(12):
        sound = np.full((2**21, 1 + i % 2), 0.1)
        for name, length in (("small", 100), ("whole", 2**21)):
            (tmp_path / name).mkdir(exist_ok=True)
            soundfile.write(tmp_path / name / f"{i:02}.wav", sound[:length], 44100, subtype="PCM_16")
    code = """
import re
from pathlib import Path
from diffmst_lib.audio.stems import load_multitrack
import sys
def memory(what):
    return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
small, whole = sys.argv[1:]
load_multitrack(small)
before = memory("VmRSS")
song = load_multitrack(whole)
print((memory("VmHWM") - before) * 1024 / (song.audio.numel() * 4))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "small"), str(tmp_path / "whole")]
    # With the option glibc gives back to the system what is freed, as it does with the files of a long song.
    result = subprocess.run(
        command, env=os.environ | options, capture_output=True, text=True, timeout=HANGS_S
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 1.4


def test_a_stem_that_is_longer_than_all_larger_files(write, noise, tmp_path):
    sounds = {f"{i}": noise(2, 1000, seed=i) for i in range(5)}
    for name, sound in sounds.items():
        write(f"{name}.wav", sound)
    write("long.flac", torch.full((1, 3000), 0.25), subtype="PCM_16")
    song = load_multitrack(tmp_path)
    assert song.names == [*sounds, "long"] and song.audio.shape == (6, 2, 3000)
    for name, sound in sounds.items():
        assert torch.equal(song.stems[name][:, :1000], sound) and not song.stems[name][:, 1000:].any()
    assert (song.stems["long"] == 0.25).all()


def test_names_are_composed(write, noise, tmp_path):
    write("cafe\u0301/e\u0301.wav", noise(1, 100))
    song = load_multitrack(tmp_path / "cafe\u0301")
    assert (song.title, song.names) == ("caf\u00e9", ["\u00e9"])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere both are one file")
def test_names_that_are_equal_once_composed_are_told(write, noise, tmp_path):
    write("e\u0301.wav", noise(1, 100))
    write("\u00e9.wav", noise(1, 100))
    with pytest.raises(InputError) as caught:
        load_multitrack(tmp_path)
    assert one_line(caught, tmp_path, "several files are named \u00e9")


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


def test_names_that_end_like_a_channel_are_names(write, noise, tmp_path):
    for name in ("bass", "bass.L", "bass.R"):
        write(f"{name}.wav", noise(2, 100))
    assert load_multitrack(tmp_path).names == ["bass.L", "bass.R", "bass"]


def test_a_bad_file_among_many_is_named(write, noise, tmp_path):
    for i in range(12):
        write(f"{i:02d}.wav", noise(1, 100))
    (tmp_path / "07.wav").write_bytes(b"not audio at all\n" * 500)
    with pytest.raises(InputError) as caught:
        load_multitrack(tmp_path)
    assert one_line(caught, "07.wav", "not an audio file")


def test_stems_as_m4a(tmp_path):
    for i, name in enumerate(("bass", "vox")):
        write_sound(tmp_path / f"{name}.m4a", music(2, seed=i))
    song = load_multitrack(tmp_path)
    assert song.names == ["bass", "vox"] and song.duration_s == pytest.approx(2, abs=0.05)
    error = song.stems["vox"][:, :88200].numpy() - music(2, seed=1)
    assert abs(error).mean() < 0.2 * abs(music(2, seed=1)).mean()
