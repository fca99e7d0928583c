"""The console as a whole: neutral, shapes, symmetries, buses, extremes. The order of its effects: test_signal_path."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from console_settings import unit
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmst_lib import ConsoleParams, InputError, MixingConsole, param_table
from diffmst_lib.console.mixing_console import check_console, check_finite, uses_fx_bus
from diffmst_lib.console.table import SECTIONS, knob_index

CONSOLE = MixingConsole(44100)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stems(num_stems, num_samples, seed=0):
    """Stereo stems, every second one mono."""
    tracks = noise(num_stems, 2, num_samples, seed=seed)
    tracks[1::2, 1] = tracks[1::2, 0]
    return tracks


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
@pytest.mark.parametrize("song", ["mono", "stereo", "both", "64 stems"])
def test_neutral_is_what_was_delivered(song, rate):
    """The plain sum, to 1e-6, even of stems far above the neutral thresholds."""
    tracks = 5 * stems(64 if song == "64 stems" else 3, 5000)
    if song != "both":
        tracks = tracks[:, :1].expand(-1, 2, -1) if song == "mono" else noise(*tracks.shape)
    params = ConsoleParams.neutral([f"stem {i}" for i in range(len(tracks))], sample_rate=rate)
    plain, console = tracks.sum(dim=0), MixingConsole(rate)
    for mix in (console(tracks, params).mix, console.render(tracks, params)):
        assert (mix - plain).abs().max() < 1e-6 * plain.abs().max()


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4000), st.integers(0, 1000))
def test_permuting_tracks_changes_nothing_in_the_mix(num_tracks, num_samples, seed):
    tracks, (t, f, m) = stems(num_tracks, num_samples, seed=seed), unit(num_tracks, seed=seed)
    order = torch.randperm(num_tracks, generator=torch.Generator().manual_seed(seed))
    mix = CONSOLE(tracks, ConsoleParams.from_unit(t, f, m)).mix
    permuted = CONSOLE(tracks[order], ConsoleParams.from_unit(t[order], f, m)).mix
    torch.testing.assert_close(permuted, mix, rtol=1e-3, atol=1e-4 * mix.abs().max().item() + 1e-7)


def test_batch_equals_loop_and_render_equals_call():
    tracks, params = stems(6, 6000).view(2, 3, 2, 6000), ConsoleParams.from_unit(*unit(3, batch=(2,)))
    mix = CONSOLE(tracks, params, fx_bus=True).mix
    for i in range(2):
        scale = mix[i].abs().max().item()
        for one in (
            CONSOLE(tracks[i], params[i], fx_bus=True).mix,
            CONSOLE.render(tracks[i], params[i], fx_bus=True),
        ):
            torch.testing.assert_close(one, mix[i], rtol=0, atol=1e-5 * scale)


def test_a_batch_of_tracks_may_share_one_console():
    tracks, params = noise(2, 3, 2, 3000), ConsoleParams.from_unit(*unit(3))
    mix = CONSOLE(tracks, params, fx_bus=True).mix
    for i in range(2):
        torch.testing.assert_close(mix[i], CONSOLE(tracks[i], params, fx_bus=True).mix, rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_tracks", [1, 64])
@pytest.mark.parametrize("num_samples", [1, 700])
@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_any_number_of_tracks_and_samples(num_tracks, num_samples, rate):
    params = ConsoleParams.from_unit(*unit(num_tracks), sample_rate=rate)
    mix = MixingConsole(rate)(stems(num_tracks, num_samples), params).mix
    assert mix.shape == (2, num_samples) and torch.isfinite(mix).all() and mix.any()


def test_strips_come_one_by_one_without_gradients():
    tracks, knobs = stems(5, 2000), [u.requires_grad_() for u in unit(5)]
    params = ConsoleParams.from_unit(*knobs)
    wet = list(CONSOLE.strips(tracks.requires_grad_(), params))
    assert not any(strip.requires_grad for strip in wet)
    torch.testing.assert_close(
        torch.stack(wet), CONSOLE(tracks, params).tracks.detach(), rtol=1e-4, atol=1e-6
    )


# Extremes


def sounds(kind):
    tracks = noise(2, 2, 1 if kind == "one sample" else 3000)
    if kind == "silence":
        return 0 * tracks
    if kind == "one silent stem":
        return tracks * torch.tensor([1.0, 0.0])[:, None, None]
    if kind in ("mono", "opposite polarity"):
        return tracks[:, :1] * torch.tensor([1.0, 1.0 if kind == "mono" else -1.0])[:, None]
    return tracks


KINDS = ["stereo", "silence", "one silent stem", "mono", "opposite polarity", "one sample"]
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@pytest.mark.parametrize("fx_bus", [False, True])
@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_corners_are_finite_in_value_and_gradient(kind, corner, fx_bus):
    knobs = [u.requires_grad_() for u in unit(2, fill=corner)]
    tracks = sounds(kind).requires_grad_()
    out = CONSOLE(tracks, ConsoleParams.from_unit(*knobs), fx_bus=fx_bus)
    (out.mix / out.mix.detach().abs().max().clamp(min=1.0)).square().sum().backward()
    assert torch.isfinite(out.mix).all() and torch.isfinite(tracks.grad).all()
    assert all(k.grad is None or torch.isfinite(k.grad).all() for k in knobs)
    if kind == "silence":
        assert not out.mix.any()


@each_kind
@pytest.mark.parametrize("end", [0.0, 1.0])
@pytest.mark.parametrize("section", ["track", "master_bus"])
def test_every_knob_alone_at_its_end_is_finite_in_value_and_gradient(kind, end, section):
    """One console a knob, as a batch; the other knobs are in the middle."""
    tracks, number = sounds(kind)[..., :500], len(param_table(section))
    knobs = unit(2, batch=(number,), fill=0.5)
    of_section = knobs[SECTIONS.index(section)]
    for i in range(number):
        of_section[i, ..., i] = end
    knobs = [u.requires_grad_() for u in knobs]
    mix = CONSOLE(tracks.expand(number, -1, -1, -1), ConsoleParams.from_unit(*knobs), fx_bus=False).mix
    mix.square().sum().backward()
    assert torch.isfinite(mix).all()
    assert torch.isfinite(knobs[0].grad).all() and torch.isfinite(knobs[2].grad).all()


def test_every_knob_of_the_default_console_is_alive():
    """Random settings, loud enough to work the compressors: all but the mix of the effects bus, which is wet
    only, have a gradient."""
    knobs = [0.2 + 0.6 * u for u in unit(2)]
    knobs[0][:, knob_index("input_gain_db")] = 0.6
    knobs[0][:, knob_index("fader_db")] = 0.8
    knobs[2][knob_index("threshold_db", "master_bus")] = 0.2
    knobs = [u.requires_grad_() for u in knobs]
    tracks = noise(2, 2, 44100) * torch.linspace(0.05, 3, 44100)
    CONSOLE(tracks, ConsoleParams.from_unit(*knobs), fx_bus=True).mix.square().mean().backward()
    for knob, section in zip(knobs, SECTIONS, strict=True):
        slopes = knob.grad.reshape(-1, knob.shape[-1]).abs().sum(dim=0)
        dead = {spec.name for spec, slope in zip(param_table(section), slopes, strict=True) if slope == 0}
        assert dead == ({"mix"} if section == "fx_bus" else set())


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3000), st.integers(0, 1000), st.booleans())
def test_silence_in_is_silence_out_with_finite_gradients(num_tracks, num_samples, seed, extreme):
    tracks = torch.zeros(num_tracks, 2, num_samples, requires_grad=True)
    knobs = [(u.round() if extreme else u).requires_grad_() for u in unit(num_tracks, seed=seed)]
    mix = CONSOLE(tracks, ConsoleParams.from_unit(*knobs), fx_bus=True).mix
    mix.sum().backward()
    assert not mix.any()
    assert all(torch.isfinite(t.grad).all() for t in (tracks, *knobs))


def test_ten_minutes_of_a_stem():
    tracks = noise(1, 1, 1).expand(1, 2, 600 * 44100)
    mix = CONSOLE.render(tracks, ConsoleParams.from_unit(*unit(1)), fx_bus=False)
    assert mix.shape == (2, 600 * 44100) and torch.isfinite(mix[:, ::1000]).all()


# What is refused

TAKES = {
    "default": r"a console of preset default takes stereo stems \(N, 2, T\) or \(B, N, 2, T\)",
    "reference": r"a console of preset reference takes mono channels \(N, T\) or \(B, N, T\)",
}


@pytest.mark.parametrize(
    ("preset", "shape"),
    [
        ("default", (2, 100)),  # mono channels
        ("default", (2, 1, 100)),
        ("default", (1, 2, 3, 100)),
        ("default", (1, 1, 2, 2, 100)),
        ("default", (2, 2, 0)),
        ("default", (100,)),
        ("reference", (1, 2, 2, 100)),  # stems
        ("reference", (100,)),
        ("reference", (2, 0)),
    ],
)
def test_tracks_of_another_shape_are_told_what_the_preset_takes(preset, shape):
    console, params = MixingConsole(44100, preset), ConsoleParams.neutral(["a", "b"], preset=preset)
    for use in (console, console.render, console.strips):
        with pytest.raises(ValueError, match=rf"^{TAKES[preset]}, got \({shape[0]}, ?.*\)$"):
            use(torch.zeros(shape), params)


@pytest.mark.parametrize(("preset", "shape"), [("default", (5, 2, 100)), ("reference", (3, 2, 2000))])
def test_another_number_of_tracks_is_told_what_the_preset_takes(preset, shape):
    console, params = MixingConsole(44100, preset), ConsoleParams.neutral(["a", "b", "c"], preset=preset)
    for use in (console, console.render, console.strips):
        with pytest.raises(ValueError, match=rf"^tracks .* do not fit parameters .*: {TAKES[preset]}$"):
            use(torch.zeros(shape), params)


def test_one_song_at_a_time_is_rendered():
    batch, params = noise(3, 2, 2, 100), ConsoleParams.neutral(["a", "b"])
    for use in (CONSOLE.render, CONSOLE.strips):
        with pytest.raises(ValueError, match=r"one song is needed, not a batch of tracks \(3, 2, 2, 100\)"):
            use(batch, params)


def test_parameters_of_another_console_are_refused():
    tracks = noise(2, 2, 3000)
    for other in (
        ConsoleParams.neutral(["a", "b"], preset="reference"),
        ConsoleParams.neutral(["a", "b"], sample_rate=48000),
    ):
        for use in (CONSOLE, CONSOLE.render, CONSOLE.strips, CONSOLE.fx_bus, CONSOLE.master_bus):
            with pytest.raises(ValueError, match="a default console at 44100 Hz cannot use parameters"):
                use(tracks, other)


def test_wrong_numbers_are_named():
    for use in (CONSOLE, CONSOLE.render, CONSOLE.strips):
        with pytest.raises(ValueError, match="audio must be a torch tensor, got ndarray"):
            use(noise(2, 2, 100).numpy(), ConsoleParams.neutral(["a", "b"]))
    with pytest.raises(ValueError, match="no console is registered as 'other'"):
        MixingConsole(44100, preset="other")


@pytest.mark.parametrize(
    ("section", "name", "value", "words"),
    [
        ("track", "ratio", float("nan"), "b: ratio = NaN is outside 1 to {high:g}"),
        ("track", "pan", 1.5, "b: pan = 1.5 is outside 0 to 1"),
        ("master_bus", "threshold_db", 3.0, "master_bus: threshold_db = 3 dB is outside {low:g} to 0"),
        ("fx_bus", "mix", float("nan"), "fx_bus: mix = NaN is outside 0 to 1"),
    ],
)
@pytest.mark.parametrize("preset", ["default", "reference"])
def test_values_out_of_range_are_named_with_strip_and_range(section, name, value, words, preset):
    params, column = ConsoleParams.neutral(["a", "b"], preset=preset), knob_index(name, section, preset)
    parts = {
        "track": params.tracks[1],
        "fx_bus": params.fx_bus_values,
        "master_bus": params.master_bus_values,
    }
    parts[section][column] = value
    spec, console = param_table(section, preset)[column], MixingConsole(44100, preset=preset)
    tracks = noise(2, 2, 100) if preset == "default" else noise(2, 100)
    for use in (console, console.render, console.strips):
        with pytest.raises(ValueError, match=f"^{words.format(low=spec.low, high=spec.high)}$"):
            use(tracks, params)


@pytest.mark.parametrize("bus", ["fx_bus", "master_bus"])
def test_a_bus_alone_is_checked(bus):
    x, params = noise(2, 2, 3000), ConsoleParams.neutral(["a"])
    run, called = getattr(CONSOLE, bus), {"fx_bus": "effects bus", "master_bus": "master bus"}[bus]
    assert run(x, params).shape == x.shape
    with pytest.raises(
        ValueError, match=rf"the {called} takes stereo \(batch, 2, samples\), got \(2, 3000\)"
    ):
        run(x[:, 0], params)
    with pytest.raises(ValueError, match=rf"a batch of 2 sounds does not fit {called} settings \(3, "):
        run(x, ConsoleParams.from_unit(*unit(1, batch=(3,))))
    values = params.fx_bus_values if bus == "fx_bus" else params.master_bus_values
    values[0] = 1000.0
    with pytest.raises(ValueError, match=rf"^{bus}: {param_table(bus)[0].name} = 1000 .*is outside"):
        run(x, params)


class Bent(MixingConsole):
    """A console of a user's own."""


