"""The console as a whole: shapes, symmetries, buses, extremes."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmst_lib import ConsoleParams, MixingConsole, param_table
from diffmst_lib.console.effects import pan_gains
from diffmst_lib.console.mixing_console import compressor_lookahead
from diffmst_lib.console.table import knob_index

CONSOLE = MixingConsole(44100)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(num_tracks, seed=0, batch=()):
    generator = torch.Generator().manual_seed(seed)
    widths = (
        (num_tracks, len(param_table("track"))),
        (len(param_table("fx_bus")),),
        (len(param_table("master_bus")),),
    )
    return [torch.rand(*batch, *width, generator=generator) for width in widths]


def test_neutral_console_is_a_panned_sum():
    tracks, pans = noise(3, 5000), [0.1, 0.5, 0.9]
    out = CONSOLE(tracks, ConsoleParams.neutral(["a", "b", "c"], pans=pans))
    want = (tracks[:, None] * pan_gains(torch.tensor(pans))[..., None]).sum(0)
    torch.testing.assert_close(out.mix, want, rtol=0, atol=1e-5)
    assert out.tracks.shape == (3, 2, 5000)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4000), st.integers(0, 1000))
def test_permuting_tracks_changes_nothing_in_the_mix(num_tracks, num_samples, seed):
    tracks, (t, f, m) = noise(num_tracks, num_samples, seed=seed), unit(num_tracks, seed)
    order = torch.randperm(num_tracks, generator=torch.Generator().manual_seed(seed))
    mix = CONSOLE(tracks, ConsoleParams.from_unit(t, f, m)).mix
    permuted = CONSOLE(tracks[order], ConsoleParams.from_unit(t[order], f, m)).mix
    torch.testing.assert_close(permuted, mix, rtol=1e-3, atol=1e-4 * mix.abs().max().item() + 1e-7)


def test_batch_equals_loop_and_render_equals_call():
    tracks, params = noise(2, 3, 6000), ConsoleParams.from_unit(*unit(3, batch=(2,)))
    mix = CONSOLE(tracks, params, fx_bus=True).mix
    for i in range(2):
        one = ConsoleParams(params.tracks[i], params.fx_bus_values[i], params.master_bus_values[i])
        scale = mix[i].abs().max().item()
        torch.testing.assert_close(
            CONSOLE(tracks[i], one, fx_bus=True).mix, mix[i], rtol=0, atol=1e-5 * scale
        )
        torch.testing.assert_close(
            CONSOLE.render(tracks[i], one, fx_bus=True), mix[i], rtol=0, atol=1e-5 * scale
        )


@pytest.mark.parametrize("num_tracks", [1, 64])
@pytest.mark.parametrize("num_samples", [1, 700])
def test_any_number_of_tracks_and_samples(num_tracks, num_samples):
    mix = CONSOLE(noise(num_tracks, num_samples), ConsoleParams.from_unit(*unit(num_tracks))).mix
    assert mix.shape == (2, num_samples) and torch.isfinite(mix).all()


@pytest.mark.parametrize("fx_bus", [False, True])
@pytest.mark.parametrize("corner", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["noise", "silence", "one silent track"])
def test_corners_are_finite_in_value_and_gradient(kind, corner, fx_bus):
    tracks = (
        noise(2, 3000)
        * {"noise": 1.0, "silence": 0.0, "one silent track": torch.tensor([[1.0], [0.0]])}[kind]
    )
    knobs = [torch.full_like(u, corner).requires_grad_() for u in unit(2)]
    out = CONSOLE(tracks, ConsoleParams.from_unit(*knobs), fx_bus=fx_bus)
    (out.mix / out.mix.detach().abs().max().clamp(min=1.0)).square().sum().backward()
    assert torch.isfinite(out.mix).all()
    assert all(k.grad is None or torch.isfinite(k.grad).all() for k in knobs)
    if kind == "silence":
        assert not out.mix.any()


def test_every_knob_of_the_default_console_is_alive():
    """Random settings, loud enough to work the compressors: all but the sends of an idle fx bus have a
    gradient."""
    knobs = [0.2 + 0.6 * u for u in unit(2)]
    knobs[0][:, 0] = 0.6  # loud enough for both strips' compressors
    knobs = [u.requires_grad_() for u in knobs]
    tracks = noise(2, 44100) * torch.linspace(0.05, 3, 44100)
    CONSOLE(tracks, ConsoleParams.from_unit(*knobs), fx_bus=True).mix.square().mean().backward()
    for knob, section in zip(knobs, ("track", "fx_bus", "master_bus"), strict=True):
        dead = {
            s.name
            for s, g in zip(
                param_table(section), knob.grad.reshape(-1, knob.shape[-1]).abs().sum(0), strict=True
            )
            if g == 0
        }
        assert dead == ({"mix"} if section == "fx_bus" else set())


def test_master_bus_can_be_left_out():
    tracks, params = noise(2, 3000), ConsoleParams.from_unit(*unit(2))
    out = CONSOLE(tracks, params, fx_bus=False, master_bus=False)
    torch.testing.assert_close(out.mix, out.tracks.sum(0))
    assert not torch.allclose(CONSOLE(tracks, params).mix, out.mix)


def test_parameters_of_another_console_are_refused():
    tracks = noise(2, 3000)
    for other in (
        ConsoleParams.neutral(["a", "b"], preset="reference"),
        ConsoleParams.neutral(["a", "b"], sample_rate=48000),
    ):
        with pytest.raises(ValueError, match="cannot use parameters"):
            CONSOLE(tracks, other)
        with pytest.raises(ValueError, match="cannot use parameters"):
            CONSOLE.render(tracks, other)
    with pytest.raises(ValueError, match="do not fit"):
        CONSOLE.render(tracks[:1], ConsoleParams.neutral(["a", "b"]))
    with pytest.raises(ValueError, match="tracks must be"):
        CONSOLE(tracks[0], ConsoleParams.neutral(["a", "b"]))


def test_render_hears_the_sends_and_keeps_the_dtype():
    tracks, params = noise(2, 6000), ConsoleParams.neutral(["a", "b"], pans=[0.3, 0.7])
    dry = CONSOLE.render(tracks, params)
    params.track("a")["send_db"] = 0.0
    wet = CONSOLE.render(tracks, params)
    assert (wet - dry).abs().max() > 1e-3
    torch.testing.assert_close(wet, CONSOLE(tracks, params, fx_bus=True).mix, rtol=0, atol=1e-5)
    assert CONSOLE.render(tracks.double(), params).dtype == torch.float64


def test_same_input_same_mix():
    tracks, params = noise(2, 3000), ConsoleParams.from_unit(*unit(2))
    assert torch.equal(CONSOLE(tracks, params, fx_bus=True).mix, CONSOLE(tracks, params, fx_bus=True).mix)


def test_wrong_numbers_are_named():
    for use in (CONSOLE, CONSOLE.render):
        with pytest.raises(ValueError, match="audio must be a torch tensor, got ndarray"):
            use(noise(2, 100).numpy(), ConsoleParams.neutral(["a", "b"]))
    with pytest.raises(ValueError, match=r"tracks \(3, 100\) do not fit"):
        CONSOLE(noise(3, 100), ConsoleParams.neutral(["a", "b"]))
    with pytest.raises(ValueError, match="default, reference"):
        MixingConsole(44100, preset="other")
    with pytest.raises(ValueError, match=r"pan: unit value 1\.5 is outside 0 to 1"):
        t, f, m = unit(1)
        t[0, 25] = 1.5
        ConsoleParams.from_unit(t, f, m)


@pytest.mark.parametrize(
    ("section", "name", "value", "words"),
    [
        ("track", "ratio", float("nan"), r"b: ratio = nan :1 is outside 1 to 10"),
        ("track", "pan", 1.5, r"b: pan = 1.5 is outside 0 to 1"),
        ("master_bus", "threshold_db", 3.0, r"master_bus: threshold_db = 3 dB is outside -60 to 0"),
        ("fx_bus", "mix", float("nan"), r"fx_bus: mix = nan is outside 0 to 1"),
    ],
)
@pytest.mark.parametrize("preset", ["default", "reference"])
def test_values_out_of_range_are_named_with_strip_and_range(section, name, value, words, preset):
    params = ConsoleParams.neutral(["a", "b"], preset=preset)
    rows = {
        "track": params.tracks[1],
        "fx_bus": params.fx_bus_values,
        "master_bus": params.master_bus_values,
    }[section]
    rows[knob_index(name, section, preset)] = value
    for use in (MixingConsole(44100, preset=preset), MixingConsole(44100, preset=preset).render):
        with pytest.raises(ValueError, match=f"^{words}$"):
            use(noise(2, 100), params)


def test_effects_bus_runs_when_something_is_sent_to_it():
    tracks, params = noise(2, 3000), ConsoleParams.neutral(["a", "b"], pans=[0.2, 0.8])
    assert torch.equal(CONSOLE(tracks, params).mix, CONSOLE(tracks, params, fx_bus=False).mix)
    params.track("b")["send_db"] = -20.0
    assert torch.equal(CONSOLE(tracks, params).mix, CONSOLE(tracks, params, fx_bus=True).mix)
    assert not torch.allclose(CONSOLE(tracks, params).mix, CONSOLE(tracks, params, fx_bus=False).mix)


BYPASS = {
    "eq": lambda spec: spec.name.endswith("_gain_db"),
    "compressor": lambda spec: spec.name in ("ratio", "makeup_gain_db"),
    "gain": lambda spec: True,
}


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(BYPASS)), st.integers(1, 3000), st.integers(0, 1000))
def test_a_bypassed_effect_is_the_identity(effect, num_samples, seed):
    """Gains at 0 dB and ratio 1 undo an effect, whatever its other knobs say."""
    x, params = noise(2, num_samples, seed=seed), ConsoleParams.from_unit(*unit(2, seed))
    for i, spec in enumerate(param_table("track")):
        if spec.effect != effect or BYPASS[effect](spec):
            params.tracks[:, i] = spec.neutral
    want = x[:, None] * pan_gains(torch.tensor(0.5))[..., None]
    torch.testing.assert_close(CONSOLE(x, params).tracks, want, rtol=1e-4, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3000), st.integers(0, 1000), st.booleans())
def test_silence_in_is_silence_out_with_finite_gradients(num_tracks, num_samples, seed, extreme):
    tracks = torch.zeros(num_tracks, num_samples, requires_grad=True)
    knobs = [(u.round() if extreme else u).requires_grad_() for u in unit(num_tracks, seed)]
    mix = CONSOLE(tracks, ConsoleParams.from_unit(*knobs), fx_bus=True).mix
    mix.sum().backward()
    assert not mix.any()
    assert all(torch.isfinite(t.grad).all() for t in (tracks, *knobs))


def test_ten_minutes_of_a_track():
    tracks = noise(1, 1).expand(1, 600 * 44100)
    mix = CONSOLE.render(tracks, ConsoleParams.from_unit(*unit(1)), fx_bus=False)
    assert mix.shape == (2, 600 * 44100) and torch.isfinite(mix[:, ::1000]).all()


def test_a_console_can_be_copied_and_pickled():
    tracks, params = noise(2, 500), ConsoleParams.from_unit(*unit(2))
    for console in (copy.deepcopy(CONSOLE), pickle.loads(pickle.dumps(CONSOLE))):
        assert torch.equal(console(tracks, params).mix, CONSOLE(tracks, params).mix)


@pytest.mark.parametrize("section", ["track", "master_bus"])
@pytest.mark.parametrize("rate", [22050, 44100, 96000])
def test_the_gain_falls_10_ms_before_a_hit_at_every_sample_rate(rate, section):
    tracks = torch.full((1, rate), 1e-3)
    tracks[0, rate // 2 :] = 1.0
    params = ConsoleParams.neutral(["a"], sample_rate=rate)
    strip = params.track("a") if section == "track" else params.master_bus
    strip["threshold_db"], strip["ratio"], strip["attack_ms"] = -30, 10, 5
    mix = MixingConsole(rate)(tracks, params).mix[0]
    fallen = (mix[: rate // 2] < 0.99 * mix[0]).nonzero()[0].item()
    assert (rate // 2 - fallen) / rate == pytest.approx(0.010, abs=5e-4)


def test_the_lookahead_of_the_released_code_is_in_samples_at_every_rate():
    click = torch.zeros(1, 10_000)
    click[0, 1000] = 1.0
    for rate in (44100, 96000):
        params = ConsoleParams.neutral(["a"], preset="reference", sample_rate=rate)
        mix = MixingConsole(rate, preset="reference")(click, params).mix
        assert mix[0].abs().argmax() == 1000 + 2048 + 1024


def test_only_tracks_and_master_look_ahead():
    with pytest.raises(ValueError, match="section must be one of track, master_bus, not 'fx_bus'"):
        compressor_lookahead("fx_bus")


AFTER_INFERENCE = """
import torch
from diffmst_lib import ConsoleParams, MixingConsole, effects
unit = [torch.full(shape, 0.5) for shape in ((2, 27), (25,), (26,))]
tracks = torch.randn(2, 500)
flat = dict(gain_db=torch.ones(1, 6), frequency_hz=torch.full((1, 6), 999.0), q=torch.ones(1, 6))
with torch.inference_mode():
    MixingConsole(44100)(tracks, ConsoleParams.from_unit(*unit), fx_bus=True)
    effects.parametric_eq(tracks[:1], sample_rate=44100, backend="fft", **flat)
