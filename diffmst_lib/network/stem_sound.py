"""What a stem sounds like, and which role that is: a rule on musicnn's tags and a few measurements.

The tags are those of MagnaTagATune, which listeners gave to excerpts of 29 s; a stem alone is not what the network was
trained on. The rule was written looking at 98 stems of four songs, see `roles` for how often it is right.

Source: Pons and Serra (2019), musicnn; Law et al. (2009), MagnaTagATune.

Chapter: Mix your own song.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise

import numpy as np
import torch

from ..audio.resampling import resample
from .musicnn import PATCH_SAMPLES, RATE, kept_musicnn

WINDOW_S, MOST_WINDOWS = 3.0, 5  # a patch of musicnn each
HOP_S = 0.5  # windows begin at multiples of it
SOFT_DB = 20.0  # below the loudest window: softer ones are left out
LEVEL = 0.1  # RMS that the loudest window is brought to, -20 dBFS: musicnn hears levels
SILENT = 1e-7  # mean square of the loudest window, -70 dBFS: not heard at all
FFT, FFT_HOP = 1024, 320  # at 16 kHz: 64 ms every 20 ms
FRAME, LOWEST_HZ, HIGHEST_HZ = 1024, 50.0, 1000.0  # of the pitch
LOW = 0.5  # share of the energy below 150 Hz from which a stem is a bass or a kick drum
VOICED = 0.8  # correlation of a period with the next, from which a frame has a pitch
GLIDES = (0.12, 1.5)  # semitones in 20 ms: more than a steady tone, less than the next note
VOICE_TAGS = """vocal female male singing vocals woman male_vocal man choir voice male_voice female_vocal female_voice
    choral opera"""
DRUM_TAGS = "drums beat beats"
KEY_TAGS = "piano harpsichord synth electronic ambient new_age techno dance"


class StemSound:
    """The loudest windows of one stem, and what is measured of them when it is asked for.

    Args:
        stem: Audio (2, num_samples).
        sample_rate: Sample rate in Hz.

    Attributes:
        width: Energy of the side over that of side and mid, 0 to 1; NaN for silence.
        power: Mean square of the loudest window of 3 s.

    Example:
        >>> t = torch.arange(3 * 44100) / 44100
        >>> hum = StemSound(0.3 * torch.sin(2 * torch.pi * 60 * t).expand(2, -1), 44100)
        >>> round(hum.low, 2), hum.width
        (1.0, 0.0)
    """

    def __init__(self, stem: torch.Tensor, sample_rate: int):
        windows, powers = _loudest_windows(stem, sample_rate)
        self.power = max(powers, default=0.0)
        self.windows = np.zeros((0, PATCH_SAMPLES), np.float32)
        self.width = float("nan")
        if not self.power > SILENT:
            return
        stereo = np.stack(windows)  # (K, 2, T)
        mid, side = stereo.mean(axis=1), (stereo[:, 0] - stereo[:, 1]) / 2
        of_mid, of_side = (
            float(np.square(mid, dtype=np.float64).sum()),
            float(np.square(side, dtype=np.float64).sum()),
        )
        self.width = of_side / (of_mid + of_side)
        mono = (
            mid if of_mid > of_side / 10 else stereo[:, 0]
        )  # of opposite polarity: one channel is the sound
        slow = [np.resize(resample(x, sample_rate, RATE), PATCH_SAMPLES) for x in mono]
        loudest = max(float(np.square(x, dtype=np.float64).mean()) for x in slow)
        if loudest > 0:
            self.windows = np.stack(slow).astype(np.float32) * np.float32(LEVEL / loudest**0.5)

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to hear."""
        return len(self.windows) == 0

    @cached_property
    def tags(self) -> dict[str, float]:
        """The tags of musicnn, each from 0 to 1, the mean over windows."""
        network = kept_musicnn("mtt")
        with torch.no_grad():
            patches = torch.cat([network.patches(torch.from_numpy(x)) for x in self.windows])
            means = network(patches).tags.mean(dim=0).tolist()
        return {name.replace(" ", "_"): mean for name, mean in zip(network.tags, means, strict=True)}

    def tagged(self, names: str) -> float:
        """Sum tags, whose names are separated by spaces."""
        return sum(self.tags[name] for name in names.split())

    @cached_property
    def _spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Frequencies (513,) in Hz, and power (K, 513, frames)."""
        x = torch.stft(
            torch.from_numpy(self.windows), FFT, FFT_HOP, window=torch.hann_window(FFT), return_complex=True
        )
        return np.linspace(0.0, RATE / 2, FFT // 2 + 1), x.abs().square().numpy()

    def share(self, low_hz: float, high_hz: float) -> float:
        """Compute the share of the energy between two frequencies, 0 to 1: the median of the windows."""
        hz, power = self._spectrum
        of_windows = power.sum(axis=2)
        return float(
            np.median(of_windows[:, (hz >= low_hz) & (hz < high_hz)].sum(axis=1) / of_windows.sum(axis=1))
        )

    @cached_property
    def low(self) -> float:
        """The share of the energy below 150 Hz, 0 to 1."""
        return self.share(0.0, 150.0)

    @cached_property
    def flatness(self) -> float:
        """Spectral flatness, geometric over arithmetic mean of the power, 0 to 1: the median of what sounds."""
        power = self._spectrum[1]
        energy = power.sum(axis=1)
        flat = np.exp(np.log(power + 1e-10).mean(axis=1)) / (power + 1e-10).mean(axis=1)
        return float(np.median(flat[energy > 1e-3 * energy.max()]))

    @cached_property
    def harmonic(self) -> float:
        """The share of the magnitude that is steady over time, by medians along time and frequency, 0 to 1."""
        from scipy.ndimage import median_filter

        shares = []
        for magnitude in np.sqrt(self._spectrum[1]):
            steady, sudden = (median_filter(magnitude, size) for size in ((1, 31), (31, 1)))
            mask = steady**2 / (steady**2 + sudden**2 + 1e-12)
            shares.append(float((mask * magnitude**2).sum() / (magnitude**2).sum()))
        return float(np.median(shares))

    @cached_property
    def _pitch(self) -> tuple[float, float]:
        """Clarity of the pitch, and the share of glides: medians of the windows."""
        of_windows = np.array([_clarity_and_glide(x) for x in self.windows])
        clarity, glide = np.median(of_windows, axis=0)
        return float(clarity), float(glide)

    @property
    def clarity(self) -> float:
        """How clear the pitch is, 0 to 1: the correlation of a period with the next, the median of what sounds."""
        return self._pitch[0]

    @property
    def glide(self) -> float:
        """The share of steps of 20 ms in which the pitch glides, 0 to 1."""
        return self._pitch[1]

    @property
    def voice(self) -> float:
        """The sum of the tags for voices, 0 to 15."""
        return self.tagged(VOICE_TAGS)

    def role(self) -> str:
        """Return the role that the sound has: one of `ROLES`; "other" for silence."""
        if self.is_silent:
            return "other"
        drums = self.tagged(DRUM_TAGS)
        if self.low >= LOW:
            sudden = self.harmonic < 0.5 and drums >= 0.4
            return "drums" if drums >= 0.8 or self.glide >= 0.4 or sudden else "bass"  # a kick's pitch falls
        if self.voice >= 0.28 and drums < 0.5:
            return "voice"
        if drums >= 0.75 or (self.flatness >= 0.04 and self.harmonic < 0.5):
            return "drums"
        keys = self.tagged(KEY_TAGS)
        if self.share(500.0, 2000.0) >= 0.6 and drums < 0.36 and self.clarity >= 0.6 and keys < 0.8:
            return "voice"  # backing voices behind effects
        if self.tags["guitar"] >= 0.3:
            return "guitar"
        return "other" if self.tagged("strings violin cello flute") >= 0.5 else "keys"


def _loudest_windows(stem: torch.Tensor, sample_rate: int) -> tuple[list[np.ndarray], list[float]]:
    """Cut the loudest separate windows (2, T) out of a stem, with their mean squares, the loudest first."""
    length, hop = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
    x = stem.detach().cpu().numpy()
    if x.shape[-1] <= length:
        return [x], [float(np.square(x, dtype=np.float64).mean())]
    edges = np.arange(0, x.shape[-1] + 1, hop)
    blocks = [float(np.square(x[:, a:b], dtype=np.float64).sum()) for a, b in pairwise(edges)]
    per = round(WINDOW_S / HOP_S)
    energies = np.convolve(blocks, np.ones(per), "valid")
    starts: list[int] = []
    for block in np.argsort(-energies, kind="stable"):
        if energies[block] < energies.max() * 10 ** (-SOFT_DB / 10) or len(starts) == MOST_WINDOWS:
            break
        if all(abs(block - other) >= per for other in starts):
            starts.append(int(block))
    powers = [float(energies[block]) / (2 * per * hop) for block in starts]
    return [x[:, block * hop : block * hop + length] for block in starts], powers


def _clarity_and_glide(x: np.ndarray) -> tuple[float, float]:
    """Track the pitch of a window by autocorrelation: how clear it is, and how often it glides."""
    frames = np.lib.stride_tricks.sliding_window_view(x, FRAME)[::FFT_HOP]
    energy = np.square(frames).sum(axis=1)
    shortest, longest = int(RATE / HIGHEST_HZ), int(RATE / LOWEST_HZ)
    spectrum = np.abs(np.fft.rfft(frames, 2 * FRAME, axis=1)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)[:, : longest + 2]
    squares = np.concatenate([np.zeros((len(frames), 1)), np.cumsum(np.square(frames), axis=1)], axis=1)
    lags = np.arange(longest + 2)
    both = squares[:, FRAME - lags] + squares[:, -1:] - squares[:, lags]
    clear = 2.0 * correlation / (both + 1e-9)
    search = clear[:, shortest : longest + 1]
    highest = search.max(axis=1)
    # The first lag that is nearly as good as the best: later ones are multiples of the period.
    rising = search >= 0.9 * highest[:, None]
    peak = (search >= clear[:, shortest - 1 : longest]) & (search >= clear[:, shortest + 1 : longest + 2])
    first = (
        np.where((rising & peak).any(axis=1), (rising & peak).argmax(axis=1), search.argmax(axis=1))
        + shortest
    )
    rows = np.arange(len(frames))
    before, at, after = (clear[rows, first + step] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    lag = first + np.where(
        np.abs(bend) > 1e-9, 0.5 * (before - after) / np.where(bend == 0, 1.0, bend), 0.0
    ).clip(-1, 1)
    sounds = energy > 1e-3 * energy.max()
    clarity = float(np.median(highest[sounds])) if sounds.any() else 0.0
    voiced = sounds & (highest >= VOICED)
    pairs = voiced[1:] & voiced[:-1]
    if not pairs.any():
        return clarity, 0.0
    steps = np.abs(12 * np.log2(lag[1:] / lag[:-1]))[pairs]
    return clarity, float(((steps >= GLIDES[0]) & (steps <= GLIDES[1])).mean())
