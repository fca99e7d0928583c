"""The bypass explorer: a part that is off has its neutral values."""

import pytest
import torch
from widget_sounds import RATE

import diffmst_lib as dm

PARTS = ["gain", "equalizer", "compressor", "width", "panner", "fx_bus", "master_bus"]


@pytest.mark.parametrize("part", PARTS)
def test_bypass_takes_the_neutral_values(mix, part):
    song, params = mix
    explorer = dm.explore_bypass(song, params, off=(), seconds=1.0)
    console = dm.MixingConsole(RATE)
    everything = console.render(song.excerpt(0, 1.0).audio, params)
    torch.testing.assert_close(explorer.audio, everything)
    assert list(explorer.settings) == PARTS
    explorer.controls[part].value = False
    assert explorer.settings[part] is False and sum(explorer.settings.values()) == len(PARTS) - 1
    by_effect = {"equalizer": "eq"}.get(part, part)
    wanted = params.clone()
    for name in wanted.names:
        for spec in dm.param_table("track"):
            if spec.effect == by_effect:
                wanted.track(name)[spec.name] = spec.neutral
    if part == "master_bus":
        for spec in dm.param_table("master_bus"):
            wanted.master_bus[spec.name] = spec.neutral
    assert explorer.params.to_json() == wanted.to_json()
    torch.testing.assert_close(explorer.audio, console.render(song.excerpt(0, 1.0).audio, wanted))
    assert (explorer.audio - everything).abs().max() > 1e-3


def test_bypass_offers_the_effects_bus_only_where_it_is_used(song):
    params = dm.ConsoleParams.neutral(song.names)
    assert "fx_bus" not in dm.explore_bypass(song, params, seconds=1.0).controls


def test_the_paper_s_console_takes_mono_channels(song):
    kick = song.audio[:1, :1].expand(1, 2, -1)
    pad = song.audio[1:2].clone()
    pad[..., :44100] = pad[:, :1, :44100]  # mono at first
    mixed = dm.Multitrack(["kick", "pad"], torch.cat([kick, pad]))
    names, audio = mixed.as_channels()
    assert names == ["kick", "pad.L", "pad.R"]
    params = dm.ConsoleParams.neutral(names, preset="reference")
    explorer = dm.explore_bypass(mixed, params, off=(), seconds=0.5)
    assert list(explorer.settings) == ["gain", "equalizer", "compressor", "panner", "master_bus"]
    expected = dm.MixingConsole(RATE, preset="reference").render(audio[:, :22_050], params)
    torch.testing.assert_close(explorer.audio, expected)


def test_bad_consoles_are_refused(song):
    params = dm.ConsoleParams.neutral(song.names)
    with pytest.raises(ValueError, match="no setting 'reverb': the console has gain, equalizer"):
        dm.explore_bypass(song, params, off=("reverb",), seconds=1.0)
    with pytest.raises(ValueError, match="do not fit"):
        dm.explore_bypass(song.select("kick"), params, seconds=1.0)
    with pytest.raises(ValueError, match="nothing at 9"):
        dm.explore_bypass(song, params, start_s=9.0)
    with pytest.raises(ValueError, match="needs a song, a Multitrack, got Tensor"):
        dm.explore_bypass(song.audio, params)
    with pytest.raises(ValueError, match="must be ConsoleParams, got dict"):
        dm.explore_bypass(song, {})
