"""Convolution through FFTs against NumPy and finite differences."""

import numpy as np
import pytest
import torch
from effect_settings import noise

from diffmst_lib.console import effects
from diffmst_lib.console.engines.convolution import ConvolutionStream


def test_convolution_is_numpys_and_passes_gradcheck():
    x, fir = noise(3, 100).double(), noise(1, 40, seed=1).double()
    want = np.stack([np.convolve(row, fir[0])[:100] for row in x.numpy()])
    np.testing.assert_allclose(effects.fft_convolve(x, fir).numpy(), want, atol=1e-12)
    assert torch.autograd.gradcheck(
        effects.fft_convolve, (x[:2, :20].requires_grad_(), fir[:, :7].requires_grad_())
    )


@pytest.mark.parametrize("length", [1, 39, 40, 77, 500])
@pytest.mark.parametrize("taps", [1, 2, 40, 600])
def test_blocks_give_what_one_pass_gives(length, taps):
    x, fir = noise(2, 300).double(), noise(2, taps, seed=1).double()
    stream = ConvolutionStream(fir)
    parts = [stream(part) for part in x.split(length, dim=1)]
    np.testing.assert_allclose(torch.cat(parts, dim=1), effects.fft_convolve(x, fir), atol=1e-12)
