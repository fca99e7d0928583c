"""The statistics of a listening test beside SciPy, textbook numbers and closed forms."""

import numpy as np
import pytest
from scipy import stats

from diffmst_lib.evaluation.listening.simulation import simulate_listeners
from diffmst_lib.evaluation.listening.statistics import compare_systems, holm, rank_biserial, signed_rank_p
from diffmst_lib.inputs import InputError

pytestmark = pytest.mark.filterwarnings("error")


def table_of(values, pages=1):
    """Ratings as given: values (listeners, systems), the same on every page."""
    values = np.asarray(values, float)
    names = [f"s{n}" for n in range(values.shape[1])]
    table = simulate_listeners(
        dict.fromkeys(names, 50.0), listeners=len(values), pages=pages, scales=["overall"]
    )
    for listener, own in enumerate(values, start=1):
        for name, value in zip(names, own, strict=True):
            here = (table["listener"] == f"simulated-{listener:02}") & (table["system"] == name)
            table.loc[here, "rating"] = value
    return table


DRAWN = np.random.default_rng(3).permutation(60).reshape(12, 5) + np.array([0, 3, 6, 15, 30])


@pytest.mark.parametrize("pages", [1, 3])  # a listener counts once, however many the pages
def test_friedman_and_wilcoxon_are_scipys(pages):
    found = compare_systems(table_of(DRAWN, pages), resamples=50)
    expected = stats.friedmanchisquare(*DRAWN.T)
    assert (found.chi2, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.listeners == 12 and found.kendall_w == pytest.approx(found.chi2 / (12 * 4))
    for row in found.pairs.itertuples():
        first, second = DRAWN[:, int(row.first[1])], DRAWN[:, int(row.second[1])]
        assert row.difference == np.median(first - second) and row.listeners == 12
        if len(set(np.abs(first - second)) - {0}) == 12:
            assert row.p == pytest.approx(stats.wilcoxon(first, second, method="exact").pvalue)
    assert len(found.pairs) == 10 and (found.pairs["p_holm"] >= found.pairs["p"]).all()


def test_kendalls_w_at_its_ends():
    alike = compare_systems(table_of([[10, 20, 30]] * 6), resamples=50)
    assert alike.kendall_w == pytest.approx(1) and list(alike.systems.index) == ["s2", "s1", "s0"]
    assert alike.systems["mean_rank"].tolist() == [1, 2, 3]
    turned = compare_systems(table_of([[1, 2, 3], [2, 3, 1], [3, 1, 2]]), resamples=50)
    assert turned.kendall_w == pytest.approx(0, abs=1e-12) and turned.p == pytest.approx(1)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 2, 3, 4, 5, 6], 2 / 2**6),
        ([-1, 2, 3, 4, 5, 6], 4 / 2**6),  # W- is 0 or 1
        ([2, 2, 2, 2], 2 / 2**4),  # ties: all changes of signs are counted
        ([1, 1, -1], 1.0),
        ([0, 0, 0], 1.0),
        ([0, 1, 2, 3, 4, 5, 6], 2 / 2**6),  # a difference of 0 is left out
    ],
)
def test_signed_ranks_counted_by_hand(differences, p):
    assert signed_rank_p(np.array(differences, float)) == pytest.approx(p)


def test_signed_ranks_with_many_ties():
    rng = np.random.default_rng(1)
    differences = rng.integers(-3, 6, 40).astype(float)
    expected = stats.wilcoxon(differences, correction=False, method="approx").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, abs=0.02)
    assert signed_rank_p(differences) == signed_rank_p(differences)
    assert np.isnan(signed_rank_p(np.array([])))


def test_rank_biserial():
    assert rank_biserial(np.array([1.0, 2.0, 3.0])) == 1 and rank_biserial(np.array([-1.0, -5.0])) == -1
    # ranks 1, 2.5, 2.5, 4: (1 + 2.5 + 4 - 2.5) / 10
    assert rank_biserial(np.array([1.0, 2.0, -2.0, 7.0, 0.0])) == pytest.approx(0.5)
    assert np.isnan(rank_biserial(np.array([0.0])))


