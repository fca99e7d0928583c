"""The Bark scale and its filterbank: ends, inverses, odd sample rates, refusals."""

import math

import numpy as np
import pytest
import torch

from diffmst_lib.style import bark, features


def test_the_scale_is_its_own_inverse_and_ends_at_20_khz():
    hz = np.array([20.0, 100.0, 1000.0, 8000.0, 20_000.0])
    np.testing.assert_allclose(bark.bark_to_hz(bark.hz_to_bark(hz)), hz, rtol=1e-9)
    assert bark.bark_to_hz(bark.hz_to_bark(20_000.0), preset="reference") == pytest.approx(31_731, abs=1)
    bank = bark.bark_filterbank(44100)
    top_hz = torch.linspace(0, 22050, bank.shape[0])[bank[:, -1] > 0].max()
    assert 19_990 < top_hz <= 20_000


def test_a_window_is_743_ms_long_at_every_rate():
    sizes = {8000: 6000, 22_050: 16_384, 44_100: 32_768, 48_000: 36_000, 96_000: 72_000}
    assert {rate: bark.bark_fft_size(rate) for rate in sizes} == sizes


def test_odd_sample_rates_end_at_their_half():
    x = torch.sin(2 * math.pi * 5000 * torch.arange(11_025) / 11_025)
    edges, spectrum = bark.bark_edges_hz(), features.bark_spectrum(torch.stack([x, x]), sample_rate=11_025)
    band = int(spectrum[:, 0].argmax())
    assert edges[band] < 5000 < edges[band + 2]
    weights, hz = bark.bark_filterbank(11_025)[:, 10], torch.linspace(0, 11_025 / 2, 16_385)
    assert (weights @ hz / weights.sum()).item() == pytest.approx(edges[10:13].mean(), rel=1e-3)


def test_a_bank_is_made_on_the_device_in_force():
    with torch.device("meta"):
        assert bark.bark_filterbank(32_000, 512).device.type == "meta"
    assert bark.bark_filterbank(32_000, 512).device.type == "cpu"


def test_what_is_handed_out_is_a_copy():
    kept = bark.kept_filterbank(44100, 32_768, "default", torch.device("cpu"), torch.float32)
    bark.bark_filterbank(44100).zero_()
    assert bark.bark_filterbank(44100).equal(kept) and kept.sum() > 0


def test_misspelt_presets_and_odd_windows_are_refused():
    for call in (lambda: bark.bark_to_hz(3.0, preset="x"), lambda: bark.bark_filterbank(44100, preset="x")):
        with pytest.raises(ValueError, match="preset must be"):
            call()
    for n_fft in (0, 1, 1001):
        with pytest.raises(ValueError, match="n_fft"):
            bark.bark_filterbank(44100, n_fft)


def test_features_offers_the_scale_as_well():
    for name in (
        "hz_to_bark",
        "bark_to_hz",
        "bark_edges_hz",
        "bark_filterbank",
        "kept_filterbank",
        "bark_fft_size",
    ):
        assert getattr(features, name) is getattr(bark, name)
