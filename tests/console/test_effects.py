"""Each effect of the default preset against SciPy, closed forms, a plain loop, and its own extremes."""

import math
import re

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmst_lib.console import effects, released
from diffmst_lib.console.engines.ballistics import smooth
from diffmst_lib.console.params import param_table

RATE = 44100
EQ = [s for s in param_table("track") if s.effect == "eq"]
NEUTRAL = {
    "threshold_db": -30.0,
    "ratio": 4.0,
    "attack_ms": 5.0,
    "release_ms": 50.0,
    "knee_db": 6.0,
    "makeup_gain_db": 0.0,
}


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def eq_settings(unit):
    """Unit values (B, 6, 3) to the equalizer's settings over the whole range of the table."""
    out = []
    for i in range(3):
        low = torch.tensor([s.low for s in EQ[i::3]])
        high = torch.tensor([s.high for s in EQ[i::3]])
        out.append(low + unit[..., i] * (high - low) if i == 0 else low * (high / low) ** unit[..., i])
    return dict(zip(("gain_db", "frequency_hz", "q"), out))


def rbj_sections(gain_db, frequency_hz, q, rate):
    """Second-order sections of the Audio EQ Cookbook in float64."""
    sections = []
    for band, (g, f, quality) in enumerate(
        zip(*(np.asarray(v, dtype=float) for v in (gain_db, frequency_hz, q)))
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


@pytest.mark.parametrize("form", ["recursion", "fir"])
@pytest.mark.parametrize("num_samples", [2048, 44100])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rate", [RATE, 96_000])
def test_equalizer_equals_scipy_in_float64(num_samples, seed, rate, form):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(1, 6, 3, generator=generator)
    unit = unit.round() if seed % 2 else unit  # odd seeds: corners of the range
    chosen = eq_settings(unit)
    x = noise(1, num_samples, seed=seed)
    y = (
        effects.parametric_eq(x, sample_rate=rate, **chosen)
        if form == "recursion"
        else effects._fir_eq(x[:, None], rate, chosen)
    )
    y = y.flatten().double().numpy()
    want = scipy.signal.sosfilt(
        rbj_sections(*(chosen[k][0] for k in ("gain_db", "frequency_hz", "q")), rate), x[0].double().numpy()
    )
    error_db = 10 * np.log10(np.mean((y - want) ** 2) / np.mean(want**2))
    assert error_db < (-140 if form == "recursion" else -100)


def test_equalizer_gradients_are_those_of_the_fir():
    """Two ways to the same filter, the recursion with its own backward and autograd through FFTs."""
    x, w = noise(2, 2, 3000).double(), noise(2, 2, 3000, seed=1).double()
    chosen = {
        k: v.double()
        for k, v in eq_settings(
            0.2 + 0.6 * torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(1))
        ).items()
    }
    grads = []
    for form in (effects.parametric_eq, lambda x, sample_rate, **s: effects._fir_eq(x, sample_rate, s)):
        knobs = {k: v.clone().requires_grad_() for k, v in chosen.items()}
        y = form(x.requires_grad_(), sample_rate=RATE, **knobs)
        grads.append(torch.autograd.grad((y * w).sum(), [x, *knobs.values()]))
    for recursion, fir in zip(*grads):
        torch.testing.assert_close(recursion, fir, rtol=0, atol=1e-6 * fir.abs().max().item())


def test_equalizer_channels_share_settings_and_flat_is_identity():
    x = noise(2, 2, 3000)
    chosen = eq_settings(torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(1)))
    both = effects.parametric_eq(x, sample_rate=RATE, **chosen)
    for channel in range(2):
        torch.testing.assert_close(
            both[:, channel], effects.parametric_eq(x[:, channel], sample_rate=RATE, **chosen)
        )
    flat = chosen | {"gain_db": torch.zeros(2, 6)}
    torch.testing.assert_close(effects.parametric_eq(x, sample_rate=RATE, **flat), x, rtol=0, atol=1e-6)


