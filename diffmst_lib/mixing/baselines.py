"""Mixes that use no reference: the baselines that a system has to beat. Section 3.3 of the paper.

Chapter: A first mix.
"""

from __future__ import annotations

import math

import torch

from ..audio.loudness import MIX_LUFS, loudness
from ..audio.multitrack import Multitrack, check_song
from ..console.params import ConsoleParams
from ..console.table import knob_index
from .result import MixResult, check_reference, render_mix

TRACK_LUFS = -48.0  # the level of every track in the equal-loudness mix, as in the paper


def equal_loudness(
    song: Multitrack, *, panned: bool = False, lufs: float = MIX_LUFS, reference: torch.Tensor | None = None
) -> MixResult:
    """Sum the tracks at the same loudness, and bring the mix to `lufs`. The paper's lowest anchor.

    The console has input gains, flat equalizers and ratios of 1. Silent tracks stay silent.

    Args:
        song: The stems.
        panned: Whether the channels of stereo stems go to their sides and mono stems alternate. Otherwise
            the mix is mono, as in the paper.
        lufs: Level of the mix, in LUFS.
        reference: A stereo mix (2, num_samples) for the result's `loss`; the mix does not depend on it.

    Returns:
        The mix.

    Raises:
        InputError: For a song that is all silent or has NaN or infinite samples, and for a reference that is
            no stereo mix.

    Example:
        >>> import diffmst_lib as dm
        >>> mix = equal_loudness(dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium"))
        >>> round(mix.loudness_lufs, 1)
        -16.0
    """
    target = _check(song, reference)
    params = neutral_params(song, panned=panned)
    fader = params.specs("track")[knob_index("input_gain_db")]
    for name, track in zip(song.names, song.audio, strict=True):
        level = loudness(track, sample_rate=song.sample_rate)
        if math.isfinite(level):
            params.track(name)["input_gain_db"] = min(max(TRACK_LUFS - level, fader.low), fader.high)
    return render_mix(song, params, lufs=lufs, target=target)


def unity(
    song: Multitrack, *, panned: bool = True, lufs: float = MIX_LUFS, reference: torch.Tensor | None = None
) -> MixResult:
    """Sum the stems as they are, faders at unity, and bring the mix to `lufs`: the producer's own balance.

    Args:
        song: The stems.
        panned: As in `equal_loudness`.
        lufs: Level of the mix, in LUFS.
        reference: A stereo mix (2, num_samples) for the result's `loss`; the mix does not depend on it.

    Returns:
        The mix.

    Raises:
        InputError: For a song that is all silent or has NaN or infinite samples, and for a reference that is
            no stereo mix.

    Example:
        >>> import diffmst_lib as dm
        >>> mix = unity(dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium"))
        >>> mix.params.track("kick")["input_gain_db"].tolist()
        [0.0, 0.0]
    """
    target = _check(song, reference)
    return render_mix(song, neutral_params(song, panned=panned), lufs=lufs, target=target)


def _check(song: Multitrack, reference: torch.Tensor | None) -> dict[str, torch.Tensor] | None:
    """Check song and reference, and measure the features of the reference."""
    check_song(song)
    return None if reference is None else check_reference(reference, sample_rate=song.sample_rate)


def neutral_params(song: Multitrack, *, panned: bool = True) -> ConsoleParams:
    """Make a neutral console for a song, its pans spread (`Multitrack.spread_pans`) or at the center."""
    pans = song.spread_pans() if panned else None
    return ConsoleParams.neutral(song.names, pans=pans, sample_rate=song.sample_rate)
