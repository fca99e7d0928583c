"""The pan law and its slopes."""

import math

import pytest
import torch

from diffmst_lib.console import effects


def test_pan_law():
    gains = effects.pan_gains(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(gains[[0, 2]], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert 20 * math.log10(gains[1, 0]) == pytest.approx(-4.515, abs=0.01)
    pan = torch.tensor([0.0, 1.0], requires_grad=True)
    effects.pan_gains(pan)[:, 1].sum().backward()
    assert torch.isfinite(pan.grad).all()
    assert pan.grad[0].item() == pytest.approx(math.sqrt(math.pi / 2), rel=1e-4)
