"""Files, sample rates, loudness, and a folder of stems as a song."""

import math
import os
import shutil
import sys
import warnings

import numpy as np
import pyloudnorm
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmst_lib import (
    InputError, InputNote, Multitrack, audio, data_dir, load_audio, load_multitrack, loudness, normalize_loudness,
    save_audio,
)
from diffmst_lib.audio import check_stereo, loudest_window, write_whole

RATE = 44100
bad_suffix = pytest.mark.parametrize("name", ["stem.wav", "stem.mp3", "stem.m4a"])


def sine(frequency_hz, seconds=1.0, rate=RATE):
    return torch.sin(2 * math.pi * frequency_hz * torch.arange(round(seconds * rate)) / rate)


def one_line(caught, *parts):
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message
    return True


# Files

def test_saved_float_wav_is_read_back_exactly_even_above_full_scale(tmp_path, noise):
    x = 20 * noise(2, 1000)
    assert x.abs().max() > 1
    path = save_audio(tmp_path / "loud.wav", x)
    assert torch.equal(load_audio(path), x)
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "FLOAT", RATE, 2)


def test_save_takes_what_a_training_loop_has(tmp_path, noise):
    x = noise(2, 100).requires_grad_()
    assert torch.equal(load_audio(save_audio(tmp_path / "a.wav", x * 1)), x.detach())
    assert soundfile.info(save_audio(tmp_path / "b.wav", x, sample_rate=8000)).samplerate == 8000


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_save_refuses_what_is_not_finite_and_keeps_the_old_file(tmp_path, noise, value):
    path = save_audio(tmp_path / "mix.wav", noise(2, 100))
    before = path.read_bytes()
    with pytest.raises(InputError) as caught:
        save_audio(path, torch.full((2, 100), value))
    assert one_line(caught, "mix.wav", "NaN or infinite")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["mix.wav"]


@pytest.mark.parametrize("target", ["nowhere/mix.wav", "folder.wav"])
def test_save_says_in_one_line_that_it_cannot(tmp_path, noise, target):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(InputError) as caught:
        save_audio(tmp_path / target, noise(2, 100))
    assert one_line(caught, target.split("/")[-1])
    assert os.listdir(tmp_path) == ["folder.wav"]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("suffix", "subtype", "error"),
    [("wav", "PCM_16", 2**-15), ("wav", "PCM_24", 2**-23), ("wav", "FLOAT", 0.0), ("flac", "PCM_16", 2**-15),
     ("flac", "PCM_24", 2**-23), ("aiff", "PCM_24", 2**-23), ("ogg", "VORBIS", 0.05), ("mp3", "MPEG_LAYER_III", 0.05)],
)
def test_readable_formats(write, channels, suffix, subtype, error):
    x = 0.4 * torch.stack([sine(440), sine(660)])[:channels]
    y = load_audio(write(f"x.{suffix}", x, subtype=subtype))
    assert y.dtype == torch.float32 and y.shape == x.shape
    torch.testing.assert_close(y, x, rtol=0, atol=error)


def test_opus(tmp_path):
    if "OPUS" not in soundfile.available_subtypes("OGG"):
        pytest.skip("this libsndfile has no Opus")
    x = 0.4 * torch.stack([sine(440, rate=48000), sine(660, rate=48000)])
    soundfile.write(tmp_path / "x.opus", x.T.numpy(), 48000, format="OGG", subtype="OPUS")
    y = load_audio(tmp_path / "x.opus", sample_rate=48000)
    assert y.shape == x.shape
    torch.testing.assert_close(y[:, :-1000], x[:, :-1000], rtol=0, atol=0.05)  # libsndfile's encoder fades the end


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
def test_resampling_keeps_duration_pitch_and_level(write, rate):
    path = write("tone.wav", 0.5 * sine(440, seconds=1.5, rate=rate), rate)
    with pytest.warns(InputNote, match=f"tone.wav: resampled from {rate} Hz to 44100 Hz") as notes:
        x = load_audio(path)[0]
    assert notes[0].filename == __file__  # the note points at the caller's line
    assert abs(len(x) - 1.5 * RATE) <= 1
    spectrum = torch.fft.rfft(x * torch.hann_window(len(x)), 2**19).abs()
    assert spectrum.argmax().item() * RATE / 2**19 == pytest.approx(440, abs=1)
    assert x[1000:-1000].abs().max() == pytest.approx(0.5, abs=0.01)


def test_no_note_without_a_change(write, noise):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_audio(write("a.wav", noise(1, 100)))
        load_audio(write("b.wav", noise(1, 100), 8000), sample_rate=8000)


@bad_suffix
def test_missing_file(tmp_path, name):
    with pytest.raises(InputError) as caught:
        load_audio(tmp_path / name)
    assert one_line(caught, tmp_path / name, "no such file")


@bad_suffix
@pytest.mark.parametrize("content", [b"", b"\n", b"not audio at all\n" * 500], ids=["nothing", "newline", "text"])
def test_file_that_is_not_audio(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_audio(tmp_path / name)
    assert one_line(caught, tmp_path / name, "not an audio file")
    assert ("convert it to WAV or FLAC" in str(caught.value)) == name.endswith("m4a")


@pytest.mark.parametrize(
    ("samples", "reason"),
    [(torch.zeros(2, 0), "length 0"), (torch.tensor([0.0, math.nan]), "NaN or infinite"),
     (torch.tensor([[0.0, -math.inf]] * 2), "NaN or infinite")],
)
def test_file_that_cannot_be_used(write, samples, reason):
    path = write("stem.wav", samples)
    with pytest.raises(InputError) as caught:
        load_audio(path)
    assert one_line(caught, path, reason)


def test_double_precision_beyond_float32_is_infinite(write):
    path = write("stem.wav", torch.tensor([0.0, 1e300], dtype=torch.float64), subtype="DOUBLE")
    with pytest.raises(InputError, match="infinite"):
        load_audio(path)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_write_whole_leaves_nothing_behind_when_the_writer_fails(tmp_path, error):
    def fail(part):
        with open(part, "w") as file:
            file.write("half")
        raise error

    (tmp_path / "old.txt").write_text("old")
    for name in ("old.txt", "new.txt"):
        with pytest.raises(error):
            write_whole(tmp_path / name, fail)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"old.txt": "old"}


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_files_have_the_mode_that_the_umask_asks_for(tmp_path, noise, umask, mode):
    before = os.umask(umask)
    try:
        path = save_audio(tmp_path / "a.wav", noise(2, 10))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


