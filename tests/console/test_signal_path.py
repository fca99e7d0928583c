"""The order of the effects on strips and master bus, against a console put together from the public effects."""

import pytest
import torch
from console_settings import unit
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmst_lib import ConsoleParams, MixingConsole, effects, param_table, released
from diffmst_lib.console.compressor import compressor_lookahead
from diffmst_lib.console.table import EQ_BANDS, OFF_DB, knob_index
from diffmst_lib.inputs import FIRST_EDITION

RATE = 44100
CONSOLE = MixingConsole(RATE)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def of_effect(values, *names):
    return {name: values[name] for name in names}


def equalize(x, values):
    names = ("gain_db", "frequency_hz", "q")
    bands = {name: torch.stack([values[f"{band}_{name}"] for band in EQ_BANDS], dim=-1) for name in names}
    return effects.parametric_eq(x, sample_rate=RATE, **bands)


def compress(x, values, section):
    names = ("threshold_db", "ratio", "attack_ms", "release_ms", "knee_db", "makeup_gain_db")
    lookahead = compressor_lookahead(section)
    return effects.compressor(x, sample_rate=RATE, lookahead_samples=lookahead, **of_effect(values, *names))


def strip_by_hand(x, values):
    """Trim, equalizer, compressor, width, pan, fader on stems (N, 2, T)."""
    x = effects.gain(x, gain_db=values["input_gain_db"])
    x = compress(equalize(x, values), values, "track")
    x = effects.panner(effects.width(x, width=values["width"]), pan=values["pan"])
    return effects.gain(x, gain_db=values["fader_db"])


def master_by_hand(x, values):
    """Equalizer, compressor, width, output gain on (B, 2, T)."""
    x = compress(equalize(x, values), values, "master_bus")
    return effects.gain(effects.width(x, width=values["width"]), gain_db=values["output_gain_db"])


def awake(num_tracks, seed=0, preset="default"):
    """Random settings at levels at which compressors work and nothing is far too loud."""
    params = ConsoleParams.from_unit(*unit(num_tracks, preset, seed=seed), preset=preset)
    params.tracks[:, knob_index("input_gain_db", preset=preset)] = 6.0
    params.master_bus_values[knob_index("output_gain_db", "master_bus", preset)] = -7.0
    return params


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6 * theirs.abs().max().item())


@pytest.mark.parametrize("seed", range(3))
def test_the_strip_is_trim_equalizer_compressor_width_pan_fader(seed):
    tracks, params = noise(4, 2, 8000, seed=seed), awake(4, seed)
    tracks[2, 1] = tracks[2, 0]  # a mono stem
    out = CONSOLE(tracks, params, fx_bus=False, master_bus=False)
    close(out.tracks, strip_by_hand(tracks, params.values("track")))
    close(out.mix, out.tracks.sum(dim=0))


def test_the_master_is_equalizer_compressor_width_output_gain():
    bus, params = noise(1, 2, 8000), awake(1)
    one = {name: value[None] for name, value in params.values("master_bus").items()}
    close(CONSOLE.master_bus(bus, params), master_by_hand(bus, one))
    tracks, params = noise(3, 2, 8000), awake(3)
    out = CONSOLE(tracks, params, fx_bus=False)
    assert torch.equal(out.mix, CONSOLE.master_bus(out.tracks.sum(dim=0)[None], params)[0])


def test_the_effects_bus_gets_what_comes_after_the_fader_and_returns_before_the_master():
    tracks, params = noise(3, 2, 8000), awake(3)
    out = CONSOLE(tracks, params, fx_bus=True)
    sends = effects.db_to_gain(params.values("track")["send_db"])[:, None, None]
    room = {
        f"band_{name}s": torch.stack([params.values("fx_bus")[f"band{i}_{name}"] for i in range(12)])[None]
        for name in ("gain", "decay")
    }
    sent = (out.tracks * sends).sum(dim=0)[None]
    reverb = effects.reverb(sent, sample_rate=RATE, mix=1.0, **room)
    close(CONSOLE.fx_bus(sent, params), reverb)
    close(out.mix, CONSOLE.master_bus(out.tracks.sum(dim=0)[None] + reverb, params)[0])


