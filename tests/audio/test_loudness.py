"""Loudness, normalization, the levels of stems, the loudest window."""

import math
import warnings

import numpy as np
import pyloudnorm
import pytest
import scipy.signal
import torch
from audio_helpers import RATE, sine
from hypothesis import given, settings
from hypothesis import strategies as st

from diffmst_lib import load_audio, load_multitrack, loudness, normalize_loudness, normalize_tracks
from diffmst_lib.audio.loudness import (
    BUS_LUFS,
    LoudnessMeter,
    filter_block,
    k_weighting,
    level_stems,
    loudest_window,
    loudness_each,
    stem_gains_db,
)


def by_pyloudnorm(x, rate=RATE, block_s=0.4):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # logarithms of silence
        return pyloudnorm.Meter(rate, block_size=block_s).integrated_loudness(x.T.double().numpy())


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("seconds", [0.4, 0.77, 3.3])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_noise_is_as_loud_as_by_pyloudnorm(noise, rate, seconds, channels):
    """Loud and quiet parts, both gates, one sample too many."""
    num_samples = round(seconds * rate) + 1
    x = noise(channels, num_samples)
    x[:, num_samples // 3 : num_samples // 2] *= 0.01
    x[0, -1] = 1.0
    for gain in (1.0, 1e-2, 4e-3, 3e-3):
        assert loudness(gain * x, sample_rate=rate) == pytest.approx(by_pyloudnorm(gain * x, rate), abs=1e-6)


def test_music_is_as_loud_as_by_pyloudnorm(data):
    song = load_multitrack(data / "multitracks" / "caesium")
    for stem in [*song.stems.values(), load_audio(data / "references" / "vibe_ace.ogg")]:
        assert loudness(stem) == pytest.approx(by_pyloudnorm(stem), abs=1e-6)


@pytest.mark.parametrize("gate_db", [-70.0, -10.0])
def test_the_gates_close_where_those_of_pyloudnorm_do(noise, gate_db):
    """Three seconds, at the absolute gate or ten LU below the three before, in steps of 0.05 dB."""
    x = normalize_loudness(noise(1, 3 * RATE), -20.0)
    levels = []
    for step in range(-20, 21):
        gain_db = 0.05 * step + (gate_db + 20.0 if gate_db == -70.0 else gate_db - 2.6)
        quiet = x * 10 ** (gain_db / 20)
        sound = quiet if gate_db == -70.0 else torch.cat([x, quiet], dim=1)
        levels.append(loudness(sound))
        assert levels[-1] == pytest.approx(by_pyloudnorm(sound), abs=1e-6)
    if gate_db == -70.0:
        assert levels[0] == -math.inf and levels[-1] > -70.0
    else:
        assert min(levels) < max(levels) - 1.0  # with the quiet part, and without it


@pytest.mark.parametrize(("rate", "seconds"), [(44100, 0.25), (48000, 0.125)])
def test_a_short_clip_is_one_block(noise, rate, seconds):
    x = noise(2, round(seconds * rate))
    assert loudness(x, sample_rate=rate) == pytest.approx(by_pyloudnorm(x, rate, seconds), abs=1e-6)


@pytest.mark.parametrize("rate", [RATE, 48000])
@pytest.mark.parametrize("seconds", [0.1, 2.0])
@pytest.mark.parametrize("amplitude", [1.0, 0.1])
def test_loudness_of_a_997_hz_sine(rate, seconds, amplitude):
    # BS.1770: a full-scale sine in one channel reads -3.01 LUFS, in two channels 3.01 dB more.
    x, level = amplitude * sine(997, seconds, rate), 20 * math.log10(amplitude)
    assert loudness(x, sample_rate=rate) == pytest.approx(level - 3.01, abs=0.1)
    assert loudness(torch.stack([x, x]), sample_rate=rate) == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize(
    "x", [torch.zeros(2, RATE), torch.zeros(2, 1), torch.zeros(2, 0), 1e-5 * torch.ones(2, RATE)]
)
def test_silence_has_no_loudness(x):
    assert loudness(x) == -math.inf


def test_one_sample_has_a_loudness():
    assert math.isfinite(loudness(torch.ones(2, 1)))


def test_loudness_refuses_a_batch_and_too_many_channels(noise):
    with pytest.raises(ValueError, match=r"got \(1, 2, 100\)"):
        loudness(noise(1, 2, 100))
    with pytest.raises(ValueError, match="1 to 5 channels, got 6"):
        loudness(noise(6, 100))


def test_silence_after_a_sound_leaves_nothing_in_the_filters(noise):
    """Denormal numbers would be left, with which a processor is many times slower."""
    sections, state = k_weighting(RATE), np.zeros((2, 1, 2))
    sound = np.concatenate([noise(1, RATE).double().numpy(), np.zeros((1, 3 * RATE))], axis=1)
    weighted = []
    for block in np.split(sound, 16, axis=1):
        out, state = filter_block(block, sections, state)
        weighted.append(out)
    assert not state.any()
    whole = scipy.signal.sosfilt(sections, sound)
    assert np.abs(np.concatenate(weighted, axis=1) - whole).max() < 1e-12


@pytest.mark.parametrize("num_samples", [1, 1000, 2 * RATE])
@pytest.mark.parametrize("lufs", [-16.0, -48.0])
def test_normalized_loudness_is_exact(noise, num_samples, lufs):
    assert loudness(normalize_loudness(noise(2, num_samples), lufs)) == pytest.approx(lufs, abs=0.01)


def test_normalized_silence_stays_silence():
    assert torch.equal(normalize_loudness(torch.zeros(2, 1000)), torch.zeros(2, 1000))


def test_normalization_has_a_gradient_that_does_not_know_the_level(noise):
    x = noise(2, RATE).requires_grad_()
    weights = (
        noise(2, RATE, seed=1) + x.detach()
    )  # with x in it: without normalization, louder would be better
    (normalize_loudness(x) * weights).sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    along = (x.grad * x).sum()
    assert along.abs() < 1e-4 * (x.grad * x).abs().sum()


@settings(deadline=None)
@given(num_samples=st.integers(1, 600), seconds=st.floats(0.1, 2.0), seed=st.integers(0, 1000))
def test_loudest_window_against_brute_force(noise, num_samples, seconds, seed):
    x, length = noise(2, num_samples, seed=seed), int(seconds * 100)
    starts = range(0, max(num_samples - length, 0) + 1, 10)
    energies = [x[:, start : start + length].double().square().sum().item() for start in starts]
    assert loudest_window(x, seconds, sample_rate=100) == 10 * energies.index(max(energies))


def test_loudness_of_what_is_no_sound():
    for bad in (float("nan"), float("inf")):
        sound = 0.1 * torch.ones(2, 90_000)
        sound[1, 7] = bad
        assert math.isnan(loudness(sound))
    with pytest.raises(ValueError, match="got int16"):
        loudness(torch.ones(2, 9000, dtype=torch.int16))
    assert loudness(torch.ones(2, 9000).half()) == pytest.approx(loudness(torch.ones(2, 9000)), abs=0.01)


def test_tracks_come_to_one_level_and_silence_stays(noise):
    x = noise(3, RATE) * torch.tensor([[1.0], [0.0], [0.01]])
    before = x.clone()
    y, gains_db = normalize_tracks(x, -30.0)
    assert torch.equal(x, before)
    assert [loudness(track) for track in y] == pytest.approx([-30.0, -math.inf, -30.0], abs=0.01)
    assert gains_db.isnan().tolist() == [False, True, False]
    torch.testing.assert_close(y[2], x[2] * 10 ** (gains_db[2] / 20))


def test_a_batch_is_measured_sound_by_sound(noise):
    x = noise(3, 2, 4 * RATE) * torch.tensor([[[1.0], [0.1]], [[0.0], [0.02]], [[0.0], [0.0]]])
    x[:, :, RATE : 2 * RATE] *= 0.01
    levels = loudness_each(x, RATE)
    assert levels == [loudness(sound) for sound in x]
    assert levels[0] > levels[1] > levels[2] == -math.inf


def test_tracks_that_are_no_sound_have_no_gain(noise):
    x = noise(3, RATE)
    x[0, 5], x[1, 9] = math.nan, math.inf
    assert normalize_tracks(x, -30.0)[1].isnan().tolist() == [True, True, False]
    exact = normalize_tracks(x.double(), -30.0)[1]
    assert exact.dtype == torch.float64 and exact[2].item() == pytest.approx(
        normalize_tracks(x, -30.0)[1][2].item(), abs=1e-4
    )


def test_tracks_of_a_batch_come_to_their_levels_one_by_one(noise):
    x = noise(2, 3, RATE) * torch.tensor([1.0, 0.1, 0.01])[:, None]
    y, gains_db = normalize_tracks(x, -30.0)
    want = [normalize_tracks(item, -30.0) for item in x]
    assert torch.equal(y, torch.stack([item for item, _ in want]))
    assert torch.equal(gains_db, torch.stack([gains for _, gains in want]))
    with pytest.raises(ValueError, match="num_tracks, num_samples"):
        normalize_tracks(x[0, 0], -30.0)


def test_a_batch_is_normalized_item_by_item():
    batch = torch.randn(4, 2, 44100, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1.0, 0.01, 0.0, 5.0]
    ).view(4, 1, 1)
    batch.requires_grad_()
    level = normalize_loudness(batch)
    assert [round(loudness(x), 3) for x in level] == [-16.0, -16.0, -math.inf, -16.0]
    alone = [x.detach().clone().requires_grad_() for x in batch]
    weight = torch.randn(4, 2, 44100, generator=torch.Generator().manual_seed(1))
    (level * weight).sum().backward()
    for i, x in enumerate(alone):
        y = normalize_loudness(x)
        assert torch.allclose(y, level[i], atol=1e-5)
        (y * weight[i]).sum().backward()
        assert torch.isfinite(batch.grad[i]).all()
        assert torch.allclose(x.grad, batch.grad[i], rtol=1e-3, atol=1e-4 * float(x.grad.abs().max()) + 1e-12)


