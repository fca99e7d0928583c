"""The decoded cache: same sound, resumed, consistent when the disk is full."""

import shutil
import wave
from dataclasses import replace

import numpy as np
import pytest
import torch
from audio_helpers import one_line
from interrupting_path import InterruptingPath
from sound_files import music, write_sound

from diffmst_lib.audio.resampling import resample
from diffmst_lib.data.building import build_index
from diffmst_lib.data.examples import Method2
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.layouts.finding import find_songs
from diffmst_lib.data.layouts.folders import CACHE_MARK
from diffmst_lib.data.sampling import Sampling
from diffmst_lib.data.scale.cache import build_cache, cache_size
from diffmst_lib.data.segments import read_segment
from diffmst_lib.data.songs import FoundSong, Source
from diffmst_lib.inputs import InputError


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Two songs and a record: compressed files, another rate, a peak above full scale, silence, one WAV."""
    folder = tmp_path_factory.mktemp("set")
    write_sound(folder / "a" / "loud.ogg", music(6, level=1.5, seed=1))
    write_sound(folder / "a" / "mono.flac", np.repeat(music(6, channels=1, seed=2), 2, axis=0))
    write_sound(folder / "a" / "wav.wav", music(6, seed=3))
    write_sound(folder / "b #1 é" / "drums.m4a", music(6, 48000, seed=4), 48000)
    write_sound(folder / "b #1 é" / "wav 48.wav", music(6, 48000, seed=5), 48000)
    write_sound(folder / "b #1 é" / "silent.flac", np.zeros((2, 6 * 44100)))
    write_sound(folder / "record.mp3", music(6, seed=6))
    found = [
        FoundSong(
            f.name,
            f.name,
            "folders",
            license="CC0 1.0",
            stems={p.stem: Source(p) for p in sorted(f.iterdir())},
        )
        for f in (folder / "a", folder / "b #1 é")
    ]
    return build_index(
        [*found, FoundSong("record", "record", "songs", mix=Source(folder / "record.mp3"))], folder
    )


def test_the_same_sound(index, tmp_path):
    cached = build_cache(index, tmp_path)
    for song, again in zip(index.songs, cached.songs, strict=True):
        for track, other in zip(song.tracks, again.tracks, strict=True):
            for start in (0.0, 2.52):
                a, b = read_segment(track, start, 2), read_segment(other, start, 2)
                assert a.shape == b.shape
                assert (a - b).abs().max() <= max(2e-4, 2e-3 * track.peak), track.name
    assert cached.songs[0].license == "CC0 1.0"


def test_its_files(index, tmp_path):
    cached = build_cache(index, tmp_path)
    tracks = {track.name: track for song in cached.songs for track in song.tracks}
    assert tracks["wav"].source == index["a"].stems[2].source  # was fast already
    for name, track in tracks.items():
        if name != "wav":
            assert track.source.path.is_relative_to(tmp_path) and track.source.path.name.isascii()
            with wave.open(str(track.source.path)) as file:
                assert (file.getframerate(), file.getsampwidth()) == (44100, 2)
                assert (file.getnchannels(), file.getnframes()) == (track.channels, track.num_samples)
            assert track.sample_rate == 44100
    assert tracks["mono"].channels == 1 and tracks["loud"].gain > 1
    written = sum(f.stat().st_size - 44 for f in tmp_path.rglob("*.wav"))
    assert written == pytest.approx(cache_size(index), rel=0.01)
    loaded = SongIndex.load(tmp_path)
    assert [t.gain for s in loaded.songs for t in s.tracks] == [
        t.gain for s in cached.songs for t in s.tracks
    ]


def test_the_same_examples(index, tmp_path):
    sampling = Sampling(seconds=2, min_tracks=2, max_tracks=6)
    for where in (index, build_cache(index, tmp_path)):
        example = Method2(where.multitracks(), where.references(), sampling, seed=4)[2]
        if where is index:
            first = example
    assert (first.names, first.start_s, first.reference_start_s) == (
        example.names,
        example.start_s,
        example.reference_start_s,
    )
    assert torch.allclose(first.tracks, example.tracks, atol=2e-3)
    assert torch.allclose(first.reference, example.reference, atol=2e-3)


def test_another_rate_in_the_same_folder(index, tmp_path):
    low = build_cache(index, tmp_path, sample_rate=22050)
    assert {track.sample_rate for song in low.songs for track in song.tracks} == {22050}
    high = build_cache(index, tmp_path)
    for song, other in zip(low.songs, high.songs, strict=True):
        for a, b in zip(song.tracks, other.tracks, strict=True):
            assert a.duration_s == pytest.approx(b.duration_s, abs=0.01) and a.source != b.source


def test_a_cache_of_a_cache(index, tmp_path):
    again = build_cache(build_cache(index, tmp_path / "one"), tmp_path / "two", sample_rate=48000)
    for song, other in zip(index.songs, again.songs, strict=True):
        for a, b in zip(song.tracks, other.tracks, strict=True):
            first, second = read_segment(a, 1, 1), read_segment(b, 1, 1)
            assert second.square().mean() == pytest.approx(first.square().mean().item(), rel=0.01), a.name


def test_high_tones_keep_their_peaks(tmp_path):
    """Just below the limit of hearing, where a cheap resampler has no level left."""
    t = np.arange(3 * 48000) / 48000
    write_sound(tmp_path / "a.flac", 0.9 * np.sin(2 * np.pi * 19_500 * t)[None], 48000)
    songs = build_index([FoundSong("a", "a", "folders", stems={"a": Source(tmp_path / "a.flac")})], tmp_path)
    (stem,) = build_cache(songs, tmp_path / "cache")["a"].stems
    assert read_segment(stem, 1, 1).abs().max() == pytest.approx(0.9, abs=0.02)


def test_the_same_files_by_another_path(index, tmp_path, monkeypatch):
    build_cache(index, tmp_path)
    before = sorted(tmp_path.rglob("*.wav"))
    monkeypatch.chdir(index["a"].stems[0].source.path.parents[1])
    build_cache(SongIndex.load("."), tmp_path)
    assert sorted(tmp_path.rglob("*.wav")) == before


def test_a_cache_does_not_replace_its_songs(index):
    folder = index["a"].stems[0].source.path.parents[1]
    before = (folder / "index.json").read_text()
    for output in (folder, folder / "a"):
        with pytest.raises(InputError) as caught:
            build_cache(index, output)
        assert one_line(caught, output, "choose another folder")
    assert (folder / "index.json").read_text() == before and build_cache(index, folder / "cache")


def test_a_cache_below_the_songs_is_not_indexed(index, tmp_path):
    shutil.copytree(index["a"].stems[0].source.path.parent, tmp_path / "a")
    songs, _ = find_songs(tmp_path, "folders")
    build_cache(build_index(songs, tmp_path), tmp_path / "cache")
    assert [song.name for song in find_songs(tmp_path, "folders")[0]] == ["a"]
    assert [song.name for song in find_songs(tmp_path / "cache", "folders")[0]] == ["a"]


def test_a_source_that_became_louder(index, tmp_path):
    write_sound(tmp_path / "a" / "loud.ogg", music(3, level=0.01))
    measured = build_index(
        [
            FoundSong(
                "a",
                "a",
                "folders",
                stems={
                    "a": Source(tmp_path / "a" / "loud.ogg"),
                    "b": Source(write_sound(tmp_path / "a" / "b.flac")),
                },
            )
        ],
        tmp_path,
    )
    write_sound(tmp_path / "a" / "loud.ogg", music(3, level=0.5))
    cached = build_cache(measured, tmp_path / "cache")
    assert [stem.name for stem in cached["a"].stems] == ["b"] and "index it again" in cached.problems[
        0
    ].reason


def test_nothing_is_done_twice(index, tmp_path):
    build_cache(index, tmp_path)
    before = {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*.wav")}
    (tmp_path / "index.json").unlink()
    lost = sorted(before)[0]
    lost.unlink()
    build_cache(index, tmp_path)
    after = {f: f.stat().st_mtime_ns for f in tmp_path.rglob("*.wav")}
    assert before.keys() == after.keys() and [f for f in after if after[f] != before[f]] == [lost]
    assert SongIndex.load(tmp_path)


def test_a_source_that_changed(index, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(index["a"].stems[0].source.path.parent, folder / "a")
    song = FoundSong("a", "a", "folders", stems={"loud": Source(folder / "a" / "loud.ogg")})
    build_cache(build_index([song], folder), tmp_path / "cache")
    write_sound(folder / "a" / "loud.ogg", music(3, level=0.01))
    cached = build_cache(build_index([song], folder), tmp_path / "cache")
    assert read_segment(cached["a"].stems[0], 0, 1).abs().max() < 0.03


def test_a_file_that_broke_since(index, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(index["a"].stems[0].source.path.parent, folder / "a")
    song = FoundSong(
        "a", "a", "folders", stems={n: Source(folder / "a" / n) for n in ("loud.ogg", "mono.flac")}
    )
    measured = build_index([song], folder)
    (folder / "a" / "loud.ogg").write_bytes(b"gone")
    cached = build_cache(measured, tmp_path / "cache")
    assert [stem.name for stem in cached["a"].stems] == ["mono.flac"]
    assert "loud.ogg" in cached.problems[0].path
    (folder / "a" / "mono.flac").unlink()
    with pytest.raises(InputError) as caught:
        build_cache(measured, tmp_path / "other")
    assert one_line(caught, "no song is left", "mono.flac: No such file")


def _whole(folder):
    for file in folder.rglob("*.wav"):
        with wave.open(str(file)) as wav:
            assert wav.getnframes() >= 6 * 44100 - 10, file
    return sorted(f.name for f in folder.rglob("*") if f.is_file() and f.name != CACHE_MARK)


def test_a_limit_on_the_size_of_files(index, tmp_path):
    """The system itself refuses in the middle of a file."""
    import resource
    import signal

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, hard))  # the mono file fits, stereo does not
        with pytest.raises(InputError) as caught:
            build_cache(index, tmp_path, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert one_line(caught, tmp_path, "File too large", "goes on")
    assert len(_whole(tmp_path)) < 6 and not (tmp_path / "index.json").exists()
    assert [f.name for f in tmp_path.rglob(".*")] == [CACHE_MARK]
    build_cache(index, tmp_path)
    assert len(_whole(tmp_path)) == 7


def test_interrupted(index, tmp_path):
    """Ctrl-C while the last file is decoded: whole files only, and the next call goes on."""
    *songs, last = index.songs
    path = InterruptingPath(last.mix.source.path)
    last = replace(last, mix=replace(last.mix, source=Source(path)))
    with pytest.raises(KeyboardInterrupt):
        build_cache(SongIndex([*songs, last]), tmp_path, workers=1)
    assert len(_whole(tmp_path)) < 6 and not (tmp_path / "index.json").exists()
    build_cache(index, tmp_path)
    assert len(_whole(tmp_path)) == 7


def test_too_little_room_is_said_first(index, tmp_path):
    song = index["record"]
    endless = replace(song, mix=replace(song.mix, num_samples=10**18))
    with pytest.raises(InputError) as caught:
        build_cache(SongIndex([endless]), tmp_path)
    assert one_line(caught, tmp_path, "GB are needed")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(index, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError) as caught:
        build_cache(index, tmp_path / "file")
    assert one_line(caught, tmp_path / "file")


@pytest.mark.parametrize("rate", [22050, 48000, 96000])
def test_peaks_between_the_samples_do_not_clip(tmp_path, rate):
    """Noise of +-1 goes far above 1 at another rate."""
    samples = np.sign(np.random.default_rng(0).standard_normal((2, 88200)))
    source = Source(write_sound(tmp_path / "a" / "noise.wav", samples))
    measured = build_index([FoundSong("a", "a", "folders", stems={"noise": source})], tmp_path)
    cached = build_cache(measured, tmp_path / "cache", sample_rate=rate)
    assert not cached.problems
    wanted = resample(read_segment(measured["a"].stems[0], 0, 2).numpy(), 44100, rate)
    found = read_segment(cached["a"].stems[0], 0, 2, sample_rate=rate).numpy()
    assert np.abs(wanted).max() > 1.2 and np.allclose(found[:, 100:-100], wanted[:, 100:-100], atol=1e-3)
