"""A long sound is measured in pieces: the same numbers as in one pass, and little memory."""

import pytest
import torch
from odd_sounds import noise
from torch.utils._python_dispatch import TorchDispatchMode

from diffmst_lib.style import features, sound
from diffmst_lib.style.averages import mean_magnitude

PIECE = 2**12


@pytest.fixture
def short_pieces(monkeypatch):
    """What is longer than 2 x 4096 samples is long."""
    monkeypatch.setattr(sound, "PIECE", PIECE)


def in_one_pass(x, **options):
    """The features of a sound that needs a gradient, which is never cut."""
    measured = features.audio_features(x.clone().requires_grad_(), **options)
    return {name: value.detach() for name, value in measured.items()}


@pytest.mark.parametrize("preset", ["default", "reference"])
@pytest.mark.parametrize("num_samples", [2 * PIECE + 1, 3 * PIECE, 44100 * 3 + 17, 8192 * 80])
def test_pieces_give_the_numbers_of_one_pass(short_pieces, preset, num_samples):
    x = noise(2, num_samples) * torch.linspace(0.05, 0.5, num_samples)
    for one in (x, torch.stack([x, 0.1 * x.flip(-2)])):
        whole, pieces = in_one_pass(one, preset=preset), features.audio_features(one, preset=preset)
        for name in whole:
            torch.testing.assert_close(pieces[name], whole[name], rtol=1e-5, atol=1e-6)


def test_windows_are_those_of_one_pass_to_the_bit(short_pieces):
    x = noise(2, 1024 * 150 + 5)
    pieces = sound.Sound(x).mean_magnitude(4096, 1024, lambda part: part)
    assert torch.equal(pieces, mean_magnitude(x, 4096, 1024))


@pytest.mark.parametrize("num_samples", [PIECE, 5 * PIECE])
def test_a_gain_is_a_sound_at_another_level(short_pieces, num_samples):
    x = noise(2, num_samples)
    scaled = features.audio_features(0.3 * x)
    for name, value in features.audio_features(x, gain=0.3).items():
        torch.testing.assert_close(value, scaled[name], rtol=1e-6, atol=1e-7)
    own = {"peak": (lambda x, rate: x.abs().amax(dim=(1, 2)), 1.0)}
    peak = features.audio_features(x, gain=0.3, features=own)["peak"]
    torch.testing.assert_close(peak, 0.3 * x.abs().max()[None])


def test_a_gradient_sees_the_whole_sound(short_pieces):
    x = noise(2, 5 * PIECE).requires_grad_()
    features.rms(x).sum().backward()
    level = features.rms(x.detach())
    torch.testing.assert_close(x.grad, x.detach() / (x.shape[-1] * level[:, None]))


def test_nan_stays_visible(short_pieces):
    x = noise(2, 5 * PIECE)
    x[0, -1] = float("nan")
    assert features.crest_factor(x).isnan().tolist() == [True, False]
    assert features.stereo_width(x).isnan()


class Largest(TorchDispatchMode):
    """Sees the largest tensor that is made, in bytes, beside a sound."""

    def __init__(self, sound):
        super().__init__()
        self.sound, self.bytes = sound.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for one in torch.utils._pytree.tree_leaves(out):
            if isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() != self.sound:
                self.bytes = max(self.bytes, one.untyped_storage().nbytes())
        return out


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_a_long_sound_needs_little_memory_beyond_its_own(preset):
    x = torch.empty(2, 44100 * 150).uniform_(-1.0, 1.0)
    with Largest(x) as largest:
        features.audio_features(x, preset=preset, gain=0.5)
    assert 0 < largest.bytes < 12 * 2**20  # of pieces: a minute more or an hour, it stays the same
