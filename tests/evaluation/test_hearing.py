"""Reading a calibration: tables whose answer is known."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from diffmst_lib.evaluation import hearing
from diffmst_lib.evaluation.calibration import ALL, NONE, RECORDS
from diffmst_lib.evaluation.damage import LADDERS
from diffmst_lib.evaluation.hearing import (
    floors,
    hearing_table,
    rank_correlations,
    reading,
    rungs,
    who_hears_what,
)
from diffmst_lib.evaluation.metrics import Metric

SONGS, MOMENTS = ("a", "b", "c", "d"), 3
METRICS = {
    "loss": Metric("loss", "", "low", 0.0, "less is better"),
    "score": Metric("score", "", "high", 1.0, "more is better"),
    "meter": Metric("meter", "dB", "record", 0.0, "as the record has it"),
}


@pytest.fixture(autouse=True)
def metrics(monkeypatch):
    monkeypatch.setattr(hearing, "METRICS", METRICS)


def table_of(function, metric="loss", ladder="clipping", songs=SONGS):
    """A table of one metric on one ladder: function(song number, moment, rung) of each cell."""
    rows = [
        (NONE if rung == 0 else ladder, song, moment, amount, "", metric, function(number, moment, rung))
        for number, song in enumerate(songs)
        for moment in range(MOMENTS)
        for rung, amount in enumerate(LADDERS[ladder].amounts)
    ]
    return pd.DataFrame(rows, columns=["ladder", "song", "moment", "amount", "stem", "metric", "value"])


def floor(song, moment):
    """Undamaged mixes: a spread over songs and moments."""
    return 1.0 + 0.1 * song + 0.03 * moment


def only(table):
    (row,) = hearing_table(table).to_dict("records")
    return row


def test_rank_correlations_are_spearmans():
    values = np.random.default_rng(0).integers(0, 5, (50, 6)).astype(float)
    amounts = np.array([0.0, 1.0, 3.0, 6.0, 8.0, 12.0])
    wanted = [scipy.stats.spearmanr(amounts, row).statistic for row in values]
    assert rank_correlations(amounts, values) == pytest.approx(wanted, abs=1e-12)


def test_a_metric_that_does_not_change_at_all_has_no_correlation():
    assert rank_correlations(np.arange(4.0), np.full((1, 4), 0.3)).tolist() == [0.0]


def test_what_is_heard():
    row = only(table_of(lambda song, moment, rung: floor(song, moment) + rung))
    spread = np.std([floor(song, moment) for song in range(4) for moment in range(3)], ddof=1)
    assert (row["rho"], row["low"], row["high"]) == (1.0, 1.0, 1.0)
    assert row["rise"] == pytest.approx(3.0 / spread) and row["heard_from"] == 3.0 and row["songs"] == 4
    assert row["reading"] == "hears"
    assert (row["metric"], row["label"], row["ladder"], row["ladder_label"]) == (
        "loss",
        "loss",
        "clipping",
        "clipping",
    )


def test_from_where_on_it_is_heard():
    steps = [0.0, 0.01, 1.0, 2.0]
    assert only(table_of(lambda song, moment, rung: floor(song, moment) + steps[rung]))["heard_from"] == 6.0
    back = [0.0, 1.0, 0.0, 2.0]  # heard, but not from there on
    assert only(table_of(lambda song, moment, rung: floor(song, moment) + back[rung]))["heard_from"] == 12.0


def test_what_is_drowned():
    row = only(table_of(lambda song, moment, rung: floor(song, moment) + 0.01 * rung))
    assert row["rho"] == 1.0 and row["rise"] < 1.0 and np.isnan(row["heard_from"])
    assert row["reading"] == "drowned"


def test_what_is_deaf():
    row = only(table_of(lambda song, moment, rung: floor(song, moment) + (-1) ** song * rung))
    assert row["rho"] == 0.0 and row["low"] <= -0.5 and row["high"] >= 0.5
    assert row["rise"] == pytest.approx(0.0, abs=1e-9) and row["reading"] == "deaf"
    still = only(table_of(lambda song, moment, rung: floor(song, moment)))
    assert (still["rho"], still["rise"], still["reading"]) == (0.0, 0.0, "deaf")


def test_what_prefers_the_damage():
    row = only(table_of(lambda song, moment, rung: floor(song, moment) - rung))
    assert row["rho"] == -1.0 and row["rise"] < -1.0 and row["reading"] == "backwards"


def test_a_metric_of_which_more_is_better():
    row = only(table_of(lambda song, moment, rung: -floor(song, moment) - rung, metric="score"))
    assert row["rho"] == 1.0 and row["rise"] > 1.0 and row["reading"] == "hears"


def test_without_a_better_and_a_worse_nothing_is_read():
    assert hearing_table(table_of(lambda song, moment, rung: float(rung), metric="meter")).empty


def test_a_rise_from_no_spread_at_all_is_infinite():
    row = only(table_of(lambda song, moment, rung: float(rung)))
    assert row["rise"] == np.inf and row["reading"] == "hears"


def test_one_song_has_no_interval():
    row = only(table_of(lambda song, moment, rung: floor(song, moment) + rung, songs=("a",)))
    assert row["rho"] == 1.0 and np.isnan(row["low"]) and row["reading"] == "unsure"


@pytest.mark.filterwarnings("error")
def test_one_mix_has_no_spread():
    table = table_of(lambda song, moment, rung: floor(song, moment) + rung, songs=("a",)).query("moment == 0")
    row = only(table)
    assert row["rho"] == 1.0 and np.isnan(row["rise"]) and np.isnan(row["heard_from"])
    assert row["reading"] == "unsure"


def test_songs_count_alike_whatever_their_moments():
    table = table_of(lambda song, moment, rung: floor(song, moment) + (-1) ** (song == 0) * rung)
    table = table[(table["song"] == "a") | (table["moment"] == 0)]  # three moments of a, one of the others
    row = only(table)
    assert row["rho"] == pytest.approx(0.5)


def test_metrics_that_cannot_tell_a_ladder_are_left_out():
    heard = table_of(lambda song, moment, rung: floor(song, moment) + rung)
    floor_alone = table_of(lambda song, moment, rung: 0.0, ladder="reverb").query("ladder == 'none'")
    table = pd.concat([heard, floor_alone.assign(metric="score")])
    assert hearing_table(table)["metric"].tolist() == ["loss"]
    missing = heard.drop(heard[(heard["song"] == "a") & (heard["amount"] == 6.0)].index)
    assert only(missing)["songs"] == 3


def pooled(whole, without, metric="fad"):
    """A table of a metric of all songs: values by rung, and those without each song."""
    rows = [
        ("clipping", name, ALL, amount, "", metric, values[rung])
        for name, values in {"": whole, **without}.items()
        for rung, amount in enumerate(LADDERS["clipping"].amounts)
    ]
    return pd.DataFrame(rows, columns=["ladder", "song", "moment", "amount", "stem", "metric", "value"])


def test_the_jackknife():
    without = {"a": [1, 2, 3, 4], "b": [1.2, 2, 3, 4], "c": [1.4, 3, 2, 4]}
    row = only(pooled([1.2, 2.0, 3.0, 4.0], without))
    assert row["songs"] == 3 and row["rho"] == 1.0 and row["high"] == 1.0
    correlations = np.array([1.0, 1.0, 0.8])
    error = np.sqrt(2 / 3 * ((correlations - correlations.mean()) ** 2).sum())
    assert row["low"] == pytest.approx(1.0 - 1.96 * error)
    assert row["rise"] == pytest.approx(2.8 / np.sqrt(2 / 3 * 0.08))


def test_all_songs_together_of_one_song():
    row = only(pooled([1, 2, 3, 4], {}))
    assert row["rho"] == 1.0 and np.isnan(row["low"]) and row["songs"] == 1 and row["reading"] == "unsure"


@pytest.mark.parametrize(
    ("numbers", "word"),
    [
        ((1.0, 0.9, 1.0, 2.0), "hears"),
        ((0.6, 0.1, 1.0, 0.9), "drowned"),
        ((0.49, -0.1, 0.9, 5.0), "deaf"),
        ((0.4, 0.2, 0.6, 5.0), "unsure"),
        ((0.8, -0.1, 1.0, 5.0), "unsure"),
        ((-0.8, -1.0, 0.1, 0.0), "unsure"),
        ((-0.8, -1.0, -0.1, -2.0), "backwards"),
    ],
)
def test_words(numbers, word):
    assert reading(*numbers) == word


def test_who_hears_what():
    tables = [
        table_of(lambda song, moment, rung: floor(song, moment) + rung, ladder="reverb"),
        table_of(lambda song, moment, rung: floor(song, moment) - rung, ladder="balance").query("amount > 0"),
        table_of(lambda song, moment, rung: -float(rung), ladder="reverb", metric="score"),
        pooled([1, 2, 3, 4], {}),
    ]
    wide = who_hears_what(pd.concat(tables))
    assert list(wide.index) == ["loss", "score", "fad"] and list(wide.columns) == [
        "balance",
        "reverb",
        "clipping",
    ]
    assert wide.loc["loss"].tolist()[:2] == [-1.0, 1.0] and wide.loc["score", "reverb"] == 1.0
    assert wide.loc["fad", "clipping"] == 1.0 and np.isnan(wide.loc["fad", "reverb"])


def test_rungs_begin_with_the_undamaged_mix():
    values = rungs(table_of(lambda song, moment, rung: 10 * song + moment + 0.1 * rung), "clipping")
    assert list(values.columns) == list(LADDERS["clipping"].amounts) and len(values) == 12
    assert values.loc[("b", 2)].tolist() == pytest.approx([12.0, 12.1, 12.2, 12.3])


def test_floors():
    songs = table_of(lambda song, moment, rung: floor(song, moment) + rung)
    records = songs[songs["ladder"] == NONE].assign(ladder=RECORDS, value=0.5)
    of_all = (
        pooled([7, 8, 9, 10], {"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}).query("amount == 0").assign(ladder=NONE)
    )
    table = floors(pd.concat([songs, records, of_all])).set_index(["metric", "of"])
    values = [floor(song, moment) for song in range(4) for moment in range(3)]
    row = table.loc[("loss", NONE)]
    assert row["mean"] == pytest.approx(np.mean(values)) and row["spread"] == pytest.approx(
        np.std(values, ddof=1)
    )
    assert row["low"] < row["mean"] < row["high"] and row["songs"] == 4
    assert table.loc[("loss", RECORDS), ["mean", "spread"]].tolist() == [0.5, 0.0]
    assert table.loc[("fad", NONE), "mean"] == 7.0 and table.loc[("fad", NONE), "songs"] == 2
    assert np.isnan(table.loc[("fad", NONE), "low"])
