"""Chunks of sound files: what headers claim, and what is there."""

import io

import numpy as np
import pytest
import soundfile
from sound_files import encode, sweep

from diffmst_lib.audio.chunks import claimed_sound, read_chunks

BYTES = 4 * 44100
FORMS = {"wav": "pcm_s16le", "w64": "pcm_s16le", "aiff": "pcm_s16be", "au": "pcm_s16be", "caf": "pcm_s16le"}


def content(tmp_path, form, **more):
    return encode(tmp_path / f"a.{form}", FORMS[form], sweep(1), form=form, **more).read_bytes()


def claim(content):
    found = claimed_sound(io.BytesIO(content))
    return found.claimed, found.held, found.behind


@pytest.mark.parametrize("form", FORMS)
def test_what_is_there(tmp_path, form):
    whole = content(tmp_path, form)
    assert claim(whole) == (BYTES, BYTES, 0)
    claimed, held, _ = claim(whole[: len(whole) - 1000])
    assert claimed == BYTES and 0 <= BYTES - held <= 1000
    assert claim(content(tmp_path, form, piped=True))[0] is None


def test_rf64(tmp_path):
    assert claim(content(tmp_path, "wav", rf64="always")) == (BYTES, BYTES, 0)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 44])
def test_sizes_of_programs_that_do_not_know(tmp_path, size):
    whole = content(tmp_path, "wav")
    place = whole.index(b"data") + 4
    assert claim(whole[:place] + size.to_bytes(4, "little") + whole[place + 4 :]) == (None, BYTES, 0)


def test_what_lies_behind(tmp_path):
    whole = content(tmp_path, "wav")
    assert claim(whole + b"LIST" + bytes(100))[2] == 0
    assert claim(whole + bytes(5000))[2] == 0  # filled up with zeros
    assert claim(whole + b"\xff\1\2\3" + bytes(996))[2] == 1000


def test_chunks_of_other_writers(tmp_path):
    for form in ("WAV", "RF64", "W64", "AIFF", "CAF"):
        soundfile.write(tmp_path / "a", np.zeros((100, 2)), 44100, format=form, subtype="PCM_16")
        names = [chunk.name for chunk in read_chunks(io.BytesIO((tmp_path / "a").read_bytes()))]
        assert {"data", "SSND"} & set(names), form


@pytest.mark.parametrize(
    "wrong",
    [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVE" + bytes(10_000), b"caff" + b"\xff" * 40, b".snd"],
)
def test_nothing_to_find(wrong):
    assert len(list(read_chunks(io.BytesIO(wrong)))) <= 1000
    found = claimed_sound(io.BytesIO(wrong))
    assert found is None or found.held == 0