def test_data_dir_of_a_checkout_and_of_an_installed_wheel(tmp_path, monkeypatch):
    assert (data_dir() / "SOURCES.md").is_file() and list((data_dir() / "references").glob("*.ogg"))
    package = tmp_path / "site-packages" / "diffmst_lib"
    (package.parent / "data").mkdir(parents=True)
    (package.parent / "data" / "SOURCES.md").touch()  # somebody else's
    monkeypatch.setattr(audio, "__file__", str(package / "audio.py"))
    assert data_dir() == package / "_data"


# Loudness

@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_is_that_of_pyloudnorm(noise, channels):
    x = noise(channels, 3 * RATE) * torch.linspace(0, 1, 3 * RATE)  # quiet blocks for the relative gate
    assert loudness(x) == pytest.approx(pyloudnorm.Meter(RATE).integrated_loudness(x.T.double().numpy()), abs=1e-6)


@pytest.mark.parametrize("rate", [RATE, 48000])
@pytest.mark.parametrize("seconds", [0.1, 2.0])
@pytest.mark.parametrize("amplitude", [1.0, 0.1])
def test_loudness_of_a_997_hz_sine(rate, seconds, amplitude):
    # BS.1770: a full-scale sine in one channel reads -3.01 LUFS, in two channels 3.01 dB more.
    x, level = amplitude * sine(997, seconds, rate), 20 * math.log10(amplitude)
    assert loudness(x, sample_rate=rate) == pytest.approx(level - 3.01, abs=0.1)
    assert loudness(torch.stack([x, x]), sample_rate=rate) == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize("x", [torch.zeros(2, RATE), torch.zeros(2, 1), torch.zeros(2, 0), 1e-5 * torch.ones(2, RATE)])
def test_silence_has_no_loudness(x):
    assert loudness(x) == -math.inf


def test_one_sample_has_a_loudness():
    assert math.isfinite(loudness(torch.ones(2, 1)))


def test_loudness_refuses_a_batch(noise):
    with pytest.raises(ValueError, match=r"got \(1, 2, 100\)"):
        loudness(noise(1, 2, 100))


@pytest.mark.parametrize("num_samples", [1, 1000, 2 * RATE])
@pytest.mark.parametrize("lufs", [-16.0, -48.0])
def test_normalized_loudness_is_exact(noise, num_samples, lufs):
    assert loudness(normalize_loudness(noise(2, num_samples), lufs)) == pytest.approx(lufs, abs=0.01)


def test_normalized_silence_stays_silence():
    assert torch.equal(normalize_loudness(torch.zeros(2, 1000)), torch.zeros(2, 1000))


def test_normalization_has_a_gradient_that_does_not_know_the_level(noise):
    x = noise(2, RATE).requires_grad_()
    weights = noise(2, RATE, seed=1) + x.detach()  # with x in it: without normalization, louder would be better
    (normalize_loudness(x) * weights).sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    along = (x.grad * x).sum()
    assert along.abs() < 1e-4 * (x.grad * x).abs().sum()


@settings(deadline=None)
@given(num_samples=st.integers(1, 600), seconds=st.floats(0.1, 2.0), seed=st.integers(0, 1000))
def test_loudest_window_against_brute_force(noise, num_samples, seconds, seed):
    x, length = noise(2, num_samples, seed=seed), int(seconds * 100)
    starts = range(0, max(num_samples - length, 0) + 1, 10)
    energies = [x[:, start : start + length].double().square().sum().item() for start in starts]
    assert loudest_window(x, seconds, sample_rate=100) == 10 * energies.index(max(energies))


# Songs

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


def test_stems_are_the_files_again():
    stems = tiny_song().stems
    assert {name: tuple(stem.shape) for name, stem in stems.items()} == {"gtr": (1, 10), "gtr_2": (1, 10), "keys": (2, 10)}
    assert torch.equal(stems["keys"], tiny_song().audio[2:])


def test_select():
    song = tiny_song()
    assert song.select("keys", "gtr").names == ["gtr", "keys.L", "keys.R"]  # gtr_2 starts like gtr, and is not it
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


def test_an_offset_in_a_reference_is_told_and_others_pass_in_silence():
    sound = 0.1 * torch.randn(2, 9000, generator=torch.Generator().manual_seed(0))
    with pytest.warns(InputNote, match="the record has a DC offset of 0.2, which nobody hears"):
        check_stereo(sound + torch.tensor([[0.0], [-0.2]]), "the record")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_stereo(sound) is sound


def test_loudness_of_what_is_no_sound():
    for bad in (float("nan"), float("inf")):
        sound = 0.1 * torch.ones(2, 90_000)
        sound[1, 7] = bad
        assert math.isnan(loudness(sound))
    with pytest.raises(ValueError, match="got int16"):
        loudness(torch.ones(2, 9000, dtype=torch.int16))
    assert loudness(torch.ones(2, 9000).half()) == pytest.approx(loudness(torch.ones(2, 9000)), abs=0.01)
