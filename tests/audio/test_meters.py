"""Meters of a finished sound, against closed forms, the loudness of the library and FFmpeg."""

import math
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
import torch
from audio_helpers import RATE, sine

from diffmst_lib import loudness
from diffmst_lib.audio.meters import (
    StereoPowers,
    block_levels,
    block_powers,
    crest_factor_db,
    decibels,
    level_range_lu,
    limited_ratio_db,
    ratio_where_active_db,
    stereo_powers,
    true_peak_db,
)

pytestmark = pytest.mark.filterwarnings("error")


def faded(sound, samples=2000):
    """A sound with soft ends: a hard one rings, and its true peak is the ringing's."""
    ramp = torch.hann_window(2 * samples, periodic=False)[:samples]
    sound = sound.clone()
    sound[..., :samples] *= ramp
    sound[..., -samples:] *= ramp.flip(0)
    return sound


def ffmpeg_true_peak(sound):
    """What FFmpeg's loudness meter says of a sound (2, T), as a factor with three digits."""
    graph, time = av.filter.Graph(), Fraction(1, RATE)
    nodes = [
        graph.add_abuffer(format="fltp", sample_rate=RATE, layout="stereo", time_base=time),
        graph.add("ebur128", "peak=true:metadata=1"),
        graph.add("abuffersink"),
    ]
    for node, following in pairwise(nodes):
        node.link_to(following)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.numpy()), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, time
    graph.push(frame)
    graph.push(None)
    peaks = []
    with suppress(av.error.EOFError):
        while True:
            peaks.append(float(graph.pull().metadata["lavfi.r128.true_peak"]))
    return max(peaks)


def test_true_peak_is_that_of_ffmpeg(reference):
    sound = reference[:, : 2 * RATE] * 0.5
    assert 10 ** (true_peak_db(sound) / 20) == pytest.approx(ffmpeg_true_peak(sound), rel=0.01)


@pytest.mark.parametrize(
    ("division", "phase_degrees", "amplitude", "expected"),
    [(4, 0, 0.5, -6.0), (4, 45, 0.5, -6.0), (6, 60, 0.5, -6.0), (8, 67.5, 0.5, -6.0), (4, 45, 1.41, 3.0)],
)
def test_true_peaks_of_the_standard(division, phase_degrees, amplitude, expected):
    """EBU Tech 3341, cases 15 to 19, which allow +0.2 and -0.4 dB."""
    phase = 2 * math.pi * torch.arange(RATE, dtype=torch.float64) / division + math.radians(phase_degrees)
    sound = faded(amplitude * torch.sin(phase)).expand(2, -1)
    assert expected - 0.1 < true_peak_db(sound) < expected + 0.1
    assert expected - 0.1 < true_peak_db(sound.float()) < expected + 0.1


def test_true_peak_is_never_below_the_highest_sample(noise):
    sound = noise(2, 5000)
    assert true_peak_db(sound) > 20 * math.log10(sound.abs().max()) - 1e-6
    click = torch.zeros(2, 70_000)
    click[1, -1] = 0.5  # what comes last counts as well
    assert true_peak_db(click) > 20 * math.log10(0.5) - 1e-6
    assert true_peak_db(torch.full((1, 1), 0.5)) > 20 * math.log10(0.5) - 1e-6


def test_crest_factor(noise):
    assert crest_factor_db(sine(441).expand(2, -1)) == pytest.approx(3.01, abs=0.01)
    assert crest_factor_db(torch.ones(2, 100)) == pytest.approx(0.0, abs=1e-9)
    long = noise(2, 150_000)
    expected = 20 * math.log10(long.abs().max()) - 10 * math.log10(long.double().square().mean())
    assert crest_factor_db(long) == pytest.approx(expected, abs=1e-6)


