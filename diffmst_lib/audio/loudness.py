"""Levels: measuring loudness in LUFS, normalizing to it, finding the loudest window. Chapter: A first mix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pyloudnorm
import scipy.signal
import torch

from ..options import BALANCES, SAMPLE_RATE
from .weighted_energy import WeightedEnergy

MIX_LUFS = -16.0  # the level at which mixes and references are compared, as in the paper
BUS_LUFS = -20.0  # the level of a song at the input of the master bus, where thresholds mean something

# ITU-R BS.1770-4
BLOCK_S, STEP = 0.4, 0.25  # blocks of 0.4 s, each a quarter of a block after the last
CHANNEL_GAINS = (1.0, 1.0, 1.0, 1.41, 1.41)  # left, right, center, left and right surround
OFFSET_DB = -0.691
ABSOLUTE_GATE = 10 ** ((-70.0 - OFFSET_DB) / 10)  # -70 LUFS as a power
RELATIVE_GATE = 0.1  # 10 LU below what passes the absolute gate

CANCELLED_DB = 20.0  # a sum this far below its parts' power says that they cancel, not how loud they are
PIECE = 2**16  # samples squared at a time


def loudness(audio: torch.Tensor, *, sample_rate: float = SAMPLE_RATE) -> float:
    """Measure the integrated loudness of a sound (ITU-R BS.1770-4).

    The result is pyloudnorm's. A clip shorter than the standard's block of 0.4 s counts as one block.

    Args:
        audio: Audio (channels, num_samples) with 1 to 5 channels or (num_samples,), floating point.
        sample_rate: Sample rate in Hz.

    Returns:
        Loudness in LUFS: -inf for silence and anything else below the standard's absolute gate at -70 LUFS,
        NaN for NaN or infinite samples.

    Raises:
        ValueError: For other shapes and for integers.

    Example:
        >>> t = torch.arange(44100) / 44100
        >>> round(loudness(torch.sin(2 * torch.pi * 997 * t)))     # a full-scale sine in one channel: -3.01
        -3
    """
    if audio.ndim > 2:
        raise ValueError(f"loudness is of one sound, (channels, num_samples), got {tuple(audio.shape)}")
    if not audio.dtype.is_floating_point:
        kind = str(audio.dtype).removeprefix("torch.")
        raise ValueError(f"audio must be floating point in [-1, 1], got {kind}")
    samples = torch.atleast_2d(audio.detach().cpu())
    if samples.shape[0] > len(CHANNEL_GAINS):
        raise ValueError(f"loudness is of 1 to {len(CHANNEL_GAINS)} channels, got {samples.shape[0]}")
    meter = LoudnessMeter(samples.shape[-1], sample_rate=sample_rate, channels=len(samples))
    meter(samples)
    return meter.lufs()


class LoudnessMeter:
    """`loudness` of a sound that comes in blocks.

    Args:
        num_samples: Length of the whole sound.
        sample_rate: Sample rate in Hz.
        channels: Its channels, 1 to 5.

    Example:
        >>> sound = torch.sin(2 * torch.pi * 997 * torch.arange(44100) / 44100)[None]
        >>> meter = LoudnessMeter(44100, sample_rate=44100, channels=1)
        >>> for block in sound.split(1000, dim=1):
        ...     meter(block)
        >>> meter.lufs() == loudness(sound)
        True
    """

    def __init__(self, num_samples: int, *, sample_rate: float, channels: int = 2):
        if num_samples < BLOCK_S * sample_rate:
            first, last = np.zeros(min(1, num_samples), int), np.full(min(1, num_samples), num_samples)
            self._length = float(num_samples)
        else:  # the standard's blocks, rounded as pyloudnorm rounds them
            count = round((num_samples / sample_rate - BLOCK_S) / (BLOCK_S * STEP)) + 1
            begins = np.arange(count) * STEP  # in blocks
            first = (BLOCK_S * begins * sample_rate).astype(int)
            last = np.minimum((BLOCK_S * (begins + 1) * sample_rate).astype(int), num_samples)
            self._length = BLOCK_S * sample_rate
        edges = np.concatenate([first, last, [num_samples]])
        self._energy = k_weighted_meter(edges, sample_rate, channels)

    def __call__(self, block: torch.Tensor) -> None:
        """Take the next block, audio (channels, num_samples)."""
        self._energy(block)

    def lufs(self) -> float:
        """Return the loudness of the whole sound in LUFS, as `loudness` does."""
        energy = self._energy.before_edges()
        if not math.isfinite(energy[-1]):
            return math.nan
        before, after = energy[:-1].reshape(2, -1)
        power = (after - before) / self._length if len(before) else before
        power = power[power >= ABSOLUTE_GATE]
        if len(power) == 0:
            return -math.inf
        return OFFSET_DB + 10 * math.log10(power[power > RELATIVE_GATE * power.mean()].mean())


def loudness_each(sounds: torch.Tensor, sample_rate: float) -> list[float]:
    """Measure the `loudness` of every sound of a batch.

    Args:
        sounds: Audio (B, channels, num_samples).
        sample_rate: Sample rate in Hz.

    Returns:
        Loudness in LUFS, one number per sound.

    Example:
        >>> loudness_each(torch.zeros(1, 2, 44100), 44100)
        [-inf]
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # the filters release Python's lock
        return list(pool.map(partial(loudness, sample_rate=sample_rate), sounds))


