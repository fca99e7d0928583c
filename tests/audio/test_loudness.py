"""Loudness, normalization, the loudest window, and what a stereo mix must be."""

import math
import warnings

import pyloudnorm
import pytest
import torch
from audio_helpers import RATE, sine
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmst_lib import InputNote, loudness, normalize_loudness, normalize_tracks
from diffmst_lib.audio.loudness import loudest_window, quick_loudness
from diffmst_lib.audio.multitrack import check_stereo


@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_is_that_of_pyloudnorm(noise, channels):
    x = noise(channels, 3 * RATE) * torch.linspace(0, 1, 3 * RATE)  # quiet blocks for the relative gate
    assert loudness(x) == pytest.approx(
        pyloudnorm.Meter(RATE).integrated_loudness(x.T.double().numpy()), abs=1e-6
    )


@pytest.mark.parametrize("rate", [RATE, 48000])
@pytest.mark.parametrize("seconds", [0.1, 2.0])
@pytest.mark.parametrize("amplitude", [1.0, 0.1])
def test_loudness_of_a_997_hz_sine(rate, seconds, amplitude):
    # BS.1770: a full-scale sine in one channel reads -3.01 LUFS, in two channels 3.01 dB more.
    x, level = amplitude * sine(997, seconds, rate), 20 * math.log10(amplitude)
    assert loudness(x, sample_rate=rate) == pytest.approx(level - 3.01, abs=0.1)
    assert loudness(torch.stack([x, x]), sample_rate=rate) == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize(
    "x", [torch.zeros(2, RATE), torch.zeros(2, 1), torch.zeros(2, 0), 1e-5 * torch.ones(2, RATE)]
)
def test_silence_has_no_loudness(x):
    assert loudness(x) == -math.inf


def test_one_sample_has_a_loudness():
    assert math.isfinite(loudness(torch.ones(2, 1)))


def test_loudness_refuses_a_batch(noise):
    with pytest.raises(ValueError, match=r"got \(1, 2, 100\)"):
        loudness(noise(1, 2, 100))


@pytest.mark.parametrize("num_samples", [1, 1000, 2 * RATE])
@pytest.mark.parametrize("lufs", [-16.0, -48.0])
def test_normalized_loudness_is_exact(noise, num_samples, lufs):
    assert loudness(normalize_loudness(noise(2, num_samples), lufs)) == pytest.approx(lufs, abs=0.01)


def test_normalized_silence_stays_silence():
    assert torch.equal(normalize_loudness(torch.zeros(2, 1000)), torch.zeros(2, 1000))


def test_normalization_has_a_gradient_that_does_not_know_the_level(noise):
    x = noise(2, RATE).requires_grad_()
    weights = (
        noise(2, RATE, seed=1) + x.detach()
    )  # with x in it: without normalization, louder would be better
    (normalize_loudness(x) * weights).sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    along = (x.grad * x).sum()
    assert along.abs() < 1e-4 * (x.grad * x).abs().sum()


@settings(deadline=None)
@given(num_samples=st.integers(1, 600), seconds=st.floats(0.1, 2.0), seed=st.integers(0, 1000))
def test_loudest_window_against_brute_force(noise, num_samples, seconds, seed):
    x, length = noise(2, num_samples, seed=seed), int(seconds * 100)
    starts = range(0, max(num_samples - length, 0) + 1, 10)
    energies = [x[:, start : start + length].double().square().sum().item() for start in starts]
    assert loudest_window(x, seconds, sample_rate=100) == 10 * energies.index(max(energies))


def test_an_offset_in_a_reference_is_told_and_others_pass_in_silence():
    sound = 0.1 * torch.randn(2, 9000, generator=torch.Generator().manual_seed(0))
    with pytest.warns(InputNote, match="the record has a DC offset of 0.2, which nobody hears"):
        check_stereo(sound + torch.tensor([[0.0], [-0.2]]), "the record")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_stereo(sound) is sound


