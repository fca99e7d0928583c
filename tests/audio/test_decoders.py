"""What the decoders read is what the file holds, in its place; what is missing is told."""

import io

import numpy as np
import pytest
import soundfile
from sound_files import FORMATS, encode, lag, sweep

from diffmst_lib.audio.decoding import AudioFile
from diffmst_lib.audio.remarks import CUT, DAMAGED, LEFT_OUT, RATE, START
from diffmst_lib.data.measure import measure
from diffmst_lib.data.songs import Source

SOUND = sweep()
LENGTH = SOUND.shape[1]
# Suffix: codec, format of FFmpeg, sample rate, options.
WAYS = {
    "pcm.wav": ("pcm_s16le", "wav", 44100, {}),
    "rf64.wav": ("pcm_s16le", "wav", 44100, {"rf64": "always"}),
    "ulaw.wav": ("pcm_mulaw", "wav", 44100, {}),
    "a.w64": ("pcm_s16le", "w64", 44100, {}),
    "a.aiff": ("pcm_s16be", "aiff", 44100, {}),
    "a.au": ("pcm_s16be", "au", 44100, {}),
    "a.caf": ("pcm_s16le", "caf", 44100, {}),
    "a.flac": ("flac", "flac", 44100, {}),
    "flac.ogg": ("flac", "ogg", 44100, {}),
    "alac.m4a": ("alac", "mp4", 44100, {}),
    "aac.m4a": ("aac", "mp4", 44100, {"movflags": "faststart"}),
    "aac.mka": ("aac", "matroska", 44100, {}),
    "mp3.m4a": ("libmp3lame", "mp4", 44100, {}),
    "mp3.mka": ("libmp3lame", "matroska", 44100, {}),
    "a.opus": ("libopus", "ogg", 48000, {}),
    "opus.mka": ("libopus", "matroska", 48000, {}),
    "opus.webm": ("libopus", "webm", 48000, {}),
    "opus.m4a": ("libopus", "mp4", 48000, {}),
}
# Those that do not tell where the sound begins, and how late it does.
UNTOLD = {
    "a.aac": ("aac", "adts", 44100, {}, 1024),
    "fragments.m4a": ("aac", "mp4", 44100, {"movflags": "frag_keyframe+empty_moov"}, 1024),
    "no_edits.m4a": ("aac", "mp4", 44100, {"use_editlist": 0}, 1024),
    "aac.ts": ("aac", "mpegts", 44100, {}, 1024),
    "aac.flv": ("aac", "flv", 44100, {}, 1024),
    "mp3.avi": ("libmp3lame", "avi", 44100, {}, 1105),
    "opus.ts": ("libopus", "mpegts", 48000, {}, 312),
}
CUT_WAYS = [
    way for way in WAYS if way not in ("mp3.m4a", "alac.m4a", "opus.m4a")
]  # whose index is at the end


def write(folder, way, **more):
    codec, form, rate, options, *_ = {**WAYS, **UNTOLD}[way]
    return encode(folder / way, codec, sweep(rate=rate), rate, form=form, **options, **more)


def read(path):
    with AudioFile(io.BytesIO(path) if isinstance(path, bytes) else path) as file:
        return file.read(), file.sample_rate, file.remarks


@pytest.mark.parametrize("way", WAYS)
def test_begins_where_the_file_tells(tmp_path, way):
    sound, rate, remarks = read(write(tmp_path, way))
    assert not remarks and 0 <= sound.shape[1] - 6 * rate < 1152
    for at in (5000, 5 * rate):
        late, error = lag(sound, sweep(rate=rate), at)
        assert abs(late) <= 1 and error < 0.05


@pytest.mark.parametrize("way", UNTOLD)
def test_nothing_is_trimmed_by_a_guess(tmp_path, way):
    sound, rate, remarks = read(write(tmp_path, way))
    assert list(remarks) == [START]
    assert lag(sound, sweep(rate=rate), 5000)[0] == UNTOLD[way][-1]


