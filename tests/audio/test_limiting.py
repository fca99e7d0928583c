"""The limiter: its ceiling by other meters, what it leaves alone, and its blocks."""

import math

import numpy as np
import pytest
import scipy.signal
import torch

from diffmst_lib import InputError, data_dir, load_audio
from diffmst_lib.audio import limiting
from diffmst_lib.audio.limiting import LOOK_AHEAD_S, RELEASE_S, limit

RATE = 44100


def eightfold_peak_db(x):
    """The true peak by SciPy's polyphase filter, which is not the limiter's way of oversampling."""
    between = scipy.signal.resample_poly(x.double().numpy(), 8, 1, axis=-1)
    return 20 * math.log10(max(np.abs(between).max(), x.abs().max().item()))


def plain_gain_db(x, ceiling_db):
    """The limiter's equations, sample by sample, from an ideal interpolation of the whole sound."""
    length, ahead = x.shape[-1], round(LOOK_AHEAD_S * RATE)
    silence = np.zeros((len(x), 2000))
    padded = np.concatenate([silence, x.double().numpy(), silence], axis=1)
    fine = np.abs(scipy.signal.resample(padded, 8 * padded.shape[1], axis=1)).max(axis=0)
    over = np.zeros(length + 2 * ahead)  # from `ahead` before the sound to `ahead` after it
    for n in range(length):
        at = 8 * (2000 + n)
        over[ahead + n] = max(0.0, 20 * math.log10(fine[at - 8 : at + 9].max()) - ceiling_db)
    held = [over[n : n + ahead + 1].max() for n in range(length + ahead)]
    window = np.hanning(ahead + 3)[1:-1] / np.hanning(ahead + 3)[1:-1].sum()
    released, last = [], 0.0
    for h in held:
        last = max(h, math.exp(-1 / (RELEASE_S * RATE)) * last)
        released.append(last)
    return np.array([window @ released[n : n + ahead + 1][::-1] for n in range(length)])


def sounds():
    random, t = torch.Generator().manual_seed(0), torch.arange(RATE // 2)
    record = load_audio(data_dir() / "references" / "vibe_ace.ogg")[:, 5 * RATE : 8 * RATE]
    pulses = torch.zeros(1, RATE // 2)
    pulses[0, ::9000], pulses[0, -1] = 3.0, -2.0
    return {
        "a record, 9 dB up": 2.8 * record,
        "noise": torch.randn(2, RATE // 2, generator=random),
        "a click at the start": 3.0 * torch.eye(1, RATE // 4),
        "clicks, also at both ends": pulses,
        "a sine between the samples": 1.5 * torch.sin(math.pi / 2 * t + math.pi / 4)[None],
        "a tone near the top": 1.9 * torch.sin(2 * math.pi * 18_000 / RATE * t + 0.3)[None],
        "a square wave": 3.0 * torch.sign(torch.sin(t / 70))[None],
        "one sample": torch.full((2, 1), -4.0),
        "shorter than the look-ahead": 5.0 * torch.randn(2, 50, generator=random),
    }


@pytest.mark.parametrize("name", sounds())
@pytest.mark.parametrize("ceiling", [-1.0, 0.0, -9.0])
def test_the_ceiling_holds_by_another_meter(name, ceiling):
    x = sounds()[name]
    y, done = limit(x, ceiling_dbtp=ceiling)
    assert y.shape == x.shape and y.dtype == x.dtype
    assert eightfold_peak_db(y) <= ceiling + 0.1
    if eightfold_peak_db(x) > ceiling + 0.3:
        assert done.most_db >= eightfold_peak_db(x) - ceiling - 0.2 and 0.0 < done.share <= 1.0


def test_it_does_not_take_off_more_than_the_peak_asks_for():
    """A lone pulse in a quiet sound: it is at the ceiling behind the limiter, not below."""
    x = 0.05 * torch.sin(torch.arange(RATE) / 9)[None].repeat(2, 1)
    x[0, RATE // 2] = 2.0
    y, done = limit(x, ceiling_dbtp=-1.0)
    assert eightfold_peak_db(y) == pytest.approx(-1.0, abs=0.1)
    assert done.most_db == pytest.approx(eightfold_peak_db(x) + 1.0, abs=0.1)


def test_it_computes_what_its_equations_say(noise):
    x = 0.3 * noise(2, 6000)
    x[0, 1500], x[1, 3000] = 2.0, -1.5
    y, _ = limit(x, ceiling_dbtp=-1.0)
    wanted = x * 10 ** torch.from_numpy(-plain_gain_db(x, -1.0) / 20).float()
    gain_db = 20 * torch.log10((y / x)[x.abs() > 0.05] / (wanted / x)[x.abs() > 0.05])
    assert (
        gain_db.max() - gain_db.min() < 0.02
    )  # what the meter found over the ceiling is taken off everywhere
    assert -0.1 < gain_db.mean() < 0.01


def test_below_the_ceiling_nothing_changes(noise):
    x = 0.1 * noise(2, RATE)
    y, done = limit(x, ceiling_dbtp=-1.0)
    assert torch.equal(y, x) and (done.most_db, done.share) == (0.0, 0.0)
    silence = torch.zeros(2, 1000)
    assert torch.equal(limit(silence, ceiling_dbtp=-1.0)[0], silence)
    assert limit(torch.zeros(2, 0), ceiling_dbtp=-1.0)[0].shape == (2, 0)


def test_far_from_a_peak_the_sound_is_left_as_it_is(noise):
    x = 0.05 * noise(2, 2 * RATE)
    x[:, RATE] = 1.0  # 1 dB over
    y, _ = limit(x, ceiling_dbtp=-1.0)
    ratio = (y / x)[:, [100, RATE // 2, RATE - 2 * round(LOOK_AHEAD_S * RATE), RATE + 3 * RATE // 4]]
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=0.002)
    assert (y / x)[:, RATE - 10].max() < 0.95


def test_both_channels_get_the_same_gain(noise):
    x = 0.1 * noise(2, RATE)
    x[0, RATE // 2] = 3.0
    y, _ = limit(x, ceiling_dbtp=-1.0)
    torch.testing.assert_close(y[0] * x[1], y[1] * x[0], rtol=1e-4, atol=1e-9)


def test_blocks_do_not_show(noise, monkeypatch):
    x = noise(2, 30_000)
    whole, done = limit(x, ceiling_dbtp=-3.0)
    monkeypatch.setattr(limiting, "BLOCK", 4_000)
    blocks, again = limit(x, ceiling_dbtp=-3.0)
    assert (
        20 * (blocks - whole).abs().max().log10() < -60
    )  # the ends of blocks reach the oversampling a little
    assert again.most_db == pytest.approx(done.most_db, abs=0.02)
    assert again.share == pytest.approx(done.share, abs=0.01)


def test_the_sound_that_is_given_stays_as_it_is(noise):
    x = noise(2, 5000)
    before = x.clone()
    limit(x, ceiling_dbtp=-6.0)
    assert torch.equal(x, before)


@pytest.mark.parametrize("ceiling", [0.1, -31, math.nan, -math.inf, "-1", None])
def test_ceilings_that_are_none_cost_one_line(ceiling, noise):
    with pytest.raises(InputError, match=r"ceiling must be a number from -30 to 0 dBTP, got"):
        limit(noise(2, 100), ceiling_dbtp=ceiling)
