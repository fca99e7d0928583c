"""Stems of opposite polarity."""

import pytest
import torch

from diffmst_lib.audio.polarity import opposite_pairs


@pytest.mark.parametrize("gain", [-1.0, -0.01, -30.0])
def test_a_copy_of_opposite_polarity_is_found_at_any_level(noise, gain):
    di, vox = noise(2, 44100), noise(2, 44100, seed=1)
    assert opposite_pairs(["di", "vox", "mic"], torch.stack([di, vox, gain * di])) == [
        "di and mic (correlation -1.00)"
    ]


def test_half_of_another_sound_in_it_is_still_near_enough(noise):
    di, room = noise(1, 44100).expand(2, -1), noise(2, 44100, seed=1)
    assert len(opposite_pairs(["di", "mic"], torch.stack([di, 0.5 * room - di]))) == 1
    assert opposite_pairs(["di", "mic"], torch.stack([di, 1.5 * room - di])) == []


def test_copies_silence_and_strangers_are_none(noise):
    di = noise(2, 44100)
    stems = torch.stack([di, di, 0 * di, noise(2, 44100, seed=1), di.flip(-2)])
    assert opposite_pairs(list("abcde"), stems) == []
    assert opposite_pairs(["one sample", "another"], torch.zeros(2, 2, 1)) == []
