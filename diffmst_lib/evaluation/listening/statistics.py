"""What the ratings say: medians with intervals, Friedman, paired Wilcoxon with correction, sizes of effects.

Chapter: Results
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ...inputs import InputError
from .screening import of_scale

if TYPE_CHECKING:
    import pandas as pd

EXACT = 50  # differences without ties, up to which Wilcoxon's distribution is counted out
FLIPS = 9999  # of signs, where there are ties: all of them up to 13 differences, else as many at random


@dataclass(frozen=True)
class Compared:
    """Systems compared on one scale.

    Attributes:
        scale: Name of the scale.
        systems: One row a system, the best first: role, ratings, median with low and high, mean_rank (1 is
            best; NaN for those that are not in Friedman's test).
        pairs: One row a pair of systems: listeners, difference (median over listeners, first minus second), p of
            Wilcoxon's test, p_holm, rank_biserial.
        listeners: How many are in Friedman's test.
        chi2: Friedman's statistic; NaN for fewer than three systems or two listeners.
        p: Its p value, approximate below 10 listeners.
        kendall_w: Agreement of the listeners, 0 to 1: chi2 / (listeners (systems - 1)).
        simulated: Whether any listener is simulated.
    """

    scale: str
    systems: pd.DataFrame
    pairs: pd.DataFrame
    listeners: int
    chi2: float
    p: float
    kendall_w: float
    simulated: bool


def compare_systems(
    ratings: pd.DataFrame,
    scale: str = "overall",
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Compared:
    """Compare the systems of a listening test on one scale.

    A listener counts once: the unit of the tests is the listener's mean over the pages where all systems that
    are compared were rated. Friedman's test takes the systems that are on half of the pages at least, so a
    human mix of one song does not throw away the others. Intervals of the medians come from a bootstrap that
    draws listeners and songs, both with replacement, so that they tell of other listeners and other songs; of
    one listener or one song alone, that part is not drawn.

    Source: Friedman 1937; Wilcoxon 1945; Holm 1979; Kendall and Babington Smith 1939; Kerby 2014 (rank-biserial);
    Owen 2007 (bootstrap of two crossed factors).

    Args:
        ratings: Table of `collect_ratings`, better after `screen`.
        scale: Name of the scale.
        level: Confidence of the intervals, 0 to 1.
        resamples: Draws of the bootstrap.
        seed: Seed of the draws.

    Returns:
        Tables of systems and of pairs, and Friedman's test.

    Raises:
        InputError: For a scale without ratings, and for less than two systems.

    Example:
        >>> from diffmst_lib.evaluation.listening import simulate_listeners
        >>> found = compare_systems(simulate_listeners({"sum": 35, "rules": 55, "human": 75}), resamples=200)
        >>> list(found.systems.index), bool(found.pairs["p_holm"].max() < 0.01), found.simulated
        (['human', 'rules', 'sum'], True, True)
    """
    import pandas as pd
    from scipy import stats

    rated = of_scale(ratings, scale)
    names = list(dict.fromkeys(rated["system"]))
    if len(names) < 2:
        raise InputError(f"one system alone cannot be compared: {', '.join(names)}")
    cube, songs = _cube(rated, names)

    often = (~np.isnan(cube)).any(axis=0).mean(axis=0) >= 0.5
    blocks = _listener_means(cube[:, :, often])
    chi2, p, agreement = np.nan, np.nan, np.nan
    ranks = np.full(len(names), np.nan)
    if blocks.shape[0] >= 1:
        ranks[often] = stats.rankdata(-blocks, axis=1).mean(axis=0)
    if blocks.shape[0] >= 2 and blocks.shape[1] >= 3:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # everybody rates all systems alike: 0 / 0
            chi2, p = map(float, stats.friedmanchisquare(*blocks.T))
        agreement = chi2 / (blocks.shape[0] * (blocks.shape[1] - 1))

    low, high = _median_intervals(cube, songs, level, resamples, seed)
    systems = pd.DataFrame(
        {
            "role": [rated.loc[rated["system"] == name, "role"].iloc[0] for name in names],
            "ratings": (~np.isnan(cube)).sum(axis=(0, 1)),
            "median": np.nanmedian(cube.reshape(-1, len(names)), axis=0),
            "low": low,
            "high": high,
            "mean_rank": ranks,
        },
        index=pd.Index(names, name="system"),
    ).sort_values(["median", "mean_rank"], ascending=[False, True], kind="stable")

    rows = []
    for one, other in combinations(systems.index, 2):
        means = _listener_means(cube[:, :, [names.index(one), names.index(other)]])
        differences = np.round(means[:, 0] - means[:, 1], 9)  # else rounding breaks ties
        rows.append(
            {
                "first": one,
                "second": other,
                "listeners": len(differences),
                "difference": float(np.median(differences)) if len(differences) else np.nan,
                "p": signed_rank_p(differences, seed=seed),
                "rank_biserial": rank_biserial(differences),
            }
        )
    pairs = pd.DataFrame(rows)
    pairs.insert(5, "p_holm", holm(pairs["p"].to_numpy()))
    simulated = bool(rated["simulated"].any())
    return Compared(scale, systems, pairs, len(blocks), chi2, p, agreement, simulated)


def signed_rank_p(differences: np.ndarray, *, seed: int = 0) -> float:
    """Compute the p value of Wilcoxon's signed-rank test, two-sided. Differences of 0 are left out.

    Exact up to 50 differences without ties, and up to 13 with ties; else by 9,999 random changes of signs, or
    by the normal distribution where there are no ties.

    Args:
        differences: Paired differences (n,).
        seed: Seed of the random changes of signs.

    Returns:
        p value; 1 when all differences are 0, NaN when there is none.

    Example:
        >>> signed_rank_p(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
        0.0625
    """
    from scipy import stats

    if len(differences) == 0:
        return float("nan")
    rest = differences[differences != 0]
    if len(rest) == 0:
        return 1.0
    if len(np.unique(np.abs(rest))) == len(rest):
        method = "exact" if len(rest) <= EXACT else "auto"
        return float(stats.wilcoxon(rest, method=method).pvalue)

    def statistic(x: np.ndarray, axis: int = -1) -> np.ndarray:
        return (np.sign(x) * stats.rankdata(np.abs(x), axis=axis)).sum(axis=axis)

    found = stats.permutation_test(
        (rest,),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        random_state=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def rank_biserial(differences: np.ndarray) -> float:
    """Compute the matched-pairs rank-biserial correlation, (W+ - W-) / (W+ + W-).

    1: everybody prefers the first; -1: the second; 0: as many and as strongly. Differences of 0 are left out.

    Args:
        differences: Paired differences (n,).

    Returns:
        -1 to 1; NaN when no difference is left.

    Example:
        >>> rank_biserial(np.array([3.0, 2.0, -1.0]))
        0.6666666666666666
    """
    from scipy import stats

    rest = differences[differences != 0]
    if len(rest) == 0:
        return float("nan")
    ranks = stats.rankdata(np.abs(rest))
    return float((np.sign(rest) * ranks).sum() / ranks.sum())


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p values for their number, step by step (Holm).

    Args:
        p_values: p values (n,); NaN stay, and do not count.

    Returns:
        Corrected p values (n,), at most 1.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    corrected = np.full(len(p_values), np.nan)
    there = np.flatnonzero(~np.isnan(p_values))
    order = there[np.argsort(p_values[there], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(factors * p_values[order]))
    return corrected


def _cube(rated: pd.DataFrame, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Lay ratings out as (listeners, pages, systems), NaN where there is none, and tell each page's song."""
    table = rated.pivot_table(index=["listener", "pair"], columns="system", values="rating", aggfunc="mean")
    listeners = table.index.get_level_values(0).unique()
    pages = table.index.get_level_values(1).unique().sort_values()
    cube = np.full((len(listeners), len(pages), len(names)), np.nan)
    rows, columns = (
        listeners.get_indexer(table.index.get_level_values(0)),
        pages.get_indexer(table.index.get_level_values(1)),
    )
    cube[rows, columns] = table[names].to_numpy()
    songs = rated.drop_duplicates("pair").set_index("pair")["song"].reindex(pages).to_numpy()
    return cube, songs


def _listener_means(cube: np.ndarray) -> np.ndarray:
    """Average each listener's complete pages: (listeners with any, systems)."""
    complete = ~np.isnan(cube).any(axis=2)
    means = [own[whole].mean(axis=0) for own, whole in zip(cube, complete, strict=True) if whole.any()]
    return np.array(means).reshape(-1, cube.shape[2])


def _median_intervals(
    cube: np.ndarray, songs: np.ndarray, level: float, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pages = [np.flatnonzero(songs == song) for song in dict.fromkeys(songs)]
    medians = np.empty((resamples, cube.shape[2]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a draw may miss the only song of a system
        for draw in range(resamples):
            who = rng.integers(0, len(cube), len(cube)) if len(cube) > 1 else np.array([0])
            which = rng.integers(0, len(pages), len(pages)) if len(pages) > 1 else [0]
            drawn = cube[np.ix_(who, np.concatenate([pages[song] for song in which]))]
            medians[draw] = np.nanmedian(drawn.reshape(-1, cube.shape[2]), axis=0)
        edges = np.nanpercentile(medians, [50 * (1 - level), 50 * (1 + level)], axis=0)
    if len(cube) < 2 and len(pages) < 2:
        edges[:] = np.nan  # nothing was drawn
    return edges[0], edges[1]
