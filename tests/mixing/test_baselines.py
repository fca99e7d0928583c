"""Baselines: mixes without a reference."""

import math

import pytest
import torch
from mix_helpers import CENTER_DB, RATE, contributions, is_what_the_console_makes, with_silence

from diffmst_lib import (
    InputError,
    Multitrack,
    audio_feature_loss,
    equal_loudness,
    loudness,
    normalize_loudness,
    optimize_mix,
    unity,
)


def test_equal_loudness(song):
    result = equal_loudness(song)
    assert contributions(result) == pytest.approx([-48.0 + CENTER_DB] * 6, abs=0.05)
    assert loudness(result.audio) == pytest.approx(-16.0, abs=0.01)
    assert torch.equal(result.audio[0], result.audio[1])
    assert is_what_the_console_makes(result)
    assert result.history is None and result.sample_rate == RATE


def test_panned_equal_loudness_has_width(song):
    left, right = equal_loudness(song, panned=True).audio
    assert (left - right).square().mean() > 0.01 * (left + right).square().mean()


def test_silent_stem_stays_silent_and_leaves_the_others_alone(song):
    result = equal_loudness(with_silence(song, "kick"))
    kick = [song.names.index(name) for name in ("kick.L", "kick.R")]
    for i, level in enumerate(contributions(result)):
        assert level == (-math.inf if i in kick else pytest.approx(-48.0 + CENTER_DB, abs=0.05))
    assert loudness(result.audio) == pytest.approx(-16.0, abs=0.01)
    assert result.params.track("kick")["input_gain_db"].tolist() == [
        0,
        0,
    ]  # noise below the gate is not raised


def test_unity_is_the_stems_as_they_came(song):
    mix = unity(song, panned=False)
    want = normalize_loudness(song.audio.sum(0).repeat(2, 1))
    torch.testing.assert_close(mix.audio, want, rtol=0, atol=1e-4)
    assert is_what_the_console_makes(mix)
    panned = unity(song, lufs=-23.0)
    assert loudness(panned.audio) == pytest.approx(-23.0, abs=0.01)
    assert panned.params.track("kick")["pan"].tolist() == pytest.approx([0.18, 0.82])


@pytest.mark.parametrize("mix", [equal_loudness, unity])
@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (torch.zeros(2, 1000), "all 2 tracks are silent"),
        (1e-5 * torch.ones(2, 1000), "all 2 tracks are silent"),
        (torch.zeros(2, 0), "all 2 tracks are silent"),
        (torch.tensor([[0.1, 0.1], [0.1, math.nan]]), "track b holds NaN"),
    ],
)
def test_songs_that_cannot_be_mixed(mix, audio, reason, reference):
    song = Multitrack(["a", "b"], audio)
    for attempt in (lambda: mix(song), lambda: optimize_mix(song, reference, steps=1)):
        with pytest.raises(InputError, match=f"^[^\n]*{reason}[^\n]*$"):
            attempt()


def test_a_reference_is_only_what_the_loss_is_taken_to(song, reference):
    plain, compared = equal_loudness(song), equal_loudness(song, reference=0.3 * reference)
    assert torch.equal(plain.audio, compared.audio) and plain.loss is None
    terms = audio_feature_loss(plain.audio, normalize_loudness(reference))
    assert compared.loss == pytest.approx({name: term.item() for name, term in terms.items()}, rel=1e-3)
    assert unity(song, lufs=-23.0, reference=reference).loss["total"] > 0  # both at -16 LUFS all the same
    for mix in (equal_loudness, unity):
        with pytest.raises(InputError, match="the reference is silent"):
            mix(song, reference=torch.zeros(2, 1000))