def test_the_strips_of_the_first_edition_take_mono_and_end_with_the_released_pan():
    tracks, params = noise(3, 8000), awake(3, preset=FIRST_EDITION)
    values = params.values("track")
    x = effects.gain(tracks, gain_db=values["input_gain_db"])
    x = released.panner(compress(equalize(x, values), values, "track"), pan=values["pan"])
    out = MixingConsole(RATE, FIRST_EDITION)(tracks, params, fx_bus=False)
    close(out.tracks, x)
    values = {name: value[None] for name, value in params.values("master_bus").items()}
    x = effects.gain(out.tracks.sum(dim=0)[None], gain_db=values["input_gain_db"])
    x = compress(equalize(x, values), values, "master_bus")
    close(out.mix, effects.gain(x, gain_db=values["output_gain_db"])[0])


# One strip


def strip(x, **knobs):
    """One neutral strip with some knobs turned, on one stem (2, T)."""
    params = ConsoleParams.neutral(["a"])
    for name, value in knobs.items():
        params.track("a")[name] = value
    return CONSOLE(x[None], params, master_bus=False).tracks[0]


HARD = {"threshold_db": -40.0, "ratio": 10.0, "knee_db": 0.0}


def test_both_channels_get_one_gain_of_the_compressor():
    x = noise(2, 4000) * torch.tensor([[1.0], [0.05]])
    gain = strip(x, **HARD) / x
    torch.testing.assert_close(gain[0], gain[1], rtol=1e-4, atol=0)
    assert gain.mean() < 0.5
    alone = strip(x * torch.tensor([[0.0], [1.0]]), **HARD)[1] / x[1]
    assert alone.mean() > 1.5 * gain[1].mean()  # the loud channel turned the quiet one down


def test_a_mono_stem_is_processed_once_with_the_same_result_as_twice():
    tracks, params = noise(3, 1, 5000).expand(-1, 2, -1).clone(), awake(3)
    console, seen = MixingConsole(RATE), []
    plain = console._path._effects.equalizer
    console._path._effects = console._path._effects._replace(
        equalizer=lambda x, **options: (seen.append(tuple(x.shape)), plain(x, **options))[1]
    )
    once = console(tracks, params, master_bus=False).tracks
    assert seen == [(3, 1, 5000)]
    twice = console(tracks.clone().requires_grad_(), params, master_bus=False).tracks
    assert seen[1:] == [(3, 2, 5000)]
    close(once, twice.detach())
    tracks[1, 1] *= 0.5
    seen.clear()
    close(console(tracks, params, master_bus=False).tracks, strip_by_hand(tracks, params.values("track")))
    assert sorted(seen) == [(1, 2, 5000), (2, 1, 5000)]


def test_the_gradients_of_mono_stems_are_those_of_stereo_stems():
    tracks = noise(3, 1, 3000).expand(-1, 2, -1).clone()
    nearly = tracks.clone()
    nearly[0, 1, 0] += 1e-7  # not equal, so processed twice
    slopes = []
    for x in (tracks, nearly):
        knobs = [(0.2 + 0.6 * u).requires_grad_() for u in unit(3)]
        CONSOLE(x, ConsoleParams.from_unit(*knobs), fx_bus=False).mix.square().mean().backward()
        slopes.append(knobs[0].grad)
    close(*slopes)


def test_a_fader_and_a_send_at_their_lowest_value_are_off():
    x = noise(2, 3000)
    assert not strip(x, fader_db=OFF_DB).any()
    assert strip(x, fader_db=OFF_DB + 0.5).any()
    params = ConsoleParams.neutral(["a"])
    assert params.track("a")["send_db"] == OFF_DB and not CONSOLE.send_gains(params).any()
    dry = CONSOLE(x[None], params, fx_bus=False).mix
    assert torch.equal(CONSOLE(x[None], params, fx_bus=True).mix, dry)
    params.track("a")["send_db"] = 0.0
    assert CONSOLE.send_gains(params).tolist() == [[[1.0]]]


