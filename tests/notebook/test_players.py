"""Players: what they hold and what they say."""

import base64
import re

import numpy as np
import pyloudnorm
import pytest
import torch
from widget_sounds import RATE, decode, level_db, tones

from diffmst_lib import unity
from diffmst_lib.notebook.players.encoding import encode_audio
from diffmst_lib.notebook.players.sounds import Sounds, listen


def sounds_in(sounds):
    """Return the decoded sounds of a group, each (num_samples, channels)."""
    return [
        decode(base64.b64decode(text))[0]
        for text in re.findall(r"data:audio/mpeg;base64,([^\"]+)", sounds._repr_html_())
    ]


# --- encoding ---------------------------------------------------------------------------------------------------


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
    (player,) = sounds_in(listen(audio, sample_rate))
    assert len(player) == len(samples)
    assert decode(encode_audio(audio, sample_rate, format="flac")[0])[1] == sample_rate


# --- listen -----------------------------------------------------------------------------------------------------


def test_labels_and_title_are_escaped():
    group = listen({'<b>"x"</b>': tones(), "a & b": tones()}, title="<script>alert(1)</script>")
    page = group._repr_html_()
    assert "<b>" not in page and "alert(1)</script>" not in page
    assert "&lt;b&gt;&quot;x&quot;&lt;/b&gt;" in page and "a &amp; b" in page


def test_one_sound_needs_no_comparison():
    group = listen(tones(channels=1)[0])
    assert isinstance(group, Sounds) and group.lufs is None
    assert group._repr_html_().count("<audio") == 1
    assert "<button" not in group._repr_html_()


def test_excerpt_starts_and_ends_where_asked():
    audio = torch.cat([torch.zeros(2, 2 * RATE), tones(3.0)], dim=1)
    (samples,) = sounds_in(listen(audio, start_s=2.5, seconds=1.5))
    assert len(samples) == pytest.approx(1.5 * RATE, abs=0.1 * RATE)
    assert abs(level_db(samples) - level_db(audio[:, int(2.5 * RATE) : 4 * RATE].numpy())) < 0.5


def test_matched_sounds_have_the_stated_loudness():
    sounds = {"a": tones(peak=0.02), "b": tones(peak=0.9, first_hz=900), "mono": tones(channels=1)}
    group = listen(sounds, match_lufs=-23)
    assert group.lufs == -23
    assert "level-matched at -23 LUFS" in group._repr_html_()
    for samples in sounds_in(group):
        assert pyloudnorm.Meter(RATE).integrated_loudness(samples) == pytest.approx(-23, abs=0.5)


def test_a_target_that_would_clip_is_lowered_for_all():
    click = torch.zeros(2, 4 * RATE)
    click[:, ::4410] = 1.0
    group = listen({"click": click, "tones": tones()}, match_lufs=-10)
    assert group.lufs < -10
    assert f"level-matched at {group.lufs:.1f} LUFS (-10 LUFS would clip)" in group._repr_html_()
    clicks, chord = sounds_in(group)
    assert np.abs(clicks).max() <= 1
    assert pyloudnorm.Meter(RATE).integrated_loudness(chord) == pytest.approx(group.lufs, abs=0.5)


def test_silent_and_short_sounds_are_not_matched():
    short = tones(0.2)
    group = listen({"tones": tones(), "silent": torch.zeros(2, RATE), "short": short}, match_lufs=-30)
    _, silent, brief = sounds_in(group)
    assert group._repr_html_().count("too short to match") == 2
    assert np.abs(silent).max() < 1e-4
    assert abs(level_db(brief) - level_db(short.numpy())) < 0.5
    assert listen(torch.zeros(2, RATE), match_lufs=-23).lufs is None


def test_without_matching_differences_in_level_stay():
    audio = tones(peak=1.0)
    for factor in (0.5, 4.0):  # 4: the group is turned down, and says so
        group = listen({"soft": 0.1 * factor * audio, "loud": factor * audio})
        soft, loud = sounds_in(group)
        assert level_db(loud) - level_db(soft) == pytest.approx(20, abs=0.5)
        assert np.abs(loud).max() <= 1
        assert ("turned down by 12.5 dB" in group._repr_html_()) == (factor > 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: listen({}), "empty"),
        (lambda: listen({"mix": torch.full((2, 10), float("nan"))}), "'mix'.*not finite"),
        (lambda: listen(tones(), start_s=5), "past the end at 4.00 s"),
        (lambda: listen(tones(), seconds=0), "seconds > 0"),
    ],
)
def test_bad_calls_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_result_is_taken_as_it_is(song):
    assert "audio/mpeg" in listen(unity(song), seconds=1.0)._repr_html_()
