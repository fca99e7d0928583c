"""Reading a calibration: which metric hears which damage, and what perfect style scores.

Chapter: How good is a mix?
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from .calibration import ALL, NONE, OF_EMBEDDINGS, RECORDS
from .damage import LADDERS
from .intervals import song_interval
from .metrics import METRICS

DEAF = 0.5  # a rank correlation within it, whose interval includes 0, says that a metric does not hear
AUDIBLE = 1.0  # rise in spreads of the floor, from which on damage stands out among songs
NORMAL = 1.96  # standard errors to each side of a normal, for 95 %
HEARD = ("rho", "low", "high", "rise", "heard_from", "songs", "reading")


def hearing_table(table: pd.DataFrame) -> pd.DataFrame:
    """Tell what each metric hears.

    The rank correlation is Spearman's, of the amounts and a metric, positive where the metric gets worse
    with the damage. It is computed in each moment of each song, averaged over songs, with a bootstrap
    interval over songs. For FAD and KAD, of all songs together, the interval is that of the jackknife: every
    song is left out once.

    The rise is how far the metric gets worse from none to most, in standard deviations of the floor over
    songs and moments; NaN for a single one. Below 1 the damage is drowned by what songs differ by.

    Args:
        table: A table of `calibrate`. Rows of records are left out, and metrics without a better and a worse.

    Returns:
        A row per metric and ladder: metric, label, ladder, ladder_label, rho, low, high, rise, heard_from
        (the least amount from which on the rise is at least 1; NaN for none), songs, reading: "hears";
        "drowned", which ranks the damage but rises by less than 1; "deaf", a correlation within +-0.5 whose
        interval includes 0; "backwards", which prefers the damage; "unsure".
    """
    rows = []
    for name, metric in (METRICS | OF_EMBEDDINGS).items():
        if metric.better not in ("low", "high"):
            continue
        sign = 1.0 if metric.better == "low" else -1.0
        of_metric = table[table["metric"] == name]
        for ladder, damage in LADDERS.items():
            values = rungs(of_metric, ladder)
            if values.shape[1] < len(damage.amounts) or values.empty:
                continue
            heard = _heard(sign * values)
            labels = {"metric": name, "label": metric.label, "ladder": ladder, "ladder_label": damage.label}
            rows.append(labels | heard)
    columns = ["metric", "label", "ladder", "ladder_label", *HEARD]
    return pd.DataFrame(rows, columns=columns)


def rungs(table: pd.DataFrame, ladder: str) -> pd.DataFrame:
    """Take one metric on one ladder, with the undamaged mixes as the first rung.

    Args:
        table: The rows of one metric, of a table of `calibrate`.
        ladder: A name of `LADDERS`.

    Returns:
        A row per song and moment, a column per amount. Only those that have all amounts.
    """
    floor = (table["ladder"] == NONE) & (table["moment"] != ALL)  # FAD has a floor of its own on every ladder
    climbed = table[floor | (table["ladder"] == ladder)]
    values = climbed.pivot(index=["song", "moment"], columns="amount", values="value")
    return values.dropna()


def _heard(values: pd.DataFrame) -> dict[str, Any]:
    """Read one metric on one ladder, of which more is worse: (songs and moments, amounts)."""
    pooled = values.index.get_level_values("moment")[0] == ALL
    correlations = rank_correlations(np.array(values.columns, dtype=float), values.to_numpy())
    floor, rises = values.to_numpy()[:, 0], values.to_numpy() - values.to_numpy()[:, :1]
    if pooled:  # one row of all songs, and one without each of them
        whole = np.array([name == "" for name in values.index.get_level_values("song")])
        rho, rise_all = float(correlations[whole][0]), rises[whole][0]
        error, spread = _jackknife(correlations[~whole]), _jackknife(floor[~whole])
        low, high = np.clip([rho - NORMAL * error, rho + NORMAL * error], -1.0, 1.0).tolist()
        songs = max(1, int((~whole).sum()))
    else:
        frame = values.index.to_frame(index=False).assign(rho=correlations)
        rho, low, high = _interval(frame, "rho")
        rise_all = rises.mean(axis=0)
        spread = float(np.std(floor, ddof=1)) if len(floor) > 1 else math.nan
        songs = frame["song"].nunique()
    in_spreads = _over(rise_all, spread)
    heard = np.array([bool((in_spreads[i:] >= AUDIBLE).all()) for i in range(1, len(in_spreads))])
    amounts = np.array(values.columns, dtype=float)[1:]
    heard_from = float(amounts[heard][0]) if heard.any() else math.nan
    rise = float(in_spreads[-1])
    read = reading(rho, low, high, rise)
    return dict(zip(HEARD, (rho, low, high, rise, heard_from, songs, read), strict=True))


def rank_correlations(amounts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Compute Spearman's rank correlation of the amounts with each row of values.

    Args:
        amounts: (num_amounts,), rising.
        values: (num_rows, num_amounts).

    Returns:
        Correlations (num_rows,), from -1 to 1: 0 for a row that does not change at all.

    Example:
        >>> values = np.array([[1.0, 2.0, 9.0], [1.0, 1.0, 1.0], [3.0, 2.0, 1.0]])
        >>> rank_correlations(np.array([0, 3, 6]), values).tolist()
        [1.0, 0.0, -1.0]
    """
    x, y = scipy.stats.rankdata(amounts), scipy.stats.rankdata(values, axis=-1)
    x, y = x - x.mean(), y - y.mean(axis=-1, keepdims=True)
    power = (x**2).sum() * (y**2).sum(axis=-1)
    return np.where(power > 0.0, (y @ x) / np.sqrt(np.where(power > 0.0, power, 1.0)), 0.0)


