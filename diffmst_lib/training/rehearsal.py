"""A rehearsal without sound: most of what a small model has to learn, in minutes instead of hours.

Hearing a song and running the console take almost all of a training step. Here songs and records are heard once
(`hearing`), and the console is imitated on their powers (`imitation`). Half of the tasks have a known answer
(`known`): another moment of the song, mixed by another engineer. The others have a real record, and the loss is
what powers know of equation 8 (`Imitation.distance`). Compressors, crest factors and everything else are learned
afterwards, with sound.

Chapter: Method 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..console.params import ConsoleParams
from ..inputs import InputError
from ..model import DiffMST
from ..network.config import ModelConfig
from ..network.controller import start_console
from ..network.encoder import ReferenceStyle, mel_centers_hz
from ..network.evidence import stem_evidence
from ..network.listener import Logits
from ..network.powers import BANDS, gained
from .hearing import HeardRecord, HeardSong
from .imitation import Imitation
from .keeping import keep_song
from .known import KNOWN_WEIGHT, Knobs, Settings, known_loss
from .losses import distance_from_neutral
from .recipes import Recipe

STEMS = (3, 16)  # of a task
KNOWN = 0.5  # of the tasks have a known answer
SEVERAL_SONGS = 0.5  # of the tasks have stems of three songs
ALL_MONO = 0.1  # have stems that are made mono
MOMENT_DB, OCTAVES = 1.5, 9  # by so much the other moment differs more than it does, in octaves of each stem
# Deviations, on the statistics of stems: otherwise they are fingerprints, and moments are recognized.
NOISE = 0.3
OTHER_BALANCE = 0.3  # of those with a record get stems that an engineer has disturbed
OTHER_MASTER = 0.3  # and so many get another master of the record
SILENCE_DB = -100.0  # in the statistics


@dataclass
class Tasks:
    """A batch of tasks on powers.

    Attributes:
        statistics: What the track encoder hears of each stem, (B, N, S).
        power: Power of the stems, (B, N, 3, bands).
        mask: (B, N), True for real stems.
        record: Power of the records, (B, 3, bands).
        features: Audio features of the records, (B, K), not standardized.
        views: What the mix encoder hears of them, (B, 2, S').
        known: (B,), True where the answer is known.
        answer: The answers.
    """

    statistics: torch.Tensor
    power: torch.Tensor
    mask: torch.Tensor
    record: torch.Tensor
    features: torch.Tensor
    views: torch.Tensor
    known: torch.Tensor
    answer: Settings


@dataclass
class _Drawn:
    """One task: its stems, the power of its record, the record where it is a real one, and the answer."""

    statistics: torch.Tensor
    power: torch.Tensor
    record: torch.Tensor
    heard: HeardRecord | None
    answer: Settings


class Rehearsal:
    """A model, what it has heard, and tasks made of that.

    Args:
        model: The model; its encoders are standardized on what was heard.
        songs: Moments of songs.
        records: Moments of records.

    Raises:
        InputError: In one line, for a model that a rehearsal cannot teach.
    """

    def __init__(self, model: DiffMST, songs: list[HeardSong], records: list[HeardRecord]):
        check_config(model.config)
        self.model, self.songs, self.records = model, songs, records
        self.imitation = Imitation(model, records)
        bands_hz = mel_centers_hz(model.config.bands, model.config.sample_rate)
        self._hz = torch.cat([self.imitation.hz, bands_hz])  # of the powers, of the statistics
        model.track_encoder.standardize.fit(torch.cat([song.statistics.flatten(0, 1) for song in songs]))
        model.mix_encoder.standardize.fit(torch.cat([record.statistics for record in records]))
        model.style.standardize.fit(torch.stack([record.features for record in records]))

    def draw(self, count: int, rng: np.random.Generator, known: float = KNOWN) -> Tasks:
        """Draw a batch of tasks.

        Args:
            count: Number of tasks.
            rng: Source of all random choices.
            known: Share of tasks with a known answer, 0 to 1.

        Returns:
            The tasks.
        """
        drawn = [self._draw_one(rng.random() < known, rng) for _ in range(count)]
        most = max(len(one.power) for one in drawn)

        def padded(parts: list[torch.Tensor]) -> torch.Tensor:
            return torch.stack([torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])]) for x in parts])

        record = torch.stack([one.record for one in drawn])
        features, views = self._describe(record, [one.heard for one in drawn])
        answers = [one.answer for one in drawn]
        return Tasks(
            statistics=padded([one.statistics for one in drawn]),
            power=padded([one.power for one in drawn]),
            mask=padded([torch.ones(len(one.power), dtype=torch.bool) for one in drawn]),
            record=record,
            features=features,
            views=views,
            known=torch.tensor([one.heard is None for one in drawn]),
            answer=Settings(
                padded([one.response_db[0] for one in answers]),
                padded([one.lean_db[0] for one in answers]),
                padded([one.width_db[0] for one in answers]),
            ),
        )

    def _describe(
        self, record: torch.Tensor, heard: list[HeardRecord | None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features and statistics of records: those heard, and the estimate of what was changed since."""
        features, views = self.imitation.describe(record)
        real = torch.tensor([one is not None for one in heard])
        originals = [one for one in heard if one is not None]
        if originals:
            before, before_views = self.imitation.describe(torch.stack([one.power for one in originals]))
            features[real] += torch.stack([one.features for one in originals]) - before
            views[real] += torch.stack([one.statistics for one in originals]) - before_views
        return features, views

    def _draw_one(self, known: bool, rng: np.random.Generator) -> _Drawn:
        """Draw one task: stems, and the same song mixed anew by another engineer or a real record."""
        statistics, here, there = self._draw_stems(rng)
        ours, theirs = Knobs.draw_two(len(here), rng)
        if rng.random() < ALL_MONO:
            statistics, here, there = self._silent_side(statistics), only_mid(here), only_mid(there)
        levels_db = [10.0 * torch.log10(self.imitation.loudness(power) + 1e-12) for power in (here, there)]
        artist = Knobs.draw_artist(sum(levels_db) / 2, rng)
        statistics, here = self._process_heard(artist, statistics, here)
        there = differing(self._process(artist, there), rng)
        if known or rng.random() < OTHER_BALANCE:
            statistics, here = self._process_heard(ours, statistics, here)
        noise = torch.tensor(rng.normal(0, 1, statistics.shape), dtype=torch.float32)
        statistics = statistics + NOISE * self.model.track_encoder.standardize.deviation * noise
        trim_db = self.imitation.trim_db(here)
        here, statistics = here * 10.0 ** (trim_db / 10.0), self._louder(statistics, trim_db.expand(2, 1))
        heard, record = None, self._process(theirs, there).sum(dim=0)
        if not known:
            heard = self.records[rng.integers(len(self.records))]
            record = heard.power
            if rng.random() < OTHER_MASTER:
                record = self._process(Knobs.draw(1, rng, True), record[None])[0]
        rate = self.model.config.sample_rate
        answer = theirs.settings(rate) - ours.settings(rate)
        return _Drawn(statistics, here, self.imitation.at_record_level(record), heard, answer)

    def _draw_stems(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw stems of a song or of three: statistics, powers here, and powers in the other moment."""
        several = rng.random() < SEVERAL_SONGS
        parts = [self.songs[rng.integers(len(self.songs))] for _ in range(3 if several else 1)]
        there_are = sum(part.power.shape[1] for part in parts)
        count = min(there_are, int(rng.integers(STEMS[0], STEMS[1] + 1)))
        chosen = torch.from_numpy(rng.permutation(there_are)[:count])
        first = [int(rng.integers(2)) for _ in parts]
        numbered = list(zip(parts, first, strict=True))
        return (
            torch.cat([part.statistics[i] for part, i in numbered])[chosen],
            torch.cat([part.power[i] for part, i in numbered])[chosen],
            torch.cat([part.power[1 - i] for part, i in numbered])[chosen],
        )

    def _process(self, knobs: Knobs, power: torch.Tensor) -> torch.Tensor:
        """Apply settings to powers (N, 3, bands)."""
        return self._apply(self._response_db(knobs), knobs, power)

    def _process_heard(
        self, knobs: Knobs, statistics: torch.Tensor, power: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Apply settings to statistics (N, S) and powers (N, 3, bands) of the same stems."""
        response = self._response_db(knobs)
        after = self._apply(response, knobs, power)
        before_db, after_db = (10.0 * torch.log10(p[:, :2].sum(dim=-1) + 1e-12) for p in (power, after))
        mid_db = response[:, BANDS:]
        side_db = mid_db + 20.0 * torch.log10(knobs.width)[:, None]
        return self._louder(statistics, torch.stack([mid_db, side_db]), (after_db - before_db).T), after

    def _response_db(self, knobs: Knobs) -> torch.Tensor:
        """Compute the responses of settings in the bands of the powers, then in those of the statistics."""
        return knobs.response_db(self._hz, self.model.config.sample_rate)

    def _apply(self, response_db: torch.Tensor, knobs: Knobs, power: torch.Tensor) -> torch.Tensor:
        return gained(power, 10.0 ** (response_db[:, :BANDS] / 10.0), knobs.width, knobs.pan)

    def _louder(
        self, statistics: torch.Tensor, bands_db: torch.Tensor, level_db: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Raise the mean spectra of mid and side, and their levels; the rest of the statistics stays.

        Args:
            statistics: (N, S), see `StatisticsEncoder`.
            bands_db: Gains of the spectra of mid and side, (2, N, bands), or (2, 1) for all.
            level_db: Gains of the levels of mid and side, (2, N); None: those of the spectra.
        """
        statistics, bands = statistics.clone(), self.model.config.bands
        half = statistics.shape[-1] // 2
        for signal, first in enumerate((0, half)):
            last = first + 2 * bands
            of_level = bands_db[signal] if level_db is None else level_db[signal]
            statistics[:, first : first + bands] = _raised(
                statistics[:, first : first + bands], bands_db[signal]
            )
            statistics[:, last] = _raised(statistics[:, last], of_level)
        return statistics

    def _silent_side(self, statistics: torch.Tensor) -> torch.Tensor:
        """Make the statistics of the side those of silence."""
        statistics, bands = statistics.clone(), self.model.config.bands
        half = statistics.shape[-1] // 2
        statistics[:, half : half + bands] = SILENCE_DB
        statistics[:, half + bands : half + 2 * bands] = 0.01
        statistics[:, -3:] = torch.tensor([SILENCE_DB, 0.0, 1.0])
        return statistics

    def answer(self, tasks: Tasks, passes: int) -> tuple[ConsoleParams, torch.Tensor, torch.Tensor]:
        """Let the model answer, as `DiffMST.console_logits` does with sound. Differentiable in the last pass.

        Args:
            tasks: The tasks.
            passes: How often the model listens, 1 or more.

        Returns:
            The consoles, the power behind their strips (B, N, 3, bands), and that of their mixes (B, 3, bands).
        """
        model, imitation = self.model, self.imitation
        embeddings, views = (
            encoder.network(encoder.standardize(statistics))
            for encoder, statistics in (
                (model.track_encoder, tasks.statistics),
                (model.mix_encoder, tasks.views),
            )
        )
        features = model.style.standardize(tasks.features)
        pans = torch.full(tasks.mask.shape, 0.5)
        start = start_console(pans, model.config.console)
        strips, mix = tasks.power, tasks.power.sum(dim=1)
        logits: Logits = []
        for number in range(passes):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number == passes - 1):
                with torch.no_grad():
                    mix = imitation.at_record_level(mix)
                    gap = model.style.standardize(imitation.describe(mix)[0]) - features
                    evidence = stem_evidence(strips, mix, tasks.record)
                style = ReferenceStyle(views, torch.cat([features, gap], dim=-1))
                answer = model.controller_logits(
                    embeddings, style, pans=pans, evidence=evidence, mask=tasks.mask
                )
                if logits:
                    answer = [z + a - z0 for z, a, z0 in zip(logits, answer, start, strict=True)]
                logits = model.within_limits(answer)
                params = model.console_params(logits)
                strips, mix = imitation.mix(tasks.power, params)
        return params, strips, mix

    def losses(self, tasks: Tasks, recipe: Recipe, passes: int) -> torch.Tensor:
        """Let the model answer, and compute what a rehearsal minimizes, as `step_loss` does with sound.

            a known answer:  0.04 L_known + pull D
            a record:        L / (1 + L / soft_limit) + pull D + keep K

        L is `Imitation.distance`, D `distance_from_neutral`, K `keep_song`.

        Args:
            tasks: The tasks.
            recipe: The recipe, with pull, keep and soft limit.
            passes: How often the model listens, 1 or more.

        Returns:
            The loss of every task, (B,).
        """
        params, strips, mix = self.answer(tasks, passes)
        of_known = KNOWN_WEIGHT * known_loss(params, tasks.answer, tasks.power, tasks.mask, each=True)
        of_record = self.imitation.distance(mix, tasks.record)
        if recipe.soft_limit is not None:
            of_record = of_record / (1.0 + of_record / recipe.soft_limit)
        of_record = of_record + recipe.keep * keep_song(tasks.power, strips, params, tasks.mask, each=True)
        pans = torch.full(tasks.mask.shape, 0.5)
        pull = recipe.pull * distance_from_neutral(params, pans, tasks.mask, each=True)
        return torch.where(tasks.known, of_known, of_record) + pull


def check_config(config: ModelConfig) -> None:
    """Raise InputError for a model that a rehearsal cannot teach: it must hear statistics and evidence."""
    if config.encoder != "statistics" or not config.evidence:
        lacks = "evidence=False" if config.encoder == "statistics" else f"the encoder {config.encoder!r}"
        raise InputError(
            "a rehearsal is for models with the encoder 'statistics' and evidence, as tiny and small, not with "
            f"{lacks}: train this one with sound alone"
        )


def only_mid(power: torch.Tensor) -> torch.Tensor:
    """Make the powers (N, 3, bands) of mono stems: only the mid is left."""
    return power * torch.tensor([[1.0], [0.0], [0.0]])


def differing(power: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Let the powers (N, 3, bands) of every stem differ by a random smooth curve over the bands."""
    knots = torch.tensor(rng.normal(0, MOMENT_DB, (len(power), 1, OCTAVES)), dtype=torch.float32)
    curve_db = torch.nn.functional.interpolate(knots, power.shape[-1], mode="linear", align_corners=True)
    return power * 10.0 ** (curve_db / 10.0)


def _raised(levels_db: torch.Tensor, gain_db: torch.Tensor) -> torch.Tensor:
    """Raise levels by a gain; silence stays silence, as in the side of mono stems."""
    raised = (levels_db + gain_db).clamp(min=SILENCE_DB)
    return torch.where(levels_db > SILENCE_DB + 0.01, raised, levels_db)
