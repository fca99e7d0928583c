"""Sound files in parts: any part equals that part of the whole, whatever the format."""

import io
import os

import av
import numpy as np
import pytest
import soundfile
from sound_files import music, write_sound

from diffmst_lib.audio.decoding import AudioFile

KINDS = ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3", "a.aiff", "a.m4a"]
ALL_KINDS = [*KINDS, "a.aac"]  # frames alone, which nobody tells where the sound begins
RATES = {"a.opus": 48000, "a.mp3": 48000}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Eight seconds in every format, decoded whole."""
    folder, made = tmp_path_factory.mktemp("kinds"), {}
    for kind in ALL_KINDS:
        path = write_sound(folder / kind, music(8, RATES.get(kind, 44100)), RATES.get(kind, 44100))
        with AudioFile(path) as file:
            made[kind] = path, file.read()
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_whole_file(files, kind):
    path, whole = files[kind]
    with AudioFile(path) as file:
        assert (file.channels, file.sample_rate) == (2, RATES.get(kind, 44100))
    assert whole.dtype == np.float32
    assert 0 <= whole.shape[1] - 8 * RATES.get(kind, 44100) < 4096  # a coder may fill its last frame
    original = music(8, RATES.get(kind, 44100))
    error = whole[:, : original.shape[1]] - original
    assert np.square(error).mean() < 0.02 * np.square(original).mean()  # in place, and the same sound


@pytest.mark.parametrize("kind", ["a.ogg", "a.opus", "a.mp3", "a.flac"])
def test_chunks_join_as_libsndfile_reads_at_once(files, kind):
    path, whole = files[kind]
    at_once, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert whole.shape[1] > 2**18 and np.abs(whole - at_once.T).max() < 1e-5


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_part_is_that_part_of_the_whole(files, kind):
    path, whole = files[kind]
    for start, length in [
        (0, 1000),
        (1, 44100),
        (1152, 20000),
        (100_003, 70_000),
        (whole.shape[1] - 500, 500),
    ]:
        with AudioFile(path) as file:
            part = file.read(start, length)
        assert part.shape == (2, length)
        assert np.array_equal(part, whole[:, start : start + length]), start


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_parts_from_one_open_file(files, kind):
    path, whole = files[kind]
    with AudioFile(path) as file:
        for start in (200_000, 10, 90_000, 0):
            assert np.array_equal(file.read(start, 5000), whole[:, start : start + 5000]), start


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_blocks_make_the_whole(files, kind):
    path, whole = files[kind]
    with AudioFile(path) as file:
        blocks = list(file.blocks(30_000))
    assert {block.shape[1] for block in blocks[:-1]} == {30_000} and blocks[-1].shape[1] <= 30_000
    assert np.array_equal(np.concatenate(blocks, axis=1), whole)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_beyond_the_end(files, kind):
    path, whole = files[kind]
    with AudioFile(path) as file:
        assert file.read(whole.shape[1] - 100, 1000).shape == (2, 100)
        assert file.read(whole.shape[1] + 100, 1000).shape == (2, 0)


@pytest.mark.parametrize("kind", ["a.flac", "a.ogg", "a.m4a"])
def test_content_in_memory(files, kind):
    path, whole = files[kind]
    content = io.BytesIO(path.read_bytes())
    for _ in range(2):
        with AudioFile(content) as file:
            assert np.array_equal(file.read(5000, 1000), whole[:, 5000:6000])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("rate", [8000, 192_000])
def test_bits_and_rates(tmp_path, subtype, rate):
    sound = music(0.5, rate)
    soundfile.write(tmp_path / "a.wav", sound.T, rate, subtype=subtype)
    with AudioFile(tmp_path / "a.wav") as file:
        assert file.sample_rate == rate
        assert np.abs(file.read() - sound).max() < 1e-4


def test_the_format_is_told_by_the_content(tmp_path):
    write_sound(tmp_path / "a.ogg").rename(tmp_path / "a.wav")
    write_sound(tmp_path / "b.m4a").rename(tmp_path / "b.mp3")
    for name in ("a.wav", "b.mp3"):
        with AudioFile(tmp_path / name) as file:
            assert file.read().shape[1] >= 88200


def test_a_broken_mp3_says_so(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"\xff\xfb\x90\x00" + bytes(10))
    with pytest.raises(ValueError, match="an MP3 or AAC without one whole frame"):
        AudioFile(tmp_path / "a.mp3")


def test_time_stamps_that_jitter(tmp_path):
    """As some converters write them: one frame a little late, the next a little early."""
    sound = music(4)
    for name, late in (("even.m4a", 0), ("late.m4a", 412)):
        with av.open(str(tmp_path / name), "w", format="mp4") as container:
            stream = container.add_stream("aac", rate=44100, layout="stereo")
            frame = av.AudioFrame.from_ndarray(sound, "fltp", "stereo")
            frame.sample_rate, frame.pts = 44100, 0
            for i, packet in enumerate([*stream.encode(frame), *stream.encode(None)]):
                if packet.pts is not None and i % 4 == 2:
                    packet.pts, packet.dts = packet.pts + late, packet.dts + late
                container.mux(packet)
    with AudioFile(tmp_path / "even.m4a") as file:
        whole = file.read()
    with AudioFile(tmp_path / "late.m4a") as file:
        assert np.array_equal(file.read(), whole)
        for start in range(20_000, 150_000, 7001):
            assert np.array_equal(file.read(start, 3000), whole[:, start : start + 3000]), start


@pytest.mark.parametrize("tag", [b"", b"ID3\x03\0\0\0\0\x02\x01" + bytes(257)])
def test_mp3_without_a_table_is_not_cut(tmp_path, tag):
    """Frames alone, of very different sizes: their number cannot be told from the first."""
    sound = music(8)
    sound[:, : 3 * 44100] *= 1e-4
    with av.open(
        str(tmp_path / "a.mp3"), "w", options={"write_xing": "0", "id3v2_version": "0"}
    ) as container:
        quality = {"flags": "+qscale", "global_quality": "236"}  # instead of a bit rate
        stream = container.add_stream("libmp3lame", rate=44100, layout="stereo", options=quality)
        frame = av.AudioFrame.from_ndarray(sound, "fltp", "stereo")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path = tmp_path / "b.mp3"
    path.write_bytes(tag + (tmp_path / "a.mp3").read_bytes())
    with AudioFile(path) as file:
        whole = file.read()
    assert 0 <= whole.shape[1] - sound.shape[1] < 5000
    assert soundfile.info(path).frames < 0.9 * sound.shape[1]  # what libsndfile makes of it
    with AudioFile(path) as file:
        assert np.array_equal(file.read(300_000, 5000), whole[:, 300_000:305_000])


def test_streams_of_one_file(tmp_path):
    path = write_sound(tmp_path / "song.stem.mp4")
    levels = []
    for stream in range(5):
        with AudioFile(path, stream) as file:
            levels.append(np.sqrt(np.square(file.read()).mean()))
    assert np.allclose(np.array(levels) / levels[0], [1, 0.8, 0.6, 0.4, 0.2], atol=0.03)
    with pytest.raises(ValueError, match="no audio stream 5"):
        AudioFile(path, 5)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"no sound", b"RIFF\x10\0\0\0WAVE", b"OggS" + bytes(100), bytes(1000)]
)
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.m4a"])
def test_no_sound_file(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as caught, AudioFile(tmp_path / name) as file:
        assert file.read().shape[1] == 0
        raise ValueError("empty")
    assert "\n" not in str(caught.value)


def test_one_wrong_byte_in_a_header(tmp_path):
    """Whatever it makes of the file, nothing but a ValueError."""
    content = write_sound(tmp_path / "a.wav", music(0.1)).read_bytes()
    refused = 0
    for place in range(4, 44):
        for byte in (0, 1, 255):
            (tmp_path / "b.wav").write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
            try:
                with AudioFile(tmp_path / "b.wav") as file:
                    file.read()
            except ValueError:
                refused += 1
    assert refused > 10


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_truncated(files, tmp_path, kind):
    path, whole = files[kind]
    (tmp_path / kind).write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    try:
        with AudioFile(tmp_path / kind) as file:
            found = file.read()
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert 0 < found.shape[1] < whole.shape[1]
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<html><body>404</body></html>", "a web page or a text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"MThd\0\0\0\6" + bytes(100), "MIDI, which holds notes and no sound"),
        (b"PK\3\4" + bytes(100), "a zip archive: unpack it"),
        (b"\x89PNG\r\n" + bytes(100), "a picture"),
        (b"\0\5\x16\7" + bytes(100), "what macOS keeps beside a file"),
        (bytes(range(200)), "damaged, or of a kind that is not known here: export it as WAV or FLAC"),
    ],
)
def test_what_else_people_take_for_sound(tmp_path, content, what):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(ValueError, match=what):
        AudioFile(tmp_path / "a.wav")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere there are no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(ValueError, match="a named pipe, not a file"):
        AudioFile(tmp_path / "a.wav")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        AudioFile(tmp_path / "none.wav")
    with pytest.raises(IsADirectoryError):
        AudioFile(tmp_path)


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
def test_resampled_in_blocks(tmp_path, rate):
    path = write_sound(tmp_path / "a.wav", music(3, rate), rate)
    with AudioFile(path) as file:
        sound = np.concatenate(list(file.resampled(44100)), axis=1)
    assert abs(sound.shape[1] - 3 * 44100) <= 1
    assert np.square(sound).mean() == pytest.approx(np.square(music(3, rate)).mean(), rel=0.02)


def test_nan_is_found_while_resampling(tmp_path):
    sound = music(3)
    sound[1, 100_000] = np.nan
    soundfile.write(tmp_path / "a.wav", sound.T, 44100, subtype="FLOAT")
    for rate in (44100, 48000):
        with AudioFile(tmp_path / "a.wav") as file, pytest.raises(ValueError, match="NaN"):
            list(file.resampled(rate))
