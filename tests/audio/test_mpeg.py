"""MP3: all of it, in its place, whatever its table says and whatever happened to it."""

import io

import numpy as np
import pytest
import soundfile
from sound_files import encode, lag, sweep

from diffmst_lib.audio.decoding import AudioFile
from diffmst_lib.audio.mpeg import MpegDecoder, looks_like_mpeg, mpeg_range, read_header
from diffmst_lib.audio.remarks import CUT, DAMAGED, RATE, START
from diffmst_lib.data.measure import measure
from diffmst_lib.data.songs import Source

SOUND = sweep()
LENGTH = SOUND.shape[1]
WITHOUT_TABLE = {"write_xing": 0, "id3v2_version": 0}


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """An MP3 with a table."""
    return encode(tmp_path_factory.mktemp("mp3") / "a.mp3", "libmp3lame", SOUND).read_bytes()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An MP3 of frames alone."""
    path = tmp_path_factory.mktemp("mp3") / "b.mp3"
    return encode(path, "libmp3lame", SOUND, **WITHOUT_TABLE).read_bytes()


def read(content):
    with AudioFile(io.BytesIO(content)) as file:
        return file.read(), file.remarks


def table(content):
    """Where the number of frames stands."""
    return content.index(b"Info" if b"Info" in content else b"Xing") + 8


def with_count(content, change):
    """The same file with another number of frames in its table."""
    place = table(content)
    count = change(int.from_bytes(content[place : place + 4], "big"))
    return content[:place] + count.to_bytes(4, "big") + content[place + 4 :]


def test_with_a_table_to_the_sample(tagged):
    sound, remarks = read(tagged)
    assert sound.shape == SOUND.shape and not remarks
    for at in (5000, 250_000):
        late, error = lag(sound, SOUND, at)
        assert late == 0 and error < 0.01


def test_of_variable_bit_rate_to_the_sample(tmp_path):
    path = tmp_path / "vbr.mp3"
    sound = SOUND * np.repeat([1.0, 0.0, 1.0], LENGTH // 3).astype(np.float32)  # needs few bits in the middle
    soundfile.write(path, sound.T, 44100, format="MP3", bitrate_mode="VARIABLE", compression_level=0.2)
    content = path.read_bytes()
    assert b"Xing" in content[:500] and b"Info" not in content[:500]
    measured, remarks = read(content)
    assert not remarks and measured.shape == SOUND.shape
    for at in (5000, 5 * 44100):
        late, error = lag(measured, sound, at)
        assert abs(late) <= 1 and error < 0.05
    with AudioFile(path) as file:
        assert file.expected_s == 6.0


def test_without_a_table_nothing_is_trimmed(bare):
    sound, remarks = read(bare)
    assert sound.shape[1] == 266_112 and list(remarks) == [START]
    assert lag(sound, SOUND, 5000)[0] == 1105


def test_two_joined(tagged, bare):
    sound, remarks = read(tagged + tagged)
    assert sound.shape[1] == 2 * LENGTH and not remarks
    assert lag(sound[:, LENGTH:], SOUND, 200_000)[0] == 0
    assert read(bare + bare)[0].shape[1] == 2 * 266_112
    assert read(tagged + b"TAG" + bytes(125) + tagged)[0].shape[1] == 2 * LENGTH


def test_the_index_has_all_of_two_joined(tagged, tmp_path):
    (tmp_path / "a.mp3").write_bytes(tagged + tagged)
    tracks, _, problems = measure({"a": Source(tmp_path / "a.mp3")})
    assert tracks[0].num_samples == 2 * LENGTH and not problems


def test_a_table_that_counts_too_few(tagged):
    sound, remarks = read(with_count(tagged, lambda count: count // 2))
    assert 0 <= sound.shape[1] - LENGTH < 1152 and not remarks
    assert lag(sound, SOUND, 250_000)[0] == 0


def test_a_table_that_counts_too_many(tagged):
    sound, remarks = read(with_count(tagged, lambda count: 2 * count))
    assert 0 <= sound.shape[1] - LENGTH < 1152
    assert remarks == {CUT: "6.0 s of 12.1 s are there"}


def test_cut(tagged, bare):
    sound, remarks = read(tagged[: len(tagged) // 2])
    assert abs(sound.shape[1] - LENGTH // 2) < 4000
    assert remarks == {CUT: "3.0 s of 6.0 s are there"}
    assert read(bare[: len(bare) // 2])[1][CUT] == "breaks off at 3.0 s"


@pytest.mark.parametrize("damage", ["zeros", "noise", "missing"])
def test_damaged_with_a_gap(tagged, damage):
    middle = len(tagged) // 2
    new = {"zeros": bytes(4000), "noise": np.random.default_rng(0).bytes(4000), "missing": b""}[damage]
    sound, remarks = read(tagged[:middle] + new + tagged[middle + 4000 :])
    assert sound.shape == SOUND.shape
    assert list(remarks) == [DAMAGED] and remarks[DAMAGED].startswith("at 3.0 s of 6.0 s, 0.")
    assert [lag(sound, SOUND, at)[0] for at in (5000, 110_000, 160_000, 250_000)] == [0] * 4
    assert not sound[:, 135_000:138_000].any() and np.abs(sound).max() < 0.5


def test_all_of_a_damaged_frame_is_told_while_it_is_read(tagged):
    """Its header is there, its content is not."""
    frames = MpegDecoder(io.BytesIO(tagged), *mpeg_range(io.BytesIO(tagged)))._sections[0].frames
    frame = frames[100]
    content = bytearray(tagged)
    content[frame.position + 4 : frame.position + frame.header.size] = b"\xff" * (frame.header.size - 4)
    sound, remarks = read(bytes(content))
    assert sound.shape == SOUND.shape and remarks[DAMAGED].startswith("at 2.6 s")


@pytest.mark.parametrize("rate", [48000, 22050])
def test_the_sample_rate_changes(tagged, tmp_path, rate):
    second = encode(tmp_path / "b.mp3", "libmp3lame", sweep(rate=rate), rate, **WITHOUT_TABLE).read_bytes()
    sound, remarks = read(tagged + second)
    delay = round(1105 * 44100 / rate)
    assert abs(sound.shape[1] - 2 * LENGTH - delay) < 4000
    assert abs(lag(sound[:, LENGTH:], SOUND, 200_000)[0] - delay) <= 1  # at its own speed
    assert remarks[RATE] == f"from 44100 to {rate} Hz at 6.0 s"


def test_mono_after_stereo(tagged, tmp_path):
    second = encode(tmp_path / "b.mp3", "libmp3lame", SOUND[:1], **WITHOUT_TABLE).read_bytes()
    sound, _ = read(tagged + second)
    assert sound.shape == (2, LENGTH + 266_112)
    assert np.array_equal(sound[0, LENGTH:], sound[1, LENGTH:])


@pytest.mark.parametrize("piped", [False, True])
def test_within_a_wav(tmp_path, piped):
    path = encode(tmp_path / "a.wav", "libmp3lame", SOUND, form="wav", piped=piped)
    with AudioFile(path) as file:
        sound = file.read()
        assert list(file.remarks) == [START]
    assert sound.shape[1] == 266_112 and lag(sound, SOUND, 5000)[0] == 1105


def test_behind_bytes_that_are_none(bare):
    sound, _ = read(b"some bytes of another program" * 20 + bare)
    assert sound.shape[1] >= 266_112


def test_layer_two(tmp_path):
    sound, _ = read(encode(tmp_path / "a.mp2", "mp2", SOUND).read_bytes())
    assert lag(sound, SOUND, 5000)[0] == 481 and 0 <= sound.shape[1] - LENGTH < 1152


def test_no_frame_at_all():
    assert mpeg_range(io.BytesIO(b"RIFF" + bytes(100))) is None
    assert not looks_like_mpeg(io.BytesIO(b"fLaC")) and not looks_like_mpeg(io.BytesIO(b""))
    with pytest.raises(ValueError, match="without one whole frame"):
        MpegDecoder(io.BytesIO(b"\xff" * 1000), 0, 1000)


def test_table_that_promises_hours_takes_no_memory(tagged):
    middle = len(tagged) // 2
    content = with_count(tagged[:middle] + bytes(3000) + tagged[middle:], lambda count: 2**31)
    sound, remarks = read(content)
    assert sound.shape[1] < 2 * LENGTH and CUT in remarks


@pytest.mark.parametrize(
    ("four", "size", "samples"),
    [(b"\xff\xfb\x90\x00", 417, 1152), (b"\xff\xf3\x90\x00", 261, 576), (b"\xff\xff\x90\x00", 312, 384)],
)
def test_headers(four, size, samples):
    header = read_header(four)
    assert (header.size, header.samples, header.channels) == (size, samples, 2)


@pytest.mark.parametrize(
    "four", [b"\xff\xf1\x50\x80", b"\xff\xfb\x00\x00", b"\xff\xfb\xf0\x00", b"\xff\xfb", b"RIFF"]
)
def test_no_headers(four):
    assert read_header(four) is None
