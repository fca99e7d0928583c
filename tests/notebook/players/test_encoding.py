"""Audio as small files: they keep duration and level, clip nothing, and refuse what is no audio."""

import base64

import numpy as np
import pytest
import torch
from widget_sounds import RATE, decode, level_db, tones

from diffmst_lib.notebook.players.encoding import encode_audio


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [22050, 44100, 48000])
def test_mp3_keeps_duration_and_level(channels, sample_rate):
    audio = tones(channels=channels, sample_rate=sample_rate)
    data, mime = encode_audio(audio, sample_rate)
    samples, rate = decode(data)
    assert (mime, rate, samples.shape[1]) == ("audio/mpeg", sample_rate, channels)
    assert abs(len(samples) / rate - 4.0) < 0.1
    assert abs(level_db(samples) - level_db(audio.numpy())) < 0.5


def test_mp3_weighs_what_a_page_can_bear():
    noise = 0.1 * torch.randn(2, 10 * RATE, generator=torch.Generator().manual_seed(0))
    assert len(base64.b64encode(encode_audio(noise, RATE)[0])) < 0.35e6
    assert len(base64.b64encode(encode_audio(tones(10.0), RATE)[0])) < 0.3e6


def test_silence_stays_silent():
    samples, _ = decode(encode_audio(torch.zeros(2, RATE), RATE)[0])
    assert np.abs(samples).max() < 1e-4


@pytest.mark.parametrize("format", ["mp3", "flac", "wav"])
def test_a_peak_above_one_is_scaled_not_clipped(format):
    audio = tones(peak=3.0)
    samples, _ = decode(encode_audio(audio, RATE, format=format)[0])
    assert 0.85 < np.abs(samples).max() <= 1
    ratio = samples[: audio.shape[1]] - audio.T.numpy() * 10 ** (-0.5 / 20) / 3
    assert level_db(ratio) < level_db(samples) - 20


def test_a_peak_of_one_is_left_alone():
    samples, _ = decode(encode_audio(tones(peak=1.0), RATE, format="flac")[0])
    np.testing.assert_allclose(samples, tones(peak=1.0).T, atol=1e-4)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (torch.tensor([[0.0, float("nan")]]), "not finite"),
        (np.array([0.0, np.inf]), "not finite"),
        (torch.zeros(100, 2), r"got shape \(100, 2\)"),
        (torch.zeros(2, 0), "no samples"),
        (np.zeros((2, 10), dtype=np.int16), "int16"),
    ],
)
def test_bad_audio_is_refused_in_one_line(audio, message):
    with pytest.raises(ValueError, match=message) as caught:
        encode_audio(audio, RATE)
    assert "\n" not in str(caught.value)


def test_unknown_format_and_rate_are_refused():
    with pytest.raises(ValueError, match="mp3, flac, wav"):
        encode_audio(tones(), RATE, format="aiff")
    with pytest.raises(ValueError, match="1000 to 768000 Hz, got 0"):
        encode_audio(tones(), 0)


@pytest.mark.parametrize(("sample_rate", "in_file"), [(96_000, 48_000), (88_200, 44_100), (37_800, 44_100)])
def test_a_rate_that_no_mp3_has_is_resampled(sample_rate, in_file):
    audio = tones(sample_rate=sample_rate)
    samples, rate = decode(encode_audio(audio, sample_rate)[0])
    assert rate == in_file and len(samples) / rate == pytest.approx(4.0, abs=0.1)
    assert level_db(samples) == pytest.approx(level_db(audio.numpy()), abs=0.3)
    assert decode(encode_audio(audio, sample_rate, format="flac")[0])[1] == sample_rate