@pytest.mark.parametrize("console", [None, "default", 5, MixingConsole])
def test_what_is_no_console_is_refused(console):
    with pytest.raises(
        InputError, match=r"^console must be a MixingConsole, or one of a class derived from it"
    ):
        check_console(console)
    assert check_console(CONSOLE) is CONSOLE and isinstance(check_console(Bent(22050)), Bent)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_console_that_gives_no_numbers_is_named_unless_its_tracks_are_none(value):
    tracks, bad = noise(2, 2, 100), noise(2, 100)
    bad[1, 50] = value
    check_finite(CONSOLE, tracks[0], tracks), check_finite(CONSOLE, bad, bad)
    words = r"^the console Bent\(22050, 'reference'\) gives NaN or infinity in the strip of a, although"
    with pytest.raises(InputError, match=words):
        check_finite(Bent(22050, "reference"), bad, tracks, " in the strip of a")


# The effects bus


def test_effects_bus_runs_when_something_is_sent_to_it():
    tracks, params = noise(2, 2, 3000), ConsoleParams.neutral(["a", "b"])
    assert not uses_fx_bus(params)
    assert torch.equal(CONSOLE(tracks, params).mix, CONSOLE(tracks, params, fx_bus=False).mix)
    params.track("b")["send_db"] = -59.0
    assert uses_fx_bus(params)
    assert torch.equal(CONSOLE(tracks, params).mix, CONSOLE(tracks, params, fx_bus=True).mix)
    assert not torch.equal(CONSOLE(tracks, params).mix, CONSOLE(tracks, params, fx_bus=False).mix)


