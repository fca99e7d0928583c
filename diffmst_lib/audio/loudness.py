"""Levels: loudness in LUFS, sounds brought to it, and where a sound is loudest. Chapter: A first mix."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pyloudnorm
import torch

from ..console.engines.loops import compiled

SAMPLE_RATE = 44100
MIX_LUFS = -16.0  # the level at which mixes and references are compared, as in the paper


def loudness(audio: torch.Tensor, *, sample_rate: int = SAMPLE_RATE) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4, pyloudnorm) of (channels, num_samples) or (num_samples,).

    Silence, or anything below the standard's absolute gate at -70 LUFS, gives -inf, NaN and infinite samples NaN.
    Clips shorter than the standard's 0.4 s block are measured as one block. ValueError for integers.

    >>> t = torch.arange(44100) / 44100
    >>> round(loudness(torch.sin(2 * torch.pi * 997 * t)))     # a full-scale sine in one channel: -3.01
    -3
    """
    if audio.ndim > 2:
        raise ValueError(f"loudness is of one sound, (channels, num_samples), got {tuple(audio.shape)}")
    if not audio.dtype.is_floating_point:
        raise ValueError(
            f"audio must be floating point in [-1, 1], got {str(audio.dtype).removeprefix('torch.')}"
        )
    samples = np.atleast_2d(audio.detach().cpu().double().numpy()).T
    if len(samples) == 0:
        return -float("inf")
    if not np.isfinite(samples).all():
        return float("nan")
    block_s = 0.4
    if (
        len(samples) < block_s * sample_rate
    ):  # half a sample of room, so that rounding cannot make the block too long
        block_s = (len(samples) + 0.5) / sample_rate
        samples = np.pad(samples, ((0, 1), (0, 0)))
    with np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(pyloudnorm.Meter(sample_rate, block_size=block_s).integrated_loudness(samples))


def normalize_loudness(
    audio: torch.Tensor, lufs: float = MIX_LUFS, *, sample_rate: int = SAMPLE_RATE
) -> torch.Tensor:
    """Scale audio (channels, num_samples), or each of a batch (B, channels, num_samples), to `lufs`; silence stays.

    Differentiable: the gradient takes the RMS for the loudness, whose gates have no gradient. So it knows that a
    change of level alone is undone.

    >>> round(loudness(normalize_loudness(torch.randn(2, 44100), -16.0)), 2)
    -16.0
    """
    if audio.ndim == 3:
        levels = quick_loudness(audio, sample_rate)
    else:
        levels = [loudness(audio, sample_rate=sample_rate)]
    heard = np.isfinite(levels)
    gains = [10.0 ** ((lufs - level) / 20.0) if finite else 1.0 for level, finite in zip(levels, heard)]
    gains = torch.tensor(gains, dtype=audio.dtype, device=audio.device)
    shape = (-1, 1, 1) if audio.ndim == 3 else ()
    scaled = audio * gains.view(shape)
    if not scaled.requires_grad or not heard.any():
        return scaled
    power = scaled.square().mean(dim=(-2, -1) if audio.ndim == 3 else None)
    rms = torch.where(torch.as_tensor(heard, device=audio.device).view(power.shape), power, 1.0).sqrt()
    return scaled * (rms.detach() / rms).view(shape)