def test_convolution_is_numpys_and_passes_gradcheck():
    x, fir = noise(3, 100).double(), noise(1, 40, seed=1).double()
    want = np.stack([np.convolve(row, fir[0])[:100] for row in x.numpy()])
    np.testing.assert_allclose(effects.fft_convolve(x, fir).numpy(), want, atol=1e-12)
    assert torch.autograd.gradcheck(
        effects.fft_convolve, (x[:2, :20].requires_grad_(), fir[:, :7].requires_grad_())
    )


def test_static_curve():
    level = torch.tensor([-80.0, -40.0, -33.0, -30.0, -27.0, -10.0, 0.0])
    gain = effects.gain_computer(
        level, threshold_db=torch.tensor(-30.0), ratio=torch.tensor(4.0), knee_db=torch.tensor(6.0)
    )
    # below the knee 0; at the threshold slope W/8; above the knee slope times the excess
    np.testing.assert_allclose(gain, [0, 0, 0, -0.75 * 6 / 8, -0.75 * 3, -15, -22.5], atol=1e-5)


def smooth_loop(x, attack, release):
    y, state = [], 0.0
    for value in x:
        pole = attack if value < state else release
        state = pole * state + (1 - pole) * value
        y.append(state)
    return y


def test_smoother_equals_a_plain_loop_and_passes_gradcheck():
    x = -10 * torch.rand(2, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    attack, release = (
        torch.tensor([0.3, 0.9], dtype=torch.float64),
        torch.tensor([0.8, 0.95], dtype=torch.float64),
    )
    want = [smooth_loop(*row) for row in zip(x.tolist(), attack.tolist(), release.tolist())]
    np.testing.assert_allclose(smooth(x, attack, release).numpy(), want, atol=1e-12)
    assert torch.autograd.gradcheck(smooth, tuple(t.requires_grad_() for t in (x, attack, release)))


@pytest.mark.parametrize("early", [0, 300, 2999])
def test_compressor_in_one_loop_is_the_compressor_in_steps(early):
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
    for form in (
        lambda x, s: effects.compressor(x, sample_rate=RATE, lookahead_samples=early, **s),
        lambda x, s: effects._compress_in_steps(x, RATE, s, early),
    ):
        knobs = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in chosen.items()}
        y = form(x.requires_grad_(), knobs)
        out.append([y.detach(), *torch.autograd.grad((y * w).sum(), [x, *knobs.values()])])
    for loop, steps in zip(*out):
        torch.testing.assert_close(loop, steps, rtol=0, atol=1e-9 * steps.abs().max().item())


@pytest.mark.parametrize(("attack_ms", "release_ms"), [(5.0, 250.0), (100.0, 10.0), (250.0, 50.0)])
def test_attack_and_release_take_the_time_they_say(attack_ms, release_ms):
    second = RATE
    x = torch.cat(
        [torch.full((1, second), 1e-4), torch.ones(1, 2 * second), torch.full((1, 2 * second), 1e-4)], dim=1
    )
    y = effects.compressor(
        x, sample_rate=RATE, **(NEUTRAL | {"attack_ms": attack_ms, "release_ms": release_ms})
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
    y = effects.compressor(torch.full((1, RATE), 0.5), sample_rate=RATE, lookahead_samples=2048, **NEUTRAL)
    torch.testing.assert_close(y[:, -1], y[:, -4096])


@pytest.mark.parametrize("num_samples", [1, 2, 2048, 2049])
def test_lookahead_may_be_longer_than_the_clip(num_samples):
    y = effects.compressor(noise(1, num_samples), sample_rate=RATE, lookahead_samples=2048, **NEUTRAL)
    assert y.shape == (1, num_samples) and torch.isfinite(y).all()


def test_hard_knee_and_no_attack_are_finite():
    x = noise(1, 3000).requires_grad_()
    knobs = {
        k: torch.tensor([v], requires_grad=True)
        for k, v in (NEUTRAL | {"knee_db": 0.0, "attack_ms": 0.0}).items()
    }
    effects.compressor(x, sample_rate=RATE, **knobs).square().sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in (x, *knobs.values()))


