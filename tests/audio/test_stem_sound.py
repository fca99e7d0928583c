"""The sound of a stem: two files side by side, silence before it begins."""

import numpy as np
import pytest
from audio_helpers import RATE

from diffmst_lib.audio.resampling import resample
from diffmst_lib.audio.stem_sound import StemSound, even_blocks


@pytest.fixture
def pair(write, noise):
    """Keys.L of 2.5 s and Keys.R of 2 s, both mono."""
    left, right = noise(1, 5 * RATE // 2), noise(1, 2 * RATE, seed=1)
    write("Keys.L.wav", left)
    write("Keys.R.wav", right)
    whole = np.zeros((2, 5 * RATE // 2), np.float32)
    whole[0], whole[1, : 2 * RATE] = left.numpy(), right.numpy()
    return whole


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 1.25])
def test_every_part_is_the_same_as_in_the_whole(pair, tmp_path, delay_s):
    whole = np.pad(pair, ((0, 0), (round(delay_s * RATE), 0)))
    with StemSound(tmp_path / "Keys.L.wav", right=tmp_path / "Keys.R.wav", delay_s=delay_s) as sound:
        assert (sound.channels, sound.sample_rate) == (2, RATE)
        assert np.array_equal(sound.read(), whole)
        for start, length in ((0, 1000), (20_000, 40_000), (80_000, 20_000), (100_000, 10**6), (10**6, 5)):
            assert np.array_equal(sound.read(start, length), whole[:, start : start + length])
        assert np.array_equal(np.concatenate(list(sound.resampled(RATE)), axis=1), whole)


def test_a_right_side_at_another_rate_is_resampled(write, noise, tmp_path):
    write("Keys.L.wav", noise(1, RATE))
    write("Keys.R.wav", noise(1, 48000, seed=1), 48000)
    right = resample(noise(1, 48000, seed=1).numpy(), 48000, RATE)
    with StemSound(tmp_path / "Keys.L.wav", right=tmp_path / "Keys.R.wav") as sound:
        for samples in (sound.read(0, RATE), np.concatenate(list(sound.resampled(RATE)), axis=1)):
            assert np.allclose(samples[1, :RATE], right[0], atol=1e-4)


def test_stereo_files_are_no_sides(write, noise, tmp_path):
    write("Keys.L.wav", noise(2, 100))
    write("Keys.R.wav", noise(1, 100))
    with pytest.raises(ValueError, match="must be mono"):
        StemSound(tmp_path / "Keys.L.wav", right=tmp_path / "Keys.R.wav")


@pytest.mark.parametrize("lengths", [[], [0], [3], [4, 4], [1, 9, 2], [2, 2, 2, 1]])
def test_even_blocks_hold_the_same_sound(lengths):
    sound = np.arange(2.0 * sum(lengths)).reshape(2, -1)
    cuts = np.cumsum(lengths)[:-1] if lengths else []
    blocks = list(even_blocks(iter(np.split(sound, cuts, axis=1) if lengths else []), 4))
    assert all(block.shape[1] == 4 for block in blocks[:-1])
    assert np.array_equal(np.concatenate([sound[:, :0], *blocks], axis=1), sound)
