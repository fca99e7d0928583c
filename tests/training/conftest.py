"""What the tests of training share: a miniature data set, and one training that others are compared with."""

import pytest
from training_helpers import OPTIONS, miniature, short

from diffmst_lib.training.loop import train


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    return miniature(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="session")
def long_index(tmp_path_factory):
    """Songs of 8 s, with places for two moments."""
    return miniature(tmp_path_factory.mktemp("long"), seconds=8)


@pytest.fixture(scope="session")
def unbroken(index, tmp_path_factory):
    """Six steps of `short()`, validated at 0, 3 and 6. Nobody writes in its folder."""
    return train(short(), index, tmp_path_factory.mktemp("unbroken"), **OPTIONS)