def test_holm():
    # Holm 1979: 4 p1, 3 p2, ..., each at least the one before
    assert holm(np.array([0.03, 0.01, 0.02, 0.5])).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.5])
    assert holm(np.array([0.4, np.nan, 0.6])).tolist() == pytest.approx([0.8, np.nan, 0.8], nan_ok=True)
    assert holm(np.array([0.9, 0.9])).tolist() == [1, 1] and holm(np.array([])).size == 0


def test_medians_and_their_intervals():
    table = table_of(DRAWN)
    found = compare_systems(table, resamples=300, seed=1)
    medians = np.median(DRAWN, axis=0)
    assert found.systems["median"].to_dict() == {f"s{n}": value for n, value in enumerate(medians)}
    assert found.systems["median"].is_monotonic_decreasing
    assert (found.systems["low"] <= found.systems["median"]).all()
    assert (found.systems["high"] >= found.systems["median"]).all()
    narrow = compare_systems(table, level=0.5, resamples=300, seed=1).systems
    assert (narrow["high"] - narrow["low"] <= found.systems["high"] - found.systems["low"]).all()
    assert found.systems.equals(compare_systems(table, resamples=300, seed=1).systems)
    same = compare_systems(table_of([[10, 20, 30]] * 6), resamples=50).systems
    assert same["low"].tolist() == same["high"].tolist() == [30, 20, 10]


def test_intervals_hold_what_they_promise():
    """Of 60 tests of 25 listeners, the intervals at 80 % hold the true median in most, but not in all."""
    held = 0
    for seed in range(60):
        ratings = simulate_listeners(
            {"a": 50, "b": 50}, listeners=25, pages=1, scales=["overall"], spread=10, seed=seed
        )
        row = compare_systems(ratings, level=0.8, resamples=100).systems.loc["a"]
        held += row["low"] <= 50 <= row["high"]
    assert 38 <= held <= 58


def test_a_human_mix_of_one_song_does_not_throw_away_the_others():
    table = simulate_listeners(
        {"a": 40, "b": 60, "c": 50, "human": 80}, listeners=8, pages=4, scales=["overall"]
    )
    table = table[(table["system"] != "human") | (table["pair"] == "001")]
    found = compare_systems(table, resamples=100)
    without = compare_systems(table[table["system"] != "human"], resamples=100)
    assert (found.chi2, found.listeners) == (without.chi2, 8)
    assert np.isnan(found.systems.loc["human", "mean_rank"]) and found.systems.loc["human", "ratings"] == 8
    human = found.pairs[found.pairs["first"] == "human"].set_index("second")
    only = table[table["pair"] == "001"].pivot_table(index="listener", columns="system", values="rating")
    assert human.loc["a", "difference"] == (only["human"] - only["a"]).median()


def test_unfinished_sittings_count_where_they_are_complete():
    table = simulate_listeners({"a": 40, "b": 60, "c": 50}, listeners=5, pages=2, scales=["overall"])
    gone = (table["listener"] == "simulated-05") & ((table["pair"] == "002") | (table["system"] == "c"))
    found = compare_systems(table[~gone], resamples=50)
    assert found.listeners == 4
    pairs = found.pairs.set_index(["first", "second"])["listeners"]
    assert pairs["b", "a"] == 5 and sorted(pairs) == [4, 4, 5]


def test_one_listener_two_systems_and_everybody_alike():
    one = compare_systems(table_of([[10, 40, 20]]), resamples=20)
    assert np.isnan(one.chi2) and np.isnan(one.systems[["low", "high"]].to_numpy()).all()
    assert one.systems["mean_rank"].tolist() == [1, 2, 3]
    two = compare_systems(table_of([[10, 40]] * 5), resamples=20)
    assert np.isnan(two.chi2) and two.pairs["p"].tolist() == [2 / 2**5]
    alike = compare_systems(table_of([[50, 50, 50]] * 5), resamples=20)
    assert np.isnan(alike.chi2) and (alike.pairs["p_holm"] == 1).all()


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match="one system alone cannot be compared: s0"):
        compare_systems(table_of([[10], [20]]))
    with pytest.raises(InputError, match="nobody has rated 'clarity'"):
        compare_systems(table_of([[10, 20]]), "clarity")
