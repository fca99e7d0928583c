"""One sample rate to another."""

import math

import librosa
import numpy as np
import pytest
from sound_files import music

from diffmst_lib.audio.resampling import RateKeeper, resample


@pytest.mark.parametrize(("rate", "target"), [(44100, 48000), (96000, 44100), (8000, 44100), (44100, 22050)])
@pytest.mark.parametrize("num_samples", [7, 1001, 30_000])
def test_resampled_as_by_librosa(rate, target, num_samples):
    sound = music(num_samples / rate, rate)
    for samples in (sound, sound[0], sound.astype(np.float64)):
        out = resample(samples, rate, target)
        assert out.dtype == samples.dtype and out.shape[-1] == math.ceil(num_samples * target / rate)
        assert np.abs(out - librosa.resample(samples, orig_sr=rate, target_sr=target)).max() < 1e-6


def test_nothing_happens_at_the_same_rate_and_to_nothing():
    sound = music(0.1)
    assert resample(sound, 44100, 44100) is sound
    assert resample(sound[:, :0], 44100, 48000).shape == (2, 0)


@pytest.mark.parametrize("rate", [44100, 48000, 22050])
@pytest.mark.parametrize("length", [1000, 1152, 30_000])
def test_parts_of_other_rates_are_kept_at_one(rate, length):
    sound, keeper = music(1, rate, channels=1), RateKeeper(44100, 2)
    first = keeper.take(np.ones((2, 100), np.float32), 44100)
    parts = [keeper.take(sound[:, i : i + length], rate) for i in range(0, rate, length)]
    last = keeper.take(np.ones((1, 50), np.float32), 44100)
    out = np.concatenate([first, *parts, last, keeper.rest()], axis=1)
    assert abs(out.shape[1] - 100 - 44100 - 50) <= 1 and np.array_equal(out[0], out[1])
    expected = resample(sound, rate, 44100)[0, :44_000]
    assert np.abs(out[0, 100:44_100] - expected).max() < 1e-4
    assert (out[:, :100] == 1).all() and (out[:, -50:] == 1).all()
