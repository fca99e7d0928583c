"""The summary: means, counts and distances of the right rows, and how they are written."""

import math

import numpy as np
import pandas as pd
import pytest

from diffmst_lib.evaluation.distances import set_distances
from diffmst_lib.evaluation.metrics import METRICS
from diffmst_lib.evaluation.summary import _number, summary_table, summary_text
from diffmst_lib.evaluation.working import COLUMNS, RECORD

RUN = {
    "settings": {"seconds": 2.5, "seed": 4, "steps": 9, "data": "DATA", "embedding": "", "list": ""},
    "compared": {"mix_lufs": -22.0, "record_lufs": -16.0},
    "versions": {"diffmst_lib": "1.2", "torch": "3.4"},
    "device": "CPU: one",
    "date": "2026-01-02",
}


def rows(*about):
    """Rows (pair, song, system, loss, ...) of an evaluation; other metrics are the loss times ten."""
    made = []
    for pair, song, system, loss, *more in about:
        error, wrong = (*more, *("", math.nan)[len(more) :])
        row = dict.fromkeys(COLUMNS, math.nan) | dict.fromkeys(METRICS, 10 * loss)
        row |= {"pair": pair, "song": song, "system": system, "af_mean": loss, "stems": 3.0, "error": error}
        row |= {"record": f"record of {song}", "record_start_s": 0.0, "start_s": 0.0, "protocol": "default"}
        made.append(row | {"af_wrong": wrong, "seconds_used": float(pair), "memory_mb": 8.0 * pair})
    return pd.DataFrame(made)


@pytest.fixture
def pairs():
    return rows(
        (1, "a", "x", 1.0, "", 4.0),
        (2, "a", "x", 3.0, "", math.nan),
        (3, "b", "x", 5.0, "", 8.0),
        (4, "c", "x", math.nan, "no luck", math.nan),
        (1, "a", "y", 7.0),
        (2, "a", "y", math.nan, "no luck"),
        (3, "b", "y", math.nan, "other"),
        (4, "c", "y", math.nan, "no luck"),
    )


def test_means_counts_and_medians_by_hand(pairs):
    table = summary_table(pairs, ["y", "x"]).set_index("system")
    assert list(table.index) == ["y", "x"]
    x, y = table.loc["x"], table.loc["y"]
    # Of two songs, a bootstrap's ends are the songs' means.
    assert x[["pairs", "songs", "failed", "af_mean", "af_mean_low", "af_mean_high"]].tolist() == [
        3,
        2,
        1,
        3,
        2,
        5,
    ]
    assert x[["af_sum", "seconds_used", "memory_mb"]].tolist() == [30.0, 2.0, 16.0]
    assert y[["pairs", "songs", "failed", "af_mean"]].tolist() == [1, 1, 3, 7.0]
    assert math.isnan(y["af_mean_low"]) and math.isnan(y["wrong_ratio"])
    # The ratio counts the pairs that have a wrong record alone: (4 + 8) / (1 + 5).
    assert x["wrong_ratio"] == 2.0


def test_a_system_of_which_nothing_is_there(pairs):
    row = summary_table(pairs, ["nobody"]).loc[0]
    assert row[["pairs", "songs", "failed"]].tolist() == [0, 0, 0]
    assert row.drop(["system", "pairs", "songs", "failed"]).isna().all()


@pytest.fixture
def vectors():
    """Embeddings by (system, pair): three patches of two numbers."""
    rng = np.random.default_rng(1)
    keys = [*((name, pair) for name in ("x", RECORD) for pair in range(1, 5)), (RECORD, -1), (RECORD, -2)]
    return {key: rng.normal(size=(3, 2)) for key in keys}


def test_distances_are_those_of_the_right_vectors(pairs, vectors):
    row = summary_table(pairs, ["x"], vectors, draws=10).loc[0]
    mixes = np.concatenate([vectors["x", pair] for pair in (1, 2, 3)])  # the fourth failed
    # Two pairs of one song have one moment of a record, which counts once.
    near = set_distances(
        mixes, np.concatenate([vectors[RECORD, pair] for pair in (1, 3)]), songs=list("aaaaaabbb")
    )
    far = set_distances(mixes, np.concatenate([vectors[RECORD, pair] for pair in (-1, -2)]))
    for suffix, wanted in (("", near), ("_set", far)):
        values = wanted.set_index("distance")["value"]
        for name, column in (("FAD", "fad"), ("FAD-infinity", "fad_infinity"), ("KAD", "kad")):
            assert row[column + suffix] == pytest.approx(values[name], rel=1e-9, nan_ok=True)
    assert math.isfinite(row["fad"]) and row["fad"] != row["fad_set"]


def test_without_embeddings_there_is_no_distance(pairs, vectors):
    of_set = {key: one for key, one in vectors.items() if key[0] == RECORD}
    no_set = {key: one for key, one in vectors.items() if key[1] > 0}
    assert summary_table(pairs, ["x"], of_set, draws=10)[["fad", "kad_set"]].isna().all(axis=None)
    row = summary_table(pairs, ["x"], no_set, draws=10).loc[0]
    assert math.isfinite(row["kad"]) and math.isnan(row["kad_set"])


def text_of(pairs, systems=("x", "y"), **settings):
    run = RUN | {"settings": RUN["settings"] | settings}
    return summary_text(pairs, summary_table(pairs, systems, draws=100), run)


def test_the_text_says_what_was_done(pairs):
    text = text_of(pairs)
    for part in (
        "4 pairs of 3 songs (3 to 3 stems) and 3 records, moments of 2.5 s",
        "mixes at -22 LUFS, records at -16; seed 4; fits of 9 steps. Data: DATA. CPU: one; "
        "diffmst_lib 1.2, torch 3.4; 2026-01-02.",
        "4 mixes failed:\n\n- x: no luck (1)\n- y: no luck (2)\n- y: other (1)\n",
        "3 [2, 5]",
        "| a | 3 | 2 | 7 |",  # every song: its stems and the mean of each system
        "| b | 3 | 5 |  |",
        "Table 1",
    ):
        assert part in text
    assert "## Embeddings" not in text and "nan" not in text


def test_embeddings_and_the_second_table_where_wanted(pairs):
    text = text_of(pairs, embedding="musicnn", list="table-2")
    assert "Embedding: musicnn" in text and "mono at 16 kHz" in text and "Table 2" in text
    assert "mono at 16 kHz" not in text_of(pairs, embedding="mine")


@pytest.mark.parametrize(("count", "shown"), [(12, True), (13, False)])
def test_few_songs_are_listed(count, shown):
    text = text_of(rows(*((n, f"song {n}", "x", 1.0) for n in range(count))), ["x"])
    assert ("## Every song" in text) is shown


def test_nothing_but_failures():
    text = text_of(rows((1, "a", "x", math.nan, "no luck")).assign(stems=math.nan), ["x"])
    assert "(no stems)" in text and "- x: no luck (1)" in text and "nan" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.123"), (-12.3456, "-12.3"), (9e-8, "0"), (-9e-8, "0"), (2e-7, "2e-07"), (math.nan, "")],
)
def test_numbers_have_three_digits(value, text):
    assert _number(value) == text
