"""What a mix costs: how far it moves the artist's balance, and how far it leans stems to a side.

Chapter: Style by optimization.
"""

from __future__ import annotations

import math

import numpy as np

from .measures import SongMeasures, render_measured
from .result import MixResult

GATE_LUFS = -70.0  # a stem below it counts as this loud, or a fader that is off would be infinitely far off


def measures_of(result: MixResult) -> SongMeasures:
    """Return what was measured while a song was mixed; where it was not, mix it once more."""
    return result.measures or render_measured(result.console, result.song, result.params)[1]


def moved_db(result: MixResult) -> np.ndarray:
    """Measure how much louder each stem leaves its strip than it came.

    Args:
        result: A mix.

    Returns:
        Levels in dB, (num_stems,).
    """
    levels = [(one.mixed_lufs, one.delivered_lufs) for one in measures_of(result).stems.values()]
    mixed, delivered = np.maximum(levels, GATE_LUFS).T
    return mixed - delivered


def leaned_db(result: MixResult) -> np.ndarray:
    """Measure how far stereo stems lean to the right of where they were delivered.

    Args:
        result: A mix.

    Returns:
        Changes in dB of right over left, one for each stereo stem that sounds.
    """
    stems = zip(measures_of(result).stems.values(), result.song.is_mono(), strict=True)
    changes = np.array([one.mixed.lean_db - one.delivered.lean_db for one, mono in stems if not mono])
    return changes[np.isfinite(changes)]


def balance_cost(result: MixResult) -> dict[str, float]:
    """Sum up what a mix did to the balance and to the sides.

    Args:
        result: A mix.

    Returns:
        In dB without sign: moved_db and worst_moved_db, how far the stems that sound moved less their median, mean
        and largest; leaned_db and worst_leaned_db, how far stereo stems leaned to a side. NaN where no stem counts.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").excerpt(8, 2)
        >>> result = dm.unity(song)
        >>> result.params.track("kick")["fader_db"] += 6
        >>> round(balance_cost(result.remix())["worst_moved_db"], 2)
        6.0
    """
    delivered = [one.delivered_lufs for one in measures_of(result).stems.values()]
    moved, leaned = moved_db(result)[np.isfinite(delivered)], np.abs(leaned_db(result))
    moved = np.abs(moved - np.median(moved)) if len(moved) else moved
    cost = {}
    for name, values in (("moved_db", moved), ("leaned_db", leaned)):
        cost[name] = float(values.mean()) if len(values) else math.nan
        cost[f"worst_{name}"] = float(values.max()) if len(values) else math.nan
    return cost
