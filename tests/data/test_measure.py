"""Measuring songs: levels by second, the power of their sum, mono in disguise, bounded memory."""

import resource
import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
from sound_files import music, write_sound

import diffmst_lib as dm
from diffmst_lib.audio import stem_sound
from diffmst_lib.audio.decoding import AudioFile
from diffmst_lib.data.building import build_index
from diffmst_lib.data.measure import measure
from diffmst_lib.data.songs import FoundSong, Source


def test_loudness_by_second_is_the_standards(tmp_path):
    """Windows added up from seconds agree with pyloudnorm wherever its gates do nothing."""
    sound = music(6, gap_s=(4.0, 6.0))
    write_sound(tmp_path / "a.wav", sound)
    (track,), _, problems = measure({"a": Source(tmp_path / "a.wav")})
    assert not problems and len(track.loudness_lufs) == 6
    assert (track.loudness_lufs[4:] < -65).all()  # what the filters leave behind
    first = 10 * np.log10(np.mean(10 ** (track.loudness_lufs[:4] / 10)))
    assert first == pytest.approx(dm.loudness(torch.from_numpy(sound[:, : 4 * 44100])), abs=0.1)
    assert track.peak == pytest.approx(np.abs(sound).max(), rel=1e-3)


@pytest.mark.parametrize("rate", [8000, 24000, 48000, 192_000])
def test_levels_do_not_depend_on_the_rate(tmp_path, rate):
    t = np.arange(3 * rate) / rate
    write_sound(tmp_path / "a.wav", 0.2 * np.sin(2 * np.pi * 997 * t)[None], rate)
    (track,), power_db, _ = measure({"a": Source(tmp_path / "a.wav")})
    assert (track.sample_rate, track.num_samples) == (rate, 3 * rate)
    assert np.allclose(track.loudness_lufs, 20 * np.log10(0.2) - 3.01, atol=0.1)
    assert np.allclose(power_db, 20 * np.log10(0.2) - 3.01, atol=0.1)


def test_power_is_that_of_the_sum(tmp_path):
    """Two stems in opposite polarity are loud each, silent together."""
    sound = music(3)
    write_sound(tmp_path / "a.wav", sound)
    write_sound(tmp_path / "b.wav", -sound)
    tracks, power_db, _ = measure({name: Source(tmp_path / f"{name}.wav") for name in "ab"})
    assert (power_db < -100).all() and all((track.loudness_lufs > -40).all() for track in tracks)


def test_power_of_different_rates_and_lengths(tmp_path):
    long, short = music(4, 48000, 1), music(2, seed=1)
    write_sound(tmp_path / "long.wav", long, 48000)
    write_sound(tmp_path / "short.flac", short)
    _, power_db, _ = measure(
        {"long": Source(tmp_path / "long.wav"), "short": Source(tmp_path / "short.flac")}
    )
    alone = 10 * np.log10(np.square(long).reshape(4, -1).mean(axis=1))
    assert np.allclose(power_db[2:], alone[2:], atol=0.1) and (power_db[:2] > alone[:2] + 1).all()


def test_a_part_of_a_second_counts_as_that_part(tmp_path):
    write_sound(tmp_path / "a.wav", 0.1 * np.ones((1, 44100 + 4410)))
    _, power_db, _ = measure({"a": Source(tmp_path / "a.wav")})
    assert np.allclose(power_db, [-20, -30], atol=0.01)


@pytest.mark.parametrize(
    ("right", "mono"), [(1.0, True), (0.9999, True), (0.99, False), (0.9, False), (-1.0, False), (0.0, False)]
)
def test_mono_in_disguise(tmp_path, right, mono):
    left = music(2, channels=1)
    write_sound(tmp_path / "a.wav", np.concatenate([left, right * left]))
    (track,), _, _ = measure({"a": Source(tmp_path / "a.wav")})
    assert track.mono == mono and track.channels == 2


def test_power_is_that_of_a_finished_mix_where_there_is_one(tmp_path):
    write_sound(tmp_path / "song" / "a.wav", music(2))
    write_sound(tmp_path / "song" / "mix.wav", 0.1 * music(2))
    stems, mix = {"a": Source(tmp_path / "song" / "a.wav")}, Source(tmp_path / "song" / "mix.wav")
    index = build_index([FoundSong("song", "song", "folders", stems=stems, mix=mix)], tmp_path)
    _, alone, _ = measure({"a": Source(tmp_path / "song" / "a.wav")})
    assert np.allclose(index["song"].power_db, alone - 20, atol=0.1)


def test_many_stems_at_once(tmp_path):
    """More files than a system lets a program open at first."""
    for i in range(300):
        write_sound(tmp_path / "song" / f"{i:03d}.wav", np.full((1, 1000), 0.01))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        stems = {f"{i}": Source(tmp_path / "song" / f"{i:03d}.wav") for i in range(300)}
        index = build_index([FoundSong("song", "song", "folders", stems=stems)], tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(index["song"].stems) == 300 and not index.problems


def test_many_broken_stems_cost_one_more_round(tmp_path, monkeypatch):
    for i in range(8):
        sound = music(3, channels=1)
        sound[0, 90_000 + i] = np.nan if i % 2 else 0
        (tmp_path / "song").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "song" / f"{i}.wav", sound.T, 44100, subtype="FLOAT")
    opened = []
    monkeypatch.setattr(stem_sound, "AudioFile", lambda *rest: opened.append(rest) or AudioFile(*rest))
    tracks, _, problems = measure({str(i): Source(tmp_path / "song" / f"{i}.wav") for i in range(8)})
    assert (
        [track.name for track in tracks] == ["0", "2", "4", "6"] and len(problems) == 4 and len(opened) == 12
    )


def test_silence(tmp_path):
    write_sound(tmp_path / "a.wav", np.zeros((2, 100_000)))
    (track,), power_db, _ = measure({"a": Source(tmp_path / "a.wav")})
    assert track.mono and track.peak == 0
    assert np.isneginf(track.loudness_lufs).all() and np.isneginf(power_db).all()


def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = []
    for seconds in (5, 60):
        write_sound(tmp_path / f"{seconds}.wav", music(seconds, channels=1))
        measure({"a": Source(tmp_path / f"{seconds}.wav")})
        tracemalloc.start()
        measure({"a": Source(tmp_path / f"{seconds}.wav")})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
