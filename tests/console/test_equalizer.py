"""The equalizer against SciPy in float64, and its two ways to compute against each other."""

import numpy as np
import pytest
import scipy.signal
import torch
from effect_settings import RATE, eq_settings, noise

from diffmst_lib.console import effects


def rbj_sections(gain_db, frequency_hz, q, rate):
    """Second-order sections of the Audio EQ Cookbook in float64."""
    sections = []
    for band, (g, f, quality) in enumerate(
        zip(*(np.asarray(v, dtype=float) for v in (gain_db, frequency_hz, q)), strict=True)
    ):
        A, w = 10 ** (g / 40), 2 * np.pi * f / rate
        alpha, c = np.sin(w) / (2 * quality), np.cos(w)
        if band in (0, 5):
            s, d = (1 if band == 0 else -1), 2 * np.sqrt(A) * alpha
            b = [
                A * ((A + 1) - s * (A - 1) * c + d),
                s * 2 * A * ((A - 1) - s * (A + 1) * c),
                A * ((A + 1) - s * (A - 1) * c - d),
            ]
            a = [
                (A + 1) + s * (A - 1) * c + d,
                -s * 2 * ((A - 1) + s * (A + 1) * c),
                (A + 1) + s * (A - 1) * c - d,
            ]
        else:
            b, a = [1 + alpha * A, -2 * c, 1 - alpha * A], [1 + alpha / A, -2 * c, 1 - alpha / A]
        sections.append(np.array(b + a) / a[0])
    return np.array(sections)


@pytest.mark.parametrize(("backend", "allowed_db"), [("recursion", -140), ("fft", -100)])
@pytest.mark.parametrize("num_samples", [2048, 44100])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rate", [RATE, 96_000])
def test_equals_scipy_in_float64(num_samples, seed, rate, backend, allowed_db):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(1, 6, 3, generator=generator)
    unit = unit.round() if seed % 2 else unit  # odd seeds: corners of the range
    chosen = eq_settings(unit)
    x = noise(1, num_samples, seed=seed)
    y = effects.parametric_eq(x, sample_rate=rate, backend=backend, **chosen)
    y = y.flatten().double().numpy()
    want = scipy.signal.sosfilt(
        rbj_sections(*(chosen[k][0] for k in ("gain_db", "frequency_hz", "q")), rate), x[0].double().numpy()
    )
    error_db = 10 * np.log10(np.mean((y - want) ** 2) / np.mean(want**2))
    assert error_db < allowed_db


def test_gradients_of_the_recursion_are_those_of_the_fft():
    """Two ways to the same filter, the recursion with its own backward and autograd through FFTs."""
    x, w = noise(2, 2, 3000).double(), noise(2, 2, 3000, seed=1).double()
    chosen = {
        k: v.double()
        for k, v in eq_settings(
            0.2 + 0.6 * torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(1))
        ).items()
    }
    grads = []
    for backend in ("recursion", "fft"):
        knobs = {k: v.clone().requires_grad_() for k, v in chosen.items()}
        y = effects.parametric_eq(x.requires_grad_(), sample_rate=RATE, backend=backend, **knobs)
        grads.append(torch.autograd.grad((y * w).sum(), [x, *knobs.values()]))
    for recursion, fft in zip(*grads, strict=True):
        torch.testing.assert_close(recursion, fft, rtol=0, atol=1e-6 * fft.abs().max().item())


def test_channels_share_settings_and_flat_is_identity():
    x = noise(2, 2, 3000)
    chosen = eq_settings(torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(1)))
    both = effects.parametric_eq(x, sample_rate=RATE, **chosen)
    for channel in range(2):
        torch.testing.assert_close(
            both[:, channel], effects.parametric_eq(x[:, channel], sample_rate=RATE, **chosen)
        )
    flat = chosen | {"gain_db": torch.zeros(2, 6)}
    torch.testing.assert_close(effects.parametric_eq(x, sample_rate=RATE, **flat), x, rtol=0, atol=1e-6)
