"""Audio files: reading, resampling, saving; a folder of stems as a song."""

import math
import os
import shutil
import sys
import warnings

import pytest
import soundfile
import torch
from audio_helpers import RATE, one_line, sine
from sound_files import music, write_sound

from diffmst_lib import InputError, InputNote, load_audio, load_multitrack, save_audio

bad_suffix = pytest.mark.parametrize("name", ["stem.wav", "stem.mp3", "stem.m4a"])


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
    [
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "FLOAT", 0.0),
        ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-23),
        ("aiff", "PCM_24", 2**-23),
        ("ogg", "VORBIS", 0.05),
        ("mp3", "MPEG_LAYER_III", 0.05),
    ],
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
    torch.testing.assert_close(
        y[:, :-1000], x[:, :-1000], rtol=0, atol=0.05
    )  # libsndfile's encoder fades the end


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
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"not audio at all\n" * 500], ids=["nothing", "newline", "text"]
)
def test_file_that_is_not_audio(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_audio(tmp_path / name)
    assert one_line(caught, tmp_path / name, "not an audio file")


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (torch.zeros(2, 0), "length 0"),
        (torch.tensor([0.0, math.nan]), "NaN or infinite"),
        (torch.tensor([[0.0, -math.inf]] * 2), "NaN or infinite"),
    ],
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


@pytest.mark.skipif(os.name != "posix", reason="elsewhere no limit can be set")
def test_a_disk_that_is_full_costs_one_line_and_keeps_the_old_file(tmp_path, noise):
    """A limit on the size of files stops the writing in its middle, as a full disk does."""
    import resource

    path = save_audio(tmp_path / "mix.wav", noise(2, 100))
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(InputError) as caught:
            save_audio(path, noise(2, RATE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert one_line(caught, "mix.wav: not written (File too large)")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["mix.wav"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_files_have_the_mode_that_the_umask_asks_for(tmp_path, noise, umask, mode):
    before = os.umask(umask)
    try:
        path = save_audio(tmp_path / "a.wav", noise(2, 10))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


# A folder of stems


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
    with pytest.warns(InputNote) as notes:
        song = load_multitrack(tmp_path)
    assert [str(note.message) for note in notes] == [
        "not audio, left out: lyrics.txt",
        "resampled to 44100 Hz: snare.wav (48000 Hz), vox.wav (8000 Hz)",
        "padded with silence to 1.00 s: kick.wav",
    ]
    assert {note.filename for note in notes} == {__file__}
    assert song.audio.shape == (4, 2, RATE)
    assert torch.equal(song.audio[1, :, :100], noise(2, 100)) and not song.audio[1, :, 100:].any()


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
