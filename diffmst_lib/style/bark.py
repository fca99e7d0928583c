"""The Bark scale and its filterbank: 24 bands from 20 Hz to 20 kHz, FB of equation 5.

Source: Traunmueller (1990), Analytical expressions for the tonotopic sensory scale.

Chapter: Audio features.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..inputs import check_preset, check_rate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BARK_FFT, BARK_BANDS = 32_768, 24  # at 44.1 kHz: windows of 743 ms
BARK_RANGE_HZ = (20.0, 20_000.0)


def hz_to_bark(hz: ArrayLike) -> np.ndarray:
    """Convert Hz to Bark, with corrections at both ends: z = 26.81 f / (1960 + f) - 0.53.

    Below 2 Bark, 0.15 (2 - z) is added; above 20.1 Bark, 0.22 (z - 20.1).

    Source: Traunmueller (1990), Analytical expressions for the tonotopic sensory scale.

    Args:
        hz: Frequencies in Hz, a number or an array, from 0 on.

    Returns:
        The same in Bark.

    Example:
        >>> round(float(hz_to_bark(1000.0)), 2)
        8.53
    """
    z = 26.81 * np.asarray(hz, dtype=float) / (1960.0 + np.asarray(hz, dtype=float)) - 0.53
    z = np.where(z < 2.0, z + 0.15 * (2.0 - z), z)
    return np.where(z > 20.1, z + 0.22 * (z - 20.1), z)


def bark_to_hz(bark: ArrayLike, *, preset: str = "default") -> np.ndarray:
    """Convert Bark to Hz, the inverse of `hz_to_bark`.

    "reference" skips the correction at the high end, as the released code does: the edge for 20 kHz comes out
    at 31.7 kHz.

    Args:
        bark: Positions on the Bark scale, a number or an array.
        preset: "default" or "reference".

    Returns:
        The same in Hz.

    Raises:
        ValueError: For an unknown preset.

    Example:
        >>> round(float(bark_to_hz(hz_to_bark(1000.0))), 6)
        1000.0
    """
    check_preset(preset)
    z = np.asarray(bark, dtype=float)
    corrected = np.where(z < 2.0, (z - 0.3) / 0.85, z)
    if preset == "default":
        corrected = np.where(z > 20.1, (z + 4.422) / 1.22, corrected)
    return 1960.0 * (corrected + 0.53) / (26.28 - corrected)


def bark_edges_hz(preset: str = "default") -> np.ndarray:
    """Compute the frequencies between which the 24 bands lie.

    Band i rises from edge i, peaks at edge i + 1 and ends at edge i + 2.

    Args:
        preset: "default" or "reference".

    Returns:
        26 frequencies in Hz.

    Raises:
        ValueError: For an unknown preset.

    Example:
        >>> bark_edges_hz()[[0, -1]].round()
        array([   20., 20000.])
    """
    low, high = hz_to_bark(BARK_RANGE_HZ)
    return bark_to_hz(np.linspace(low, high, BARK_BANDS + 2), preset=preset)


def bark_filterbank(
    sample_rate: float,
    n_fft: int = BARK_FFT,
    *,
    preset: str = "default",
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Build 24 triangular bands from 20 Hz to 20 kHz, equally spaced in Bark: FB of equation 5.

    In "reference" the upper bands are wider, and the last one would end at 31.7 kHz. `kept_filterbank` keeps
    what it has built.

    Args:
        sample_rate: Hz, above 0.
        n_fft: Length of the FFT in samples, even, from 2 on.
        preset: "default" or "reference".
        device: Device of the bank; the default device when left out.
        dtype: Floating-point dtype of the bank.

    Returns:
        The bank (n_fft // 2 + 1, 24), a row per frequency and a column per band, from 0 to 1.

    Raises:
        ValueError: For an unknown preset, a sample rate that is not above 0, an `n_fft` odd or below 2.

    Example:
        >>> bark_filterbank(44100).shape
        torch.Size([16385, 24])
    """
    check_preset(preset)
    check_rate(sample_rate)
    if n_fft < 2 or n_fft % 2:
        raise ValueError(f"n_fft must be an even number from 2 on, got {n_fft}")
    freqs = np.linspace(0.0, sample_rate / 2, n_fft // 2 + 1)
    edges = bark_edges_hz(preset)
    rising = (freqs[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - freqs[:, None]) / (edges[2:] - edges[1:-1])
    bank = np.clip(np.minimum(rising, falling), 0.0, None)
    return torch.tensor(bank, dtype=dtype, device=device)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # a tensor cached under inference mode could not take part in a gradient later
def kept_filterbank(
    sample_rate: float, n_fft: int, preset: str, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """Return the `bark_filterbank`, built once for each set of arguments; do not change it.

    Args:
        sample_rate: Hz, above 0.
        n_fft: Length of the FFT in samples, even, from 2 on.
        preset: "default" or "reference".
        device: Device of the bank.
        dtype: Floating-point dtype of the bank.

    Returns:
        The bank (n_fft // 2 + 1, 24).
    """
    return bark_filterbank(sample_rate, n_fft, preset=preset, device=device, dtype=dtype)


def bark_fft_size(sample_rate: float) -> int:
    """Choose the length of the Bark spectrum's window: 743 ms or a little more, a good length for an FFT.

    Args:
        sample_rate: Hz, above 0.

    Returns:
        Samples, a multiple of 4.

    Example:
        >>> bark_fft_size(44100), bark_fft_size(48000)
        (32768, 36000)
    """
    from scipy.fft import next_fast_len

    return 4 * next_fast_len(math.ceil(BARK_FFT * sample_rate / 44100 / 4), real=True)