def _interval(table: pd.DataFrame, value: str) -> tuple[float, float, float]:
    """Compute a mean over songs, which count alike, and its interval: NaN for a single song."""
    of_songs = table.groupby("song", as_index=False)[value].mean()
    if len(of_songs) == 1:
        return float(of_songs[value].iloc[0]), math.nan, math.nan
    return song_interval(of_songs, value)


def _jackknife(without_one: np.ndarray) -> float:
    """Compute the standard error of a number from its values without each song; NaN for a single song."""
    count = len(without_one)
    if count < 2:
        return math.nan
    return float(np.sqrt((count - 1) * np.var(without_one)))


def _over(rises: np.ndarray, spread: float) -> np.ndarray:
    """Divide rises by a spread; a rise over no spread at all is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rises == 0.0, 0.0, rises / spread)


def reading(rho: float, low: float, high: float, rise: float) -> str:
    """Put into a word what a metric hears of a ladder; see `hearing_table`.

    Args:
        rho: The mean rank correlation.
        low: The lower end of its interval; NaN where there is none.
        high: The upper end.
        rise: The rise from none to most, in standard deviations of the floor.

    Returns:
        "hears", "drowned", "deaf", "backwards" or "unsure".

    Example:
        >>> reading(1.0, 0.9, 1.0, 3.2), reading(1.0, 0.9, 1.0, 0.4), reading(-0.2, -0.6, 0.3, 0.1)
        ('hears', 'drowned', 'deaf')
    """
    if abs(rho) < DEAF:
        return "deaf" if low <= 0.0 <= high else "unsure"
    if low > 0.0:
        return "hears" if rise >= AUDIBLE else "drowned"
    return "backwards" if high < 0.0 else "unsure"


def who_hears_what(table: pd.DataFrame) -> pd.DataFrame:
    """Make the one table: the rank correlation of every metric with every kind of damage.

    Args:
        table: A table of `calibrate`.

    Returns:
        A row per metric, a column per ladder. NaN where a metric cannot tell, such as what only a console
        knows.
    """
    heard = hearing_table(table)
    wide = heard.pivot(index="metric", columns="ladder", values="rho")
    metrics = list(dict.fromkeys(heard["metric"]))
    return wide.loc[metrics, [ladder for ladder in LADDERS if ladder in wide.columns]]


def floors(table: pd.DataFrame) -> pd.DataFrame:
    """List what perfect style scores: undamaged mixes and records, each beside another moment of itself.

    Args:
        table: A table of `calibrate` or `calibrate_records`, or both under each other.

    Returns:
        A row per metric and kind ("none", the plain sums of the songs; "records"): metric, label, unit, of,
        mean, low and high (the bootstrap interval over songs), spread (standard deviation over songs and
        moments), songs. FAD and KAD have no interval.
    """
    rows = []
    for name, metric in (METRICS | OF_EMBEDDINGS).items():
        for kind in (NONE, RECORDS):
            of_kind = table[(table["metric"] == name) & (table["ladder"] == kind)]
            if of_kind.empty:
                continue
            whole = of_kind[(of_kind["moment"] == ALL) & (of_kind["song"] == "")]
            mean, low, high = math.nan, math.nan, math.nan
            if len(whole):
                mean, spread, songs = float(whole["value"].iloc[0]), math.nan, max(1, len(of_kind) - 1)
            else:
                mean, low, high = _interval(of_kind, "value")
                spread, songs = float(of_kind["value"].std()), of_kind["song"].nunique()
            rows.append((name, metric.label, metric.unit, kind, mean, low, high, spread, songs))
    columns = ["metric", "label", "unit", "of", "mean", "low", "high", "spread", "songs"]
    return pd.DataFrame(rows, columns=columns)
