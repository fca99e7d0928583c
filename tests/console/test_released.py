"""The released effects against ours, away from their faults."""

import math

import pytest
import torch
from effect_settings import DYNAMICS, RATE, noise

from diffmst_lib.console import effects, released

FLAT = {"gain_db": torch.zeros(2, 6), "frequency_hz": torch.full((2, 6), 1000.0), "q": torch.ones(2, 6)}
ROOM = {"band_gains": torch.ones(2, 12), "band_decays": torch.ones(2, 12), "mix": torch.ones(2)}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: released.gain(x, gain_db=torch.zeros(3)), "gain_db must be a number or"),
        (lambda x: released.gain(x, gain_db=torch.full((2,), torch.nan)), "gain_db = nan is outside"),
        (lambda x: released.panner(x[:, None], pan=torch.ones(2)), "mono tracks"),
        (lambda x: released.panner(x, pan=torch.full((2,), 1.5)), "pan = 1.5 is outside 0 to 1"),
        (lambda x: released.pan_gains(x[:, 0] - 1), "outside 0 to 1"),
        (lambda x: released.reverb(x, sample_rate=RATE, **ROOM), "stereo"),
        (lambda x: released.parametric_eq(x, sample_rate=0, **FLAT), "sample_rate must be"),
        (lambda x: released.parametric_eq(x, sample_rate=RATE, **(FLAT | {"q": 1.0})), "q must be"),
        (
            lambda x: released.compressor(x, sample_rate=RATE, **(DYNAMICS | {"ratio": torch.zeros(2)})),
            "ratio = 0 is outside 1 to 1000",
        ),
        (lambda x: released.compressor(x, sample_rate=0, **DYNAMICS), "sample_rate must be"),
    ],
)
def test_what_ours_refuse_is_refused_here(call, words):
    with pytest.raises(ValueError, match=words):
        call(noise(2, 10))


def test_compressor_without_release_is_dasps_away_from_its_faults():
    """Where attack and release are equal and nothing is delayed, both compute the same smoother."""
    x = noise(2, RATE)
    same = {k: torch.full((2,), v) for k, v in (DYNAMICS | {"attack_ms": 20.0, "release_ms": 20.0}).items()}
    torch.testing.assert_close(
        effects.compressor(x, sample_rate=RATE, **same),
        released.compressor(x, sample_rate=RATE, **same),
        rtol=0,
        atol=1e-4,
    )


def test_every_effect_has_a_dasp_counterpart_with_the_same_sound():
    x = noise(2, RATE)
    torch.testing.assert_close(
        effects.gain(x, gain_db=torch.tensor([3.0, -3.0])),
        released.gain(x, gain_db=torch.tensor([3.0, -3.0])),
    )
    assert set(released.__all__) - {"pan_gains"} == {
        "gain",
        "parametric_eq",
        "compressor",
        "panner",
        "reverb",
    }
    assert set(released.__all__) < set(effects.__all__)
    mild = {
        "gain_db": torch.full((2, 6), 3.0),
        "q": torch.full((2, 6), 0.7),
        "frequency_hz": torch.tensor([[200.0, 400.0, 1000.0, 3000.0, 6000.0, 8000.0]] * 2),
    }
    torch.testing.assert_close(
        effects.parametric_eq(x, sample_rate=RATE, **mild),
        released.parametric_eq(x, sample_rate=RATE, **mild),
        rtol=0,
        atol=1e-4,
    )


def test_the_released_pan_law_has_slopes_where_dasps_has_none():
    pan = torch.tensor([0.0, 0.2, 0.5, 1.0], requires_grad=True)
    gains = released.pan_gains(pan)
    ones = torch.ones(4, 1)
    torch.testing.assert_close(gains, released.panner(ones, pan=pan)[..., 0], rtol=1e-6, atol=1e-7)
    assert (20 * gains[2].log10()).tolist() == pytest.approx([-4.515] * 2, abs=1e-3)
    (slope,) = torch.autograd.grad(gains[:, 1].sum(), pan)
    assert torch.isfinite(slope).all() and slope[0].item() == pytest.approx(math.sqrt(math.pi / 2), rel=1e-4)
    (dasps,) = torch.autograd.grad(released.panner(ones, pan=pan).sum(), pan)
    assert dasps.isnan().tolist() == [True, False, False, True]


def test_reverb_shape_is_dasps():
    """The noises differ, the energy in early and late parts agrees."""
    click = torch.zeros(1, 2, 20000)
    click[:, :, 0] = 1.0
    settings_ = {
        "band_gains": torch.full((1, 12), 0.6),
        "band_decays": torch.full((1, 12), 0.4),
        "mix": torch.ones(1),
    }
    torch.manual_seed(0)
    with torch.no_grad():
        pair = [fx.reverb(click, sample_rate=RATE, **settings_) for fx in (effects, released)]
    for part in (slice(0, 8000), slice(12000, 20000)):
        ours, theirs = (y[..., part].square().mean().log10() * 10 for y in pair)
        assert abs(ours - theirs) < 1.0