unit = [u.requires_grad_() for u in unit]
MixingConsole(44100)(tracks, ConsoleParams.from_unit(*unit), fx_bus=True).mix.square().sum().backward()
flat = {k: v.requires_grad_() for k, v in flat.items()}
effects.parametric_eq(tracks[:1], sample_rate=44100, backend="fft", **flat).sum().backward()
"""


def test_gradients_work_after_inference_mode():
    """In a fresh process, where inference mode fills the caches first."""
    subprocess.run([sys.executable, "-c", AFTER_INFERENCE], check=True)


def test_a_batch_of_tracks_may_share_one_console():
    tracks, params = noise(2, 3, 3000), ConsoleParams.from_unit(*unit(3))
    mix = CONSOLE(tracks, params, fx_bus=True).mix
    for i in range(2):
        torch.testing.assert_close(mix[i], CONSOLE(tracks[i], params, fx_bus=True).mix, rtol=0, atol=1e-5)


def test_the_effects_bus_alone_is_checked():
    bus, params = noise(1, 2, 3000), ConsoleParams.neutral(["a"])
    assert CONSOLE.fx_bus(bus, params).shape == bus.shape
    with pytest.raises(ValueError, match="the reverb takes stereo"):
        CONSOLE.fx_bus(bus[:, 0], params)
    params.fx_bus_values[3] = 2.0
    with pytest.raises(ValueError, match="fx_bus: band3_gain = 2 is outside 0 to 1"):
        CONSOLE.fx_bus(bus, params)


def test_sends_down_to_the_idle_level_are_heard():
    tracks, params = noise(1, 3000), ConsoleParams.neutral(["a"])
    params.track("a")["send_db"] = -74.0
    assert not torch.equal(CONSOLE(tracks, params).mix, CONSOLE(tracks, params, fx_bus=False).mix)


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_tracks_that_a_mask_leaves_out_are_silent(noise, preset):
    console, tracks = MixingConsole(preset=preset), noise(2, 3, 8192)
    params = ConsoleParams.neutral(["a", "b", "c"], pans=[0.2, 0.5, 0.8], preset=preset)
    mask = torch.tensor([[True, False, True], [True, True, True]])
    tracks.requires_grad_()
    out = console(tracks, params, fx_bus=False, mask=mask)
    expected = console(tracks * mask[..., None], params, fx_bus=False)
    assert torch.allclose(out.mix, expected.mix, atol=1e-6) and torch.allclose(
        out.tracks, expected.tracks, atol=1e-6
    )
    out.mix.square().sum().backward()
    assert (tracks.grad[0, 1] == 0).all() and tracks.grad[mask].abs().amax(dim=-1).min() > 0
    one = console(tracks[0].detach(), params, fx_bus=False, mask=mask[0])
    assert torch.allclose(one.mix, out.mix[0], atol=1e-6)
    with pytest.raises(ValueError, match="mask must be"):
        console(tracks, params, mask=mask[0])
