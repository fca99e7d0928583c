"""From a batch to a loss: the two methods of section 3 of the paper. Chapters: Method 1, Method 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..audio.loudness import normalize_loudness, normalize_tracks
from ..console import effects
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.table import SECTIONS, knob_index, normalize, param_table
from ..data.batches import Batch
from ..network.controller import start_console
from ..style.features import audio_features
from ..style.losses import feature_distance, mrstft_loss
from .recipes import GAIN_DB, Recipe

FADERS = {"track": ("input_gain_db",), "fx_bus": (), "master_bus": ("input_gain_db", "output_gain_db")}
EQ_CENTERS_HZ = (60.0, 150.0, 600.0, 2500.0, 6000.0, 8000.0)  # of the equalizer that makes another master


@dataclass
class Task:
    """What a model gets, and what its mix is compared with.

    Attributes:
        tracks: (B, N, T), at the model's level.
        sides: (B, N), from -1 (left) to 1 (right).
        mask: (B, N), True for real tracks.
        reference: (B, 2, T), at -16 LUFS.
        target: (B, 2, T), at -16 LUFS; in method 2 the reference itself.
        params: The console that made the target; None in method 2.
    """

    tracks: torch.Tensor
    sides: torch.Tensor
    mask: torch.Tensor
    reference: torch.Tensor
    target: torch.Tensor
    params: ConsoleParams | None = None


def random_params(
    num_tracks: int,
    rng: np.random.Generator,
    *,
    gain_db: float = GAIN_DB,
    preset: str = "default",
    sample_rate: int = 44100,
) -> ConsoleParams:
    """Draw a console at random, every knob uniform in the unit interval, as in the paper.

    Only the faders differ: those of the tracks are uniform within +-`gain_db`, those of the master at 0 dB,
    because its level is normalized anyway. Over their whole range of +-48 dB one track would drown out all
    others; at 0, as in the released code, a random mix teaches nothing about balance. The sends are random
    too, so render with `fx_bus=False`.

    Args:
        num_tracks: Number of strips.
        rng: Source of all random choices.
        gain_db: How far the faders of the tracks move, 0 to 48 dB.
        preset: The console's preset.
        sample_rate: Sample rate in Hz.

    Returns:
        The console.

    Example:
        >>> params = random_params(3, np.random.default_rng(0))
        >>> params.tracks.shape, bool((params.values("track")["input_gain_db"].abs() <= 12).all())
        (torch.Size([3, 27]), True)
    """
    unit = []
    for section, rows in zip(SECTIONS, ((num_tracks,), (), ()), strict=True):
        specs = param_table(section, preset, sample_rate)
        drawn = rng.random((*rows, len(specs)))
        reach_db = gain_db if section == "track" else 0.0
        for name in FADERS[section]:
            i = knob_index(name, section, preset)
            ends_db = torch.tensor([[-reach_db], [reach_db]], dtype=torch.float64)
            low, high = normalize(ends_db, specs[i : i + 1]).flatten().tolist()
            drawn[..., i] = low + (high - low) * drawn[..., i]
        unit.append(torch.tensor(drawn, dtype=torch.float32))
    return ConsoleParams.from_unit(*unit, preset=preset, sample_rate=sample_rate)


def make_task(batch: Batch, recipe: Recipe, seed: int) -> Task:
    """Make the task of a batch; the part of an example depends on its number and the seed alone.

    Args:
        batch: Examples of the recipe's data set; `batch.items` are their numbers in it.
        recipe: The recipe.
        seed: Seed of all random choices.

    Returns:
        The task, by `method1_task` or `method2_task`.
    """
    rngs = [np.random.default_rng([seed, 1, item]) for item in batch.items]
    return (method1_task if recipe.method == 1 else method2_task)(batch, recipe, rngs)


def method1_task(batch: Batch, recipe: Recipe, rngs: list[np.random.Generator]) -> Task:
    """Make a task of Method 1: reference and target are two halves of a random mix of the tracks.

    A random console mixes all tracks. The first half of the mix is the reference, the second half the target.
    The input is the second half of the tracks, brought to the model's level again. Tracks that are silent in
    it are left out, unless all are.

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
            preset=config.console,
            sample_rate=config.sample_rate,
        )
        for rng in rngs
    ]
    params = _stack(drawn, batch.tracks.device)
    console = MixingConsole(config.sample_rate, preset=config.console)
    with torch.no_grad():
        mix = console(batch.tracks, params, fx_bus=False, mask=batch.mask).mix
        peak = mix.abs().amax(dim=(1, 2), keepdim=True)
        mix = mix / peak.clamp(min=1e-12)  # or the loudness meter would gate a faint mix as silence
        half = mix.shape[-1] // 2
        reference, target = (
            normalize_loudness(part.contiguous(), sample_rate=config.sample_rate)
            for part in (mix[..., :half], mix[..., half : 2 * half])
        )
        tracks, gains_db = normalize_tracks(
            batch.halves()[1], config.track_lufs, sample_rate=config.sample_rate
        )
    sounding = batch.mask & torch.isfinite(gains_db)
    mask = torch.where(sounding.any(dim=1, keepdim=True), sounding, batch.mask)
    return Task(tracks, batch.sides, mask, reference, target, params)