# The levels of a song's stems


def gained(stems, gains_db):
    return stems * 10 ** (gains_db.nan_to_num(0.0)[:, None, None] / 20)


def test_delivered_is_one_gain_for_the_whole_song(noise):
    stems = noise(4, 2, RATE) * torch.tensor([1.0, 0.1, 0.0, 0.01])[:, None, None]
    before = stems.clone()
    levelled, gains_db = level_stems(stems)
    assert torch.equal(stems, before) and torch.equal(
        gains_db.nan_to_num(7.0), stem_gains_db(stems).nan_to_num(7.0)
    )
    assert gains_db.isnan().tolist() == [False, False, True, False] and not levelled[2].any()
    assert gains_db[0] == gains_db[1] == gains_db[3]
    assert loudness(levelled.sum(dim=0)) == pytest.approx(BUS_LUFS, abs=1e-3)
    torch.testing.assert_close(levelled, gained(stems, gains_db))


def test_equal_brings_the_stems_to_one_loudness_and_their_sum_to_the_bus(noise):
    stems = noise(4, 2, RATE) * torch.tensor([1.0, 0.1, 0.0, 0.01])[:, None, None]
    levelled, gains_db = level_stems(stems, "equal")
    levels = [loudness(stem) for stem in levelled]
    assert levels[0] == pytest.approx(levels[1], abs=1e-3) == pytest.approx(levels[3], abs=1e-3)
    assert levels[2] == -math.inf and gains_db[2].isnan()
    assert loudness(levelled.sum(dim=0)) == pytest.approx(BUS_LUFS, abs=1e-3)


