"""A reference that is a stem of the song: named, whatever its level and length; records are not."""

import warnings

import pytest
import torch

from diffmst_lib import DiffMST, InputNote, Multitrack, equal_loudness, optimize_mix
from diffmst_lib.mixing.odd_reference import note_stem_as_reference

SAYS = "^the reference is the stem b of the song, not a finished record$"


@pytest.fixture
def song(noise):
    """Two stems; `b` begins with silence."""
    audio = noise(2, 2, 30_000)
    audio[1, :, :9000] = 0.0
    return Multitrack(["a", "b"], audio)


def told(song, reference):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        note_stem_as_reference(song, (reference, 1.0))
    return [str(one.message) for one in caught]


@pytest.mark.parametrize("gain", [1.0, 1e-3, -2.0])
@pytest.mark.parametrize("end", [12_000, 30_000, 50_000])
def test_a_stem_at_any_level_and_length(song, noise, gain, end):
    reference = torch.cat([song.audio[1], noise(2, 20_000, seed=3)], dim=-1)[:, :end]
    with pytest.warns(InputNote, match=SAYS):
        note_stem_as_reference(song, (gain * reference, 1.0))


def test_what_is_no_stem(song, noise):
    stem = song.audio[1]
    late = stem.roll(1, dims=-1)
    half = stem.clone()
    half[:, 25_000:] = noise(2, 5000, seed=4)  # the same as far as the loudest place
    half[:, 15_000] = 3.0
    loud = stem.clone()
    loud[:, 15_000] = 3.0
    other = Multitrack(["a", "b"], torch.stack([song.audio[0], loud]))
    assert told(song, late) == told(other, half) == told(song, song.audio.sum(dim=0)) == []
    assert told(song, stem + 1e-3 * noise(2, 30_000, seed=5)) == []  # -60 dB
    assert told(song, stem.flip(0)) == []


def test_silence_is_no_stem():
    nothing = Multitrack(["a"], torch.zeros(1, 2, 1000))
    assert told(nothing, torch.zeros(2, 1000)) == []


@pytest.mark.filterwarnings("ignore:the mix is farther", "ignore:the network's console led farther")
def test_a_notebook_is_told(song):
    for mix in (
        lambda: optimize_mix(song, 0.5 * song.audio[1], steps=1),
        lambda: DiffMST("tiny").mix(song, song.audio[1]),
        lambda: equal_loudness(song, reference=song.audio[1]),
    ):
        with pytest.warns(InputNote, match=SAYS) as caught:
            mix()
        assert [one.filename for one in caught if "is the stem" in str(one.message)] == [__file__]