def test_the_fader_is_level_without_drive_and_the_trim_drives():
    x = noise(2, 4000)
    plain = strip(x, **HARD)
    close(strip(x, **HARD, fader_db=12.0), plain * 10 ** (12 / 20))
    driven = strip(x, **HARD, input_gain_db=12.0)
    assert driven.square().mean() < 2 * plain.square().mean()


def test_width_from_mono_to_twice_the_side():
    x = noise(2, 1000)
    mono, wide = strip(x, width=0.0), strip(x, width=2.0)
    assert torch.equal(mono[0], mono[1])
    close(mono[0], x.mean(dim=0))
    close(wide.sum(dim=0), x.sum(dim=0))
    close(wide[0] - wide[1], 2 * (x[0] - x[1]))
    close(strip(x[:1].expand(2, -1), width=2.0), x[:1].expand(2, -1))  # a mono stem has no side


@pytest.mark.parametrize("pan", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_pan_is_one_law_for_mono_and_stereo(pan):
    for x in (noise(2, 1000), noise(1, 1000).expand(2, -1)):
        close(strip(x, pan=pan), x * effects.pan_gains(torch.tensor(pan))[:, None])


BYPASS = {
    "eq": lambda spec: spec.name.endswith("_gain_db"),
    "compressor": lambda spec: spec.name in ("ratio", "makeup_gain_db"),
}


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(BYPASS)), st.integers(1, 3000), st.integers(0, 1000))
def test_a_bypassed_effect_is_the_identity(effect, num_samples, seed):
    """Gains at 0 dB and ratio 1 undo an effect, whatever its other knobs say."""
    x, params = noise(2, 2, num_samples, seed=seed), ConsoleParams.from_unit(*unit(2, seed=seed))
    for i, spec in enumerate(param_table("track")):
        if spec.effect != effect or BYPASS[effect](spec):
            params.tracks[:, i] = spec.neutral
    torch.testing.assert_close(CONSOLE(x, params).tracks, x, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("channels", ["mono", "stereo", "both"])
def test_the_slopes_of_a_strip_are_those_of_differences(channels):
    x = noise(2, 2, 48).double() * 3
    if channels != "stereo":
        x[: 1 if channels == "both" else 2, 1] = x[: 1 if channels == "both" else 2, 0]
    u = 0.3 + 0.4 * unit(2)[0].double()
    buses = [v.double() for v in unit(2, fill=0.5)[1:]]

    def strips(knobs):
        params = ConsoleParams.from_unit(knobs, *buses)
        return CONSOLE(x, params, master_bus=False, fx_bus=False).tracks

    assert torch.autograd.gradcheck(strips, u.requires_grad_(), eps=1e-6, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_a_meter_sees_every_compressor(preset):
    seen = []
    console = MixingConsole(44100, preset, meter=lambda *signals: seen.append(signals))
    params = ConsoleParams.neutral(["a", "b"], preset=preset)
    params.track("b")["threshold_db"], params.track("b")["ratio"] = -50.0, 8.0
    params.track("b")["makeup_gain_db"] = 3.0
    tracks = 0.1 * torch.randn(*((2, 2) if preset == "default" else (2,)), 4410)
    mix = console(tracks, params).mix
    (before, after, makeup_db), (bus, _, _) = seen
    assert before.shape == after.shape and before.shape[0] == 2 and bus.shape == (1, 2, 4410)
    assert makeup_db.tolist() == [0.0, 3.0]
    assert after[1].square().mean() < 0.5 * before[1].square().mean()
    assert torch.equal(MixingConsole(44100, preset)(tracks, params).mix, mix)


# Look-ahead


@pytest.mark.parametrize("section", ["track", "master_bus"])
@pytest.mark.parametrize("rate", [22050, 44100, 96000])
def test_the_gain_falls_10_ms_before_a_hit_at_every_sample_rate(rate, section):
    tracks = torch.full((1, 2, rate), 1e-3)
    tracks[..., rate // 2 :] = 1.0
    params = ConsoleParams.neutral(["a"], sample_rate=rate)
    strip = params.track("a") if section == "track" else params.master_bus
    strip["threshold_db"], strip["ratio"], strip["attack_ms"] = -24, 3, 5
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