def test_times_are_those_of_a_plain_loop_down_to_a_hundredth_of_a_millisecond():
    """The whole compressor, look-ahead 0, against the equations of chapter 4 written out."""
    x = noise(1, 400, seed=3).double()
    for attack_ms, release_ms in ((0.02, 0.1), (0.0, 5.0), (3.0, 0.5)):
        knobs = NEUTRAL | {"attack_ms": attack_ms, "release_ms": release_ms}
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
    y = effects.compressor(click, sample_rate=RATE, lookahead_samples=2048, **NEUTRAL)
    assert y[0].abs().argmax() == 4000


def test_compressor_without_release_is_dasps_away_from_its_faults():
    """Where attack and release are equal and nothing is delayed, both compute the same smoother."""
    x = noise(2, RATE)
    same = {k: torch.full((2,), v) for k, v in (NEUTRAL | {"attack_ms": 20.0, "release_ms": 20.0}).items()}
    torch.testing.assert_close(
        effects.compressor(x, sample_rate=RATE, **same),
        released.compressor(x, sample_rate=RATE, **same),
        rtol=0,
        atol=1e-4,
    )


def test_every_effect_has_a_dasp_counterpart_with_the_same_sound():
    x = noise(2, RATE)
    torch.testing.assert_close(
        effects.gain(x, gain_db=torch.tensor([3.0, -3.0])),
        released.gain(x, gain_db=torch.tensor([3.0, -3.0])),
    )
    pan = torch.tensor([0.2, 0.9])
    torch.testing.assert_close(effects.panner(x, pan=pan), released.panner(x, pan=pan))
    mild = {
        "gain_db": torch.full((2, 6), 3.0),
        "q": torch.full((2, 6), 0.7),
        "frequency_hz": torch.tensor([[200.0, 400.0, 1000.0, 3000.0, 6000.0, 8000.0]] * 2),
    }
    torch.testing.assert_close(
        effects.parametric_eq(x, sample_rate=RATE, **mild),
        released.parametric_eq(x, sample_rate=RATE, **mild),
        rtol=0,
        atol=1e-4,
    )