def test_the_effects_bus_of_the_reference_is_off_as_released():
    params = ConsoleParams.neutral(["a"], preset="reference")
    params.track("a")["send_db"] = 12.0
    assert not uses_fx_bus(params)


def test_render_hears_the_sends_and_keeps_the_dtype():
    tracks, params = stems(2, 6000), ConsoleParams.neutral(["a", "b"], pans=[0.3, 0.7])
    dry = CONSOLE.render(tracks, params)
    params.track("a")["send_db"] = 0.0
    wet = CONSOLE.render(tracks, params)
    assert (wet - dry).abs().max() > 1e-3
    torch.testing.assert_close(wet, CONSOLE(tracks, params, fx_bus=True).mix, rtol=0, atol=1e-5)
    assert CONSOLE.render(tracks.double(), params).dtype == torch.float64


def test_same_input_same_mix():
    tracks, params = stems(2, 3000), ConsoleParams.from_unit(*unit(2))
    assert torch.equal(CONSOLE(tracks, params, fx_bus=True).mix, CONSOLE(tracks, params, fx_bus=True).mix)


# Masks


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_tracks_that_a_mask_leaves_out_are_silent(preset):
    console, stereo = MixingConsole(preset=preset), preset == "default"
    tracks = noise(2, 3, 2, 8192) if stereo else noise(2, 3, 8192)
    params = ConsoleParams.neutral(["a", "b", "c"], pans=[0.2, 0.5, 0.8], preset=preset)
    mask = torch.tensor([[True, False, True], [True, True, True]])
    tracks.requires_grad_()
    out = console(tracks, params, fx_bus=False, mask=mask)
    expected = console(tracks * mask.view(2, 3, *[1] * (tracks.ndim - 2)), params, fx_bus=False)
    assert torch.allclose(out.mix, expected.mix, atol=1e-6) and torch.allclose(
        out.tracks, expected.tracks, atol=1e-6
    )
    out.mix.square().sum().backward()
    assert (tracks.grad[0, 1] == 0).all() and tracks.grad[mask].abs().amax(dim=-1).min() > 0
    one = console(tracks[0].detach(), params, fx_bus=False, mask=mask[0])
    assert torch.allclose(one.mix, out.mix[0], atol=1e-6)
    with pytest.raises(ValueError, match=r"mask must be \(2, 3\), one per track, got \(3,\)"):
        console(tracks, params, mask=mask[0])


def test_a_mask_may_leave_nothing():
    mix = CONSOLE(
        noise(2, 2, 500), ConsoleParams.neutral(["a", "b"]), mask=torch.zeros(2, dtype=torch.bool)
    ).mix
    assert mix.shape == (2, 500) and not mix.any()


# Python


def test_a_console_can_be_copied_and_pickled():
    tracks, params = stems(2, 500), ConsoleParams.from_unit(*unit(2))
    for console in (copy.deepcopy(CONSOLE), pickle.loads(pickle.dumps(CONSOLE))):
        assert torch.equal(console(tracks, params).mix, CONSOLE(tracks, params).mix)


AFTER_INFERENCE = """
import torch
from diffmst_lib import ConsoleParams, MixingConsole, effects, param_table
sizes = [len(param_table(section)) for section in ("track", "fx_bus", "master_bus")]
unit = [torch.full(shape, 0.5) for shape in ((2, sizes[0]), sizes[1:2], sizes[2:])]
tracks = torch.randn(2, 2, 500)
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
