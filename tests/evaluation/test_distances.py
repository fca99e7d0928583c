"""Distances of sets: closed forms, bias, and what they are named."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
import torch
from audio_helpers import one_line

from diffmst_lib.evaluation import distances
from diffmst_lib.evaluation.distances import (
    embed_all,
    frechet_by_size,
    frechet_distance,
    frechet_infinity,
    kernel_distance,
    median_distance,
    set_distances,
)
from diffmst_lib.inputs import InputError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def with_covariance(x, covariance):
    """Vectors moved and mixed to have mean 0 and exactly this covariance."""
    x = x - x.mean(axis=0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(x.T)), x.T)
    return (np.linalg.cholesky(covariance) @ white).T


def test_distance_of_normal_distributions_in_one_dimension():
    a, b = normal(50, 1), 3.0 * normal(80, 1, seed=1) + 4.0
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_distance_with_covariances_that_commute():
    a = with_covariance(normal(40, 3), np.diag([1.0, 4.0, 9.0]))
    b = with_covariance(normal(60, 3, seed=1), np.diag([16.0, 4.0, 1.0])) + np.array([1.0, 2.0, 2.0])
    assert frechet_distance(a, b) == pytest.approx(9.0 + 9.0 + 0.0 + 4.0, rel=1e-10)


@pytest.mark.parametrize("vectors", [(9, 30), (40, 12), (100, 80)])
def test_distance_by_the_root_of_the_symmetric_product(vectors):
    """tr((C_a^(1/2) C_b C_a^(1/2))^(1/2)), also with fewer vectors than the 20 features."""
    a, b = normal(vectors[0], 20) @ normal(20, 20, seed=2), normal(vectors[1], 20, seed=1)
    of_a, of_b = np.cov(a.T), np.cov(b.T)
    values, basis = np.linalg.eigh(of_a)
    root = (basis * np.sqrt(values.clip(0))) @ basis.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ of_b @ root).clip(0)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(of_a) + np.trace(of_b) - 2 * shared
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_a_set_has_no_distance_from_itself():
    for a in (normal(30, 200), normal(300, 20), 1e4 + 1e-3 * normal(50, 10)):
        assert frechet_distance(a, a[::-1]) == pytest.approx(0.0, abs=1e-9 * np.var(a) * a.shape[1] + 1e-12)


def test_the_order_of_two_sets_is_of_no_consequence_and_turning_both_neither():
    a, b, turn = normal(25, 6), 2 * normal(31, 6, seed=1), scipy.linalg.qr(normal(6, 6, seed=2))[0]
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    assert frechet_distance(a @ turn + 5, b @ turn + 5) == pytest.approx(frechet_distance(a, b), rel=1e-10)


def test_few_vectors_are_too_far_apart():
    table = frechet_by_size(normal(200, 50), normal(200, 50, seed=1))
    assert table["vectors"].iloc[0] == 50 and table["vectors"].iloc[-1] == 200
    assert (np.diff(table["fad"]) < 0).all()  # although both sets are of one kind, at a distance of 0
    assert table["fad"].iloc[0] > 3.5 * table["fad"].iloc[-1] > 3.5 * 5.0
    assert np.isnan(table["spread"].iloc[-1]) and (table["spread"].iloc[:-1] > 0).all()


def test_extrapolation_takes_the_bias_out():
    spread = np.exp(-np.arange(100) / 10)
    found = [
        [f(normal(100, 100, seed=n) * spread, normal(200, 100, seed=50 + n) * spread) for n in range(8)]
        for f in (frechet_distance, frechet_infinity)
    ]
    assert min(found[0]) > 0.2
    assert abs(np.mean(found[1])) < 0.2 * np.mean(found[0])
    apart = [
        frechet_infinity(normal(100, 100, seed=n) * spread + 0.1, normal(200, 100, seed=50 + n) * spread)
        for n in range(8)
    ]
    assert np.mean(apart) - np.mean(found[1]) == pytest.approx(100 * 0.1**2, abs=0.2)


def test_extrapolation_is_the_same_every_time():
    a, b = normal(60, 5), normal(70, 5, seed=1)
    assert frechet_infinity(a, b) == frechet_infinity(a, b)
    assert np.isnan(frechet_infinity(a[:31], b)) and np.isnan(frechet_infinity(a, b[:31]))
    assert np.isfinite(frechet_infinity(a[:32], b[:32]))


def test_kernel_distance_pair_by_pair():
    a, b, h = normal(7, 3), normal(5, 3, seed=1) + 1.0, 1.7

    def k(x, y):
        return np.exp(-((x - y) ** 2).sum() / (2 * h**2))

    def within(x):
        return np.mean([k(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j])

    expected = 100 * (within(a) + within(b) - 2 * np.mean([k(x, y) for x in a for y in b]))
    assert kernel_distance(a, b, bandwidth=h) == pytest.approx(expected, rel=1e-10)


def test_kernel_distance_has_no_bias():
    """The mean over draws is 0 for two sets of one kind, with ten vectors as with forty; half of them are below 0."""
    for count in (10, 40):
        draws = np.array(
            [
                kernel_distance(normal(count, 8, seed=n), normal(count, 8, seed=1000 + n), bandwidth=4.0)
                for n in range(200)
            ]
        )
        assert abs(draws.mean()) < 3 * draws.std() / np.sqrt(len(draws))
        assert 0.2 < (draws < 0).mean() < 0.8


def test_kernel_distance_grows_with_the_distance_of_the_means():
    a, b = normal(60, 4), normal(60, 4, seed=1)
    found = [kernel_distance(a + shift, b) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert (np.diff(found) > 1.0).all()


def test_the_bandwidth_is_that_of_the_reference_set():
    a, b = normal(20, 3), 10.0 * normal(30, 3, seed=1)
    width = np.median(scipy.spatial.distance.pdist(b))
    assert median_distance(b) == pytest.approx(width)
    assert kernel_distance(a, b) == kernel_distance(a, b, bandwidth=width)
    assert kernel_distance(b, a) == kernel_distance(b, a, bandwidth=median_distance(a))
    assert kernel_distance(a, b) != pytest.approx(kernel_distance(b, a), rel=0.1)
    assert kernel_distance(1e3 * a, 1e3 * b) == pytest.approx(kernel_distance(a, b), rel=1e-9)


def test_large_sets_are_taken_in_parts(monkeypatch):
    a, b = normal(23, 3), normal(31, 3, seed=1)
    whole = kernel_distance(a, b)
    monkeypatch.setattr(distances, "ROWS", 5)
    assert kernel_distance(a, b) == pytest.approx(whole, rel=1e-12)
    monkeypatch.setattr(distances, "MOST_FOR_MEDIAN", 3)
    assert median_distance(b) == pytest.approx(np.median(scipy.spatial.distance.pdist(b[[0, 15, 30]])))


def test_too_little_to_tell():
    a, b = normal(1, 3), normal(9, 3, seed=1)
    for distance in (frechet_distance, kernel_distance, frechet_infinity):
        assert np.isnan(distance(a, b)) and np.isnan(distance(b, a)) and np.isnan(distance(a[:0], b))
    assert np.isnan(median_distance(a)) and frechet_by_size(a, b).empty
    assert np.isnan(kernel_distance(b, np.ones((9, 3))))  # the same vector nine times has no bandwidth
    assert frechet_distance(b, np.ones((9, 3))) > 0


@pytest.mark.parametrize("distance", [frechet_distance, frechet_infinity, kernel_distance])
def test_what_are_no_embeddings(distance):
    a = normal(9, 3)
    for wrong in (normal(9), normal(9, 4), np.full((9, 3), np.nan)):
        with pytest.raises(InputError) as caught:
            distance(a, wrong)
        assert one_line(caught, "embeddings must be")


def test_tensors_are_taken_in_double_precision():
    a, b = normal(50, 4).astype(np.float32), normal(50, 4, seed=1).astype(np.float32)
    wanted = frechet_distance(a.astype(np.float64), b.astype(np.float64))
    assert frechet_distance(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(wanted, rel=1e-12)


def test_distances_are_named_with_embedding_and_set():
    a, b = normal(60, 4), normal(90, 4, seed=1)
    songs = [f"song {n % 5}" for n in range(60)]
    table = set_distances(a, b, songs=songs, embedding="noise", records_are="20 records").set_index(
        "distance"
    )
    assert set(table["embedding"]) == {"noise"} and set(table["records"]) == {"20 records"}
    assert table[["vectors", "record_vectors", "songs"]].iloc[0].tolist() == [60, 90, 5]
    assert table.loc["FAD", "value"] == frechet_distance(a, b)
    assert table.loc["FAD-infinity", "value"] == frechet_infinity(a, b)
    assert table.loc["KAD", "value"] == kernel_distance(a, b)
    without = [frechet_distance(a[np.arange(60) % 5 != n], b) for n in range(5)]
    half = scipy.stats.t.ppf(0.975, 4) * np.sqrt(4 / 5 * np.sum((without - np.mean(without)) ** 2))
    assert table.loc["FAD", "high"] == pytest.approx(table.loc["FAD", "value"] + half)
    assert np.isnan(table.loc["FAD-infinity", "low"])
    alone = set_distances(a, b)
    assert alone[["low", "high"]].isna().all(axis=None) and alone["songs"].tolist() == [0, 0, 0]
    with pytest.raises(InputError) as caught:
        set_distances(a, b, songs=["one"])
    assert one_line(caught, "1 songs for 60 embeddings")


def test_embeddings_of_ones_own():
    def peaks(audio, sample_rate):
        return audio.unfold(-1, sample_rate, sample_rate).amax(dim=-1).T

    sounds = [torch.full((2, 8000), 0.1), torch.full((2, 4000), 0.2)]
    vectors, of = embed_all(sounds, 4000, embedding=peaks)
    assert vectors.dtype == np.float64 and vectors == pytest.approx(np.array([[0.1, 0.1]] * 2 + [[0.2, 0.2]]))
    assert of.tolist() == [0, 0, 1]
    assert embed_all([torch.randn(2, 3 * 44100)] * 2)[0].shape == (2, 200)  # musicnn
    for wrong, says in (
        (lambda audio, rate: audio[0], "that of sound 1"),
        (lambda audio, rate: torch.full((1, 2), torch.nan), "that of sound 1"),
        (lambda audio, rate: torch.zeros(1, audio.shape[-1]), "that of sound 2"),
    ):
        with pytest.raises(InputError) as caught:
            embed_all(sounds, 4000, embedding=wrong)
        assert one_line(caught, says)
    with pytest.raises(InputError):
        embed_all([])
