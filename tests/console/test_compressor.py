"""The compressor against a plain loop and closed forms, and its two ways to compute against each other."""

import math

import numpy as np
import pytest
import torch
from effect_settings import DYNAMICS, RATE, noise, smooth_loop

from diffmst_lib.console import effects


def test_static_curve():
    level = torch.tensor([-80.0, -40.0, -33.0, -30.0, -27.0, -10.0, 0.0])
    gain = effects.gain_computer(
        level, threshold_db=torch.tensor(-30.0), ratio=torch.tensor(4.0), knee_db=torch.tensor(6.0)
    )
    # below the knee 0; at the threshold slope W/8; above the knee slope times the excess
    np.testing.assert_allclose(gain, [0, 0, 0, -0.75 * 6 / 8, -0.75 * 3, -15, -22.5], atol=1e-5)


@pytest.mark.parametrize("early", [0, 300, 2999])
def test_compiled_loop_is_the_chain_of_steps(early):
    """The compiled loop and the chain of torch operations that runs on a GPU: sound and every gradient."""
    x, w = (3 * noise(2, 2, 3000, seed=s).double() for s in (0, 1))
    x[1, 1] = x[1, 0]  # equal channels share the side-chain's gradient
    chosen = {
        "threshold_db": [-20.0, -30.0],
        "ratio": [4.0, 2.0],
        "attack_ms": [1.0, 5.0],
        "release_ms": [10.0, 3.0],
        "knee_db": [6.0, 3.0],
        "makeup_gain_db": [1.0, 0.0],
    }
    out = []
    for backend in ("compiled", "steps"):
        knobs = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in chosen.items()}
        y = effects.compressor(
            x.requires_grad_(), sample_rate=RATE, lookahead_samples=early, backend=backend, **knobs
        )
        out.append([y.detach(), *torch.autograd.grad((y * w).sum(), [x, *knobs.values()])])
    for loop, steps in zip(*out, strict=True):
        torch.testing.assert_close(loop, steps, rtol=0, atol=1e-9 * steps.abs().max().item())


@pytest.mark.parametrize(("attack_ms", "release_ms"), [(5.0, 250.0), (100.0, 10.0), (250.0, 50.0)])
def test_attack_and_release_take_the_time_they_say(attack_ms, release_ms):
    second = RATE
    x = torch.cat(
        [torch.full((1, second), 1e-4), torch.ones(1, 2 * second), torch.full((1, 2 * second), 1e-4)], dim=1
    )
    y = effects.compressor(
        x, sample_rate=RATE, **(DYNAMICS | {"attack_ms": attack_ms, "release_ms": release_ms})
    )
    gain_db = 20 * torch.log10(y / x)[0].numpy()
    deepest = gain_db.min()

    def crossing(part, level, falling):
        below = part < level if falling else part > level
        return int(np.argmax(below))

    down, up = gain_db[second : 3 * second], gain_db[3 * second :]
    attack = crossing(down, 0.9 * deepest, True) - crossing(down, 0.1 * deepest, True)
    release = crossing(up, 0.1 * deepest, False) - crossing(up, 0.9 * deepest, False)
    assert attack / RATE * 1000 == pytest.approx(attack_ms, rel=0.02)
    assert release / RATE * 1000 == pytest.approx(release_ms, rel=0.02)


def test_a_steady_tone_keeps_its_gain_to_the_last_sample():
    y = effects.compressor(torch.full((1, RATE), 0.5), sample_rate=RATE, lookahead_samples=2048, **DYNAMICS)
    torch.testing.assert_close(y[:, -1], y[:, -4096])


@pytest.mark.parametrize("num_samples", [1, 2, 2048, 2049])
def test_lookahead_may_be_longer_than_the_clip(num_samples):
    y = effects.compressor(noise(1, num_samples), sample_rate=RATE, lookahead_samples=2048, **DYNAMICS)
    assert y.shape == (1, num_samples) and torch.isfinite(y).all()


def test_hard_knee_and_no_attack_are_finite():
    x = noise(1, 3000).requires_grad_()
    knobs = {
        k: torch.tensor([v], requires_grad=True)
        for k, v in (DYNAMICS | {"knee_db": 0.0, "attack_ms": 0.0}).items()
    }
    effects.compressor(x, sample_rate=RATE, **knobs).square().sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in (x, *knobs.values()))


def test_times_are_those_of_a_plain_loop_down_to_a_hundredth_of_a_millisecond():
    """The whole compressor, look-ahead 0, against the chapter's equations written out."""
    x = noise(1, 400, seed=3).double()
    for attack_ms, release_ms in ((0.02, 0.1), (0.0, 5.0), (3.0, 0.5)):
        knobs = DYNAMICS | {"attack_ms": attack_ms, "release_ms": release_ms}
        attack, release = (
            math.exp(-math.log(9) / (max(ms, 0.01) * RATE / 1000)) for ms in (attack_ms, release_ms)
        )
        level = 20 * torch.log10(x.abs().clamp(min=1e-8))
        curve = effects.gain_computer(level, **{k: knobs[k] for k in ("threshold_db", "ratio", "knee_db")})
        want = x * 10 ** (
            torch.tensor([smooth_loop(curve[0].tolist(), attack, release)], dtype=torch.float64) / 20
        )
        torch.testing.assert_close(effects.compressor(x, sample_rate=RATE, **knobs), want, rtol=0, atol=1e-9)


def test_lookahead_does_not_move_the_sound():
    click = torch.zeros(1, 8000)
    click[0, 4000] = 0.5
    y = effects.compressor(click, sample_rate=RATE, lookahead_samples=2048, **DYNAMICS)
    assert y[0].abs().argmax() == 4000
