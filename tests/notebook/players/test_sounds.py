"""Players: what they hold and what they say."""

import numpy as np
import pyloudnorm
import pytest
import torch
from widget_sounds import RATE, level_db, players_in, tones

from diffmst_lib import unity
from diffmst_lib.notebook.players.sounds import Sounds, listen


def sounds_in(sounds):
    """Return the decoded sounds of a group, each (num_samples, channels)."""
    return players_in(sounds._repr_html_())


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


def test_a_rate_that_no_mp3_has_is_played(song):
    (player,) = sounds_in(listen(tones(sample_rate=96_000), 96_000))
    assert len(player) == pytest.approx(4.0 * 48_000, rel=0.03)
