"""Intervals over songs: what is drawn, and what few songs can tell."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from audio_helpers import one_line

from diffmst_lib.evaluation.intervals import paired_interval, song_interval
from diffmst_lib.inputs import InputError, InputNote


def table_of(values, system=None):
    """A row per pair, from {song: values}."""
    rows = [(song, pair, value) for song, of in values.items() for pair, value in enumerate(of)]
    table = pd.DataFrame(rows, columns=["song", "pair", "loss"])
    return table if system is None else table.assign(system=system)


@pytest.fixture
def values():
    rng = np.random.default_rng(5)
    return {f"song {n}": rng.normal(n, 1.0, size=3 + n) for n in range(6)}


def test_the_bootstrap_of_scipy(values):
    mean, low, high = song_interval(table_of(values), "loss", draws=20_000)
    sums, counts = (np.array([f(of) for of in values.values()]) for f in (np.sum, len))
    theirs = scipy.stats.bootstrap(
        (sums, counts),
        lambda s, n, axis: s.sum(axis=axis) / n.sum(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        vectorized=True,
    ).confidence_interval
    assert mean == pytest.approx(np.concatenate(list(values.values())).mean())
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.1)
    assert low < mean < high


def test_two_songs_by_hand():
    """Both the first, both the second with a quarter each, one of each with a half: the ends are the songs' means."""
    assert song_interval(table_of({"a": [1.0, 3.0], "b": [5.0]}), "loss") == (3.0, 2.0, 5.0)


def test_more_pairs_of_the_same_songs_say_no_more():
    few, many = (
        table_of({"a": [1.0], "b": [2.0], "c": [6.0]}),
        table_of({"a": [1.0] * 50, "b": [2.0] * 50, "c": [6.0] * 50}),
    )
    assert song_interval(few, "loss") == pytest.approx(song_interval(many, "loss"))


def test_the_same_every_time(values):
    table = table_of(values)
    assert song_interval(table, "loss") == song_interval(table, "loss")
    shuffled = table.sample(frac=1, random_state=1)
    assert song_interval(shuffled, "loss") == pytest.approx(song_interval(table, "loss"), rel=1e-9)
    assert song_interval(table, "loss", seed=1) != song_interval(table, "loss")


def test_one_song_has_no_interval():
    with pytest.warns(InputNote, match="loss: of one song there is no interval"):
        mean, low, high = song_interval(table_of({"a": [1.0, 2.0]}), "loss")
    assert mean == 1.5 and np.isnan(low) and np.isnan(high)


def test_what_is_not_there_is_left_out():
    table = table_of({"a": [1.0, np.nan], "b": [np.nan], "c": [3.0, np.inf], "d": [5.0]})
    assert song_interval(table, "loss") == song_interval(
        table_of({"a": [1.0], "c": [3.0], "d": [5.0]}), "loss"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(song_interval(table[:0], "loss")).all()
        assert np.isnan(song_interval(table_of({"a": [np.nan]}), "loss")).all()


def test_a_difference_is_surer_than_the_means(values):
    rng = np.random.default_rng(0)
    better = {song: of - 0.5 + 0.01 * rng.normal(size=len(of)) for song, of in values.items()}
    table = pd.concat([table_of(values, "sum"), table_of(better, "small")])
    mean, low, high = paired_interval(table, "loss", "small", "sum")
    assert mean == pytest.approx(-0.5, abs=0.01) and -0.52 < low < mean < high < -0.48
    alone = song_interval(table_of(values), "loss")
    assert alone[2] - alone[1] > 50 * (high - low)
    assert paired_interval(table, "loss", "sum", "small") == pytest.approx((-mean, -high, -low))


def test_pairs_that_only_one_system_has_do_not_count():
    first = table_of({"a": [1.0, 2.0], "b": [3.0]}, "x")
    second = table_of({"a": [0.0, np.nan], "b": [1.0], "c": [9.0]}, "y")
    assert paired_interval(pd.concat([first, second]), "loss", "x", "y") == (1.5, 1.0, 2.0)


def test_tables_that_do_not_fit():
    table = table_of({"a": [1.0], "b": [2.0]}, "x")
    for wrong in (
        lambda: song_interval(table, "af_sum"),
        lambda: song_interval(table, "loss", song="artist"),
        lambda: paired_interval(table, "loss", "x", "y"),
        lambda: paired_interval(table, "loss", "x", "x", pair="record"),
        lambda: paired_interval(pd.concat([table, table]), "loss", "x", "x"),
    ):
        with pytest.raises(InputError) as caught:
            wrong()
        assert one_line(caught)
