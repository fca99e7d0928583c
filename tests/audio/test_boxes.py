"""Edit lists of MP4 files."""

import io

import numpy as np
import pytest
from sound_files import encode, lag, sweep

from diffmst_lib.audio.boxes import Edits, edit_list, has_no_index
from diffmst_lib.audio.decoding import AudioFile
from diffmst_lib.audio.remarks import START


def edits(path, stream=0):
    with open(path, "rb") as file:
        return edit_list(file, stream)


def test_sound_that_begins_later(tmp_path):
    """As a film editor delays it."""
    path = encode(tmp_path / "a.m4a", "aac", sweep(2), form="mp4", start=22_050)
    found = edits(path)
    assert found.silent_s == pytest.approx(0.5, abs=0.03)  # what the encoder put in front lies within it
    with AudioFile(path) as file:
        sound = file.read()
        assert not file.remarks
    original = np.pad(sweep(2), ((0, 0), (22_050, 0)))  # to a millisecond
    assert abs(lag(sound, original, 60_000)[0]) <= 45 and not sound[:, :20_000].any()


def test_no_edits(tmp_path):
    assert edits(encode(tmp_path / "a.m4a", "aac", sweep(1), form="mp4")) == Edits(0.0)
    path = encode(tmp_path / "b.m4a", "aac", sweep(1), form="mp4", use_editlist=0)
    assert edits(path) is None and edits(path, 3) is None
    assert edit_list(io.BytesIO(b"RIFF" + bytes(100))) is None


def test_a_claim_of_years_of_silence(tmp_path):
    path = encode(tmp_path / "a.m4a", "aac", sweep(1), form="mp4", start=22_050)
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 12
    content[place : place + 4] = b"\x7f\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(ValueError):
        AudioFile(path)


def test_gapless_tag_of_itunes(tmp_path):
    """In place of an edit list."""
    content = encode(tmp_path / "a.m4a", "aac", sweep(2), form="mp4", use_editlist=0).read_bytes()
    text = b" 00000000 00000400 00000000 000000000001588A 00000000 00000000"
    tag = box(
        b"----",
        box(b"mean", bytes(4) + b"com.apple.iTunes"),
        box(b"name", bytes(4) + b"iTunSMPB"),
        box(b"data", b"\0\0\0\1" + bytes(4) + text),
    )
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    meta = box(b"udta", box(b"meta", bytes(4), handler, box(b"ilst", tag)))
    place = content.index(b"moov") - 4
    size = int.from_bytes(content[place : place + 4], "big")
    assert place + size == len(content)
    content = content[:place] + (size + len(meta)).to_bytes(4, "big") + content[place + 4 :] + meta
    with AudioFile(io.BytesIO(content)) as file:
        sound = file.read()
        assert START not in file.remarks
    assert lag(sound, sweep(2), 40_000)[0] == 0


def box(name, *contents):
    content = b"".join(contents)
    return (8 + len(content)).to_bytes(4, "big") + name + content


def test_index_at_the_end(tmp_path):
    content = encode(tmp_path / "a.m4a", "aac", sweep(1), form="mp4").read_bytes()
    assert not has_no_index(io.BytesIO(content)) and has_no_index(io.BytesIO(content[:2000]))
    assert not has_no_index(io.BytesIO(b"RIFF" + bytes(100)))
