"""The doors of the effects: what they refuse, the ends of every range, batches."""

import re

import pytest
import torch
from effect_settings import DYNAMICS, RATE, eq_settings, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmst_lib.console import effects
from diffmst_lib.console.table import param_table

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
    image = {name: torch.tensor([corner], requires_grad=True) for name in ("width", "pan")}
    y = effects.compressor(
        effects.parametric_eq(x, sample_rate=RATE, **eq), sample_rate=RATE, lookahead_samples=2048, **dynamics
    )
    y = effects.width(torch.stack([y, 0.5 * y], dim=1), width=image["width"])
    y = effects.panner(y, pan=image["pan"])
    y.square().sum().backward()
    assert torch.isfinite(y).all()
    for tensor in (x, *eq.values(), *dynamics.values(), *image.values()):
        assert torch.isfinite(tensor.grad).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 4), st.integers(0, 1000))
def test_batch_equals_loop(num_samples, batch, seed):
    x = noise(batch, num_samples, seed=seed)
    chosen = eq_settings(torch.rand(batch, 6, 3, generator=torch.Generator().manual_seed(seed)))
    whole = effects.compressor(
        effects.parametric_eq(x, sample_rate=RATE, **chosen), sample_rate=RATE, **DYNAMICS
    )
    for i in range(batch):
        one = effects.parametric_eq(
            x[i : i + 1], sample_rate=RATE, **{k: v[i : i + 1] for k, v in chosen.items()}
        )
        torch.testing.assert_close(
            whole[i : i + 1], effects.compressor(one, sample_rate=RATE, **DYNAMICS), rtol=1e-4, atol=1e-5
        )


FLAT = {"gain_db": torch.zeros(1, 6), "frequency_hz": torch.full((1, 6), 1000.0), "q": torch.ones(1, 6)}


REVERB = {"band_gains": torch.ones(1, 12), "band_decays": torch.ones(1, 12), "mix": 1.0}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e6])
@pytest.mark.parametrize(
    ("effect", "good", "name"),
    [
        *((effects.parametric_eq, FLAT, name) for name in FLAT),
        *((effects.compressor, DYNAMICS, name) for name in DYNAMICS),
        *((effects.reverb, REVERB, name) for name in REVERB),
        (effects.gain, {}, "gain_db"),
        (effects.panner, {}, "pan"),
        (effects.width, {}, "width"),
    ],
)
def test_values_out_of_range_are_named_with_the_range(effect, good, name, bad):
    x = noise(1, 2, 10) if effect in (effects.reverb, effects.width) else noise(1, 10)
    rate = {} if effect in (effects.gain, effects.panner, effects.width) else {"sample_rate": RATE}
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
        (
            lambda: effects.panner(noise(1, 3, 10), pan=torch.tensor([0.5])),
            r"the panner takes mono .* or stereo .*, got \(1, 3, 10\)",
        ),
        (lambda: effects.panner(noise(2, 10), pan=torch.zeros(3)), r"pan must be a number or \(2,\)"),
        (lambda: effects.width(noise(2, 10), width=1.0), r"the width takes stereo .*, got \(2, 10\)"),
        (lambda: effects.width(noise(1, 2, 10).half(), width=1.0), "got float16"),
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
            lambda: effects.compressor(noise(1, 10), sample_rate=RATE, lookahead_samples=10.0, **DYNAMICS),
            "whole number of at least 0, got 10.0",
        ),
        (
            lambda: effects.compressor(noise(1, 10), sample_rate=RATE, lookahead_samples=-1, **DYNAMICS),
            "whole number of at least 0, got -1",
        ),
        (
            lambda: effects.compressor(noise(1, 10), sample_rate=0, **DYNAMICS),
            "sample_rate must be a number above 0 Hz, got 0",
        ),
        (
            lambda: effects.compressor(noise(1, 0), sample_rate=RATE, **DYNAMICS),
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


@pytest.mark.parametrize(
    ("effect", "good", "backends"),
    [
        (effects.parametric_eq, FLAT, ("recursion", "fft")),
        (effects.compressor, DYNAMICS, ("compiled", "steps")),
    ],
)
def test_backends(effect, good, backends):
    x = noise(1, 500)
    auto, on_cpu, anywhere = (effect(x, sample_rate=RATE, backend=b, **good) for b in ("auto", *backends))
    assert torch.equal(auto, on_cpu)
    torch.testing.assert_close(anywhere, on_cpu, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=f"backend must be one of auto, {', '.join(backends)}, not 'gpu'"):
        effect(x, sample_rate=RATE, backend="gpu", **good)
    elsewhere = {k: v.to("meta") if isinstance(v, torch.Tensor) else v for k, v in good.items()}
    with pytest.raises(ValueError, match=f"backend '{backends[0]}' runs on a CPU, the audio is on meta"):
        effect(x.to("meta"), sample_rate=RATE, backend=backends[0], **elsewhere)