def method2_task(batch: Batch, recipe: Recipe, rngs: list[np.random.Generator]) -> Task:
    """Make a task of Method 2: the reference is a real song, or sometimes another master of it.

    The target is the reference itself.

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
    return Task(batch.tracks, batch.sides, batch.mask, reference, reference)


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
        "frequency_hz": EQ_CENTERS_HZ * 2 ** rng.uniform(-0.7, 0.7, 6),
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


def task_loss(mix: torch.Tensor, task: Task, recipe: Recipe) -> torch.Tensor:
    """Compute the recipe's loss of a mix. Differentiable.

    With `recipe.soft_limit` c, an audio-feature loss L counts as L / (1 + L / c), so that one mix far from
    its target does not dominate the step.

    Args:
        mix: (B, 2, T), at any level.
        task: The task, with the target.
        recipe: The recipe, with the loss.

    Returns:
        The loss, a scalar.
    """
    rate = recipe.config.sample_rate
    mix = normalize_loudness(mix, sample_rate=rate)
    if recipe.loss == "mrstft":
        return mrstft_loss(mix, task.target)
    features = (audio_features(sound, sample_rate=rate) for sound in (mix, task.target))
    losses = feature_distance(*features, each=True)["total"]  # (B,)
    if recipe.soft_limit is not None:
        losses = losses / (1.0 + losses / recipe.soft_limit)
    return losses.mean()


def distance_from_neutral(params: ConsoleParams, sides: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute the squared distance of consoles from the one where training starts, in the unit interval.

    For an example it is the mean over its tracks of the sum over their knobs, plus the sum over the master's
    knobs.

    Args:
        params: A batch of consoles.
        sides: (B, N), from -1 (left) to 1 (right).
        mask: (B, N), True for real tracks.

    Returns:
        The mean over examples, a scalar.
    """
    strips, _, master_bus = params.to_unit()  # (B, N, 27), (B, 26)
    start = [torch.sigmoid(z) for z in start_console(sides, params.preset)]
    of_tracks = (strips - start[0]).square().sum(dim=-1)  # (B, N)
    mean = (of_tracks * mask).sum(dim=-1) / mask.sum(dim=-1)  # (B,)
    return (mean + (master_bus - start[2]).square().sum(dim=-1)).mean()


def _stack(params: list[ConsoleParams], device: torch.device) -> ConsoleParams:
    """Stack consoles into a batch."""
    parts = ([getattr(p, name) for p in params] for name in ("tracks", "fx_bus_values", "master_bus_values"))
    return ConsoleParams(
        *(torch.stack(part).to(device) for part in parts),
        preset=params[0].preset,
        sample_rate=params[0].sample_rate,
    )
