"""The console imitated on powers: a fader or an equalizer is a factor in each band, and the powers of stems add up.

    mix = master(sum_i strip_i(p_i))

p_i is the power of stem i in the bands of mid, side and their product. What a mix would sound like is then only
estimated: its audio features and the statistics that the mix encoder hears are a linear function of its levels in
dB, by ridge regression over the records that were heard. Width and imbalance follow exactly. Trims, compressors
and what users add to the console cannot be imitated.

Chapter: Method 1.
"""

from __future__ import annotations

import math

import torch

from ..console.equalizer import response_db
from ..console.params import ConsoleParams
from ..console.signal_path import equalizer_settings
from ..model import DiffMST
from ..network.encoder import mel_centers_hz
from ..network.powers import BANDS, through_strips
from ..style.features import WIDTH_KNEE
from .hearing import HeardRecord

DB_PER_NEPER = 20.0 / math.log(10.0)
BELOW_RECORD_DB = 4.0  # a song enters the master at -20 LUFS, a record is heard at -16
RIDGE = 0.02
WIDTH, IMBALANCE = 4, 5  # columns of the features
BRIGHT_HZ, DEEP_HZ = 1500.0, 60.0


class Imitation:
    """What can be said of a mix from its power alone.

    Args:
        model: The model, which gives the sample rate.
        records: What was heard of records, at least two.

    Attributes:
        hz: Centers of the bands, (bands,), in Hz.
    """

    def __init__(self, model: DiffMST, records: list[HeardRecord]):
        self.sample_rate = model.config.sample_rate
        self.hz = mel_centers_hz(BANDS, self.sample_rate)
        # K-weighting, roughly: 4 dB more above 1.5 kHz, 5 dB less below 60 Hz.
        low = torch.where(self.hz < DEEP_HZ, 0.3, 1.0)
        self._weighting = torch.where(self.hz > BRIGHT_HZ, 10**0.4, low)
        self._loud = torch.stack([self.loudness(record.power) for record in records]).log().mean().exp()
        self._num_features = len(records[0].features)
        levels = levels_db(torch.stack([record.power for record in records]))
        wanted = torch.stack([torch.cat([r.features, r.statistics.flatten()]) for r in records])
        self._center, self._mean = levels.mean(dim=0), wanted.mean(dim=0)
        x, y = levels - self._center, wanted - self._mean
        spread = x.var(dim=0).mean().clamp(min=1e-6)  # 0 where all are the same moment
        ridge = RIDGE * len(x) * spread * torch.eye(x.shape[1])
        self._map = torch.linalg.solve(x.T @ x + ridge, x.T @ y)

    def loudness(self, power: torch.Tensor) -> torch.Tensor:
        """Estimate the loudness of sounds from their powers (..., 3, bands), (...), as a power: K-weighted."""
        return (power[..., :2, :] * self._weighting).sum(dim=(-2, -1))

    def at_record_level(self, power: torch.Tensor) -> torch.Tensor:
        """Scale powers (..., 3, bands) to the loudness of the records."""
        return power * (self._loud / self.loudness(power).clamp(min=1e-12))[..., None, None]

    def trim_db(self, stems: torch.Tensor) -> torch.Tensor:
        """Compute the gain that brings the sum of stems (N, 3, bands) to the level that a master gets, in dB."""
        loud = self.loudness(stems.sum(dim=0)).clamp(min=1e-12)
        return 10.0 * torch.log10(self._loud / loud) - BELOW_RECORD_DB

    def describe(self, power: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimate features (B, K) and the statistics of both views (B, 2, S) from powers (B, 3, bands)."""
        estimate = (levels_db(power) - self._center) @ self._map + self._mean
        features, views = estimate.tensor_split([self._num_features], dim=-1)
        features = features.clone()
        features[:, WIDTH], features[:, IMBALANCE] = width(power), imbalance(power)
        return features, views.unflatten(-1, (2, -1))

    def mix(self, stems: torch.Tensor, params: ConsoleParams) -> tuple[torch.Tensor, torch.Tensor]:
        """Run stems through a console: strips, sum, equalizer and width of the master bus. Differentiable.

        Args:
            stems: Powers (B, N, 3, bands).
            params: A batch of consoles.

        Returns:
            The stems behind their strips, and the mix (B, 3, bands).
        """
        strips = through_strips(stems, params)
        knobs = params.values("master_bus")
        response = response_db(self.hz, sample_rate=self.sample_rate, **equalizer_settings(knobs))
        mid, side, product = (strips.sum(dim=1) * 10.0 ** (response / 10.0)[:, None]).unbind(dim=1)
        wider = knobs["width"][:, None]
        return strips, torch.stack([mid, side * wider.square(), product * wider], dim=1)

    def distance(self, mix: torch.Tensor, record: torch.Tensor) -> torch.Tensor:
        """Estimate the audio-feature loss: what powers know of equation 8. Differentiable.

            L = 0.1 mean (difference in nepers)^2 + (difference of width)^2 + (difference of imbalance)^2

        Args:
            mix: Powers of mixes at any level, (B, 3, bands).
            record: Powers of their records at -16 LUFS, (B, 3, bands).

        Returns:
            The losses, (B,).
        """
        mix = self.at_record_level(mix)
        spectrum = 0.1 * ((levels_db(mix) - levels_db(record)) / DB_PER_NEPER).square().mean(dim=-1)
        image = (width(mix) - width(record)).square() + (imbalance(mix) - imbalance(record)).square()
        return spectrum + image


def levels_db(power: torch.Tensor) -> torch.Tensor:
    """Compute the levels of mid and side in dB, (..., 2 bands), from powers (..., 3, bands).

    The side counts as at least 40 dB under the mid.

    Example:
        >>> mono = torch.tensor([[1.0, 1e-3], [0.0, 0.0], [0.0, 0.0]])
        >>> levels_db(mono).round().tolist()
        [0.0, -30.0, -40.0, -70.0]
    """
    mid, side = power[..., :2, :].unbind(dim=-2)
    mid = mid + 1e-6 * (mid + side).sum(dim=-1, keepdim=True) + 1e-12
    return 10.0 * torch.log10(torch.cat([mid, side + 1e-4 * mid], dim=-1))


def width(power: torch.Tensor) -> torch.Tensor:
    """Compute the stereo width (equation 6) from powers (..., 3, bands), (...); logarithmic above 4.

    Example:
        >>> width(torch.tensor([[4.0], [1.0], [0.0]]))
        tensor(0.2500)
    """
    mid, side, _ = power.sum(dim=-1).unbind(dim=-1)
    ratio = side / mid.clamp(min=1e-12)
    beyond = WIDTH_KNEE + WIDTH_KNEE * torch.log(ratio.clamp(min=WIDTH_KNEE) / WIDTH_KNEE)
    return torch.where(ratio > WIDTH_KNEE, beyond, ratio)


def imbalance(power: torch.Tensor) -> torch.Tensor:
    """Compute the stereo imbalance (equation 7) from powers (..., 3, bands), (...): below 0 on the left.

    Example:
        >>> imbalance(torch.tensor([[1.0], [1.0], [1.0]]))             # only the left channel sounds
        tensor(-1.)
    """
    mid, side, product = power.sum(dim=-1).unbind(dim=-1)
    return -2.0 * product / (mid + side).clamp(min=1e-12)
