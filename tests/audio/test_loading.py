"""Audio files: reading, resampling, saving."""

import math
import os
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


# Files that are not quite right


def test_a_cut_file_is_told(write, noise, tmp_path):
    path = write("ref.wav", noise(2, 4 * RATE))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(InputNote) as notes:
        load_audio(path)
    assert [str(note.message) for note in notes] == [
        "cut short, the rest is missing: ref.wav (2.0 s of 4.0 s are there)"
    ]
    assert notes[0].filename == __file__


def test_where_a_reference_begins_does_not_matter(tmp_path):
    path = write_sound(tmp_path / "ref.aac")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_audio(path)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere there are no named pipes")
def test_what_is_no_file_costs_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "a.wav").symlink_to(tmp_path / "a.wav")
    for name, what in (("pipe", "a named pipe"), ("folder", "a folder"), ("a", "a circle of links")):
        with pytest.raises(InputError) as caught:
            load_audio(tmp_path / f"{name}.wav")
        assert one_line(caught, f"{name}.wav: {what}, not a file")


def test_many_stems_that_do_not_say_where_they_begin_are_one_note(tmp_path):
    for i in range(7):
        write_sound(tmp_path / f"{i}.aac", music(0.5, seed=i))
    with pytest.warns(InputNote) as notes:
        load_multitrack(tmp_path)
    (told,) = (str(note.message) for note in notes)
    assert told.startswith("does not say where its sound begins") and told.endswith("4.aac and 2 more")


def test_cut_stems_are_one_note(write, noise, tmp_path):
    for name in ("bass", "kick"):
        path = write(f"{name}.wav", noise(2, 4 * RATE))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(InputNote) as notes:
        load_multitrack(tmp_path)
    assert len(notes) == 1
    assert "bass.wav (2.0 s of 4.0 s are there), kick.wav (2.0 s" in str(notes[0].message)


@pytest.mark.parametrize(("name", "kind"), [("a.bwf", "WAV"), ("a.snd", "AU"), ("a.rf64", "RF64")])
def test_other_names_of_common_kinds_are_stems(tmp_path, name, kind):
    samples = music(0.1)
    soundfile.write(tmp_path / name, samples.T, RATE, format=kind, subtype="PCM_24")
    song = load_multitrack(tmp_path)
    assert song.names == ["a"] and torch.allclose(song.audio[0], torch.from_numpy(samples), atol=1e-6)