def test_pan_law():
    gains = effects.pan_gains(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(gains[[0, 2]], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert 20 * math.log10(gains[1, 0]) == pytest.approx(-4.515, abs=0.01)
    pan = torch.tensor([0.0, 1.0], requires_grad=True)
    effects.pan_gains(pan)[:, 1].sum().backward()
    assert torch.isfinite(pan.grad).all()
    assert pan.grad[0].item() == pytest.approx(math.sqrt(math.pi / 2), rel=1e-4)


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 96000])
def test_reverb_repeats_itself_has_a_tail_and_gradients(rate):
    click = torch.zeros(1, 2, rate)
    click[:, :, 0] = 1.0
    settings_ = [torch.full((1, 12), 0.5, requires_grad=True), torch.full((1, 12), 0.2, requires_grad=True)]
    y, again = (
        effects.reverb(
            click, sample_rate=rate, band_gains=settings_[0], band_decays=settings_[1], mix=torch.ones(1)
        )
        for _ in range(2)
    )
    assert torch.equal(y, again)
    assert y[..., rate // 4 :].abs().max() > 0
    y.square().sum().backward()
    assert all(torch.isfinite(s.grad).all() for s in settings_) and settings_[0].grad.abs().sum() > 0


@pytest.mark.parametrize("rate", [16000, 22050, 96000, 192000])
def test_reverb_is_as_loud_at_every_sample_rate(rate):
    """A sound between 300 and 3000 Hz: the level of the answer against the sound, beside that at 44.1 kHz."""
    levels = []
    for r in (RATE, rate):
        sos = scipy.signal.butter(4, [300, 3000], "bandpass", fs=r, output="sos")
        x = scipy.signal.sosfilt(sos, np.random.default_rng(0).standard_normal((1, 2, 3 * r)))
        x = torch.from_numpy(x).float()
        room = torch.full((1, 12), 0.5)
        y = effects.reverb(x, sample_rate=r, band_gains=room, band_decays=room, mix=1.0)
        levels.append(10 * math.log10(y.square().mean() / x.square().mean()))
    assert levels[1] == pytest.approx(levels[0], abs=1.0)


def test_reverb_is_not_rounded_by_autocast():
    x, room = noise(1, 2, 4000), torch.full((1, 12), 0.5)
    want = effects.reverb(x, sample_rate=RATE, band_gains=room, band_decays=room, mix=1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(
            effects.reverb(x, sample_rate=RATE, band_gains=room, band_decays=room, mix=1.0), want
        )


def test_reverb_shape_is_dasps():
    """The noises differ, the energy in early and late parts agrees."""
    click = torch.zeros(1, 2, 20000)
    click[:, :, 0] = 1.0
    settings_ = {
        "band_gains": torch.full((1, 12), 0.6),
        "band_decays": torch.full((1, 12), 0.4),
        "mix": torch.ones(1),
    }
    torch.manual_seed(0)
    with torch.no_grad():
        pair = [fx.reverb(click, sample_rate=RATE, **settings_) for fx in (effects, released)]
    for part in (slice(0, 8000), slice(12000, 20000)):
        ours, theirs = (y[..., part].square().mean().log10() * 10 for y in pair)
        assert abs(ours - theirs) < 1.0


SIGNALS = {
    "silence": torch.zeros(1, 3000),
    "one sample": torch.ones(1, 1),
    "full-scale sine": torch.sin(torch.arange(3000.0))[None],
    "denormal": torch.full((1, 3000), 1e-40),
    "loud": 100 * noise(1, 3000),
}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_strip_effects_stay_finite_at_the_ends_of_every_range(signal, corner):
    x = SIGNALS[signal].clone().requires_grad_()
    eq = {k: v.clone().requires_grad_() for k, v in eq_settings(torch.full((1, 6, 3), corner)).items()}
    dynamics = {
        s.name: torch.tensor([s.low if corner == 0 else s.high], requires_grad=True)
        for s in param_table("track")
        if s.effect == "compressor"
    }
    pan = torch.tensor([corner], requires_grad=True)
    y = effects.panner(
        effects.compressor(
            effects.parametric_eq(x, sample_rate=RATE, **eq),
            sample_rate=RATE,
            lookahead_samples=2048,
            **dynamics,
        ),
        pan=pan,
    )
    y.square().sum().backward()
    assert torch.isfinite(y).all()
    for tensor in (x, *eq.values(), *dynamics.values(), pan):
        assert torch.isfinite(tensor.grad).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 4), st.integers(0, 1000))
def test_batch_equals_loop(num_samples, batch, seed):
    x = noise(batch, num_samples, seed=seed)
    chosen = eq_settings(torch.rand(batch, 6, 3, generator=torch.Generator().manual_seed(seed)))
    whole = effects.compressor(
        effects.parametric_eq(x, sample_rate=RATE, **chosen), sample_rate=RATE, **NEUTRAL
    )
    for i in range(batch):
        one = effects.parametric_eq(
            x[i : i + 1], sample_rate=RATE, **{k: v[i : i + 1] for k, v in chosen.items()}
        )
        torch.testing.assert_close(
            whole[i : i + 1], effects.compressor(one, sample_rate=RATE, **NEUTRAL), rtol=1e-4, atol=1e-5
        )


