"""The balance of a sound by octaves, and how wide its low end is.

Chapter: Audio features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from .meters import IMAGE_LIMIT_DB, decibels, limited_ratio_db

OCTAVES_HZ = (31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0)  # ISO 266
LOW_END_HZ = 120.0
BALANCE_FLOOR_DB = -120.0  # an octave without sound, relative to the whole
WINDOW_S = 0.37  # long enough for several bins in the lowest octave
FRAMES = 32  # transformed at a time


@dataclass(frozen=True)
class StereoSpectrum:
    """The mean power spectrum of a stereo sound. `stereo_spectrum` measures it.

    Attributes:
        frequency_hz: Frequencies (num_bins,) in Hz.
        mid: Power of the mid (L + R) / 2 in each bin, (num_bins,).
        side: Power of the side (L - R) / 2, (num_bins,).
    """

    frequency_hz: np.ndarray
    mid: np.ndarray
    side: np.ndarray

    def octaves_db(self) -> np.ndarray:
        """Compute the levels of ten octaves, 31.5 Hz to 16 kHz, in dB relative to the whole sound.

        Returns:
            Levels (10,) in dB, at least -120 and at most 0: NaN for silence and for octaves whose center is
            above half the sample rate.
        """
        power = self.mid + self.side
        if not power.sum() > 0.0:
            return np.full(len(OCTAVES_HZ), math.nan)
        levels = [
            max(
                decibels(float(power[octave_bins(self.frequency_hz, center)].sum() / power.sum())),
                BALANCE_FLOOR_DB,
            )
            if center < self.frequency_hz[-1]
            else math.nan
            for center in OCTAVES_HZ
        ]
        return np.array(levels)

    def side_below_db(self, frequency_hz: float = LOW_END_HZ) -> float:
        """Compute the level of the side over that of the mid below a frequency.

        Args:
            frequency_hz: The frequency in Hz.

        Returns:
            The ratio in dB, from -60, which is mono, to 60; NaN where nothing sounds there.
        """
        below = self.frequency_hz < frequency_hz
        return limited_ratio_db(float(self.side[below].sum()), float(self.mid[below].sum()), IMAGE_LIMIT_DB)


def octave_bins(frequency_hz: np.ndarray, center_hz: float) -> np.ndarray:
    """Tell which frequencies lie in the octave with a (nominal) center: half of it to each side."""
    exact_hz = 1000.0 * 2.0 ** round(math.log2(center_hz / 1000.0))  # of 31.5 Hz: 31.25, or octaves overlap
    return (frequency_hz >= exact_hz / math.sqrt(2.0)) & (frequency_hz < exact_hz * math.sqrt(2.0))


def stereo_spectrum(audio: torch.Tensor, *, sample_rate: float) -> StereoSpectrum:
    """Measure the mean power spectrum of a stereo sound, by Welch's method with Hann windows of 0.37 s.

    Args:
        audio: Audio (2, num_samples), floating point. Shorter sounds than a window are padded.
        sample_rate: Sample rate in Hz.

    Returns:
        The spectrum of mid and side.

    Raises:
        ValueError: For audio that is not stereo.

    Example:
        >>> sine = torch.sin(2 * torch.pi * 1000 / 44100 * torch.arange(44100))
        >>> spectrum = stereo_spectrum(torch.stack([sine, sine]), sample_rate=44100)
        >>> int(spectrum.octaves_db().argmax()), spectrum.side_below_db(2000.0)    # the octave around 1 kHz
        (5, -60.0)
    """
    if audio.ndim != 2 or audio.shape[0] != 2:
        raise ValueError(f"audio must be stereo, (2, num_samples), got {tuple(audio.shape)}")
    size = 2 ** max(4, round(math.log2(WINDOW_S * sample_rate)))
    audio = audio.detach().cpu()
    # Half a window of silence at both ends, so that every sample counts alike.
    window = torch.hann_window(size, dtype=audio.dtype)
    hop, end = size // 2, audio.shape[-1]
    count = -(-end // hop) + 1
    power = np.zeros((2, size // 2 + 1))
    for frame in range(0, count, FRAMES):  # a few at a time: a whole song with its silence would be a copy
        start, stop = (frame - 1) * hop, min(frame + FRAMES, count) * hop
        piece = audio[:, max(0, start) : min(stop, end)]
        piece = torch.nn.functional.pad(piece, (max(0, -start), max(0, stop - end)))
        left, right = torch.fft.rfft(piece.unfold(-1, size, hop) * window)  # (frames, bins) each
        for row, part in enumerate((left + right, left - right)):
            power[row] += part.abs().square().sum(dim=0, dtype=torch.float64).numpy()
    power /= 4.0 * count
    return StereoSpectrum(np.fft.rfftfreq(size, 1.0 / sample_rate), *power)
