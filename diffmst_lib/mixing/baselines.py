"""Mixes that use no reference: the baselines that a system has to beat. Section 3.3 of the paper.

Chapter: A first mix.
"""

from __future__ import annotations

from ..audio.loudness import MIX_LUFS
from ..audio.multitrack import Multitrack, check_song
from ..console.table import knob_index
from .odd_reference import note_stem_as_reference
from .references import Reference, References, check_reference
from .result import MixResult, check_mix, render_mix
from .start import neutral_params


def equal_loudness(
    song: Multitrack, *, panned: bool = False, lufs: float = MIX_LUFS, reference: References | None = None
) -> MixResult:
    """Sum the stems at the same loudness, and bring the mix to `lufs`. The paper's lowest anchor.

    The console has trims, flat equalizers and ratios of 1. Silent stems stay silent.

    Args:
        song: The stems.
        panned: Whether each stem keeps its stereo image. Otherwise the mix is mono, as in the paper.
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
    levels, record = _check(song, reference)
    params = neutral_params(song, "equal", levels=levels)
    if not panned:
        params.tracks[:, knob_index("width")] = 0.0
    return check_mix(render_mix(song, params, lufs=lufs, reference=record, levels=levels), lufs)


def unity(song: Multitrack, *, lufs: float = MIX_LUFS, reference: References | None = None) -> MixResult:
    """Sum the stems as they were delivered, and bring the mix to `lufs`: the producer's own mix.

    Nothing but one gain lies between the mix and the plain sum of the stems.

    Args:
        song: The stems.
        lufs: Level of the mix, in LUFS.
        reference: A stereo mix (2, num_samples) for the result's `loss`; the mix does not depend on it.

    Returns:
        The mix.

    Raises:
        InputError: For a song that is all silent or has NaN or infinite samples, and for a reference that is
            no stereo mix.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium")
        >>> mix, plain_sum = unity(song).audio, song.audio.sum(dim=0)
        >>> bool((mix / mix.abs().max() - plain_sum / plain_sum.abs().max()).abs().max() < 1e-6)
        True
    """
    levels, record = _check(song, reference)
    params = neutral_params(song, levels=levels)
    return check_mix(render_mix(song, params, lufs=lufs, reference=record, levels=levels), lufs)


def _check(song: Multitrack, reference: References | None) -> tuple[list[float], Reference | None]:
    """Check song and reference, and measure the stems and the reference."""
    levels = check_song(song)
    if reference is None:
        return levels, None
    record = check_reference(reference, sample_rate=song.sample_rate)
    note_stem_as_reference(song, *record.weighted())
    return levels, record