def k_weighted_energy(samples: torch.Tensor, edges: np.ndarray, sample_rate: float) -> np.ndarray:
    """Sum up the energy of a sound after K-weighting, as ITU-R BS.1770 adds up the channels.

    Args:
        samples: Audio (channels, num_samples) with 1 to 5 channels.
        edges: Samples before which the sum is wanted, (num_edges,).
        sample_rate: Sample rate in Hz.

    Returns:
        Energies (num_edges,).
    """
    meter = k_weighted_meter(edges, sample_rate, len(samples))
    meter(samples)
    return meter.before_edges()


def k_weighted_meter(edges: np.ndarray, sample_rate: float, channels: int = 2) -> WeightedEnergy:
    """Make a meter of `k_weighted_energy` for a sound that comes in blocks: call it with each, (channels, n)."""
    gains = np.array(CHANNEL_GAINS[:channels])
    return WeightedEnergy(sections=k_weighting(sample_rate), gains=gains, edges=edges)


def k_weighting(sample_rate: float) -> np.ndarray:
    """Design the two filters of ITU-R BS.1770, a high shelf and a high pass, with pyloudnorm.

    Args:
        sample_rate: Sample rate in Hz.

    Returns:
        Second-order sections (2, 6).
    """
    shelf = pyloudnorm.IIRfilter(4.0, 1 / math.sqrt(2), 1500.0, sample_rate, "high_shelf")
    highpass = pyloudnorm.IIRfilter(0.0, 0.5, 38.0, sample_rate, "high_pass")
    return np.array([[*shelf.b, *shelf.a], [*highpass.b, *highpass.a]])