def test_loudness_of_what_is_no_sound():
    for bad in (float("nan"), float("inf")):
        sound = 0.1 * torch.ones(2, 90_000)
        sound[1, 7] = bad
        assert math.isnan(loudness(sound))
    with pytest.raises(ValueError, match="got int16"):
        loudness(torch.ones(2, 9000, dtype=torch.int16))
    assert loudness(torch.ones(2, 9000).half()) == pytest.approx(loudness(torch.ones(2, 9000)), abs=0.01)


def test_tracks_come_to_one_level_and_silence_stays(noise):
    x = noise(3, RATE) * torch.tensor([[1.0], [0.0], [0.01]])
    before = x.clone()
    y, gains_db = normalize_tracks(x, -30.0)
    assert torch.equal(x, before)
    assert [loudness(track) for track in y] == pytest.approx([-30.0, -math.inf, -30.0], abs=0.01)
    assert gains_db.isnan().tolist() == [False, True, False]
    torch.testing.assert_close(y[2], x[2] * 10 ** (gains_db[2] / 20))


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.77, 3.3])
def test_tracks_are_measured_as_by_the_library(noise, rate, seconds):
    """The fast way of many tracks equals pyloudnorm's: loud and quiet parts, both gates, silence, one sample too many."""
    samples = round(seconds * rate) + 1
    x = noise(5, samples) * torch.tensor([1.0, 1e-2, 4e-3, 3e-3, 0.0])[:, None]
    x[:, samples // 3 : samples // 2] *= 0.01
    x[0, -1] = 1.0
    _, gains_db = normalize_tracks(x, -30.0, sample_rate=rate)
    for track, gain_db in zip(x, gains_db):
        level = loudness(track, sample_rate=rate)
        assert (
            gain_db.isnan() if math.isinf(level) else gain_db.item() == pytest.approx(-30.0 - level, abs=1e-4)
        )


def test_a_record_is_measured_as_by_the_library(noise):
    x = noise(3, 2, 4 * RATE) * torch.tensor([[[1.0], [0.1]], [[0.0], [0.02]], [[0.0], [0.0]]])
    x[:, :, RATE : 2 * RATE] *= 0.01
    assert quick_loudness(x, RATE) == pytest.approx([loudness(sound) for sound in x], abs=1e-9)


def test_tracks_that_are_no_sound_have_no_gain(noise):
    x = noise(3, RATE)
    x[0, 5], x[1, 9] = math.nan, math.inf
    assert normalize_tracks(x, -30.0)[1].isnan().tolist() == [True, True, False]
    exact = normalize_tracks(x.double(), -30.0)[1]
    assert exact.dtype == torch.float64 and exact[2].item() == pytest.approx(
        normalize_tracks(x, -30.0)[1][2].item(), abs=1e-4
    )


def test_tracks_of_a_batch_come_to_their_levels_one_by_one(noise):
    x = noise(2, 3, RATE) * torch.tensor([1.0, 0.1, 0.01])[:, None]
    y, gains_db = normalize_tracks(x, -30.0)
    want = [normalize_tracks(item, -30.0) for item in x]
    assert torch.equal(y, torch.stack([item for item, _ in want]))
    assert torch.equal(gains_db, torch.stack([gains for _, gains in want]))
    with pytest.raises(ValueError, match="num_tracks, num_samples"):
        normalize_tracks(x[0, 0], -30.0)


def test_a_batch_is_normalized_item_by_item():
    batch = torch.randn(4, 2, 44100, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1.0, 0.01, 0.0, 5.0]
    ).view(4, 1, 1)
    batch.requires_grad_()
    level = normalize_loudness(batch)
    assert [round(loudness(x), 3) for x in level] == [-16.0, -16.0, -math.inf, -16.0]
    alone = [x.detach().clone().requires_grad_() for x in batch]
    weight = torch.randn(4, 2, 44100, generator=torch.Generator().manual_seed(1))
    (level * weight).sum().backward()
    for i, x in enumerate(alone):
        y = normalize_loudness(x)
        assert torch.allclose(y, level[i], atol=1e-5)
        (y * weight[i]).sum().backward()
        assert torch.isfinite(batch.grad[i]).all()
        assert torch.allclose(x.grad, batch.grad[i], rtol=1e-3, atol=1e-4 * float(x.grad.abs().max()) + 1e-12)
