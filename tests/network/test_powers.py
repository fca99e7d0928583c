"""Powers in bands: those of sounds, and what strips do to them, as the console does to sound."""

import pytest
import torch

from diffmst_lib import ConsoleParams, MixingConsole
from diffmst_lib.console.table import knob_index
from diffmst_lib.network.powers import BANDS, N_FFT, band_power, gained, strip_response_db, through_strips

RATE = 44100


def tone(frequency_hz, left=1.0, right=1.0, samples=4 * N_FFT):
    x = torch.sin(2 * torch.pi * frequency_hz * torch.arange(samples) / RATE)
    return torch.stack([left * x, right * x])


def batch(params):
    """The console of one song as a batch of one."""
    parts = params.tracks, params.fx_bus_values, params.master_bus_values
    return ConsoleParams(*(part[None].clone() for part in parts), preset=params.preset)


def decibels(power):
    return 10 * torch.log10(power)


def test_a_tone_in_the_middle_has_its_power_in_the_mid_and_one_band():
    mid, side, product = band_power(tone(1000.0))
    assert (side == 0).all() and (product == 0).all() and mid.topk(2).values.sum() > 0.98 * mid.sum()
    # Left + right has an amplitude of 2, and the frames are those of one window after the other.
    bins = torch.fft.rfft(2 * tone(1000.0)[0, :N_FFT] * torch.hann_window(N_FFT)).abs().square()
    assert mid.sum() == pytest.approx(bins.sum().item() * (2 / N_FFT) ** 2, rel=0.01)
    against = band_power(tone(1000.0, 1.0, -1.0))
    torch.testing.assert_close(against, torch.stack([side, mid, product]))


@pytest.mark.parametrize(("left", "right"), [(1.0, 0.0), (0.0, 1.0), (1.0, 0.5), (0.5, -1.0)])
def test_the_product_tells_left_from_right(left, right):
    mid, side, product = band_power(tone(1000.0, left, right)).sum(dim=-1)
    lean = (left**2 - right**2) / (left**2 + right**2)
    assert (2 * product / (mid + side)).item() == pytest.approx(lean, abs=1e-5)


def test_power_is_a_mean_over_time_that_counts_silence(noise):
    x = noise(2, 2 * N_FFT)
    doubled = torch.cat([x, torch.zeros_like(x)], dim=-1)
    torch.testing.assert_close(band_power(doubled), band_power(x) / 2)


@pytest.mark.parametrize("samples", [1, N_FFT - 1, N_FFT + 1])
def test_short_sounds_and_shapes(noise, samples):
    power = band_power(noise(2, 3, 2, samples))
    assert power.shape == (2, 3, 3, BANDS) and torch.isfinite(power).all() and (power[..., :2, :] >= 0).all()
    torch.testing.assert_close(band_power(noise(2, 3, 2, samples)[1, 2]), power[1, 2])


def test_half_precision_around_it_changes_nothing(noise):
    x = noise(1, 3, 2, 20_000)
    with torch.autocast("cpu", torch.bfloat16):
        found = band_power(x)
    assert torch.equal(found, band_power(x))


@pytest.mark.parametrize(
    "knobs", [{"fader_db": -7.0}, {"width": 0.3}, {"pan": 0.85}, {"pan": 0.2, "width": 1.7, "fader_db": 3.0}]
)
def test_powers_behind_strips_are_those_of_the_console(noise, knobs):
    """Also of a stem that leans, whose mid and side have much in common."""
    stem = (noise(2, 5 * N_FFT) + torch.tensor([[0.8], [0.3]]) * noise(1, 5 * N_FFT, seed=1))[None]
    params = ConsoleParams.neutral(["pad"])
    for name, value in knobs.items():
        params.track("pad")[name] = value
    (wet,) = MixingConsole(RATE).strips(stem, params)
    found = through_strips(band_power(stem)[None], batch(params))[0, 0]
    torch.testing.assert_close(found, band_power(wet), rtol=1e-3, atol=1e-3 * float(found[0].min()))


def test_an_equalizer_is_a_factor_in_each_band(noise):
    stem, params = noise(1, 2, 30 * N_FFT), ConsoleParams.neutral(["pad"])
    for name, value in {"peak_2_gain_db": 8.0, "peak_2_q": 0.4, "high_shelf_gain_db": -6.0}.items():
        params.track("pad")[name] = value
    (wet,) = MixingConsole(RATE).strips(stem, params)
    found = through_strips(band_power(stem)[None], batch(params))[0, 0]
    torch.testing.assert_close(decibels(found[:2]), decibels(band_power(wet)[:2]), rtol=0, atol=1.0)
    assert strip_response_db(params).max() > 7.0 and strip_response_db(params).min() < -5.0


def test_neutral_strips_change_nothing_and_a_fader_at_its_end_is_silence(noise):
    power, params = band_power(noise(1, 2, 2, 9000)), batch(ConsoleParams.neutral(["a", "b"]))
    torch.testing.assert_close(through_strips(power, params), power)
    params.tracks[0, 1, knob_index("fader_db")] = -60.0
    assert (through_strips(power, params)[0, 1] == 0).all()


def test_pan_and_width_of_a_sum_act_on_the_sum(noise):
    """Powers of stems that have nothing in common add up, and gains are linear in them."""
    power, gain = band_power(noise(3, 2, 9000)), torch.rand(BANDS) + 0.5
    width, pan = torch.tensor(0.4), torch.tensor(0.7)
    each = gained(power, gain.expand(3, -1), width.expand(3), pan.expand(3)).sum(dim=0)
    torch.testing.assert_close(gained(power.sum(dim=0), gain, width, pan), each)


def test_responses_and_powers_have_gradients(noise):
    params = batch(ConsoleParams.neutral(["a", "b"]))
    params.tracks.requires_grad_()
    power = through_strips(band_power(noise(1, 2, 2, 9000)), params)
    (power.sum() + strip_response_db(params).sum()).backward()
    assert torch.isfinite(params.tracks.grad).all()
    for name in ("fader_db", "peak_1_gain_db", "width", "pan"):
        assert (params.tracks.grad[..., knob_index(name)] != 0).all(), name
