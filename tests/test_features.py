"""Features and losses: closed forms, symmetries, and inputs at the edge."""

import math

import numpy as np
import pytest
import torch

from diffmst_lib import audio_feature_loss, audio_features, mrstft_loss
from diffmst_lib import features as f


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sine(frequency_hz, seconds=1.0):
    return torch.sin(2 * math.pi * frequency_hz * torch.arange(int(44100 * seconds)) / 44100)


def test_closed_forms():
    s = sine(1000)
    assert f.rms(torch.stack([s, 0.5 * s])).tolist() == pytest.approx([math.sqrt(0.5), 0.5 * math.sqrt(0.5)], rel=1e-4)
    assert f.crest_factor(torch.stack([s, 0.5 * s])).tolist() == pytest.approx([3.01, 3.01], abs=0.01)
    assert f.stereo_width(torch.stack([s, s])).item() == 0
    assert f.stereo_width(torch.stack([s, 0 * s])).item() == pytest.approx(1.0, rel=1e-5)
    assert f.stereo_width(noise(2, 100_000)).item() == pytest.approx(1.0, abs=0.02)
    assert f.stereo_imbalance(torch.stack([0 * s, s])).item() == pytest.approx(1.0)
    assert f.stereo_imbalance(torch.stack([2 * s, s])).item() == pytest.approx(-0.6, rel=1e-4)


def test_bark_scale_is_its_own_inverse_and_ends_at_20_khz():
    hz = np.array([20.0, 100.0, 1000.0, 8000.0, 20_000.0])
    np.testing.assert_allclose(f.bark_to_hz(f.hz_to_bark(hz)), hz, rtol=1e-9)
    assert f.bark_to_hz(f.hz_to_bark(20_000.0), preset="reference") == pytest.approx(31_731, abs=1)
    bank = f.bark_filterbank(44100)
    top_hz = torch.linspace(0, 22050, bank.shape[0])[bank[:, -1] > 0].max()
    assert 19_990 < top_hz <= 20_000


@pytest.mark.parametrize("frequency_hz", [60, 440, 3000, 12_000])
def test_a_sine_lights_its_band(frequency_hz):
    s = sine(frequency_hz, 2.0)
    bands = f.bark_spectrum(torch.stack([s, s]))
    edges = f.bark_to_hz(np.linspace(f.hz_to_bark(20.0), f.hz_to_bark(20_000.0), f.BARK_BANDS + 2))
    band = int(bands[:, 0].argmax())
    assert edges[band] < frequency_hz < edges[band + 2]
    assert bands[:, 1].max() < -18          # no side


def test_loss_is_zero_for_itself_symmetric_and_grows_with_the_difference():
    x, y = noise(2, 60_000), noise(2, 60_000, seed=1) * torch.tensor([[1.0], [0.3]])
    assert audio_feature_loss(x, x)["total"] == 0
    assert audio_feature_loss(x, y)["total"] == pytest.approx(audio_feature_loss(y, x)["total"].item())
    near, far = (audio_feature_loss(x, x * g)["total"] for g in (0.9, 0.3))
    assert 0 < near < far


def test_terms_add_up_and_lengths_may_differ():
    terms = audio_feature_loss(noise(2, 50_000), noise(2, 70_000, seed=1))
    assert list(terms) == ["rms", "crest_factor", "stereo_width", "stereo_imbalance", "bark_spectrum", "total"]
    assert terms["total"] == pytest.approx(sum(v for k, v in terms.items() if k != "total").item())


def test_paper_table_floors():
    """A copy 6 dB down scores 0.048, a mono fold about 30, as the ledger says of Table 2."""
    x = noise(2, 100_000)
    copy = audio_feature_loss(x * 10 ** (-6 / 20), x, preset="reference")["bark_spectrum"]
    assert copy == pytest.approx(0.1 * math.log(10 ** (6 / 20)) ** 2, rel=1e-3)
    folded = audio_feature_loss(x.mean(0).repeat(2, 1), x, preset="reference")["bark_spectrum"]
    assert 20 < folded < 45


EDGES = {
    "silence": torch.zeros(2, 5000), "one sample": torch.ones(2, 1), "mono": noise(1, 5000).repeat(2, 1),
    "anti-phase": noise(1, 5000) * torch.tensor([[1.0], [-1.0]]), "one silent channel": noise(2, 5000) * torch.tensor([[1.0], [0.0]]),
    "one impulse": torch.nn.functional.one_hot(torch.tensor([7, 7]), 5000).float(), "tiny": 1e-30 * noise(2, 5000),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_are_finite_in_value_and_gradient(name):
    target = noise(2, 30_000, seed=2)
    for mix, reference in ((EDGES[name], target), (target, EDGES[name]), (EDGES[name], EDGES[name])):
        mix = mix.clone().requires_grad_()
        loss = audio_feature_loss(mix, reference)["total"]
        loss.backward()
        assert torch.isfinite(loss) and loss < 1e7
        assert torch.isfinite(mix.grad).all()


def test_half_precision_is_computed_in_single():
    x = noise(2, 40_000)
    half = audio_features(x.half())
    assert all(v.dtype == torch.float32 for v in half.values())
    assert audio_feature_loss(x.bfloat16(), x)["total"] < 1e-3


def test_mrstft():
    x, y = noise(1, 2, 30_000), noise(1, 2, 30_000, seed=1)
    assert mrstft_loss(x, x) == 0
    assert mrstft_loss(x, y) > mrstft_loss(x, 0.9 * x) > 0
    torch.testing.assert_close(mrstft_loss(x[0], y[0]), mrstft_loss(x, y))
    with pytest.raises(ValueError, match="equal shapes"):
        mrstft_loss(x, y[..., :-1])


@pytest.mark.parametrize("bad", [torch.zeros(3, 100), torch.zeros(100), torch.zeros(2, 0)])
def test_not_stereo_is_refused(bad):
    with pytest.raises(ValueError, match="stereo audio"):
        audio_features(bad)


def test_misspelt_preset_is_refused_and_caches_are_not_handed_out():
    x = noise(2, 20_000)
    for call in (lambda: f.stereo_width(x, preset="x"), lambda: f.bark_to_hz(3.0, preset="x"), lambda: mrstft_loss(x, x, preset="x")):
        with pytest.raises(ValueError, match="preset must be"):
            call()
    f.bark_filterbank(44100).zero_()
    assert f.bark_filterbank(44100).sum() > 0
