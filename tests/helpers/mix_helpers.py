"""What the tests of mixes share."""

import torch

from diffmst_lib import MixingConsole, Multitrack, loudness

RATE = 44100
CENTER_DB = -1.5  # a track in the center, both channels together, by the -4.5 dB pan law


def with_silence(song, stem):
    """The song with one stem silent."""
    keep = torch.tensor([not name.startswith(stem) for name in song.names])
    return Multitrack(list(song.names), song.audio * keep[:, None])


def contributions(result):
    """LUFS of every track as it goes into the sum, measured 30 dB louder: at -48 LUFS the gate cuts into a decay."""
    tracks = MixingConsole(result.sample_rate)(result.song.audio, result.params, master_bus=False).tracks
    return [loudness(track * 10 ** (30 / 20)) - 30 for track in tracks]


def is_what_the_console_makes(result):
    again = MixingConsole(result.sample_rate, preset=result.params.preset).render(
        result.song.audio, result.params
    )
    torch.testing.assert_close(again, result.audio, rtol=0, atol=1e-4)
    return True
