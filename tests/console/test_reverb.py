"""The reverb: always the same, as loud at every rate, with a tail."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from effect_settings import RATE, noise

from diffmst_lib.console import effects


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 96000])
def test_reverb_repeats_itself_has_a_tail_and_gradients(rate):
    click = torch.zeros(1, 2, rate)
    click[:, :, 0] = 1.0
    settings_ = [torch.full((1, 12), 0.5, requires_grad=True), torch.full((1, 12), 0.2, requires_grad=True)]
    y, again = (
        effects.reverb(
            click, sample_rate=rate, band_gains=settings_[0], band_decays=settings_[1], mix=torch.ones(1)
        )
        for _ in range(2)
    )
    assert torch.equal(y, again)
    assert y[..., rate // 4 :].abs().max() > 0
    y.square().sum().backward()
    assert all(torch.isfinite(s.grad).all() for s in settings_) and settings_[0].grad.abs().sum() > 0


@pytest.mark.parametrize("rate", [16000, 22050, 96000, 192000])
def test_reverb_is_as_loud_at_every_sample_rate(rate):
    """A sound between 300 and 3000 Hz: the level of the answer against the sound, beside that at 44.1 kHz."""
    levels = []
    for r in (RATE, rate):
        sos = scipy.signal.butter(4, [300, 3000], "bandpass", fs=r, output="sos")
        x = scipy.signal.sosfilt(sos, np.random.default_rng(0).standard_normal((1, 2, 3 * r)))
        x = torch.from_numpy(x).float()
        room = torch.full((1, 12), 0.5)
        y = effects.reverb(x, sample_rate=r, band_gains=room, band_decays=room, mix=1.0)
        levels.append(10 * math.log10(y.square().mean() / x.square().mean()))
    assert levels[1] == pytest.approx(levels[0], abs=1.0)


def test_reverb_is_not_rounded_by_autocast():
    x, room = noise(1, 2, 4000), torch.full((1, 12), 0.5)
    want = effects.reverb(x, sample_rate=RATE, band_gains=room, band_decays=room, mix=1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(
            effects.reverb(x, sample_rate=RATE, band_gains=room, band_decays=room, mix=1.0), want
        )
