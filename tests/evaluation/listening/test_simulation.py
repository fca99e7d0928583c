"""Simulated listeners: named so everywhere, the same every time, and as good as they are told to be."""

import numpy as np
import pytest

from diffmst_lib.evaluation.listening.simulation import simulate_listeners
from diffmst_lib.evaluation.listening.statistics import compare_systems
from diffmst_lib.inputs import InputError

QUALITY = {"sum": 40.0, "rules": 60.0}


def test_they_are_named_as_simulated():
    table = simulate_listeners(QUALITY, listeners=2, careless=1)
    assert table["simulated"].all() and set(table["test"]) == {"simulated"}
    assert set(table["listener"]) == {"simulated-01", "simulated-02", "simulated-03"}
    assert compare_systems(table, resamples=10).simulated


def test_ratings_are_what_they_are_told_to_be():
    table = simulate_listeners(QUALITY, listeners=200, pages=2, spread=8, seed=1)
    means = table.groupby("system")["rating"].mean()
    assert means.to_dict() == pytest.approx(QUALITY, abs=2)
    exact = simulate_listeners({"sum": 40.4, "best": 130}, listeners=1, pages=1, spread=0, scales=["overall"])
    assert exact.set_index("system")["rating"].to_dict() == {"sum": 40, "best": 100}
    values = table["rating"].to_numpy()
    assert (values == np.round(values)).all() and values.min() >= 0 and values.max() <= 100


def test_careless_listeners_answer_anything():
    table = simulate_listeners(QUALITY, listeners=1, careless=100, pages=2)
    careless = table[table["listener"] != "simulated-01"].groupby("system")["rating"]
    assert careless.mean().to_dict() == pytest.approx({"sum": 50, "rules": 50}, abs=4)
    assert careless.std().min() > 25


def test_seeds():
    one, again, other = (simulate_listeners(QUALITY, listeners=2, seed=seed) for seed in (1, 1, 2))
    assert one.equals(again) and not one.equals(other)
    places = one.groupby(["listener", "pair", "scale"])["place"].apply(lambda own: sorted(own))
    assert set(map(tuple, places)) == {(1, 2)}


@pytest.mark.parametrize("options", [{"listeners": 0}, {"pages": 0}])
def test_nobody_to_simulate(options):
    with pytest.raises(InputError, match="need systems, pages, and one listener at least"):
        simulate_listeners(QUALITY, **options)
    with pytest.raises(InputError, match="need systems"):
        simulate_listeners({})
