"""A fit that several files look at."""

import pytest

from diffmst_lib import optimize_mix


@pytest.fixture(scope="package")
def fitted(song, reference):
    return optimize_mix(song, reference, steps=15)
