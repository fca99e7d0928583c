"""A sound that grows: the same samples, whatever length was expected."""

import numpy as np
import pytest

from diffmst_lib.audio.growing import MOST_EXPECTED, GrowingSound


@pytest.mark.parametrize("expected", [-5, 0, 3, 10, 11, 1000])
def test_pieces_become_one_sound(expected):
    sound, samples = GrowingSound(2, expected), np.arange(20, dtype=np.float32).reshape(2, 10)
    for first, last in ((0, 1), (1, 1), (1, 7), (7, 10)):
        sound.append(samples[:, first:last])
    whole = sound.whole()
    assert np.array_equal(whole, samples) and whole.flags.c_contiguous and whole.dtype == np.float32
    assert whole.base is None or whole.base.size == samples.size  # and nothing more is kept


def test_what_a_header_claims_is_not_reserved():
    sound = GrowingSound(1, 10**15)
    assert sound._samples.shape == (1, MOST_EXPECTED)
    assert sound.whole().shape == (1, 0)
