"""Mixes to report on."""

import torch

from diffmst_lib import ConsoleParams, MixingConsole, MixResult, Multitrack
from diffmst_lib.console.specs import takes_stems
from diffmst_lib.mixing.bus import console_tracks
from diffmst_lib.mixing.start import neutral_params

RATE = 44100


def mixed(song, settings=(), *, preset="default", reference=None):
    """The mix of a song by a neutral console, with these settings {(strip, knob): value} changed."""
    if takes_stems(preset):
        params = neutral_params(song, preset=preset)
    else:
        names = console_tracks(song, preset)[0]
        pans = [{".L": 0.0, ".R": 1.0}.get(name[-2:], 0.5) for name in names]
        params = ConsoleParams.neutral(names, pans=pans, preset=preset, sample_rate=song.sample_rate)
    for (strip, knob), value in dict(settings).items():
        (params.master_bus if strip == "master_bus" else params.track(strip))[knob] = value
    audio = MixingConsole(song.sample_rate, preset=preset).render(console_tracks(song, preset)[1], params)
    return MixResult(audio, params, song, reference=reference)


def stereo_song(names, seconds=2.0):
    """A song of noises, equally loud, as wide as noise is."""
    generator = torch.Generator().manual_seed(3)
    return Multitrack(
        list(names), 0.1 * torch.randn(len(names), 2, round(seconds * RATE), generator=generator)
    )


def square(amplitude, seconds=2.0):
    """A mono stem (2, T) whose level is the same at every sample."""
    return (
        amplitude
        * torch.ones(2, round(seconds * RATE))
        * (1 - 2 * (torch.arange(round(seconds * RATE)) // 50 % 2))
    )
