"""The compiled sum of a sound's energy behind filters, against scipy."""

import numpy as np
import pytest
import scipy.signal
import torch
from audio_helpers import RATE

from diffmst_lib.audio.loudness import k_weighting
from diffmst_lib.audio.weighted_energy import BLOCK, WeightedEnergy, weighted_energy

GAINS = np.array([1.0, 1.0, 1.41])
THROUGH = np.array([[1.0, 0, 0, 1, 0, 0]] * 2)


def by_scipy(audio, sections, gains, edges):
    weighted = scipy.signal.sosfilt(sections, audio.double().numpy())
    return np.append(0.0, np.cumsum(gains @ np.square(weighted)))[edges]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energy_is_that_of_scipys_filters(noise, channels, dtype):
    audio, sections, gains = noise(channels, 20_000).to(dtype), k_weighting(RATE), GAINS[:channels]
    edges = np.array([20_000, 0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 7777, 7777, 3])
    found = weighted_energy(audio, sections=sections, gains=gains, edges=edges)
    assert found == pytest.approx(by_scipy(audio, sections, gains, edges), rel=1e-10)


def test_any_layout_and_half_precision(noise):
    audio, edges = noise(2, 8000), np.array([1500, 3000])
    options = {"sections": k_weighting(RATE), "gains": GAINS[:2], "edges": edges}
    want = weighted_energy(audio[:, 2000:5000].clone(), **options)
    assert np.array_equal(weighted_energy(audio[:, 2000:5000], **options), want)
    assert np.array_equal(weighted_energy(audio.T.contiguous().T[:, 2000:5000], **options), want)
    half = audio[:, 2000:5000].half()
    assert np.array_equal(weighted_energy(half, **options), weighted_energy(half.float(), **options))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_to_the_end(noise, value):
    audio = noise(2, 3000)
    audio[1, 1000] = value
    edges = np.array([1000, 1001, 3000])
    found = weighted_energy(audio, sections=k_weighting(RATE), gains=GAINS[:2], edges=edges)
    assert np.isfinite(found).tolist() == [True, False, False]


def test_silence_after_a_sound_adds_nothing(noise):
    """Not even the tiny numbers that filters ring with, which slow a processor down."""
    audio = torch.cat([noise(1, 1000), torch.zeros(1, 3 * RATE)], dim=1)
    edges = np.array([2 * RATE, 3 * RATE])
    middle, end = weighted_energy(audio, sections=k_weighting(RATE), gains=GAINS[:1], edges=edges)
    assert middle == end > 0


def test_no_samples_have_no_energy():
    edges = np.array([0, 0])
    assert not weighted_energy(torch.zeros(2, 0), sections=THROUGH, gains=GAINS[:2], edges=edges).any()


@pytest.mark.parametrize("length", [1, 100, BLOCK, 9000])
def test_blocks_have_the_energy_of_the_whole(noise, length):
    audio, edges = noise(2, 3000), np.array([3000, 0, 1500, 1500, 1])
    options = {"sections": k_weighting(RATE), "gains": GAINS[:2], "edges": edges}
    energy = WeightedEnergy(**options)
    for block in audio.split(length, dim=1):
        energy(block)
    assert energy.before_edges() == pytest.approx(weighted_energy(audio, **options), rel=1e-12)
