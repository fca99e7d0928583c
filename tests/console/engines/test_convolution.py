"""Convolution through FFTs against NumPy and finite differences."""

import numpy as np
import torch
from effect_settings import noise

from diffmst_lib.console import effects


def test_convolution_is_numpys_and_passes_gradcheck():
    x, fir = noise(3, 100).double(), noise(1, 40, seed=1).double()
    want = np.stack([np.convolve(row, fir[0])[:100] for row in x.numpy()])
    np.testing.assert_allclose(effects.fft_convolve(x, fir).numpy(), want, atol=1e-12)
    assert torch.autograd.gradcheck(
        effects.fft_convolve, (x[:2, :20].requires_grad_(), fir[:, :7].requires_grad_())
    )
