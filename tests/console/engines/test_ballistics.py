"""Attack and release against a plain loop and finite differences."""

import numpy as np
import torch
from effect_settings import smooth_loop

from diffmst_lib.console.engines.ballistics import smooth


def test_smoother_equals_a_plain_loop_and_passes_gradcheck():
    x = -10 * torch.rand(2, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    attack, release = (
        torch.tensor([0.3, 0.9], dtype=torch.float64),
        torch.tensor([0.8, 0.95], dtype=torch.float64),
    )
    want = [smooth_loop(*row) for row in zip(x.tolist(), attack.tolist(), release.tolist(), strict=True)]
    np.testing.assert_allclose(smooth(x, attack, release).numpy(), want, atol=1e-12)
    assert torch.autograd.gradcheck(smooth, tuple(t.requires_grad_() for t in (x, attack, release)))