def filter_block(block: np.ndarray, sections: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Filter one block of a sound, usually with K-weighting.

    Args:
        block: Audio (channels, num_samples).
        sections: Second-order sections (num_sections, 6), such as those of `k_weighting`.
        state: State of the filters (num_sections, channels, 2): zeros for the first block, then as returned.

    Returns:
        Filtered audio like `block`, and the state after it.
    """
    weighted, state = scipy.signal.sosfilt(sections, block, zi=state)
    state[np.abs(state) < 1e-100] = 0.0  # or digital silence ends in denormal numbers, 50 times slower
    return weighted, state


def normalize_loudness(
    audio: torch.Tensor, lufs: float = MIX_LUFS, *, sample_rate: float = SAMPLE_RATE
) -> torch.Tensor:
    """Scale sounds to one loudness; silence stays as it is.

    Differentiable: in the gradient the RMS stands in for the loudness, whose gates have none. So a change of
    level alone, which the scaling undoes, has no gradient.

    Args:
        audio: Audio (channels, num_samples), or a batch (B, channels, num_samples), scaled one by one.
        lufs: The loudness wanted, in LUFS.
        sample_rate: Sample rate in Hz.

    Returns:
        Audio like `audio`.

    Raises:
        ValueError: For integers.

    Example:
        >>> round(loudness(normalize_loudness(torch.randn(2, 44100), -16.0)), 2)
        -16.0
    """
    batched = audio.ndim == 3
    levels = np.array(loudness_each(audio if batched else audio[None], sample_rate))
    sounding = np.isfinite(levels)
    gains = np.where(sounding, 10.0 ** ((lufs - levels) / 20.0), 1.0)
    shape = (-1, 1, 1) if batched else ()
    scaled = audio * torch.as_tensor(gains, dtype=audio.dtype, device=audio.device).view(shape)
    if not scaled.requires_grad or not sounding.any():
        return scaled
    power = scaled.square().mean(dim=(-2, -1) if batched else None)
    rms = torch.where(torch.as_tensor(sounding, device=audio.device).view(power.shape), power, 1.0).sqrt()
    return scaled * (rms.detach() / rms).view(shape)


def normalize_tracks(
    tracks: torch.Tensor, lufs: float, *, sample_rate: float = SAMPLE_RATE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring every track to one loudness, as a network gets them in training and in use.

    Args:
        tracks: Audio (..., num_tracks, num_samples).
        lufs: The loudness wanted, in LUFS.
        sample_rate: Sample rate in Hz.

    Returns:
        Audio like `tracks`, and the gains in dB, (..., num_tracks). Silent tracks stay as they are. Their
        gain is NaN, and the `mask` of a network must leave them out.

    Raises:
        ValueError: For other shapes and for integers.

    Example:
        >>> tracks, gains_db = normalize_tracks(torch.randn(2, 44100) * torch.tensor([[0.1], [0.01]]), -30.0)
        >>> round((gains_db[1] - gains_db[0]).item())
        20
    """
    if tracks.ndim < 2:
        raise ValueError(f"tracks must be (..., num_tracks, num_samples), got {tuple(tracks.shape)}")
    levels = np.array(loudness_each(tracks.reshape(-1, 1, tracks.shape[-1]), sample_rate))
    gains_db = torch.as_tensor(
        np.where(np.isfinite(levels), lufs - levels, math.nan), dtype=tracks.dtype, device=tracks.device
    ).view(tracks.shape[:-1])
    return tracks * 10.0 ** (gains_db.nan_to_num(0.0)[..., None] / 20.0), gains_db


def stem_gains_db(
    stems: torch.Tensor,
    balance: str = "delivered",
    *,
    sample_rate: float = SAMPLE_RATE,
    levels: Sequence[float] | None = None,
) -> torch.Tensor:
    """Compute the gains that bring the plain sum of a song's stems to -20 LUFS.

    There the thresholds of a console mean something.

    Args:
        stems: Audio (N, 2, num_samples).
        balance: "delivered": one gain for all stems, so that the artist's balance stays. "equal": every stem
            at the same loudness, for raw recordings, as in the paper.
        sample_rate: Sample rate in Hz.
        levels: Loudness of each stem in LUFS, where it is known (`check_song`); None: it is measured.

    Returns:
        Gains in dB, (N,), NaN for silent stems. Stems that cancel each other are levelled by the sum of their
        powers.

    Raises:
        ValueError: For another balance or shape.

    Example:
        >>> stems = torch.randn(2, 2, 44100) * torch.tensor([0.1, 0.01])[:, None, None]
        >>> delivered, equal = stem_gains_db(stems), stem_gains_db(stems, "equal")
        >>> round((delivered[1] - delivered[0]).item()), round((equal[1] - equal[0]).item())
        (0, 20)
    """
    if balance not in BALANCES:
        raise ValueError(f"balance must be one of {', '.join(BALANCES)}, not {balance!r}")
    if stems.ndim != 3 or stems.shape[1] != 2:
        raise ValueError(f"stems must be (num_stems, 2, num_samples), got {tuple(stems.shape)}")
    stem_lufs = np.array(loudness_each(stems, sample_rate) if levels is None else levels)
    sounding = np.isfinite(stem_lufs)
    gains_db = np.where(sounding, -stem_lufs if balance == "equal" else 0.0, math.nan)
    if sounding.any():
        plain_sum = torch.zeros_like(stems[0])
        for stem, gain_db in zip(stems.detach(), np.nan_to_num(gains_db), strict=True):
            plain_sum.add_(stem, alpha=10.0 ** (gain_db / 20.0))
        level = loudness(plain_sum, sample_rate=sample_rate)
        powers = 10.0 ** ((stem_lufs[sounding] + gains_db[sounding]) / 10.0)
        apart = 10.0 * math.log10(powers.sum())  # as if the stems had nothing in common
        gains_db = gains_db + BUS_LUFS - (level if level > apart - CANCELLED_DB else apart)
    return torch.as_tensor(gains_db, dtype=stems.dtype, device=stems.device)


def level_stems(
    stems: torch.Tensor, balance: str = "delivered", *, sample_rate: float = SAMPLE_RATE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring the plain sum of a song's stems to -20 LUFS, with the gains of `stem_gains_db`.

    Args:
        stems: Audio (N, 2, num_samples).
        balance: "delivered" or "equal".
        sample_rate: Sample rate in Hz.

    Returns:
        Audio like `stems`, and the gains in dB, (N,). Silent stems stay as they are, and their gain is NaN.

    Raises:
        ValueError: For another balance or shape.

    Example:
        >>> stems = torch.randn(2, 2, 44100) * torch.tensor([0.1, 0.01])[:, None, None]
        >>> levelled, gains_db = level_stems(stems, "equal")
        >>> round(loudness(levelled.sum(dim=0))), round((gains_db[1] - gains_db[0]).item())
        (-20, 20)
    """
    gains_db = stem_gains_db(stems, balance, sample_rate=sample_rate)
    return stems * 10.0 ** (gains_db.nan_to_num(0.0)[:, None, None] / 20.0), gains_db


def loudest_window(audio: torch.Tensor, seconds: float, *, sample_rate: int = SAMPLE_RATE) -> int:
    """Find the window with the most energy, on a grid of a tenth of a second.

    Args:
        audio: Audio (..., num_samples).
        seconds: Length of the window in seconds.
        sample_rate: Sample rate in Hz.

    Returns:
        Its first sample; 0 when the audio is no longer than the window.
    """
    length, hop = int(seconds * sample_rate), sample_rate // 10
    if audio.shape[-1] <= length:
        return 0
    starts = torch.arange(0, audio.shape[-1] - length + 1, hop)
    edges = torch.cat([starts, starts + length]).to(audio.device)
    before, total = edges.new_zeros(len(edges), dtype=torch.float64), 0.0  # the energy before each edge
    for first in range(0, audio.shape[-1], PIECE):  # a whole song in double precision is large
        piece = (
            audio[..., first : first + PIECE]
            .double()
            .square()
            .reshape(-1, min(PIECE, audio.shape[-1] - first))
        )
        energy = total + torch.nn.functional.pad(piece.sum(dim=0).cumsum(0), (1, 0))
        here = (edges > first) & (edges <= first + piece.shape[-1])
        before[here] = energy[edges[here] - first]
        total = energy[-1]
    begin, end = before.chunk(2)
    return int(starts[(end - begin).argmax()])
