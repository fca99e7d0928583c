"""Windows of a song: its loudest part, and the loudest of many."""

import pytest
import torch

from diffmst_lib.mixing.windows import loudest_part, loudest_windows, robust_mean


def test_the_loudest_part_has_the_length_that_is_asked_for_or_that_of_the_sound(noise):
    audio = noise(2, 2, 88_200)
    audio[..., 44_100:66_150] *= 3.0
    assert torch.equal(loudest_part(audio, 0.5, sample_rate=44_100), audio[..., 44_100:66_150])
    assert torch.equal(loudest_part(audio, 3.0, sample_rate=44_100), audio)
    assert loudest_part(audio, 1e-9, sample_rate=44_100).shape == (2, 2, 1)


def test_windows_follow_each_other_and_the_last_ends_with_the_song(noise):
    audio = noise(2, 2, 200_000)
    windows = loudest_windows(audio, 1.0, 44_100)
    starts = (0, 44_100, 88_200, 132_300, 155_900)
    assert len(windows) == 5 and all(
        torch.equal(w, audio[..., s : s + 44_100]) for w, s in zip(windows, starts, strict=True)
    )
    assert len(loudest_windows(audio[..., :88_200], 1.0, 44_100)) == 2


@pytest.mark.parametrize("shape", [(3, 2), (3,), (2,)], ids=["stems", "channels", "record"])
def test_of_many_windows_the_dozen_loudest_are_heard_in_their_order(noise, shape):
    levels = torch.tensor([5, 1, 6, 7, 2, 8, 9, 3, 10, 11, 12, 4, 13, 14, 15, 16.0])
    audio = noise(*shape, 16 * 4410) * levels.repeat_interleave(4410)
    windows = loudest_windows(audio, 0.1, 44_100)
    kept = [i for i in range(16) if levels[i] > 4]
    assert len(windows) == 12
    assert all(
        torch.equal(w, audio[..., i * 4410 : (i + 1) * 4410]) for w, i in zip(windows, kept, strict=True)
    )


def test_a_window_that_says_something_else_does_not_count():
    said = torch.tensor([[0.4, 0.9], [0.5, 0.9], [0.5, 0.9], [0.5, 0.9], [0.6, 0.0]])
    even = torch.full((5, 1), 0.2)
    assert robust_mean(said, even).tolist() == pytest.approx([0.5, 0.9])
    assert robust_mean(said[[4, 0, 2, 1, 3]], even).tolist() == pytest.approx([0.5, 0.9])
    loud = torch.tensor([[0.05, 0.05, 0.05, 0.05, 0.8]]).T  # unless it is most of the song
    assert robust_mean(said, loud)[1].item() == pytest.approx(0.0)


def test_an_even_spread_has_its_mean_and_few_windows_all_count(noise):
    ramp = torch.arange(10.0)
    assert robust_mean(ramp, torch.full((10,), 0.1)).item() == pytest.approx(4.5)
    few, weights = noise(4, 3), torch.tensor([[0.1, 0.2, 0.3, 0.4]]).T
    torch.testing.assert_close(robust_mean(few, weights), (few * weights).sum(dim=0))


def test_equal_windows_give_what_they_say():
    weights = torch.rand(7, generator=torch.Generator().manual_seed(0))
    mean = robust_mean(torch.full((7, 2), 0.3), (weights / weights.sum())[:, None])
    assert mean.tolist() == pytest.approx([0.3, 0.3])