@pytest.mark.parametrize(
    "way", ["pcm.wav", "a.w64", "a.aiff", "a.au", "a.caf", "a.flac", "flac.ogg", "aac.mka", "opus.webm"]
)
def test_of_unknown_length(tmp_path, way):
    """As from a pipe."""
    sound, rate, remarks = read(write(tmp_path, way, piped=True))
    assert 0 <= sound.shape[1] - 6 * rate < 2200 and set(remarks) <= {START}


@pytest.mark.parametrize("way", ["opus.mka", "opus.webm", "aac.mka", "aac.m4a", "a.opus", "a.flac"])
def test_start_is_start(tmp_path, way):
    """Some formats lose their first packet when they are wound back."""
    path = write(tmp_path, way)
    whole = read(path)[0]
    with AudioFile(path) as file:
        for start in (100_000, 0, 1, 5000, 0):
            assert np.array_equal(file.read(start, 3000), whole[:, start : start + 3000])


@pytest.mark.parametrize("way", CUT_WAYS)
def test_cut(tmp_path, way):
    content = write(tmp_path, way).read_bytes()
    sound, rate, remarks = read(content[: len(content) // 2 + 1])
    assert 1 * rate < sound.shape[1] < 4 * rate
    there = f"{sound.shape[1] / rate:.1f} s"
    assert remarks in ({CUT: f"{there} of 6.0 s are there"}, {CUT: f"breaks off at {there}"})


@pytest.mark.parametrize("way", ["alac.m4a", "mp3.m4a", "opus.m4a"])
def test_cut_before_its_index(tmp_path, way):
    content = write(tmp_path, way).read_bytes()
    with pytest.raises(ValueError, match="cut short before the part that says where its sound lies"):
        read(content[: len(content) // 2])


@pytest.mark.parametrize("way", ["a.flac", "a.ogg", "a.opus", "flac.ogg", "aac.m4a", "opus.webm"])
def test_damaged_is_read_with_a_gap(tmp_path, way, capfd):
    rate = WAYS.get(way, (0, 0, 44100))[2]
    if way == "a.ogg":
        soundfile.write(tmp_path / way, SOUND.T, rate, format="OGG", subtype=FORMATS[".ogg"][1])
        content = bytearray((tmp_path / way).read_bytes())
    else:
        content = bytearray(write(tmp_path, way).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    sound, _, remarks = read(bytes(content))
    original = sweep(rate=rate)
    assert list(remarks) == [DAMAGED] and " of 6.0 s, " in remarks[DAMAGED]
    assert abs(sound.shape[1] - 6 * rate) < 1200 and np.abs(sound).max() < 1
    for at in (5000, round(5.5 * rate)):
        assert abs(lag(sound, original, at)[0]) <= 0.001 * rate  # Matroska counts milliseconds
    assert capfd.readouterr().err == ""


def test_damaged_frames_alone(tmp_path):
    """ADTS: where bytes are lost, their number is all that tells how long the gap is."""
    content = bytearray(write(tmp_path, "a.aac").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    sound, _, remarks = read(bytes(content))
    assert abs(sound.shape[1] - 266_240) < 4 * 1024 and remarks[DAMAGED].startswith("at 3.0 s, 0.")


@pytest.mark.parametrize("way", ["pcm.wav", "a.aiff", "a.flac", "a.ogg", "a.opus"])
def test_two_joined(tmp_path, way):
    if way == "a.ogg":
        soundfile.write(tmp_path / way, SOUND.T, 44100, format="OGG", subtype="VORBIS")
        content = (tmp_path / way).read_bytes()
    else:
        content = write(tmp_path, way).read_bytes()
    once = read(content)[0]
    sound, _, remarks = read(content + content)
    assert np.array_equal(sound, np.concatenate([once, once], axis=1)) and not remarks
    with AudioFile(io.BytesIO(content + content)) as file:
        first = once.shape[1]
        assert np.array_equal(file.read(first - 100, 500), sound[:, first - 100 : first + 400])
        assert np.array_equal(file.read(first + 5000, 500), sound[:, first + 5000 : first + 5500])
        assert file.read(2 * first + 1, 5).shape == (2, 0)


@pytest.mark.parametrize("way", ["a.flac", "a.aac"])
def test_the_sample_rate_changes(tmp_path, way):
    codec, form = {"a.flac": ("flac", "flac"), "a.aac": ("aac", "adts")}[way]
    first = encode(tmp_path / "1", codec, SOUND, form=form).read_bytes()
    second = encode(tmp_path / "2", codec, sweep(rate=48000), 48000, form=form).read_bytes()
    sound, rate, remarks = read(first + second)
    once = read(first)[0].shape[1]
    assert rate == 44100 and remarks[RATE] == "from 44100 to 48000 Hz at 6.0 s"
    assert lag(sound[:, once:], SOUND, 200_000)[0] == (0 if way == "a.flac" else round(1024 * 44100 / 48000))


def test_something_else_follows(tmp_path):
    content = write(tmp_path, "a.flac").read_bytes()
    sound, _, remarks = read(content + content[:4] + b"\0\0\0\x22" + bytes(3000))
    assert sound.shape[1] == LENGTH and remarks == {LEFT_OUT: "what follows its end at 6.0 s"}


def test_more_than_the_header_names(tmp_path):
    """As in a WAV above 4 GB, whose size does not fit into its header."""
    content = bytearray(write(tmp_path, "pcm.wav").read_bytes())
    place = content.index(b"data") + 4
    half = (int.from_bytes(content[place : place + 4], "little") // 2).to_bytes(4, "little")
    content[place : place + 4] = half
    content[place + 4 + LENGTH * 2 : place + 8 + LENGTH * 2] = b"\xff\0\1\2"
    sound, _, remarks = read(bytes(content))
    assert sound.shape[1] == LENGTH // 2
    assert remarks == {LEFT_OUT: "3.0 s behind the end that its header names, 3.0 s"}


@pytest.mark.parametrize("rate", [1, 3999, 768_001, 2**31 - 1])
def test_sample_rates_that_nobody_uses(tmp_path, rate):
    content = bytearray(write(tmp_path, "pcm.wav").read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    with pytest.raises(ValueError, match=f"its sample rate is {rate} Hz; 4000 to 768000 Hz are read"):
        read(bytes(content))


def test_time_stamps_that_jump_by_hours_take_no_memory(tmp_path):
    content = write(tmp_path, "fragments.m4a").read_bytes()
    first = content.index(b"tfdt")
    later = content.index(b"tfdt", first + 4) if content.count(b"tfdt") > 1 else None
    if later is None:
        content = encode(
            tmp_path / "b.m4a", "aac", SOUND, movflags="frag_keyframe+empty_moov", frag_duration=1_000_000
        ).read_bytes()
        later = content.index(b"tfdt", content.index(b"tfdt") + 4)
    version = content[later + 4]
    size = 8 if version else 4
    jump = (2**30).to_bytes(size, "big")
    sound, _, remarks = read(content[: later + 8] + jump + content[later + 8 + size :])
    assert sound.shape[1] < 3 * LENGTH and "which was not followed" in remarks.get(
        DAMAGED, "which was not followed"
    )


def test_a_broken_header_costs_one_plain_line(tmp_path, capfd):
    """No library's words, and nothing on stderr."""
    for way in [*WAYS, *UNTOLD]:
        content = write(tmp_path, way).read_bytes()
        for wrong in (
            content[:40],
            content[:4] + bytes(40),
            b"\xff\xfb\x90\x00" + bytes(10),
            b"ID3" + content[3:50],
        ):
            try:
                assert read(wrong)[0].shape[1] < 10
            except ValueError as error:
                message = str(error)
                assert not any(word in message for word in ("\n", "avcodec", "psf_", "Error", "errno"))
    assert capfd.readouterr().err == ""


def test_an_index_tells_what_is_missing(tmp_path):
    """And keeps what is there."""
    whole = write(tmp_path, "pcm.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    tracks, _, problems = measure({"cut": Source(tmp_path / "cut.wav"), "kick": Source(tmp_path / "pcm.wav")})
    assert [round(track.duration_s, 2) for track in tracks] == [3.0, 6.0]
    (problem,) = problems
    assert problem.path.endswith("cut.wav")
    assert problem.reason == "cut short, the rest is missing (3.0 s of 6.0 s are there)"