def test_image_of_simple_sounds(noise):
    one, other = noise(2, 100_000)
    mono, opposite = stereo_powers(torch.stack([one, one])), stereo_powers(torch.stack([one, -one]))
    assert (mono.correlation, mono.lean_db, mono.width_db) == (1.0, 0.0, -60.0)
    assert mono.mono_loss_db == pytest.approx(0.0, abs=1e-9)
    assert (opposite.correlation, opposite.width_db, opposite.mono_loss_db) == (-1.0, 60.0, 60.0)
    apart = stereo_powers(torch.stack([one, 2 * other]))
    assert apart.correlation == pytest.approx(0.0, abs=0.02)
    assert apart.lean_db == pytest.approx(6.02, abs=0.1)
    assert apart.mono_loss_db == pytest.approx(3.01, abs=0.1)
    assert stereo_powers(torch.stack([0 * one, one])).lean_db == 60.0
    side = stereo_powers(torch.stack([one + 0.1 * other, one - 0.1 * other]))
    assert side.width_db == pytest.approx(-20.0, abs=0.1)


def test_image_is_that_of_numpy_and_whole(noise):
    sound = noise(2, 150_000) + torch.tensor([[0.02], [0.01]])  # longer than a piece, with an offset
    left, right = sound.double().numpy()
    image = stereo_powers(sound)
    assert image.lean_db == pytest.approx(10 * np.log10((right**2).sum() / (left**2).sum()), abs=1e-9)
    cosine = left @ right / np.sqrt((left @ left) * (right @ right))
    assert image.correlation == pytest.approx(cosine, abs=1e-12)
    with pytest.raises(ValueError, match="stereo"):
        stereo_powers(sound[0])


def test_blocks_follow_the_level_and_none_is_lost():
    sound = sine(997, 10.0).expand(2, -1) * torch.repeat_interleave(torch.tensor([0.1, 0.01]), 5 * RATE)
    levels = block_levels(sound, seconds=2.5, sample_rate=RATE)
    assert levels == pytest.approx([-20.0, -20.0, -40.0, -40.0], abs=0.1)
    assert len(block_powers(sound, 3.0, sample_rate=RATE)) == 3
    short = block_levels(sound[:, :1000], sample_rate=RATE)
    assert len(short) == 1 and short[0] == pytest.approx(loudness(sound[:, :1000]), abs=1e-6)


def test_blocks_without_a_sample(noise):
    assert block_powers(noise(2, 100)[:, :0], 3.0, sample_rate=RATE).shape == (0,)


def test_the_range_is_between_the_loudest_and_the_quietest_blocks():
    levels = np.array(
        [-math.inf, -71.0, -30.0, *[-20.0] * 17, -14.0, -12.0]
    )  # 20 of them sound: 3 at each end
    assert level_range_lu(levels) == pytest.approx((-14 - 12 - 20) / 3 - (-30 - 20 - 20) / 3)
    assert level_range_lu(np.array([-20.0])) == 0.0


def test_a_voice_is_compared_where_it_sounds():
    voice, rest = np.array([0.0, 4e-2, 4e-2, 1e-3]), np.array([9.0, 1e-2, 3e-2, 9.0])
    assert ratio_where_active_db(voice, rest) == pytest.approx(10 * math.log10(2.0))
    assert math.isnan(ratio_where_active_db(0 * voice, rest))
    assert math.isnan(ratio_where_active_db(voice, 0 * rest))


def test_silence_has_no_numbers():
    silence = torch.zeros(2, 50_000)
    image = stereo_powers(silence)
    assert true_peak_db(silence) == -math.inf
    assert all(map(math.isnan, (image.correlation, image.lean_db, image.width_db, image.mono_loss_db)))
    assert math.isnan(crest_factor_db(silence))
    assert (block_levels(silence, sample_rate=RATE) == -math.inf).all()
    assert math.isnan(level_range_lu(block_levels(silence, sample_rate=RATE)))
    assert math.isnan(limited_ratio_db(0.0, 0.0, 60.0)) and math.isnan(decibels(math.nan))


def test_rounding_makes_no_number_impossible():
    image = StereoPowers(1.0, 1.0, 1.0 + 1e-12)
    assert (image.correlation, image.width_db, image.mono_loss_db) == (1.0, -60.0, 0.0)
