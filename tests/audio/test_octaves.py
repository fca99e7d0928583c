"""The balance by octaves and the width of the low end, against closed forms and SciPy."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from audio_helpers import RATE, sine

from diffmst_lib.audio.octaves import OCTAVES_HZ, octave_bins, stereo_spectrum

pytestmark = pytest.mark.filterwarnings("error")


def test_a_sine_fills_its_octave():
    for index, hz in enumerate(OCTAVES_HZ):
        levels = stereo_spectrum(sine(hz, 2.0).expand(2, -1), sample_rate=RATE).octaves_db()
        assert levels[index] > -0.1
        assert (np.delete(levels, index) < -15).all()  # even at 31.5 Hz, where a window has few bins


def test_white_noise_rises_by_3_db_an_octave(noise):
    levels = stereo_spectrum(noise(2, 20 * RATE), sample_rate=RATE).octaves_db()
    bandwidth = np.array(OCTAVES_HZ) * (2**0.5 - 2**-0.5)
    bandwidth[-1] = RATE / 2 - OCTAVES_HZ[-1] / 2**0.5  # the highest octave ends at half the sample rate
    assert levels == pytest.approx(10 * np.log10(bandwidth / (RATE / 2)), abs=0.5)


def test_the_spectrum_is_scipys(noise):
    sound = noise(2, 60_000)
    spectrum = stereo_spectrum(sound, sample_rate=RATE)
    size = 2 * (len(spectrum.frequency_hz) - 1)
    mid = torch.nn.functional.pad(
        sound.double().mean(dim=0), (size // 2, size // 2 + -len(sound[0]) % (size // 2))
    )
    _, expected = scipy.signal.welch(
        mid.numpy(), RATE, window="hann", nperseg=size, detrend=False, scaling="spectrum"
    )
    inner = slice(1, -1)  # SciPy counts the bins that have a mirror image twice
    shares = spectrum.mid[inner] / spectrum.mid[inner].sum()
    assert shares == pytest.approx(expected[inner] / expected[inner].sum(), rel=1e-3)


def test_the_low_end_has_a_width_of_its_own(noise):
    low, high = sine(60, 2.0), sine(3000, 2.0)
    sound = torch.stack([low * 1.1 + high, low * 0.9 - high])  # the side is 20 dB under the mid at 60 Hz
    spectrum = stereo_spectrum(sound, sample_rate=RATE)
    assert spectrum.side_below_db() == pytest.approx(-20.0, abs=0.1)
    assert spectrum.side_below_db(20_000.0) > -1.0
    assert stereo_spectrum(sound.mean(dim=0).expand(2, -1), sample_rate=RATE).side_below_db() == -60.0


def test_how_the_sound_is_read_makes_no_difference(noise, monkeypatch):
    sound = noise(2, 100_000)
    whole = stereo_spectrum(sound, sample_rate=RATE)
    monkeypatch.setattr("diffmst_lib.audio.octaves.FRAMES", 1)
    assert stereo_spectrum(sound, sample_rate=RATE).side == pytest.approx(whole.side, rel=1e-6)


@pytest.mark.parametrize("samples", [1, 100, 5000])
def test_short_sounds(samples, noise):
    levels = stereo_spectrum(noise(2, samples), sample_rate=RATE).octaves_db()
    assert np.isfinite(levels).all() and (levels <= 0).all()


def test_silence_and_low_sample_rates(noise):
    silence = stereo_spectrum(torch.zeros(2, RATE), sample_rate=RATE)
    assert np.isnan(silence.octaves_db()).all() and math.isnan(silence.side_below_db())
    levels = stereo_spectrum(noise(2, 16_000), sample_rate=16_000).octaves_db()
    assert np.isfinite(levels[:-2]).all() and np.isnan(levels[-2:]).all()
    with pytest.raises(ValueError, match="stereo"):
        stereo_spectrum(torch.zeros(RATE), sample_rate=RATE)


def test_every_frequency_is_in_one_octave():
    hz = np.geomspace(22.2, 22_600, 5000)
    assert (sum(octave_bins(hz, center).astype(int) for center in OCTAVES_HZ) == 1).all()


@pytest.mark.parametrize("num_samples", [1, 8191, 8192, 8193, 300_000])
def test_the_spectrum_is_that_of_all_windows_at_once(num_samples):
    audio = torch.randn(2, num_samples, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(audio, (8192, 8192 + -num_samples % 8192))
    spectra = torch.fft.rfft(padded.unfold(-1, 16_384, 8192) * torch.hann_window(16_384))
    measured = stereo_spectrum(audio, sample_rate=44100)
    for power, sign in ((measured.mid, 1), (measured.side, -1)):
        expected = (spectra[0] + sign * spectra[1]).abs().square().double().mean(dim=0) / 4
        torch.testing.assert_close(torch.from_numpy(power), expected, rtol=1e-5, atol=1e-6)
