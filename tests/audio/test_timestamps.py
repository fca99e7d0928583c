"""Time stamps of Broadcast WAV files."""

import io
import struct

import pytest
from sound_files import encode, sweep, write_sound

from diffmst_lib.audio.timestamps import PLACE, time_stamp

SAMPLES = 5 * 2**32 + 7  # more than 32 bits hold


def bext(samples):
    return bytes(PLACE) + struct.pack("<Q", samples) + bytes(256)


def with_chunk(content, name, chunk, place=12):
    return content[:place] + name + struct.pack("<I", len(chunk)) + chunk + content[place:]


@pytest.mark.parametrize("rate", [44100, 96000])
def test_read_in_seconds(tmp_path, rate):
    content = write_sound(tmp_path / "a.wav", sweep(0.1, rate), rate).read_bytes()
    assert time_stamp(io.BytesIO(with_chunk(content, b"bext", bext(SAMPLES)))) == SAMPLES / rate
    assert time_stamp(io.BytesIO(with_chunk(content, b"bext", bext(0)))) == 0.0
    (tmp_path / "b.wav").write_bytes(content + b"bext" + struct.pack("<I", 602) + bext(rate))
    assert time_stamp(tmp_path / "b.wav") == 1.0


def test_behind_the_sound_of_rf64(tmp_path):
    content = encode(tmp_path / "a.wav", "pcm_s16le", sweep(0.1), form="wav", rf64="always").read_bytes()
    assert time_stamp(io.BytesIO(content + b"bext" + struct.pack("<I", 602) + bext(44100))) == 1.0


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.flac", "a.ogg", "a.mp3"])
def test_without(tmp_path, name):
    assert time_stamp(write_sound(tmp_path / name)) is None


def test_broken(tmp_path):
    content = with_chunk(write_sound(tmp_path / "a.wav", sweep(0.1)).read_bytes(), b"bext", bext(7))
    for end in (0, 3, 12, 20, 12 + 8 + PLACE + 4):
        assert time_stamp(io.BytesIO(content[:end])) is None
    with pytest.raises(FileNotFoundError):
        time_stamp(tmp_path / "missing.wav")
