"""Mixes that use no reference: the marks that a system has to beat. Section 3.3 of the paper. Chapter: A first mix."""

from __future__ import annotations

import math

from ..audio.loudness import MIX_LUFS, loudness
from ..audio.multitrack import Multitrack, check_song
from ..console.params import ConsoleParams
from .result import MixResult, finish

TRACK_LUFS = -48.0  # the level of every track in the equal-loudness mix, as in the paper


def equal_loudness(song: Multitrack, *, panned: bool = False, lufs: float = MIX_LUFS) -> MixResult:
    """Every track at the same loudness, summed, the mix brought to `lufs`. The paper's lowest anchor.

    As in the paper the result is mono; with `panned` the left and right channels of stereo stems go to their sides
    and mono stems alternate. Expressed as console settings: input gains, a flat equalizer, ratio 1. Silent tracks
    stay silent. Raises InputError for a song of only silence or with NaN samples.

    >>> import diffmst_lib as dm
    >>> mix = equal_loudness(dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium"))
    >>> round(dm.loudness(mix.audio), 1)
    -16.0
    """
    check_song(song)
    params = neutral_params(song, panned=panned)
    for name, track in zip(song.names, song.audio):
        level = loudness(track, sample_rate=song.sample_rate)
        if math.isfinite(level):
            params.track(name)["input_gain_db"] = min(max(TRACK_LUFS - level, -48.0), 48.0)
    return finish(song, params, lufs=lufs)


def unity(song: Multitrack, *, panned: bool = True, lufs: float = MIX_LUFS) -> MixResult:
    """The stems as they came, faders at unity, summed and brought to `lufs`: the producer's own balance."""
    check_song(song)
    return finish(song, neutral_params(song, panned=panned), lufs=lufs)


def neutral_params(song: Multitrack, *, panned: bool = True) -> ConsoleParams:
    """A neutral console for this song, its pans spread (`Multitrack.spread_pans`) or at the center."""
    pans = song.spread_pans() if panned else None
    return ConsoleParams.neutral(song.names, pans=pans, sample_rate=song.sample_rate)
