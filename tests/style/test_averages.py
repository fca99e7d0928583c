"""Mean squares and mean magnitudes: values beside torch.stft, gradients beside autograd's."""

import pytest
import torch

from diffmst_lib.style.averages import WINDOWS_AT_A_TIME, hann_window, mean_magnitude, mean_square


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def by_torch(x, n_fft, hop):
    window = torch.hann_window(n_fft, dtype=x.dtype)
    return torch.stft(x, n_fft, hop, window=window, return_complex=True).abs().mean(dim=-1)


@pytest.mark.parametrize("num_samples", [520, 1024, 5000, 256 * 3 * WINDOWS_AT_A_TIME + 1])
def test_value_and_gradient_are_those_of_torch(num_samples):
    ours, theirs = (noise(3, num_samples, dtype=torch.float64).requires_grad_() for _ in range(2))
    towards = noise(3, 513, seed=1, dtype=torch.float64)
    values = [mean_magnitude(ours, 1024, 256), by_torch(theirs, 1024, 256)]
    torch.testing.assert_close(*values)
    for value in values:
        (value * towards).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("num_samples", [1, 5, 33, 70])
def test_gradcheck_short_clips_included(num_samples):
    x = noise(2, num_samples, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mean_magnitude(x, 64, 16), x)
    assert torch.autograd.gradcheck(mean_square, x)


def test_clips_up_to_half_a_window_are_padded_with_zeros():
    x = noise(1, 100)
    padded = torch.nn.functional.pad(x, (0, 513 - 100))
    torch.testing.assert_close(mean_magnitude(x, 1024, 256), by_torch(padded, 1024, 256))


def test_silence_has_no_gradient_and_no_nan():
    x = torch.zeros(2, 3000, requires_grad=True)
    mean_magnitude(x, 1024, 256).sum().backward()
    assert (x.grad == 0).all()


def test_mean_square_is_exact_over_a_minute():
    x = noise(2, 44100 * 60)
    torch.testing.assert_close(mean_square(x).double(), x.double().square().mean(dim=-1), rtol=1e-6, atol=0)


def test_a_window_first_made_without_gradients_serves_training_later():
    hann_window.cache_clear()
    x = noise(1, 3000)
    with torch.inference_mode():
        mean_magnitude(x, 1024, 256)
    x.requires_grad_()
    mean_magnitude(x, 1024, 256).sum().backward()
    assert x.grad.abs().max() > 0


def test_second_derivatives_are_right_or_refused():
    x = noise(1, 2000, dtype=torch.float64).requires_grad_()
    short = noise(1, 9, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: mean_square(x).sum() + (x**3).sum(), short)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(mean_magnitude(x, 1024, 256).sum(), x, create_graph=True)


def test_without_gradients_nothing_is_kept():
    x = noise(2, 9000)
    assert mean_magnitude(x, 1024, 256).grad_fn is None
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        mean_magnitude(x, 1024, 256)
    assert not kept
