"""Gain reduction, and a voice over the rest: whole sounds, and sounds that come in blocks."""

import math

import pytest
import torch

from diffmst_lib.audio.meters import block_powers, ratio_where_active_db
from diffmst_lib.mixing.mix_meters import GAIN_BLOCK, ReductionMeter, VoiceMeter


def test_a_pause_does_not_count():
    sound = torch.cat([torch.ones(1, 2, 6400), torch.zeros(1, 2, 64_000)], dim=-1)
    meter = ReductionMeter()
    meter(sound, 0.5 * sound, torch.zeros(1))
    reduction = meter.reduction()
    assert (reduction.mean_db, reduction.high_db, reduction.most_db) == pytest.approx([6.0206] * 3, abs=1e-3)
    assert math.isnan(ReductionMeter().reduction().mean_db)


@pytest.mark.parametrize("length", [1, GAIN_BLOCK - 1, 1000, 7000])
def test_a_sound_in_blocks_is_reduced_like_a_whole_one(noise, length):
    before = noise(2, 3000) * torch.linspace(0.0, 3.0, 3000)
    after = before * torch.linspace(1.0, 0.1, 3000)
    whole, in_blocks = ReductionMeter(), ReductionMeter()
    whole(before[None], after[None], torch.zeros(1))
    for parts in zip(before.split(length, dim=1), after.split(length, dim=1), strict=True):
        in_blocks.hear(*parts)
    want, found = whole.reduction(), in_blocks.reduction()
    assert (found.mean_db, found.high_db, found.most_db) == pytest.approx(
        (want.mean_db, want.high_db, want.most_db), abs=1e-5
    )


@pytest.mark.parametrize("num_samples", [1, 5000, 100_000])
def test_a_voice_in_blocks_is_compared_where_it_sounds(noise, num_samples):
    voice, rest = noise(2, num_samples), 0.5 * noise(2, num_samples, seed=1)
    voice[:, num_samples // 2 :] = 0.0
    meter = VoiceMeter(num_samples, 44_100)
    for parts in zip(voice.split(999, dim=1), (voice + rest).split(999, dim=1), strict=True):
        meter(*parts)
    want = ratio_where_active_db(
        *(block_powers(sound, 0.4, sample_rate=44_100) for sound in (voice, (voice + rest) - voice))
    )
    assert meter.lu() == pytest.approx(want, abs=1e-6, nan_ok=True)
