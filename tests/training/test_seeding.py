"""Random numbers by a seed of their own: the same each time, others by another seed, and nobody else's change."""

import pytest
import torch

from diffmst_lib.training.seeding import seeded


def drawn(*seed):
    with seeded(*seed):
        return torch.rand(4)


def test_the_seed_decides():
    one = drawn(0, 1)
    torch.rand(1)
    assert torch.equal(drawn(0, 1), one)
    for other in ((0, 2), (1, 1), (1, 0), (0, 1, 1)):
        assert not torch.equal(drawn(*other), one)


def test_nobody_elses_random_numbers_change():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        drawn(0)
        with pytest.raises(KeyError), seeded(1):
            torch.rand(1)
            raise KeyError
        assert torch.equal(torch.rand(3), expected)
