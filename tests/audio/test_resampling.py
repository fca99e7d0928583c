"""One sample rate to another."""

import math

import librosa
import numpy as np
import pytest
from sound_files import music

from diffmst_lib.audio.resampling import resample


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
