"""Where mixes start: the console that leaves a song as it was delivered, and the one that fits start from.

Chapter: The console.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..audio.loudness import stem_gains_db
from ..audio.multitrack import Multitrack
from ..audio.spreading import spread_pans
from ..console.params import ConsoleParams
from ..console.specs import takes_stems
from ..console.table import knob_index, param_table
from ..network.roles import middle_by_sound
from .bus import console_tracks


def neutral_params(
    song: Multitrack,
    balance: str = "delivered",
    *,
    preset: str = "default",
    levels: Sequence[float] | None = None,
) -> ConsoleParams:
    """Make a console that changes nothing but the level: the song reaches the master bus at -20 LUFS.

    On strips of mono channels, which have no level to reach, it changes nothing at all.

    Args:
        song: The stems.
        balance: "delivered": one trim for the whole song, written into every strip. "equal": a trim a strip,
            which makes the stems equally loud.
        preset: The console's preset.
        levels: Loudness of each stem in LUFS, where it is known (`check_song`); None: it is measured.

    Returns:
        The console.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium")
        >>> len(set(neutral_params(song).tracks[:, 0].tolist()))
        1
    """
    names = console_tracks(song, preset)[0]
    params = ConsoleParams.neutral(names, preset=preset, sample_rate=song.sample_rate)
    if not takes_stems(preset):
        return params
    trim = param_table("track")[knob_index("input_gain_db")]
    gains_db = stem_gains_db(song.audio, balance, sample_rate=song.sample_rate, levels=levels)
    if not bool(gains_db.isnan().all()):
        of_silence = gains_db[~gains_db.isnan()].median()  # nobody hears it, but the table looks right
        gains_db = torch.where(gains_db.isnan(), of_silence, gains_db)
        params.tracks[:, knob_index("input_gain_db")] = gains_db.float().cpu().clamp(trim.low, trim.high)
    return params


def start_params(
    song: Multitrack,
    balance: str = "delivered",
    center: Sequence[str] | None = None,
    *,
    preset: str = "default",
    levels: Sequence[float] | None = None,
) -> ConsoleParams:
    """Make the console that fits and networks start from: neutral, and a song of mono stems spread.

    Args:
        song: The stems.
        balance: As in `neutral_params`.
        center: As in `spread_pans`: which stems of a mono song stay in the middle.
        preset: As in `neutral_params`, and channels are not spread.
        levels: As in `neutral_params`.

    Returns:
        The console.
    """
    params = neutral_params(song, balance, preset=preset, levels=levels)
    if not takes_stems(preset):
        return params
    pans = start_pans(song, center)
    params.tracks[:, knob_index("pan")] = torch.tensor(pans, device=params.tracks.device)
    return params


def start_pans(song: Multitrack, center: Sequence[str] | None = None) -> list[float]:
    """Place the stems of a mono song modestly apart: `spread_pans`, told by ear what belongs in the middle.

    Args:
        song: The stems.
        center: As in `spread_pans`.

    Returns:
        A pan for each stem, 0 to 1; 0.5 for all stems of a song with a stereo stem.
    """
    heard = middle_by_sound(song) if center is None and all(song.is_mono()) else ()
    return spread_pans(song.names, song.audio, sample_rate=song.sample_rate, center=center, also=heard)
