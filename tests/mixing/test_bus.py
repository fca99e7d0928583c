"""The master bus at its level."""

import pytest
import torch
from mix_helpers import RATE, bus_lufs

from diffmst_lib import ConsoleParams, MixingConsole, MixResult, loudness, unity
from diffmst_lib.mixing.bus import bus_loudness, console_tracks, hold_bus, move_faders, run_console
from diffmst_lib.mixing.start import start_params


def faders(params):
    return params.values("track")["fader_db"].tolist()


def driven(song, change_db):
    """A console whose master compresses, with all faders moved."""
    params = start_params(song)
    params.tracks[:, -2] += change_db
    params.master_bus["threshold_db"], params.master_bus["ratio"] = -24.0, 3.0
    return params


def test_faders_together_cannot_drive_the_master_bus(song):
    console = MixingConsole(RATE)
    mixes = [run_console(console, song.audio, driven(song, change)) for change in (0.0, -20.0, 6.0)]
    for mix in mixes[1:]:
        torch.testing.assert_close(mix, mixes[0], rtol=0, atol=1e-5)
    free = run_console(console, song.audio, driven(song, 6.0), bus_lufs=None)
    assert torch.equal(free, console(song.audio, driven(song, 6.0), fx_bus=False).mix)
    assert (free - mixes[0]).abs().max() > 1e-2


def test_batches_are_held_one_by_one(song):
    console, params = MixingConsole(RATE), driven(song, 0.0)
    batch = torch.stack([song.audio, 0.1 * song.audio])
    mixes = run_console(console, batch, params)
    torch.testing.assert_close(mixes[1], mixes[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(mixes[0], run_console(console, song.audio, params), rtol=0, atol=1e-5)


def test_silence_stays_silence():
    params = ConsoleParams.neutral(["a"])
    assert not run_console(MixingConsole(RATE), torch.zeros(1, 2, 5000), params).any()


def test_the_papers_channels_are_not_held(song):
    names, channels = console_tracks(song, "reference")
    params = ConsoleParams.neutral(names, preset="reference")
    console = MixingConsole(RATE, preset="reference")
    assert torch.equal(run_console(console, channels, params), console(channels, params).mix)


def test_gradients_are_finite_and_the_common_level_has_none(song):
    params, console = driven(song, 0.0), MixingConsole(RATE)
    params.tracks.requires_grad_()
    run_console(console, song.audio, params).square().sum().backward()
    of_faders = params.tracks.grad[:, -2]
    assert torch.isfinite(params.tracks.grad).all()
    assert of_faders.sum().abs() < 0.05 * of_faders.abs().sum()


def test_faders_move_together_within_their_range():
    params = ConsoleParams.neutral(["a", "b", "off"])
    params.tracks[:, -2] = torch.tensor([0.0, 6.0, -60.0])
    assert faders(move_faders(params, -10.0)) == [-10.0, -4.0, -60.0]
    assert faders(move_faders(params, 3.0)) == [3.0, 9.0, -60.0]
    assert faders(move_faders(params, 20.0)) == [6.0, 12.0, -60.0]  # the balance stays
    sounding = torch.tensor([True, False, True])
    assert faders(move_faders(params, 20.0, sounding)) == [
        12.0,
        6.0,
        -60.0,
    ]  # a silent stem holds nobody back
    lowest = faders(move_faders(params, -200.0))
    assert -60.0 < lowest[0] == pytest.approx(lowest[1] - 6.0)  # none falls off
    assert faders(params) == [0.0, 6.0, -60.0]  # another console


def test_the_level_before_the_bus_is_measured_and_held(song):
    params = driven(song, -7.0)
    assert bus_loudness(MixingConsole(RATE), song, params) == pytest.approx(-27.0, abs=0.05)
    held = hold_bus(MixingConsole(RATE), song, params)
    assert bus_loudness(MixingConsole(RATE), song, held) == pytest.approx(-20.0, abs=0.01)
    assert bus_lufs(MixResult(song.audio[0], held, song)) == pytest.approx(-20.0, abs=0.05)


def test_of_a_long_song_the_loudest_half_minute_is_measured(noise):
    from diffmst_lib import Multitrack

    quiet, loud = 0.01 * noise(1, 2, 20 * RATE), noise(1, 2, 32 * RATE)
    song = Multitrack(["a"], torch.cat([quiet, loud], dim=-1))
    params = unity(song).params
    assert bus_loudness(MixingConsole(RATE), song, params) == pytest.approx(
        loudness(MixingConsole(RATE)(song.audio, params, master_bus=False).mix), abs=0.05
    )


def test_a_console_that_is_all_off_is_left_alone(song):
    params = start_params(song)
    params.tracks[:, -2] = -60.0
    assert faders(hold_bus(MixingConsole(RATE), song, params)) == [-60.0] * 3