@pytest.mark.parametrize("balance", ["delivered", "equal"])
@pytest.mark.parametrize("rate", [22050, 48000])
def test_a_song_of_another_rate_and_type(noise, balance, rate):
    stems = noise(64, 2, rate).double()
    levelled, gains_db = level_stems(stems, balance, sample_rate=rate)
    assert levelled.dtype == gains_db.dtype == torch.float64
    assert loudness(levelled.sum(dim=0), sample_rate=rate) == pytest.approx(BUS_LUFS, abs=1e-6)


@pytest.mark.parametrize("balance", ["delivered", "equal"])
def test_stems_that_cancel_are_levelled_by_the_sum_of_their_powers(noise, balance):
    x = noise(1, 2, RATE)
    alone, opposite = stem_gains_db(x, balance).item(), stem_gains_db(torch.cat([x, -x]), balance)
    nearly = stem_gains_db(torch.cat([x, -0.99 * x]), balance)
    assert opposite.tolist() == pytest.approx([alone - 10 * math.log10(2)] * 2, abs=1e-3)
    assert nearly.tolist() == pytest.approx(opposite.tolist(), abs=0.1)


@pytest.mark.parametrize("balance", ["delivered", "equal"])
def test_silent_stems_have_no_gain(balance):
    assert stem_gains_db(torch.zeros(2, 2, RATE), balance).isnan().all()
    levelled, gains_db = level_stems(torch.zeros(2, 2, RATE), balance)
    assert not levelled.any() and gains_db.isnan().all()


@pytest.mark.parametrize("balance", ["delivered", "equal"])
def test_stems_that_were_measured_are_not_measured_again(noise, monkeypatch, balance):
    stems = noise(3, 2, RATE) * torch.tensor([1.0, 0.1, 0.0])[:, None, None]
    want, levels = stem_gains_db(stems, balance), loudness_each(stems, RATE)
    monkeypatch.setattr("diffmst_lib.audio.loudness.loudness_each", None)
    assert torch.equal(stem_gains_db(stems, balance, levels=levels).nan_to_num(7.0), want.nan_to_num(7.0))


def test_what_is_no_song_and_no_balance(noise):
    with pytest.raises(ValueError, match="balance must be one of delivered, equal, not 'loud'"):
        level_stems(noise(2, 2, 100), "loud")
    for shape in ((2, 100), (2, 1, 100), (1, 2, 2, 100)):
        with pytest.raises(ValueError, match=r"stems must be \(num_stems, 2, num_samples\), got"):
            stem_gains_db(torch.zeros(shape))


@pytest.mark.parametrize("num_samples", [0, 1, 5000, 3 * RATE + 17])
@pytest.mark.parametrize("length", [999, RATE, 10 * RATE])
def test_blocks_are_as_loud_as_the_whole(noise, num_samples, length):
    audio = noise(2, num_samples)
    meter = LoudnessMeter(num_samples, sample_rate=RATE)
    for block in audio.split(length, dim=1):
        meter(block)
    assert meter.lufs() == pytest.approx(loudness(audio, sample_rate=RATE), abs=1e-9)


def test_a_block_that_is_not_finite_leaves_no_loudness(noise):
    meter = LoudnessMeter(2 * RATE, sample_rate=RATE)
    for block in (noise(2, RATE), torch.full((2, RATE), math.nan)):
        meter(block)
    assert math.isnan(meter.lufs())
