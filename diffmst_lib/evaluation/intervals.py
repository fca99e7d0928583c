"""How sure a mean over few songs is: the bootstrap over songs.

Pairs of one song are alike, so that many pairs of few songs say little about another song. Songs are drawn therefore,
each with all of its pairs.

Source: Davison and Hinkley (1997), "Bootstrap methods and their application", section 3.8.

Chapter: How good is a mix?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..inputs import InputError, note

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 10_000
LEVEL = 0.95


def song_interval(
    table: pd.DataFrame, value: str, song: str = "song", *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float, float]:
    """Compute a mean over all rows, with its 95 % bootstrap interval over songs.

    As many songs as there are get drawn with replacement, each with all of its rows, and the mean of those rows is
    taken; the interval is from the 2.5th to the 97.5th percentile of the draws.

    Args:
        table: A row per pair or so.
        value: Column of the numbers. Rows without a finite one are left out.
        song: Column of the songs.
        draws: Number of draws.
        seed: Seed of the draws.

    Returns:
        Mean, lower and upper end. The interval of a single song is NaN, told in an `InputNote`; without any number
        all three are.

    Raises:
        InputError: For a column that is not there.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"song": ["a", "a", "b"], "loss": [1.0, 3.0, 5.0]})
        >>> song_interval(table, "loss")
        (3.0, 2.0, 5.0)
    """
    _check_columns(table, (value, song))
    values, songs = table[value].to_numpy(dtype=np.float64), table[song].to_numpy()
    there = np.isfinite(values)
    if not there.any():
        return math.nan, math.nan, math.nan
    values, (_, number) = values[there], np.unique(songs[there].astype(str), return_inverse=True)
    sums, counts = np.bincount(number, values), np.bincount(number)
    mean = float(values.mean())
    if len(sums) == 1:
        note(f"{value}: of one song there is no interval")
        return mean, math.nan, math.nan
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)  # (draws, songs)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return mean, float(low), float(high)


def paired_interval(
    table: pd.DataFrame,
    value: str,
    first: str,
    second: str,
    *,
    system: str = "system",
    song: str = "song",
    pair: str | Sequence[str] = "pair",
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Compute how much a system's mean differs from another's over the same pairs, with an interval over songs.

    What is hard about a pair is hard for both, so that this interval is narrower than those of the two means say.

    Args:
        table: A row per pair and system.
        value: Column of the numbers. Pairs without a finite one of both systems are left out.
        first: A system.
        second: The system that it is compared with.
        system: Column of the systems.
        song: Column of the songs.
        pair: Column, or columns, that tell pairs from one another.
        draws: Number of draws.
        seed: Seed of the draws.

    Returns:
        Mean of first minus second, lower and upper end, as `song_interval`.

    Raises:
        InputError: For a column or a system that is not there, and for two rows of one system and pair.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"song": list("aabb"), "pair": [1, 1, 2, 2], "system": ["sum", "small"] * 2})
        >>> paired_interval(table.assign(loss=[0.5, 0.1, 0.9, 0.4]), "loss", "small", "sum")
        (-0.45, -0.5, -0.4)
    """
    keys = [song, *([pair] if isinstance(pair, str) else pair)]
    keys = list(dict.fromkeys(keys))
    _check_columns(table, (value, system, *keys))
    both = []
    for name in (first, second):
        rows = table[table[system] == name]
        if rows.empty:
            raise InputError(f"no rows of the system {name}")
        if rows.duplicated(keys).any():
            raise InputError(f"{name}: two rows of one pair, by {', '.join(keys)}")
        both.append(rows.set_index(keys)[value])
    difference = (both[0] - both[1]).reset_index()
    return song_interval(difference, value, song, draws=draws, seed=seed)


def _check_columns(table: pd.DataFrame, wanted: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in table.columns]:
        raise InputError(f"a table without the column {', '.join(missing)}")
