"""Writing sound files: formats, dither, errors in the operating system's words."""

import os
import signal
import threading

import numpy as np
import pytest
import soundfile
import torch

from diffmst_lib import InputError
from diffmst_lib.audio import encoding
from diffmst_lib.audio.encoding import FORMATS, MP3_RATES_HZ, encode, file_format, rate_of_file, whole_numbers

RATE = 44100


def written(path, audio, word, **options):
    encode(path, audio, sample_rate=RATE, kind=FORMATS[word], **options)
    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    assert rate == RATE
    return torch.from_numpy(samples.T)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("word", "kind", "error"),
    [
        ("wav", ("WAV", "FLOAT"), 0.0),
        ("wav24", ("WAV", "PCM_24"), 0.5 / 2**23),
        ("wav16", ("WAV", "PCM_16"), 1.5 / 2**15),  # half a step of rounding, one of dither
        ("flac", ("FLAC", "PCM_24"), 0.5 / 2**23),
    ],
)
def test_files_hold_the_sound_to_half_a_step(tmp_path, noise, channels, word, kind, error, monkeypatch):
    monkeypatch.setattr(encoding, "PIECE", 1000)  # several pieces, the last one shorter
    x = 0.2 * noise(channels, 3333)
    path = tmp_path / f"x{FORMATS[word].suffix}"
    y = written(path, x, word)
    assert (soundfile.info(path).format, soundfile.info(path).subtype) == kind
    assert y.shape == x.shape and (y - x).abs().max() <= error * (1 + 1e-9)
    halved = written(path, x, word, gain=0.5)
    assert (halved - 0.5 * x).abs().max() <= error * (1 + 1e-9) + 1e-8


def test_an_mp3_has_320_kilobits_and_the_sound_in_time(tmp_path, noise):
    x = 0.2 * torch.nn.functional.avg_pool1d(noise(2, 2 * RATE + 20)[None], 21, 1)[0]
    path = tmp_path / "x.mp3"
    y = written(path, x, "mp3")
    assert y.shape == x.shape
    assert (y - x).square().mean() < 1e-2 * x.square().mean()  # a sample late, it would be of its size
    assert 310_000 < 8 * path.stat().st_size / 2 < 335_000


def test_dither_is_a_noise_that_does_not_depend_on_the_sound(tmp_path):
    """Triangular: with rounding, the error has the power of three rounding errors, at any level of the sound."""
    powers = []
    for level in (0.0, 0.25, 0.5):  # of a step, which rounding alone would lose or turn into 0 and 1
        y = written(tmp_path / "x.wav", torch.full((1, 200_000), level / 2**15), "wav16")
        error = y * 2**15 - level
        assert abs(error.mean()) < 0.01  # what rounding alone would get wrong by up to half a step
        powers.append(error.square().mean().item())
    assert powers == pytest.approx([3 / 12] * 3, rel=0.02)


def test_dither_is_the_same_at_every_run_and_another_in_every_file(tmp_path):
    silence = torch.zeros(2, 5000)
    first, again, other = (written(tmp_path / name, silence, "wav16") for name in ("a.wav", "a.wav", "b.wav"))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


def test_what_lies_above_full_scale_is_held_and_never_wraps_around():
    ends = whole_numbers(np.array([3.0, -3.0, 1.0]), 24, np.random.default_rng(0))
    assert ends.tolist() == [(2**23 - 1) * 256, -(2**31), (2**23 - 1) * 256]
    assert set(whole_numbers(np.full(99, 1.0), 16, np.random.default_rng(0)).tolist()) <= {32766, 32767}


@pytest.mark.parametrize(
    ("rate", "of_file"),
    [
        *[(44_100, 44_100), (96_000, 48_000), (88_200, 44_100), (192_000, 48_000), (176_400, 44_100)],
        *[(37_800, 44_100), (4_000, 8_000), (50_000, 48_000), (8_000, 8_000)],
    ],
)
def test_rates_that_mp3_lacks(rate, of_file):
    assert rate_of_file(FORMATS["mp3"], rate) == of_file and of_file in MP3_RATES_HZ
    assert rate_of_file(FORMATS["flac"], rate) == rate


def test_every_rate_of_mp3_can_be_written(tmp_path, noise):
    for rate in MP3_RATES_HZ:
        encode(tmp_path / "x.mp3", 0.1 * noise(2, rate // 4), sample_rate=rate, kind=FORMATS["mp3"])
        assert soundfile.info(tmp_path / "x.mp3").samplerate == rate


@pytest.mark.parametrize("word", ["mp4", "WAV", "", "wav 24"])
def test_unknown_formats_cost_one_line(word):
    with pytest.raises(InputError, match="format must be one of wav, wav24, wav16, flac, mp3, not"):
        file_format(word)


def test_a_format_that_the_installed_library_lacks_costs_one_line(monkeypatch):
    monkeypatch.setattr(soundfile, "check_format", lambda *_: False)
    with pytest.raises(InputError, match="format mp3: the installed libsndfile cannot write it"):
        file_format("mp3")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere no limit can be set")
@pytest.mark.parametrize("word", list(FORMATS))
def test_a_full_disk_is_told_in_the_systems_words(tmp_path, noise, word):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            encode(tmp_path / "x", 0.1 * noise(2, 3 * RATE), sample_rate=RATE, kind=FORMATS[word])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_more_than_a_wav_can_hold_becomes_rf64(tmp_path, noise, monkeypatch):
    monkeypatch.setattr(encoding, "WAV_LIMIT", 1000)
    x = noise(2, 500)
    assert torch.equal(written(tmp_path / "x.wav", x, "wav").float(), x)
    assert (tmp_path / "x.wav").read_bytes()[:4] == b"RF64"


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_an_interrupt_while_libsndfile_writes_is_not_lost(tmp_path, noise, monkeypatch, capfd):
    class Interrupting(encoding._Sink):
        def write(self, data):
            signal.raise_signal(signal.SIGINT)
            return super().write(data)

    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setattr(encoding, "_Sink", Interrupting)
    with pytest.raises(KeyboardInterrupt):
        encode(tmp_path / "x.wav", noise(2, 200_000), sample_rate=RATE, kind=FORMATS["wav"])
    assert "callback" not in capfd.readouterr().err