FLAT = {"gain_db": torch.zeros(1, 6), "frequency_hz": torch.full((1, 6), 1000.0), "q": torch.ones(1, 6)}
REVERB = {"band_gains": torch.ones(1, 12), "band_decays": torch.ones(1, 12), "mix": 1.0}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e6])
@pytest.mark.parametrize(
    ("effect", "good", "name"),
    [
        *((effects.parametric_eq, FLAT, name) for name in FLAT),
        *((effects.compressor, NEUTRAL, name) for name in NEUTRAL),
        *((effects.reverb, REVERB, name) for name in REVERB),
        (effects.gain, {}, "gain_db"),
        (effects.panner, {}, "pan"),
    ],
)
def test_values_out_of_range_are_named_with_the_range(effect, good, name, bad):
    x = noise(1, 2, 10) if effect is effects.reverb else noise(1, 10)
    rate = {} if effect in (effects.gain, effects.panner) else {"sample_rate": RATE}
    value = good.get(name, 0.5)
    value = value.clone().index_fill_(1, torch.tensor([3]), bad) if isinstance(value, torch.Tensor) else bad
    with pytest.raises(ValueError, match=rf"^{name} = {re.escape(f'{bad:g}')} is outside \S+ to \S+$"):
        effect(x, **rate, **(good | {name: value}))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: effects.parametric_eq(
                noise(2, 10),
                sample_rate=RATE,
                gain_db=torch.zeros(1, 6),
                frequency_hz=torch.ones(2, 6),
                q=torch.ones(2, 6),
            ),
            "gain_db must be",
        ),
        (lambda: effects.panner(noise(1, 2, 10), pan=torch.tensor([0.5])), "mono tracks"),
        (
            lambda: effects.reverb(
                noise(1, 10),
                sample_rate=RATE,
                band_gains=torch.ones(1, 12),
                band_decays=torch.ones(1, 12),
                mix=torch.ones(1),
            ),
            "stereo",
        ),
        (lambda: effects.gain(noise(2, 10), gain_db=torch.zeros(3)), "gain_db must be"),
        (
            lambda: effects.parametric_eq(
                noise(1, 10),
                sample_rate=8000,
                gain_db=torch.zeros(1, 6),
                frequency_hz=torch.full((1, 6), 5e3),
                q=torch.ones(1, 6),
            ),
            "frequency_hz = 5000 is outside 1 to 3992",
        ),
        (lambda: effects.gain(noise(10), gain_db=torch.zeros(1)), "audio must be"),
        (
            lambda: effects.compressor(noise(1, 10), sample_rate=RATE, lookahead_samples=10.0, **NEUTRAL),
            "whole number of at least 0, got 10.0",
        ),
        (
            lambda: effects.compressor(noise(1, 10), sample_rate=RATE, lookahead_samples=-1, **NEUTRAL),
            "whole number of at least 0, got -1",
        ),
        (
            lambda: effects.compressor(noise(1, 10), sample_rate=0, **NEUTRAL),
            "sample_rate must be a number above 0 Hz, got 0",
        ),
        (
            lambda: effects.compressor(noise(1, 0), sample_rate=RATE, **NEUTRAL),
            r"audio must be .* got \(1, 0\)",
        ),
        (lambda: effects.pan_gains(torch.tensor(1.5)), "pan = 1.5 is outside 0 to 1"),
        (
            lambda: effects.eq_response(64, sample_rate=RATE, **(FLAT | {"q": torch.zeros(1, 6)})),
            "q = 0 is outside 0.01 to 100",
        ),
        (
            lambda: effects.gain(noise(1, 10).half(), gain_db=0.0),
            "audio must be float32 or float64, got float16",
        ),
        (
            lambda: effects.panner(torch.ones(1, 10, dtype=torch.int16), pan=0.5),
            "audio must be float32 or float64, got int16",
        ),
        (
            lambda: effects.reverb(
                noise(1, 2, 10),
                sample_rate=RATE,
                band_gains=torch.ones(1, 12),
                band_decays=torch.ones(12),
                mix=0.5,
            ),
            r"band_decays must be \(1, 12\)",
        ),
        (
            lambda: effects.parametric_eq(noise(1, 10), sample_rate=RATE, **(FLAT | {"q": 0.7})),
            "q must be .* got float",
        ),
    ],
)
def test_wrong_shapes_name_the_shape_wanted(call, words):
    with pytest.raises(ValueError, match=words):
        call()
