"""Baselines: mixes without a reference."""

import math

import pytest
import torch
from mix_helpers import RATE, bus_lufs, contributions, is_what_the_console_makes, mono_song, with_silence

from diffmst_lib import (
    InputError,
    Multitrack,
    audio_feature_loss,
    equal_loudness,
    features,
    load_multitrack,
    loudness,
    normalize_loudness,
    optimize_mix,
    unity,
)


def test_equal_loudness(song):
    result = equal_loudness(song, panned=True)
    levels = contributions(result)
    assert levels == pytest.approx([levels[0]] * 3, abs=0.05)
    assert bus_lufs(result) == pytest.approx(-20.0, abs=0.05)
    assert loudness(result.audio) == pytest.approx(-16.0, abs=0.01)
    assert is_what_the_console_makes(result)
    assert result.history is None and result.reference is None and result.sample_rate == RATE


def test_equal_loudness_is_mono_as_in_the_paper_unless_stems_keep_their_image(song):
    mono = equal_loudness(song)
    assert torch.equal(mono.audio[0], mono.audio[1])
    panned = equal_loudness(song, panned=True)
    assert features.stereo_width(panned.audio) > 0.01
    for name, stem in panned.stems().items():  # one gain apart
        delivered = song.stems[name]
        gain = (stem * delivered).sum() / delivered.square().sum()
        torch.testing.assert_close(stem, gain * delivered, rtol=0, atol=1e-6)


def test_silent_stem_stays_silent_and_leaves_the_others_alone(song):
    result = equal_loudness(with_silence(song, "kick"), panned=True)
    levels = dict(zip(song.names, contributions(result), strict=True))
    assert levels.pop("kick") == -math.inf
    assert list(levels.values()) == pytest.approx([next(iter(levels.values()))] * 2, abs=0.05)
    assert loudness(result.audio) == pytest.approx(-16.0, abs=0.01)
    silent = result.params.track("kick")["input_gain_db"]  # noise below the gate is not raised
    assert silent <= max(result.params.track(name)["input_gain_db"] for name in levels)


def one_gain_apart(ours, theirs):
    gain = (ours.double() * theirs).sum() / theirs.double().square().sum()
    torch.testing.assert_close((ours / gain).double(), theirs.double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["caesium", "potassium", "rubidium"])
def test_neutral_is_exactly_what_was_delivered(data, name):
    song = load_multitrack(data / "multitracks" / name).excerpt(4, 5)
    result = unity(song)
    one_gain_apart(result.audio, song.audio.sum(dim=0))
    trims = result.params.values("track")["input_gain_db"]
    assert (trims == trims[0]).all() and bus_lufs(result) == pytest.approx(-20.0, abs=0.01)


def test_neutral_is_what_was_delivered_for_mono_songs_as_well(noise):
    song = mono_song(noise(5, 44_100))
    mix = unity(song, lufs=-23.0)
    one_gain_apart(mix.audio, song.audio.sum(dim=0))
    assert torch.equal(mix.audio[0], mix.audio[1]) and loudness(mix.audio) == pytest.approx(-23.0, abs=0.01)
    assert mix.params.values("track")["pan"].tolist() == [0.5] * 5


@pytest.mark.parametrize("mix", [equal_loudness, unity])
@pytest.mark.parametrize(
    ("stems", "reason"),
    [
        (torch.zeros(2, 2, 1000), "all 2 stems are silent"),
        (1e-5 * torch.ones(2, 2, 1000), "all 2 stems are silent"),
        (torch.zeros(2, 2, 0), "all 2 stems are silent"),
        (torch.tensor([[[0.1, 0.1]] * 2, [[0.1, math.nan]] * 2]), "stem b holds NaN"),
        (torch.tensor([0.1, -0.1])[:, None, None] * torch.ones(2, 2, 9999).sin(), "the stems cancel"),
    ],
)
def test_songs_that_cannot_be_mixed(mix, stems, reason, reference):
    song = Multitrack(["a", "b"], stems)
    for attempt in (lambda: mix(song), lambda: optimize_mix(song, reference, steps=1)):
        with pytest.raises(InputError, match=f"^[^\n]*{reason}[^\n]*$") as error:
            attempt()
        assert error.value.about == "song"


def test_a_reference_is_only_what_the_loss_is_taken_to(song, reference):
    plain, compared = equal_loudness(song), equal_loudness(song, reference=0.3 * reference)
    assert torch.equal(plain.audio, compared.audio) and plain.loss is None
    assert torch.equal(compared.reference, 0.3 * reference)
    terms = audio_feature_loss(plain.audio, normalize_loudness(reference))
    assert compared.loss == pytest.approx({name: term.item() for name, term in terms.items()}, rel=1e-3)
    assert unity(song, lufs=-23.0, reference=reference).loss["total"] > 0  # both at -16 LUFS all the same
    for mix in (equal_loudness, unity):
        with pytest.raises(InputError, match="the reference is silent"):
            mix(song, reference=torch.zeros(2, 1000))
