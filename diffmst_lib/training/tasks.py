"""From a batch to a task: the two methods of section 3 of the paper, and tasks with a known answer.

Chapters: Method 1, Method 2.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from ..audio.loudness import level_stems, loudness_each, normalize_loudness, normalize_tracks
from ..console import effects
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..data.batches import Batch
from ..mixing.bus import run_console
from .known import CENTERS_HZ, Knobs, Settings
from .random_consoles import random_params
from .recipes import Recipe

RELEASED_OUTPUT_DB = 48.0  # the output fader of the released code's random mixes, which was to be off
RELEASED_JITTER_DB = (-16.0, 12.0)  # of its real references, at first at -16 LUFS


@dataclass
class Task:
    """What a model gets, and what its mix is compared with.

    Attributes:
        tracks: Stems (B, N, 2, T) or mono channels (B, N, T), at the model's level.
        pans: (B, N), 0 to 1, where the pans of the console start.
        mask: (B, N), True for real tracks.
        reference: (B, 2, T), at -16 LUFS unless `Recipe.normalize` is off.
        target: (B, 2, T), at the level of the reference; in method 2 the reference itself.
        params: The console that made the target; None in method 2.
        answer: What the strips should do, where it is known; then the loss looks at them.
    """

    tracks: torch.Tensor
    pans: torch.Tensor
    mask: torch.Tensor
    reference: torch.Tensor
    target: torch.Tensor
    params: ConsoleParams | None = None
    answer: Settings | None = None


def make_task(batch: Batch, recipe: Recipe, seed: int) -> Task:
    """Make the task of a batch; the part of an example depends on its number and the seed alone.

    Args:
        batch: Examples of the recipe's data set; `batch.items` are their numbers in it.
        recipe: The recipe.
        seed: Seed of all random choices.

    Returns:
        The task, by `method1_task`, `method2_task` or `known_task`.
    """
    rngs = [np.random.default_rng([seed, 1, item]) for item in batch.items]
    if batch.reference is not None:
        return method2_task(batch, recipe, rngs)
    return (method1_task if recipe.method == 1 else known_task)(batch, recipe, rngs)


def method1_task(batch: Batch, recipe: Recipe, rngs: list[np.random.Generator]) -> Task:
    """Make a task of Method 1: reference and target are two halves of a random mix of the tracks.

    A random console mixes all tracks. The first half of the mix is the reference, the second half the target,
    each at -16 LUFS; as in the released code, the whole mix at a peak of 1, when `recipe.normalize` is off.
    The input is the second half of the tracks, brought to the model's level again: stems in the recipe's
    balance, channels each to its level. Tracks that are silent in it are left out, unless all are.

    Args:
        batch: Examples, twice as long as the task.
        recipe: The recipe.
        rngs: One random generator per example.

    Returns:
        The task, with the random console.
    """
    config = recipe.config
    drawn = [
        random_params(
            batch.tracks.shape[1],
            rng,
            gain_db=recipe.random_gain_db,
            output_gain_db=0.0 if recipe.normalize else RELEASED_OUTPUT_DB,
            preset=config.console,
            sample_rate=config.sample_rate,
        )
        for rng in rngs
    ]
    params = _stack(drawn, batch.tracks.device)
    console = MixingConsole(config.sample_rate, preset=config.console)
    with torch.no_grad():
        mix = run_console(console, batch.tracks, params, mask=batch.mask)
        peak = mix.abs().amax(dim=(1, 2), keepdim=True)
        mix = mix / peak.clamp(min=1e-12)  # or the loudness meter would gate a faint mix as silence
        half = mix.shape[-1] // 2
        reference, target = mix[..., :half].contiguous(), mix[..., half : 2 * half].contiguous()
        if recipe.normalize:
            reference, target = (
                normalize_loudness(part, sample_rate=config.sample_rate) for part in (reference, target)
            )
        tracks, gains_db = _at_level(batch.halves()[1], recipe)
    return Task(tracks, batch.pans, _sounding(batch, gains_db), reference, target, params)


def method2_task(batch: Batch, recipe: Recipe, rngs: list[np.random.Generator]) -> Task:
    """Make a task of Method 2: the reference is a real song, or sometimes another master of it.

    The target is the reference itself. When `recipe.normalize` is off, it is louder or softer by a random
    gain from -16 to 12 dB, as in the released code: -32 to -4 LUFS.

    Args:
        batch: Examples with references.
        recipe: The recipe; `recipe.varied` is the probability of another master.
        rngs: One random generator per example.

    Returns:
        The task.
    """
    rate = recipe.config.sample_rate
    masters = [
        vary(record, rng, sample_rate=rate) if rng.random() < recipe.varied else record
        for record, rng in zip(batch.reference, rngs, strict=True)
    ]
    reference = torch.stack(masters)
    if not recipe.normalize:
        gains_db = [rng.uniform(*RELEASED_JITTER_DB) for rng in rngs]
        reference = reference * 10.0 ** (reference.new_tensor(gains_db)[:, None, None] / 20.0)
    return Task(batch.tracks, batch.pans, batch.mask, reference, reference)


def known_task(batch: Batch, recipe: Recipe, rngs: list[np.random.Generator]) -> Task:
    """Make a task with a known answer: the record is another moment of the song, mixed by another engineer.

    Args:
        batch: Examples of two moments each, the record's first.
        recipe: The recipe, of a model of stems.
        rngs: One random generator per example.

    Returns:
        The task, with the answer.
    """
    rate = recipe.config.sample_rate
    half = batch.tracks.shape[-1] // 2
    tracks, references, gains, answers = [], [], [], []
    for stems, mask, rng in zip(batch.tracks, batch.mask, rngs, strict=True):
        ours, theirs = Knobs.draw_two(len(stems), rng)
        artist = Knobs.draw_artist(torch.tensor(loudness_each(stems, rate)), rng)
        there, here = artist.apply(stems[..., : 2 * half], rate).split(half, dim=-1)
        record = theirs.apply(there, rate)[mask].sum(dim=0)
        references.append(normalize_loudness(record, sample_rate=rate))
        levelled, gains_db = level_stems(ours.apply(here, rate), recipe.balance, sample_rate=rate)
        tracks.append(levelled)
        gains.append(gains_db)
        answer = theirs.settings(rate) - ours.settings(rate)
        if recipe.balance == "equal":
            answer.response_db -= (gains_db.nan_to_num(0.0))[None, :, None]
        answers.append(answer)
    reference = torch.stack(references)
    answer = Settings(*(torch.cat([getattr(a, f.name) for a in answers]) for f in fields(Settings)))
    mask = _sounding(batch, torch.stack(gains))
    return Task(torch.stack(tracks), batch.pans, mask, reference, reference, answer=answer)


def vary(record: torch.Tensor, rng: np.random.Generator, *, sample_rate: int = 44100) -> torch.Tensor:
    """Make another master of a record, with a random equalizer, width and balance: few records become many.

    Args:
        record: Audio (2, T).
        rng: Source of all random choices.
        sample_rate: Sample rate in Hz.

    Returns:
        The other master (2, T), at -16 LUFS.

    Example:
        >>> vary(torch.randn(2, 44100), np.random.default_rng(0)).shape
        torch.Size([2, 44100])
    """
    knobs = {
        "gain_db": rng.normal(0, 3, 6).clip(-9, 9),
        "frequency_hz": CENTERS_HZ * 2 ** rng.uniform(-0.7, 0.7, 6),
        "q": np.full(6, 0.7),
    }
    knobs = {
        name: torch.tensor(value[None], dtype=record.dtype, device=record.device)
        for name, value in knobs.items()
    }
    left, right = effects.parametric_eq(record[None], sample_rate=sample_rate, **knobs)[0]
    wider, balance = 10 ** (rng.normal(0, 4) / 20), 10 ** (rng.normal(0, 1) / 20)
    mid, side = (left + right) / 2, (left - right) / 2 * wider
    return normalize_loudness(
        torch.stack([(mid + side) * balance, (mid - side) / balance]), sample_rate=sample_rate
    )


def _at_level(tracks: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring tracks to the level of the recipe's model. Return them and their gains in dB, (B, N)."""
    config = recipe.config
    if config.track_lufs is not None:
        return normalize_tracks(tracks, config.track_lufs, sample_rate=config.sample_rate)
    levelled = [level_stems(stems, recipe.balance, sample_rate=config.sample_rate) for stems in tracks]
    stems, gains_db = zip(*levelled, strict=True)
    return torch.stack(stems), torch.stack(gains_db)


def _sounding(batch: Batch, gains_db: torch.Tensor) -> torch.Tensor:
    """Leave the tracks of a batch out that are silent, whose gain is NaN, unless all of an example are."""
    sounding = batch.mask & torch.isfinite(gains_db)
    return torch.where(sounding.any(dim=1, keepdim=True), sounding, batch.mask)


def _stack(params: list[ConsoleParams], device: torch.device) -> ConsoleParams:
    """Stack consoles into a batch."""
    parts = ([getattr(p, name) for p in params] for name in ("tracks", "fx_bus_values", "master_bus_values"))
    return ConsoleParams(
        *(torch.stack(part).to(device) for part in parts),
        preset=params[0].preset,
        sample_rate=params[0].sample_rate,
    )
