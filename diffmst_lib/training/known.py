"""Tasks with a known answer: two engineers mix the same song, and what makes one mix the other is known.

The record is another moment of the song, mixed with other faders, equalizers, pans and widths. So the right
setting of every stem is known, and the loss looks at each stem:

    L = mean over stems of [ mean over bands of h((R - A - level) / 3 dB)
                             + h((lean - its answer) / 3 dB) + h((width - its answer) / 6 dB) ]
        + mean over bands of h(R_master / 3 dB) + h(width of the master / 6 dB)

R is the response of fader and equalizer in a band, A its answer, and h Huber's function: the half of a square,
straight beyond 2. Bands count as far as the stem sounds in them. `level` is the mean of R - A over all stems,
since only the balance counts. The answer of the master is to do nothing. The audio-feature loss hears only the
sum: it teaches to master, this one to mix.

Chapter: Method 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from ..console.equalizer import apply_equalizer, response_db
from ..console.gain_and_pan import pan_law, width_matrix
from ..console.params import ConsoleParams
from ..console.signal_path import equalizer_settings
from ..network.encoder import mel_centers_hz
from ..network.powers import BANDS, strip_response_db

CENTERS_HZ = (60.0, 150.0, 600.0, 2500.0, 6000.0, 8000.0)  # of the equalizers
GAIN_DB, EQ_DB, PAN, WIDTH_OCTAVES = 6.0, 4.0, 0.08, 0.5  # deviations of the random settings
SHARE_OF_EQ, SHARE_OF_IMAGE = 0.6, 0.4  # how often an engineer touches these
WHO = (0.45, 0.25)  # how often only the tracks are disturbed, how often only the record; otherwise both
# The levels of the stems in their artist's own mix: half as the artist has them, half drawn anew for every task, with
# this deviation from equal levels. Otherwise a network learns the balances of its songs by heart, and finds no other.
LEVEL_DB, LEVEL_KEPT, MOST_DB = 4.5, 0.5, 15.0
MOVE_DB, WIDE_DB = 3.0, 6.0  # what counts as one in the loss
HUBER = 2.0
HEARD_DB = 30.0  # bands further below a stem's strongest do not count
AUDIBLE_DB = -45.0  # a stem further below the sum does not count
KNOWN_WEIGHT = 0.04  # of the loss of a known answer, which is some ten times an audio-feature loss


@dataclass
class Settings:
    """What an engineer did to stems (B, N, 2, T), or the difference between two engineers, which adds up.

    Attributes:
        response_db: Fader and equalizer in the bands, (B, N, bands).
        lean_db: How far right is above left, (B, N).
        width_db: Gain of the side, (B, N).
    """

    response_db: torch.Tensor
    lean_db: torch.Tensor
    width_db: torch.Tensor

    def __sub__(self, other: Settings) -> Settings:
        names = [field.name for field in fields(self)]
        return Settings(*(getattr(self, name) - getattr(other, name) for name in names))


@dataclass
class Knobs:
    """Random settings of N stems.

    Attributes:
        gain_db: Faders, (N,).
        eq_gain_db: Gains of the equalizers, (N, 6).
        frequency_hz: Their frequencies, (N, 6).
        pan: Pans, (N,), 0 to 1.
        width: Widths, (N,), 1 as delivered.
    """

    gain_db: torch.Tensor
    eq_gain_db: torch.Tensor
    frequency_hz: torch.Tensor
    pan: torch.Tensor
    width: torch.Tensor

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator, touched: bool) -> Knobs:
        """Draw the settings of an engineer.

        Args:
            count: Number of stems.
            rng: Source of all random choices; as many are made in either case.
            touched: Whether the engineer touches anything; otherwise every knob stays neutral.

        Returns:
            The settings.
        """
        gain_db = rng.normal(0, GAIN_DB, count).clip(-15, 12)
        eq_gain_db = rng.normal(0, EQ_DB, (count, 6)).clip(-10, 10) * (rng.random() < SHARE_OF_EQ)
        frequency_hz = CENTERS_HZ * 2 ** rng.uniform(-0.7, 0.7, (count, 6))
        image = float(rng.random() < SHARE_OF_IMAGE)
        pan = 0.5 + rng.normal(0, PAN, count).clip(-0.3, 0.3) * image
        width = 2.0 ** (rng.normal(0, WIDTH_OCTAVES, count).clip(-1.5, 1) * image)
        drawn = (gain_db, eq_gain_db, frequency_hz, pan, width)
        if not touched:
            drawn = (0 * gain_db, 0 * eq_gain_db, frequency_hz, 0 * pan + 0.5, 0 * width + 1.0)
        return cls(*(torch.tensor(values, dtype=torch.float32) for values in drawn))

    @classmethod
    def draw_two(cls, count: int, rng: np.random.Generator) -> tuple[Knobs, Knobs]:
        """Draw who disturbs the tracks and who mixes the record; one of them often touches nothing.

        Args:
            count: Number of stems.
            rng: Source of all random choices.

        Returns:
            The settings behind the tracks, and those behind the record.

        Example:
            >>> ours, theirs = Knobs.draw_two(3, np.random.default_rng(5))
            >>> bool(ours.gain_db.any()), bool(theirs.gain_db.any())
            (True, True)
        """
        first = rng.random()
        only_tracks, only_record = first < WHO[0], WHO[0] <= first < WHO[0] + WHO[1]
        ours = cls.draw(count, rng, not only_record)
        return ours, cls.draw(count, rng, not only_tracks)

    @classmethod
    def draw_artist(cls, level_db: torch.Tensor, rng: np.random.Generator) -> Knobs:
        """Draw another mix of the artist's own: balance, tone and image for all moments of a song.

        Gains lead half way from the levels of the stems to equal ones, plus a normal of 3.9 dB, so that they
        spread as in a mix. Stems more than 45 dB below the loudest get none.

        Args:
            level_db: Levels of the stems, (N,), in dB or LUFS; -inf for silence.
            rng: Source of all random choices.

        Returns:
            The settings.

        Example:
            >>> Knobs.draw_artist(torch.tensor([-20.0, -26.0, -torch.inf]), np.random.default_rng(0)).gain_db[2]
            tensor(0.)
        """
        drawn = cls.draw(len(level_db), rng, True)
        deviation = LEVEL_DB * math.sqrt(1.0 - LEVEL_KEPT**2)
        anew = torch.tensor(rng.normal(0, deviation, len(level_db)), dtype=torch.float32)
        audible = torch.isfinite(level_db) & (level_db > level_db.max() + AUDIBLE_DB)
        apart = level_db - (level_db[audible].mean() if audible.any() else 0.0)
        gain_db = (anew - (1.0 - LEVEL_KEPT) * apart).clamp(-MOST_DB, MOST_DB)
        return replace(drawn, gain_db=torch.where(audible, gain_db, 0.0))

    def apply(self, stems: torch.Tensor, sample_rate: int) -> torch.Tensor:
        """Process stems (N, 2, T)."""
        if bool(self.eq_gain_db.any()):
            stems = apply_equalizer(stems, sample_rate=sample_rate, **self._equalizer())
        image = (10.0 ** (self.gain_db / 20.0))[:, None] * pan_law(self.pan)
        return (image[..., None] * width_matrix(self.width)) @ stems

    def response_db(self, hz: torch.Tensor, sample_rate: int) -> torch.Tensor:
        """Compute what fader and equalizer do at frequencies (F,), (N, F), in dB."""
        if not bool(self.eq_gain_db.any()):
            return self.gain_db[:, None].expand(-1, len(hz))
        return self.gain_db[:, None] + response_db(hz, sample_rate=sample_rate, **self._equalizer())

    def settings(self, sample_rate: int) -> Settings:
        """Compute what they do, with one song in the batch."""
        response = self.response_db(mel_centers_hz(BANDS, sample_rate), sample_rate)
        return Settings(response[None], lean_of(self.pan)[None], decibels(self.width)[None])

    def _equalizer(self) -> dict[str, torch.Tensor]:
        q = torch.full_like(self.frequency_hz, 0.7)
        return {"gain_db": self.eq_gain_db, "frequency_hz": self.frequency_hz, "q": q}


def decibels(gain: torch.Tensor) -> torch.Tensor:
    """Convert factors to dB, from -20 dB on."""
    return 20.0 * torch.log10(gain.clamp(min=0.1))


def lean_of(pan: torch.Tensor) -> torch.Tensor:
    """Compute by how many dB a pan puts the right channel above the left; beyond 0.05 and 0.95 it stays.

    Example:
        >>> lean_of(torch.tensor([0.0, 0.5, 0.95])).round()
        tensor([-22.,   0.,  22.])
    """
    left, right = pan_law(pan.clamp(0.05, 0.95)).unbind(dim=-1)
    return 20.0 * torch.log10(right / left)


def settings_of(params: ConsoleParams) -> Settings:
    """Compute what the strips of a batch of consoles do; compressors are left out. Differentiable."""
    knobs = params.values("track")
    response = strip_response_db(params) + (knobs["fader_db"] + knobs["input_gain_db"])[..., None]
    return Settings(response, lean_of(knobs["pan"]), decibels(knobs["width"]))


def audible_share(power: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Share 1 equally among the stems that can be heard: those at most 45 dB below the sum of all.

    Args:
        power: Power of the stems, (B, N).
        mask: (B, N), True for real stems.

    Returns:
        Shares (B, N); zeros for a song that is silent.

    Example:
        >>> audible_share(torch.tensor([[1.0, 0.5, 1e-6, 0.0, 9.0]]), torch.tensor([[True] * 4 + [False]]))
        tensor([[0.5000, 0.5000, 0.0000, 0.0000, 0.0000]])
    """
    level_db = 10.0 * torch.log10(power / (power * mask).sum(dim=-1, keepdim=True).clamp(min=1e-12) + 1e-9)
    counts = (mask & (level_db > AUDIBLE_DB)).to(power)
    return counts / counts.sum(dim=-1, keepdim=True).clamp(min=1.0)


