"""Post-screening: shares of pages against the rules, by hand."""

import math

import pytest

from diffmst_lib.evaluation.listening.screening import screen
from diffmst_lib.evaluation.listening.simulation import simulate_listeners
from diffmst_lib.inputs import InputError, InputNote

QUALITY = {"equal-loudness": 20, "rules": 60, "human": 95}


def ratings_of(human, anchor=(), *, roles=("human", "anchor")):
    """One listener who rates pages as given, the second one as the rule likes it."""
    table = simulate_listeners(QUALITY, listeners=2, pages=len(human), scales=["overall"], spread=0)
    for system, values in (("human", human), ("equal-loudness", anchor)):
        for page, value in enumerate(values, start=1):
            here = (table["listener"] == "simulated-01") & (table["pair"] == f"{page:03}")
            table.loc[here & (table["system"] == system), "rating"] = value
    return table[table["role"].isin([*roles, "system"])]


# BS.1534-3: below 90 on more than 15 % of the pages. 3 of 20 are 15 %, and stay.
@pytest.mark.parametrize(("low", "kept"), [(0, True), (3, True), (4, False), (20, False)])
def test_the_human_mix_below_90(low, kept):
    screened = screen(ratings_of([89.0] * low + [90.0] * (20 - low)))
    row = screened.listeners.loc["simulated-01"]
    assert row["human_low_share"] == pytest.approx(low / 20) and bool(row["kept"]) == kept
    assert row["reason"] == ("" if kept else "the human mix low")
    assert set(screened.ratings["listener"]) == {"simulated-02"} | ({"simulated-01"} if kept else set())


@pytest.mark.parametrize(("high", "kept"), [(3, True), (4, False)])
def test_the_anchor_above_90(high, kept):
    screened = screen(ratings_of([95.0] * 20, [91.0] * high + [90.0] * (20 - high)))
    assert bool(screened.listeners.loc["simulated-01", "kept"]) == kept


@pytest.mark.parametrize(("wrong", "kept"), [(3, True), (4, False)])
def test_the_order_of_human_mix_and_anchor(wrong, kept):
    ratings = ratings_of([50.0] * 20, [50.0] * wrong + [49.0] * (20 - wrong))
    row = screen(ratings, rule="order").listeners.loc["simulated-01"]
    assert row["reversed_share"] == wrong / 20 and bool(row["kept"]) == kept
    with pytest.warns(InputNote, match="the rule bs1534 leaves none of 1 listeners"):
        assert screen(ratings[ratings["listener"] == "simulated-01"]).ratings.empty


def test_only_pages_with_a_human_mix_count():
    ratings = ratings_of([95.0] * 19 + [10.0])
    only_last = ratings[(ratings["role"] != "human") | (ratings["pair"] == "020")]
    row = screen(only_last).listeners.loc["simulated-01"]
    assert (row["human_pages"], row["anchor_pages"], row["human_low_share"]) == (1, 20, 1.0) and not row[
        "kept"
    ]


def test_without_hidden_mixes_everybody_stays():
    ratings = ratings_of([10.0] * 4, roles=())
    screened = screen(ratings)
    assert screened.listeners["kept"].all() and len(screened.ratings) == len(ratings)
    assert math.isnan(screened.listeners.loc["simulated-01", "human_low_share"])


def test_another_scale_and_wrong_names():
    ratings = simulate_listeners(QUALITY, listeners=2, scales=["clarity"], spread=0)
    assert screen(ratings, scale="clarity").listeners["kept"].all()
    with pytest.raises(InputError, match="nobody has rated 'overall'; scales with ratings: clarity"):
        screen(ratings)
    with pytest.raises(ValueError, match="rule must be one of bs1534, order, not 'none'"):
        screen(ratings, rule="none")
