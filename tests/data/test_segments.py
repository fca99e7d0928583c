"""Segments: energy, silence, reading at any rate and place."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from audio_helpers import one_line
from sound_files import music, write_sound

import diffmst_lib as dm
from diffmst_lib.data.building import build_index
from diffmst_lib.data.segments import find_windows, read_segment
from diffmst_lib.data.songs import FoundSong, Source
from diffmst_lib.inputs import InputError, InputNote


def test_windows_reach_the_energy(index):
    """Whole seconds exactly, and starts between two good seconds but for what one second can hold."""
    for song in index.multitracks():
        for energy in (1e-4, 0.003, 0.008):
            windows = find_windows(song, 3, energy=energy)
            mix = sum(read_segment(stem, 0, 12).expand(2, -1) for stem in song.stems)
            power = [mix[:, s * 44100 : (s + 3) * 44100].square().mean().item() for s in range(10)]
            assert windows.starts.tolist() == [s for s in range(10) if power[s] >= energy]
            assert [s for s, more in zip(windows.starts, windows.slack_s, strict=True) if more and s < 9] == [
                s for s in range(9) if min(power[s : s + 2]) >= energy
            ]


def test_the_energy_is_the_papers(index):
    """0.001, on the mix."""
    song = index["stereo"]
    quiet = replace(song, power_db=np.array([-31.0] * 6 + [-29.0] * 6, np.float32))
    assert find_windows(quiet, 1).starts.tolist() == [6, 7, 8, 9, 10, 11]
    assert find_windows(quiet, 1, energy=10**-3.2).starts.tolist() == list(range(12))
    assert find_windows(quiet, 4).starts.tolist() == [4, 5, 6, 7, 8]  # two of each: 1.03e-3
    assert find_windows(quiet, 1.5).starts.tolist() == [
        6,
        7,
        8,
        9,
        10,
    ]  # at 5 one second below, half a second above


def test_silent_stems_do_not_sound(index):
    windows = find_windows(index["both"], 2)
    silent = [stem.name for stem in index["both"].stems].index("silent")
    assert not windows.sounding[silent].any() and windows.sounding[:silent].all()
    keys = [stem.name for stem in index["stereo"].stems].index("keys")
    assert find_windows(index["stereo"], 2).sounding[keys].tolist() == [False] * 7 + [True] * 4
    for least in ({"min_tracks": 3}, {"min_tracks": 6, "as_channels": True}):
        assert find_windows(index["stereo"], 2, **least).starts.tolist() == [7, 8, 9, 10]
    assert find_windows(index["stereo"], 2, min_tracks=4).starts.tolist() == []


def test_levels_of_windows_are_those_of_all_stems(index):
    """Noise that has nothing in common: its powers add."""
    windows = find_windows(index["mono"], 2)
    stems = [read_segment(stem, 4, 2).expand(2, -1) for stem in index["mono"].stems]
    assert windows.level_lufs[4] == pytest.approx(dm.loudness(sum(stems)) - 10 * np.log10(2), abs=0.3)
    assert np.isneginf(find_windows(index["record a"], 2).level_lufs).all()


def test_windows_end_with_the_song(index):
    assert find_windows(index["stereo"], 12).starts.tolist() == [0]
    assert find_windows(index["stereo"], 12.5).starts.tolist() == []
    assert find_windows(index["stereo"], 1.5).starts.tolist() == list(range(11))
    with pytest.raises(ValueError, match="at least 1 s"):
        find_windows(index["stereo"], 0.5)


def test_songs_need_enough_tracks(index):
    assert len(find_windows(index["mono"], 2, min_tracks=4).starts) == 11
    assert len(find_windows(index["mono"], 2, min_tracks=5).starts) == 0


def test_a_segment_is_that_part_of_the_song(index):
    (folder,) = {stem.source.path.parent for stem in index["mono"].stems}
    song = dm.load_multitrack(folder)
    for stem in index["mono"].stems:
        audio = read_segment(stem, 3.52, 2.0)
        whole = song.stems[stem.name][0]
        assert torch.equal(audio[0], whole[round(3.52 * 44100) : round(5.52 * 44100)])


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 32000, 48000, 88200, 96000, 192_000])
def test_every_rate_is_in_place(tmp_path, rate):
    """One second of a sine: its phase tells a shift of a hundredth of a sample."""
    t = np.arange(4 * rate) / rate
    write_sound(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * t)[None], rate)
    songs = build_index([FoundSong("a", "a", "folders", stems={"a": Source(tmp_path / "a.wav")})], tmp_path)
    for start_s in (0.0, 0.04, 0.12, 1.0, 1.92):
        segment = read_segment(songs["a"].stems[0], start_s, 1.0)[0].numpy()
        expected = 0.5 * np.sin(2 * np.pi * 440 * (np.arange(44100) / 44100 + start_s))
        assert np.abs(segment - expected)[500:-500].max() < 2e-3


@pytest.mark.parametrize("start_s", [0.0, 0.04, 5.0, 9.96])
def test_resampled_segments_are_in_place(index, start_s):
    """Cut and resampled equals resampled and cut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        song = dm.load_multitrack(index["both"].stems[0].source.path.parent)
    for stem in index["both"].stems:
        part = read_segment(stem, start_s, 2.0)
        whole = song.stems[stem.name][:, round(start_s * 44100) : round((start_s + 2) * 44100)]
        assert (part - whole).abs().max() < 2e-3 * max(whole.abs().max(), 0.1)


def test_beyond_the_end_is_silence(index):
    part = read_segment(index["mono"].stems[0], 11.0, 3.0)
    assert part.shape == (1, 3 * 44100) and part[:, :44100].abs().max() > 0.01 and not part[:, 44200:].any()


def test_a_file_that_was_cut_since(tmp_path):
    path = write_sound(tmp_path / "a.wav", music(10))
    song = build_index([FoundSong("a", "a", "folders", stems={"a": Source(path)})], tmp_path)["a"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert read_segment(song.stems[0], 1, 2).any()
    with pytest.raises(InputError) as caught:
        read_segment(song.stems[0], 4, 2)
    assert one_line(caught, path, "index it again")


def test_a_file_that_has_gone(index, tmp_path):
    stem = replace(index["mono"].stems[0], source=Source(tmp_path / "gone.wav"))
    with pytest.raises(InputError) as caught:
        read_segment(stem, 0, 1)
    assert one_line(caught, tmp_path / "gone.wav")
