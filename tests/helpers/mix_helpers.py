"""What the tests of mixes share."""

import torch

from diffmst_lib import MixingConsole, Multitrack, loudness
from diffmst_lib.mixing.bus import console_tracks

RATE = 44100


def mono_song(channels, names=None):
    """A song of mono stems from channels (N, T)."""
    return Multitrack(names or [f"t{i}" for i in range(len(channels))], channels[:, None].repeat(1, 2, 1))


def with_silence(song, stem):
    """The song with one stem silent."""
    keep = torch.tensor([name != stem for name in song.names])
    return Multitrack(list(song.names), song.audio * keep[:, None, None])


def contributions(result):
    """LUFS of every stem as it reaches the master bus, measured 30 dB louder: below, the gate cuts into decays."""
    return [loudness(stem * 10 ** (30 / 20)) - 30 for stem in result.stems().values()]


def bus_lufs(result):
    """The loudness of the sum of the strips, before the master bus."""
    return loudness(sum(result.stems().values()))


def is_what_the_console_makes(result):
    again = MixingConsole(result.sample_rate, preset=result.params.preset).render(
        console_tracks(result.song, result.params.preset)[1], result.params
    )
    torch.testing.assert_close(again, result.audio, rtol=0, atol=1e-4)
    return True
