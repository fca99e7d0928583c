"""Consoles that the weights of the first edition predict, on today's strips."""

import pytest
import torch
from mix_helpers import bus_lufs
from model_helpers import first_edition

from diffmst_lib import ConsoleParams, MixingConsole, MixResult, Multitrack, normalize_loudness
from diffmst_lib.mixing.first_edition import stems_console


@pytest.fixture
def channels(song):
    """The console of the first edition for the song: stereo stems panned apart, different levels."""
    names = song.as_channels()[0]
    params = ConsoleParams.neutral(names, preset="channels")
    for stem, (gain, pan) in zip(song.names, [(3.0, 0.18), (-6.0, 0.3), (0.0, 0.0)], strict=True):
        for side, place in (("L", pan), ("R", 1.0 - pan)):
            strip = params.track(f"{stem}.{side}")
            strip["input_gain_db"], strip["pan"] = gain, place
    return params


def rendered(song, params):
    audio = song.audio if params.preset == "default" else song.as_channels()[1]
    mix = MixingConsole(song.sample_rate, preset=params.preset).render(audio, params)
    return normalize_loudness(mix)


def test_pairs_of_channels_become_width_and_pan_with_the_same_sound(song, channels):
    stems = stems_console(song, channels)
    assert stems.preset == "default" and stems.names == song.names
    torch.testing.assert_close(rendered(song, stems), rendered(song, channels), rtol=0, atol=1e-5)
    assert stems.track("minilogue_synth")["width"] == pytest.approx(1.0, abs=1e-5)  # was hard apart
    assert 0 < stems.track("kick")["width"] < stems.track("bgvox_main")["width"] < 1
    assert stems.values("track")["pan"].tolist() == pytest.approx([0.5] * 3, abs=1e-6)


@pytest.mark.parametrize("input_gain_db", [-8.0, 4.0])
def test_the_masters_compressor_meets_the_level_for_which_it_was_set(song, channels, input_gain_db):
    bus = channels.master_bus
    bus["input_gain_db"], bus["ratio"], bus["makeup_gain_db"] = input_gain_db, 2.5, 2.0
    level = bus_lufs(MixResult(song.audio[0], channels.as_stems(), song))  # the input gain is in the faders
    bus["threshold_db"] = level - 2.0
    stems = stems_console(song, channels)
    assert stems.master_bus["threshold_db"] == pytest.approx(-22.0, abs=0.01)
    assert bus_lufs(MixResult(song.audio[0], stems, song)) == pytest.approx(-20.0, abs=0.01)
    torch.testing.assert_close(rendered(song, stems), rendered(song, channels), rtol=0, atol=1e-3)


def test_a_threshold_beyond_todays_range_ends_there(song, channels):
    channels.master_bus["threshold_db"] = -60.0
    assert stems_console(song, channels).master_bus["threshold_db"] == -24.0


def test_the_mix_of_a_model_of_the_first_edition(song, reference):
    result = first_edition().mix(song, reference)
    assert result.params.preset == "default" and result.params.names == song.names
    assert bus_lufs(result) == pytest.approx(-20.0, abs=0.1)
    result.params.check()


def test_mono_and_stereo_stems_and_an_empty_one(song, reference, noise):
    mono = noise(1, song.audio.shape[-1])[:, None].repeat(1, 2, 1)
    audio = torch.cat([song.audio, mono, 0 * mono])
    result = first_edition().mix(Multitrack([*song.names, "bass", "empty"], audio), reference)
    assert result.params.names == [*song.names, "bass", "empty"] and torch.isfinite(result.audio).all()