def known_loss(
    params: ConsoleParams, answer: Settings, power: torch.Tensor, mask: torch.Tensor, *, each: bool = False
) -> torch.Tensor:
    """Compare the strips with their known answers, and the master with doing nothing. Differentiable.

    Args:
        params: A batch of consoles of stems.
        answer: What their strips should do.
        power: Power of the stems that the consoles are for (`band_power`), (B, N, 3, bands).
        mask: (B, N), True for real stems.
        each: Whether to return the loss of each console instead of their mean.

    Returns:
        A scalar, or (B,).
    """
    bands = power[:, :, :2].sum(dim=-2)  # of mid and side together
    of_stem = bands.sum(dim=-1)
    counts = audible_share(of_stem, mask)  # (B, N)
    below_db = 10.0 * torch.log10(bands / bands.amax(dim=-1, keepdim=True).clamp(min=1e-12) + 1e-9)
    heard = (1.0 + below_db / HEARD_DB).clamp(min=0.0)
    heard = heard / heard.sum(dim=-1, keepdim=True).clamp(min=1e-6)  # (B, N, bands)
    error = settings_of(params) - answer
    mean = (heard * error.response_db).sum(dim=-1)  # (B, N)
    level = (counts * mean).sum(dim=-1)[:, None, None]
    of_stems = (heard * huber((error.response_db - level) / MOVE_DB)).sum(dim=-1)
    side = power[:, :, 1].sum(dim=-1) / of_stem.clamp(min=1e-12)
    stereo = (side > 1e-3).to(side)  # the width of a mono stem has no meaning
    of_stems = of_stems + huber(error.lean_db / MOVE_DB) + stereo * huber(error.width_db / WIDE_DB)
    total = (counts * of_stems).sum(dim=-1) + of_master(params)  # (B,)
    return total if each else total.mean()


