"""From a batch to a loss: the two methods of section 3 of the paper. Chapters: Method 1, Method 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..audio.loudness import normalize_loudness, normalize_tracks
from ..console import effects
from ..console.mixing_console import MixingConsole
from ..console.params import SECTIONS, ConsoleParams, param_table
from ..data.examples import Batch
from ..network.controller import start_console
from ..style.features import audio_features
from ..style.losses import feature_distance, mrstft_loss
from .recipes import GAIN_DB, Recipe

FADERS = ("input_gain_db", "output_gain_db")
EQ_CENTERS_HZ = (60.0, 150.0, 600.0, 2500.0, 6000.0, 8000.0)


@dataclass
class Task:
    """What a model is shown, and what its mix is compared with.

    `tracks` (B, N, T), `sides` and `mask` (B, N), `reference` (B, 2, T) and `target` (B, 2, T) at -16 LUFS. In method 2
    the target is the reference itself. `params` made the target; None in method 2.
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
    """A console with every knob at random, uniform in the unit interval, as the paper's random mixes have it.

    But for the faders, uniform within +-`gain_db` dB on the tracks and at 0 dB on the master, whose level is normalized
    anyway. At +-48 dB, their whole range, one track would drown all others; at 0, as in the released code, a random mix
    says nothing of balance. The sends are at random too: render with `fx_bus=False`.

    >>> params = random_params(3, np.random.default_rng(0))
    >>> params.tracks.shape, bool((params.tracks[:, 0].abs() <= 12).all())
    (torch.Size([3, 27]), True)
    """
    unit = []
    for section, rows in zip(SECTIONS, ((num_tracks,), (), ())):
        specs = param_table(section, preset, sample_rate)
        drawn = rng.random((*rows, len(specs)))
        for i, spec in enumerate(specs):
            if spec.name in FADERS:
                span = gain_db / (spec.high - spec.low) if section == "track" else 0.0
                drawn[..., i] = 0.5 + span * (2.0 * drawn[..., i] - 1.0)
        unit.append(torch.tensor(drawn, dtype=torch.float32))
    return ConsoleParams.from_unit(*unit, preset=preset, sample_rate=sample_rate)


def method1_task(batch: Batch, recipe: Recipe, rngs: list[np.random.Generator]) -> Task:
    """Method 1: a random console mixes all; half A of the mix is the reference, half B the target, half B of the tracks
    the input.

    `rngs` are one generator an example. Tracks of half B are brought to the model's level again; those that are silent
    in it are left out, unless all are.
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
        mix = mix / mix.abs().amax(dim=(1, 2), keepdim=True).clamp(
            min=1e-12
        )  # a faint mix would be gated as silence
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
    """Method 2: the reference is a real song, or now and then another master of it; the mix is compared with it."""
    rate = recipe.config.sample_rate
    varied = [
        vary(record, rng, sample_rate=rate) if rng.random() < recipe.varied else record
        for record, rng in zip(batch.reference, rngs)
    ]
    reference = torch.stack(varied)
    return Task(batch.tracks, batch.sides, batch.mask, reference, reference)


def make_task(batch: Batch, recipe: Recipe, items: range, seed: int) -> Task:
    """The task of a batch that holds these items of a data set: the same for the same items and seed, whoever asks."""
    rngs = [np.random.default_rng([seed, 1, item]) for item in items]
    return (method1_task if recipe.method == 1 else method2_task)(batch, recipe, rngs)


def vary(record: torch.Tensor, rng: np.random.Generator, *, sample_rate: int = 44100) -> torch.Tensor:
    """Another master of a record (2, T), at -16 LUFS: equalizer, width and balance at random, so few become many.

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
    """The recipe's loss of mixes (B, 2, T) at any level, a scalar; gradients reach the mix.

    With `recipe.soft_limit` c an audio-feature loss L counts as L / (1 + L / c): a mix far off the mark must not decide
    the step for all others.
    """
    rate = recipe.config.sample_rate
    mix = normalize_loudness(mix, sample_rate=rate)
    if recipe.loss == "mrstft":
        return mrstft_loss(mix, task.target)
    features = (audio_features(sound, sample_rate=rate) for sound in (mix, task.target))
    losses = feature_distance(*features, each=True)["total"]  # (B,)
    return (
        losses.mean() if recipe.soft_limit is None else (losses / (1.0 + losses / recipe.soft_limit)).mean()
    )


def distance_from_neutral(params: ConsoleParams, sides: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Squared distance from the console where training starts, in the unit interval: mean over examples, a scalar.

    Of an example it is the mean over its tracks of the sum over their knobs, plus the sum over the master's.
    """
    strips, _, master_bus = params.to_unit()  # (B, N, 27), (B, 26)
    neutral = [torch.sigmoid(z) for z in start_console(sides, params.preset)]
    apart = (strips - neutral[0]).square().sum(dim=-1)  # (B, N)
    tracks = (apart * mask).sum(dim=-1) / mask.sum(dim=-1)
    return (tracks + (master_bus - neutral[2]).square().sum(dim=-1)).mean()


def _stack(params: list[ConsoleParams], device: torch.device) -> ConsoleParams:
    parts = ([getattr(p, name) for p in params] for name in ("tracks", "fx_bus_values", "master_bus_values"))
    return ConsoleParams(
        *(torch.stack(part).to(device) for part in parts),
        preset=params[0].preset,
        sample_rate=params[0].sample_rate,
    )
