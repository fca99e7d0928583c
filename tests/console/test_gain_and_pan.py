"""Fader, width and pan: closed forms, what changes nothing, slopes at the ends."""

import math

import pytest
import torch
from effect_settings import noise

from diffmst_lib.console import effects, gain_and_pan
from diffmst_lib.console.table import OFF_DB


def test_pan_law():
    gains = effects.pan_gains(torch.tensor([0.0, 0.25, 0.5, 1.0]))
    third = [2**0.5 * math.cos(math.pi / 8), 2**0.5 * math.sin(math.pi / 8)]
    expected = torch.tensor([[2**0.5, 0.0], third, [1.0, 1.0], [0.0, 2**0.5]])
    torch.testing.assert_close(gains, expected, rtol=0, atol=2e-7)
    everywhere = effects.pan_gains(torch.linspace(0, 1, 101)).square().sum(dim=-1)
    torch.testing.assert_close(everywhere, torch.full((101,), 2.0))


def test_pan_law_has_a_slope_everywhere():
    pan = torch.linspace(0, 1, 11, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gain_and_pan.pan_law, pan)
    (slope,) = torch.autograd.grad(effects.pan_gains(pan)[:, 1].sum(), pan)
    assert slope[0].item() == pytest.approx(math.pi / math.sqrt(2))


def test_mono_is_panned_as_two_equal_channels():
    x, pan = noise(3, 100), torch.tensor([0.0, 0.3, 0.5])
    stereo = effects.panner(x[:, None].expand(-1, 2, -1), pan=pan)
    assert torch.equal(effects.panner(x, pan=pan), stereo)
    torch.testing.assert_close(stereo[2], x[2].expand(2, -1), rtol=1e-6, atol=0)  # the middle changes nothing


def test_the_channels_of_a_stereo_stem_do_not_mix():
    x = noise(1, 2, 100) * torch.tensor([[0.0], [1.0]])
    y = effects.panner(x, pan=0.2)
    assert y[0, 0].abs().max() == 0
    torch.testing.assert_close(y[0, 1], x[0, 1] * effects.pan_gains(torch.tensor(0.2))[1])


def test_width_scales_the_side_alone():
    x = noise(4, 2, 100)
    y = effects.width(x, width=torch.tensor([0.0, 1.0, 2.0, 0.5]))
    assert torch.equal(y[1], x[1]) and torch.equal(y[0, 0], y[0, 1])
    for before, after, factor in zip(x, y, (0, 1, 2, 0.5), strict=True):
        torch.testing.assert_close(after.sum(dim=0), before.sum(dim=0))
        torch.testing.assert_close(after.diff(dim=0), factor * before.diff(dim=0))
    mono = noise(1, 1, 100).expand(-1, 2, -1)
    torch.testing.assert_close(effects.width(mono, width=2.0), mono)


def test_a_fader_at_its_lowest_value_is_off():
    db = torch.tensor([OFF_DB, OFF_DB + 20.0, 0.0, 6.0], requires_grad=True)
    gains = gain_and_pan.fader_gain(db, OFF_DB)
    torch.testing.assert_close(gains, torch.tensor([0.0, 0.01, 1.0, 10 ** (6 / 20)]))
    (slope,) = torch.autograd.grad(gains.sum(), db)
    assert torch.isfinite(slope).all() and slope[0] == 0