def huber(x: torch.Tensor) -> torch.Tensor:
    """Halve the squares of small errors; those above 2 count in proportion.

    Example:
        >>> huber(torch.tensor([1.0, -2.0, 5.0])).tolist()
        [0.5, 2.0, 8.0]
    """
    return torch.nn.functional.huber_loss(x, torch.zeros_like(x), reduction="none", delta=HUBER)


def of_master(params: ConsoleParams) -> torch.Tensor:
    """Compute how far the master's equalizer and width are from doing nothing, (B,)."""
    knobs = params.values("master_bus")
    hz = mel_centers_hz(BANDS, params.sample_rate).to(params.master_bus_values)
    response = response_db(hz, sample_rate=params.sample_rate, **equalizer_settings(knobs))
    return huber(response / MOVE_DB).mean(dim=-1) + huber(decibels(knobs["width"]) / WIDE_DB)


def balance_error_db(
    answer: Settings, power: torch.Tensor, mask: torch.Tensor, params: ConsoleParams | None = None
) -> torch.Tensor:
    """Compute how far the levels of the stems are from those of the answer, as rms over the audible ones.

        level = 10 log10 (sum over bands of p 10^(R / 10) / sum of p)

    of what the strip does and of what it should do; the difference that all stems share is left out.

    Args:
        answer: What the strips should do.
        power: Power of the stems as the model gets them, (B, N, 3, bands).
        mask: (B, N), True for real stems.
        params: A batch of consoles; None: nothing is done, which gives the error to begin with.

    Returns:
        The errors (B,), in dB; 0 for a song that is silent.

    Example:
        >>> answer = Settings(torch.tensor([[[6.0], [0.0]]]), torch.zeros(1, 2), torch.zeros(1, 2))
        >>> balance_error_db(answer, torch.ones(1, 2, 3, 1), torch.ones(1, 2, dtype=torch.bool))
        tensor([3.])
    """
    bands = power[:, :, :2].sum(dim=-2)  # (B, N, bands), of mid and side together
    profile = bands / bands.sum(dim=-1, keepdim=True).clamp(min=1e-12)

    def level_db(response_db: torch.Tensor) -> torch.Tensor:
        return 10.0 * torch.log10((profile * 10.0 ** (response_db / 10.0)).sum(dim=-1) + 1e-12)

    wanted = level_db(answer.response_db)  # (B, N)
    error = (level_db(settings_of(params).response_db) if params else 0.0) - wanted
    counts = audible_share(bands.sum(dim=-1), mask)
    error = error - (counts * error).sum(dim=-1, keepdim=True)
    return (counts * error.square()).sum(dim=-1).sqrt()
