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
    for channel, row in zip(
        np.atleast_2d(samples), np.atleast_2d(out), strict=True
    ):  # alone they need less memory
        sound = soxr.resample(channel, sample_rate, target_rate, quality=QUALITY)[:length]
        row[: len(sound)] = sound
    return out


class RateKeeper:
    """Keeps one sample rate and one number of channels, whatever parts of a sound have.

    Args:
        sample_rate: The rate wanted, in Hz.
        channels: The number of channels wanted.

    Example:
        >>> keeper = RateKeeper(44100, 2)
        >>> sound = keeper.take(np.zeros((1, 48000), np.float32), 48000)
        >>> sound.shape[1] + keeper.rest().shape[1]
        44100
    """

    def __init__(self, sample_rate: int, channels: int):
        self._rate, self._channels = sample_rate, channels
        self._from = sample_rate  # rate of the part that is read
        self._stream: soxr.ResampleStream | None = None

    def take(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """Take the next part and return what is ready.

        Args:
            samples: Audio (channels of the part, num_samples), float32.
            sample_rate: Its rate in Hz.

        Returns:
            Audio (channels wanted, num_samples), float32.
        """
        if len(samples) != self._channels:
            samples = np.repeat(samples.mean(axis=0, keepdims=True), self._channels, axis=0)
        before = None
        if sample_rate != self._from:
            before, self._from = self.rest(), sample_rate
            if sample_rate != self._rate:
                self._stream = soxr.ResampleStream(
                    sample_rate, self._rate, self._channels, dtype="float32", quality=QUALITY
                )
        if self._stream:
            samples = self._stream.resample_chunk(np.ascontiguousarray(samples.T)).T
        return samples if before is None else np.concatenate([before, samples], axis=1)

    def rest(self) -> np.ndarray:
        """Return what is left of the part that was read."""
        if self._stream is None:
            return np.zeros((self._channels, 0), np.float32)
        rest = self._stream.resample_chunk(np.zeros((0, self._channels), np.float32), last=True).T
        self._stream = None
        return rest
