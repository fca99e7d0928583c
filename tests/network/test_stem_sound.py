"""What is measured of a stem's sound: closed forms, and which windows are heard."""

import numpy as np
import pytest
import torch
from audio_helpers import sine

import diffmst_lib as dm
from diffmst_lib.network.stem_sound import LEVEL, PATCH_SAMPLES, StemSound

RATE = 44100


def both(x):
    return x.expand(2, -1).contiguous()


def noise(seconds, seed=0):
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def test_width_of_noise():
    """Mid and side of L = a + b and R = a - b are a and b."""
    mid, side = noise(4), 0.5 * noise(4, seed=1)
    sound = StemSound(torch.stack([mid + side, mid - side]), RATE)
    assert sound.width == pytest.approx(0.25 / 1.25, rel=0.05)
    assert StemSound(both(mid), RATE).width == 0.0


@pytest.mark.parametrize("hz", [60, 100, 210, 700, 1900])
def test_shares_of_tones(hz):
    sound = StemSound(both(sine(hz, 3)), RATE)
    assert sound.low == pytest.approx(float(hz < 150), abs=0.01)
    assert sound.share(500, 2000) == pytest.approx(float(500 < hz < 2000), abs=0.01)


def test_tones_are_clear_and_steady_and_noise_is_flat():
    tone, hiss = StemSound(both(sine(300, 3)), RATE), StemSound(both(noise(3)), RATE)
    assert tone.clarity > 0.99 and tone.glide == 0.0 and tone.harmonic > 0.9 and tone.flatness < 1e-3
    assert hiss.clarity < 0.5 and hiss.flatness > 0.3


@pytest.mark.parametrize(("semitones_a_second", "glides"), [(3.0, 0.0), (15.0, 1.0), (40.0, 1.0)])
def test_glides_are_counted(semitones_a_second, glides):
    """A pitch that falls: 0.12 semitones in 20 ms are 6 in a second."""
    t = torch.arange(3 * RATE) / RATE
    octaves = semitones_a_second / 12
    span = 0.8 if octaves > 2 else 3.0  # again and again, so that it stays between 50 Hz and 1 kHz
    start, t = 600.0, t % span
    phase = 2 * torch.pi * start * (1 - 2 ** (-octaves * t)) / (octaves * np.log(2))
    assert StemSound(both(0.3 * torch.sin(phase)), RATE).glide == pytest.approx(glides, abs=0.15)


def test_a_hit_is_no_tone():
    clicks = torch.zeros(3 * RATE)
    clicks[:: RATE // 2] = 1.0
    assert StemSound(both(clicks), RATE).harmonic < 0.1


def test_the_loudest_separate_windows_are_heard():
    """Of 20 s that are soft but for two places, these two; level does not matter."""
    x = 1e-3 * noise(20)
    for start, gain in ((2, 1.0), (11, 0.5)):
        x[start * RATE : (start + 3) * RATE] = gain * noise(3, seed=start)
    sound = StemSound(both(x), RATE)
    assert sound.windows.shape == (2, PATCH_SAMPLES)
    powers = np.square(sound.windows).mean(axis=1)
    assert np.sqrt(powers[0]) == pytest.approx(LEVEL, rel=1e-3) and powers[1] / powers[0] == pytest.approx(
        0.25, rel=0.1
    )
    assert sound.power == pytest.approx(0.01, rel=0.05)
    soft = StemSound(both(0.01 * x), RATE)
    np.testing.assert_allclose(soft.windows, sound.windows, rtol=0, atol=1e-5)


def test_a_short_sound_is_repeated_and_a_long_one_heard_five_times():
    assert StemSound(both(noise(0.5)), RATE).windows.shape == (1, PATCH_SAMPLES)
    assert len(StemSound(both(noise(30)), RATE).windows) == 5
    assert StemSound(both(noise(3.3)), RATE).windows.shape == (1, PATCH_SAMPLES)


@pytest.mark.parametrize("rate", [22050, 48000])
def test_other_rates(rate):
    assert StemSound(both(sine(100, 4, rate)), rate).low > 0.95


def test_opposite_channels_are_heard():
    x = sine(300, 3)
    sound = StemSound(torch.stack([x, -x]), RATE)
    assert sound.width == 1.0 and not sound.is_silent and sound.clarity > 0.99


@pytest.mark.parametrize("gain", [0.0, 1e-5])
def test_silence_is_not_tagged(gain, monkeypatch):
    monkeypatch.setattr("diffmst_lib.network.stem_sound.kept_musicnn", lambda name: pytest.fail("tagged"))
    sound = StemSound(gain * both(noise(3)), RATE)
    assert sound.is_silent and sound.role() == "other"


def test_a_hum_is_a_bass_and_hiss_in_bursts_are_drums():
    hum = both(sine(60, 3) + 0.3 * sine(120, 3))
    hiss = noise(3) * torch.exp(-torch.arange(3 * RATE) % (RATE // 4) / 800)
    assert StemSound(hum, RATE).role() == "bass"
    assert StemSound(both(hiss), RATE).role() == "drums"


def test_stems_of_a_song():
    song = dm.load_multitrack(dm.data_dir() / "multitracks" / "potassium")
    found = {name: StemSound(song.stems[name], RATE).role() for name in ("vox_lead", "snare", "pad_bass")}
    assert found == {"vox_lead": "voice", "snare": "drums", "pad_bass": "bass"}
