"""Resampling, with soxr. Chapter: Data."""

from __future__ import annotations

import math

import numpy as np
import soxr

QUALITY = "HQ"  # soxr's: a pass band up to 0.91 of the lower Nyquist frequency, errors below -120 dB


def resample(samples: np.ndarray, sample_rate: float, target_rate: float) -> np.ndarray:
    """Resample a whole sound.

    Args:
        samples: Audio (channels, num_samples) or (num_samples,), float32 or float64.
        sample_rate: Its rate in Hz.
        target_rate: The rate wanted, in Hz.

    Returns:
        Audio of the same type with num_samples * target_rate / sample_rate samples, rounded up; `samples`
        itself when the rates are equal.

    Example:
        >>> resample(np.zeros((2, 48000), np.float32), 48000, 44100).shape
        (2, 44100)
    """
    if sample_rate == target_rate:
        return samples
    length = math.ceil(samples.shape[-1] * target_rate / sample_rate)  # 1 s stays 1 s: divided last
    out = np.zeros((*samples.shape[:-1], length), samples.dtype)
    sound = soxr.resample(samples.T, sample_rate, target_rate, quality=QUALITY).T[..., :length]
    out[..., : sound.shape[-1]] = sound
    return out
