"""The compiled chain of biquads against SciPy and finite differences, across the edges of its blocks."""

import numpy as np
import pytest
import scipy.signal
import torch

from diffmst_lib.console.engines.equalizer import BLOCK, CascadeStream, biquad_cascade


def draw(rows, sections, num_samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, num_samples, dtype=torch.float64, generator=generator)
    c = torch.tensor([1.0, -1.5, 0.7, -1.2, 0.5], dtype=torch.float64)
    return x, c + 0.05 * torch.randn(rows, sections, 5, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("num_samples", [1, 2, BLOCK, BLOCK + 1, 3 * BLOCK - 1])
def test_equals_scipy(num_samples):
    x, c = draw(3, 6, num_samples)
    y = biquad_cascade(x, c)
    for row in range(3):
        sections = np.insert(c[row].numpy(), 3, 1.0, axis=1)
        np.testing.assert_allclose(y[row], scipy.signal.sosfilt(sections, x[row].numpy()), atol=1e-12)


def test_passes_gradcheck():
    x, c = draw(2, 3, 25)
    assert torch.autograd.gradcheck(biquad_cascade, (x.requires_grad_(), c.requires_grad_()))


@pytest.mark.parametrize("num_samples", [BLOCK, BLOCK + 1, 2 * BLOCK + 7])
def test_gradient_crosses_the_edges_of_blocks(num_samples):
    x, c = draw(2, 2, num_samples)
    w, dx, dc = (draw(2, 2, num_samples, seed)[i] for seed, i in ((1, 0), (2, 0), (3, 1)))
    want = (
        sum(sign * (biquad_cascade(x + sign * 1e-6 * dx, c + sign * 1e-6 * dc) * w).sum() for sign in (1, -1))
        / 2e-6
    )
    loss = (biquad_cascade(x.requires_grad_(), c.requires_grad_()) * w).sum()
    grad_x, grad_c = torch.autograd.grad(loss, (x, c))
    assert ((grad_x * dx).sum() + (grad_c * dc).sum()).item() == pytest.approx(want.item(), rel=1e-7)


def test_threads_change_nothing():
    x, c = draw(5, 6, 3000)
    threads = torch.get_num_threads()
    try:
        outs = []
        for n in (1, 3):
            torch.set_num_threads(n)
            outs.append(biquad_cascade(x, c))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*outs)


def test_a_ringing_filter_falls_silent():
    """States that decay for long end as zeros, not as the very small numbers that slow a processor down."""
    x = torch.zeros(1, 20_000)
    x[0, 0] = 1.0
    ringing = torch.tensor([[[1.0, 0.0, 0.0, -1.6, 0.8]]], dtype=torch.float64)
    y = biquad_cascade(x, ringing)[0]
    assert y[:100].abs().min() > 0 and not y[5000:].any()


@pytest.mark.parametrize("shapes", [((3,), (1, 1, 5)), ((2, 9), (1, 6, 5)), ((2, 9), (2, 6, 4))])
def test_wrong_shapes_name_the_shape_wanted(shapes):
    with pytest.raises(ValueError, match=r"takes \(B, T\) and \(B, sections, 5\)"):
        biquad_cascade(*(torch.zeros(s) for s in shapes))


@pytest.mark.parametrize("length", [1, 100, BLOCK, 1000, 5000])
def test_blocks_give_what_one_pass_gives(length):
    x, c = draw(2, 6, 3 * BLOCK + 7)
    stream = CascadeStream(2, 6)
    parts = [stream(part, c[:1], np.array([0, part.shape[1]])) for part in x.split(length, dim=1)]
    np.testing.assert_allclose(
        torch.cat(parts, dim=1), biquad_cascade(x, c[:1].expand(2, -1, -1)), atol=1e-12
    )


def test_filters_that_change_go_on_from_the_states_of_those_before():
    """Against SciPy, which takes and returns the same two states a section."""
    x, c = draw(1, 6, 900)
    _, other = draw(1, 6, 1, seed=1)
    edges = np.array([0, 250, 251, 900])
    y = CascadeStream(1, 6)(x, torch.cat([c, other, c]), edges)
    want, state = [], np.zeros((6, 2))
    for section, start, stop in zip((c, other, c), edges[:-1], edges[1:], strict=True):
        sections = np.insert(section[0].numpy(), 3, 1.0, axis=1)
        part, state = scipy.signal.sosfilt(sections, x[0, start:stop].numpy(), zi=state)
        want.append(part)
    np.testing.assert_allclose(y[0], np.concatenate(want), atol=1e-12)
