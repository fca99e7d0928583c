"""The compressor's compiled loop: gradcheck, the edges of its blocks, threads, wrong shapes."""

import numpy as np
import pytest
import torch

from diffmst_lib.console.engines.compressor import BLOCK, CompressorStream, compress


def draw(rows, channels, num_samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = 0.5 * torch.randn(rows, channels, num_samples, dtype=torch.float64, generator=generator)
    #                  threshold, slope, knee, attack, release, make-up
    low = torch.tensor([-30.0, -0.9, 3.0, 0.2, 0.6, 0.0], dtype=torch.float64)
    high = torch.tensor([-20.0, -0.5, 9.0, 0.6, 0.95, 3.0], dtype=torch.float64)
    return x, low + (high - low) * torch.rand(rows, 6, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("early", [0, 3, 19])
@pytest.mark.parametrize("channels", [1, 2])
def test_passes_gradcheck(early, channels):
    x, settings = draw(2, channels, 20)
    assert torch.autograd.gradcheck(
        lambda x, s: compress(x, s, early), (x.requires_grad_(), settings.requires_grad_())
    )


@pytest.mark.parametrize("num_samples", [BLOCK, BLOCK + 1, 3 * BLOCK - 1])
@pytest.mark.parametrize("early", [0, 100, BLOCK - 1])
def test_gradient_crosses_the_edges_of_blocks(num_samples, early):
    x, settings = draw(2, 2, num_samples)
    w, dx, ds = (
        draw(2, 2, num_samples, 1)[0],
        draw(2, 2, num_samples, 2)[0],
        draw(2, 2, num_samples, 3)[1] / 100,
    )
    step = 1e-7
    up, down = (
        (compress(x + sign * step * dx, settings + sign * step * ds, early) * w).sum() for sign in (1, -1)
    )
    loss = (compress(x.requires_grad_(), settings.requires_grad_(), early) * w).sum()
    grad_x, grad_s = torch.autograd.grad(loss, (x, settings))
    want = ((up - down) / (2 * step)).item()
    assert ((grad_x * dx).sum() + (grad_s * ds).sum()).item() == pytest.approx(want, rel=1e-5)


def test_threads_change_nothing():
    x, settings = draw(5, 2, 3000)
    threads = torch.get_num_threads()
    try:
        outs = []
        for n in (1, 3):
            torch.set_num_threads(n)
            outs.append(compress(x, settings, 100))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*outs)


def test_the_gain_returns_to_exactly_zero():
    """After a burst the gain decays to 0 dB, not to the very small numbers that slow a processor down."""
    x = torch.full((1, 1, 20_000), 1e-3, dtype=torch.float64)
    x[..., :100] = 1.0
    y = compress(x, torch.tensor([[-20.0, -0.75, 6.0, 0.9, 0.99, 0.0]], dtype=torch.float64), 0)
    assert y[0, 0, 150] < x[0, 0, 150] and torch.equal(y[..., -1], x[..., -1])


@pytest.mark.parametrize("arguments", [((2, 9), (2, 6), 0), ((2, 1, 9), (1, 6), 0), ((2, 1, 9), (2, 6), 9)])
def test_wrong_shapes_name_the_shape_wanted(arguments):
    x, settings, early = arguments
    with pytest.raises(ValueError, match=r"compress takes \(B, C, T\)"):
        compress(torch.zeros(x), torch.zeros(settings), early)


@pytest.mark.parametrize("early", [0, 100, BLOCK + 3, 1999])
@pytest.mark.parametrize("length", [1, 70, BLOCK, 3000])
def test_blocks_give_what_one_pass_gives(early, length):
    x, settings = draw(1, 2, 2000)
    stream = CompressorStream(early)
    parts = [stream(part, settings, np.array([0, part.shape[1]])) for part in x[0].split(length, dim=1)]
    before, after = (torch.cat(sounds, dim=1) for sounds in zip(*parts, stream.rest(), strict=True))
    assert torch.equal(before, x[0])
    torch.testing.assert_close(after, compress(x, settings, early)[0], rtol=0, atol=1e-12)


def test_settings_that_change_go_on_from_the_gain_of_those_before():
    """No ballistics in the second step: its gain is that of the curve; the first is as if it went on alone."""
    loud = torch.full((1, 300), 0.5, dtype=torch.float64)
    slow = torch.tensor([[-20.0, -0.5, 0.0, 0.99, 0.99, 0.0]], dtype=torch.float64)
    at_once = torch.tensor([[-10.0, -0.5, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    _, y = CompressorStream(0)(loud, torch.cat([slow, at_once, slow]), np.array([0, 100, 200, 300]))
    torch.testing.assert_close(y[:, :100], compress(loud[None, :, :100], slow, 0)[0])
    level_db = 20.0 * np.log10(0.5)
    assert y[0, 150].item() == pytest.approx(0.5 * 10.0 ** (-0.5 * (level_db + 10.0) / 20.0), rel=1e-9)
    assert abs(y[0, 200] - y[0, 199]) < 0.01 * y[0, 199]  # no step: the smoother starts where it was


def test_a_sound_that_never_came_has_no_rest():
    with pytest.raises(ValueError, match="never came"):
        CompressorStream(3).rest()