def normalize_tracks(
    tracks: torch.Tensor, lufs: float, *, sample_rate: int = SAMPLE_RATE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Every track of (..., num_tracks, num_samples) at `lufs`, and the gains in dB that it took, (..., num_tracks).

    What a network hears, in training and in use alike. Silent tracks stay as they are; their gain is NaN, and a network
    must not be shown them (its `mask`).

    >>> tracks, gains_db = normalize_tracks(torch.randn(2, 44100) * torch.tensor([[0.1], [0.01]]), -30.0)
    >>> round((gains_db[1] - gains_db[0]).item())
    20
    """
    if tracks.ndim < 2:
        raise ValueError(f"tracks must be (..., num_tracks, num_samples), got {tuple(tracks.shape)}")
    levels = quick_loudness(tracks.reshape(-1, 1, tracks.shape[-1]), sample_rate)
    gains_db = torch.tensor(
        [lufs - level if np.isfinite(level) else math.nan for level in levels],
        dtype=tracks.dtype,
        device=tracks.device,
    ).view(tracks.shape[:-1])
    return tracks * 10.0 ** (gains_db.nan_to_num(0.0)[..., None] / 20.0), gains_db


def k_weighting(sample_rate: int) -> np.ndarray:
    """The two filters of ITU-R BS.1770 as second-order sections (2, 6), from pyloudnorm."""
    shelf = pyloudnorm.IIRfilter(4.0, 1 / math.sqrt(2), 1500.0, sample_rate, "high_shelf")
    highpass = pyloudnorm.IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass")
    return np.array([[*shelf.b, *shelf.a], [*highpass.b, *highpass.a]])


def quick_loudness(sounds: torch.Tensor, sample_rate: int) -> list[float]:
    """`loudness` of every sound of (num_sounds, channels, num_samples), at once.

    pyloudnorm's filters and gates, compiled: training waits for it.

    >>> quick_loudness(torch.zeros(1, 2, 44100), 44100)
    [-inf]
    """
    if sounds.shape[-1] < 0.4 * sample_rate or sounds.dtype != torch.float32:
        return [loudness(sound, sample_rate=sample_rate) for sound in sounds]
    arrays, sections = sounds.detach().cpu().contiguous().numpy(), k_weighting(sample_rate)
    num_samples, levels = arrays.shape[-1], []
    blocks = np.arange(int(np.round((num_samples / sample_rate - 0.4) / 0.1)) + 1)
    first = (0.4 * (blocks * 0.25) * sample_rate).astype(int)
    last = np.minimum((0.4 * (blocks * 0.25 + 1) * sample_rate).astype(int), num_samples)
    energy = np.zeros(num_samples + 1)
    for channels in arrays:
        if not np.isfinite(channels).all():
            levels.append(math.nan)
            continue
        power = np.zeros(len(blocks))
        for channel in channels:
            _weighted_energy(channel, sections, energy)
            power += (energy[last] - energy[first]) / (0.4 * sample_rate)
        with np.errstate(divide="ignore"):
            power = power[-0.691 + 10 * np.log10(power) >= -70]  # the absolute gate
        power = power[power > 0.1 * power.mean()] if len(power) else power  # the relative gate, 10 LU below
        levels.append(-0.691 + 10 * math.log10(power.mean()) if len(power) else -math.inf)
    return levels


@compiled
def _weighted_energy(x, sections, energy):
    """energy[n] becomes the sum of the first n squares of x behind two second-order sections."""
    s1 = s2 = t1 = t2 = 0.0
    for n in range(x.shape[0]):
        y = sections[0, 0] * x[n] + s1
        s1 = sections[0, 1] * x[n] - sections[0, 4] * y + s2
        s2 = sections[0, 2] * x[n] - sections[0, 5] * y
        z = sections[1, 0] * y + t1
        t1 = sections[1, 1] * y - sections[1, 4] * z + t2
        t2 = sections[1, 2] * y - sections[1, 5] * z
        energy[n + 1] = energy[n] + z * z


def loudest_window(audio: torch.Tensor, seconds: float, *, sample_rate: int = SAMPLE_RATE) -> int:
    """First sample of the window of this length with the most energy, on a grid of a tenth of a second."""
    length, hop = int(seconds * sample_rate), sample_rate // 10
    if audio.shape[-1] <= length:
        return 0
    energy = torch.zeros(audio.shape[-1] + 1, dtype=torch.float64, device=audio.device)
    for channel in audio.reshape(
        -1, audio.shape[-1]
    ):  # one at a time: a whole song in double precision is large
        energy[1:] += channel.double().square()
    energy = energy.cumsum(0)
    starts = torch.arange(0, audio.shape[-1] - length + 1, hop)
    return int(starts[(energy[starts + length] - energy[starts]).argmax()])
