"""One sample rate to another, with soxr. Chapter: Data."""

from __future__ import annotations

import math

import numpy as np
import soxr

QUALITY = "HQ"  # soxr's name: a pass band to 0.91 of the lower Nyquist frequency, errors below -120 dB


def resample(samples: np.ndarray, sample_rate: float, target_rate: float) -> np.ndarray:
    """Bring a whole sound to another sample rate.

    Args:
        samples: Audio (channels, num_samples) or (num_samples,), float32 or float64.
        sample_rate: Its rate in Hz.
        target_rate: The rate wanted, in Hz.

    Returns:
        Audio of the same type; num_samples * target_rate / sample_rate samples, rounded up. At the same rate,
        `samples` themselves.

    Example:
        >>> resample(np.zeros((2, 48000), np.float32), 48000, 44100).shape
        (2, 44100)
    """
    if sample_rate == target_rate:
        return samples
    length = math.ceil(samples.shape[-1] * (target_rate / sample_rate))
    out = np.zeros((*samples.shape[:-1], length), samples.dtype)
    sound = soxr.resample(samples.T, sample_rate, target_rate, quality=QUALITY).T[..., :length]
    out[..., : sound.shape[-1]] = sound
    return out
