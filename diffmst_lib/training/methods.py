"""From a batch to a loss: the two methods of section 3 of the paper. Chapters: Method 1, Method 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..audio.loudness import level_stems, normalize_loudness, normalize_tracks
from ..console import effects
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.table import SECTIONS, ParamSpec, knob_index, normalize, param_table
from ..data.batches import Batch
from ..mixing.bus import run_console
from ..network.controller import start_console
from ..style.features import audio_features
from ..style.losses import feature_distance, mrstft_loss
from .recipes import GAIN_DB, Recipe

RANDOM_MOVES = 3.0  # how far the other knobs of a random console are from where they do nothing
LEVELS = ("input_gain_db", "makeup_gain_db", "send_db", "output_gain_db")  # knobs that stand still in it
MASTER_SHARE = 0.03  # the master is hardly pulled: it may follow the reference
EQ_CENTERS_HZ = (60.0, 150.0, 600.0, 2500.0, 6000.0, 8000.0)  # of the equalizer that makes another master


@dataclass
class Task:
    """What a model gets, and what its mix is compared with.

    Attributes:
        tracks: Stems (B, N, 2, T) or mono channels (B, N, T), at the model's level.
        pans: (B, N), 0 to 1, where the pans of the console start.
        mask: (B, N), True for real tracks.
        reference: (B, 2, T), at -16 LUFS.
        target: (B, 2, T), at -16 LUFS; in method 2 the reference itself.
        params: The console that made the target; None in method 2.
    """

    tracks: torch.Tensor
    pans: torch.Tensor
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
    """Draw a console at random, every knob uniform between two ends and for itself.

    In "reference" the ends are those of its range, as in the paper. In "default" they are three moves of an
    engineer (`ParamSpec.step`) to both sides of where the knob does nothing: 6 dB of an equalizer's band, an
    octave of its frequency, 9 dB of a threshold, a ratio up to 3.4, three quarters of the width. Its ranges
    are those of a desk, and over all of them (a threshold of -60 dB, a ratio of 20) no mix would be one that
    anybody hands in. Trims, make-up gains and sends stand still there, so that the faders make the balance.

    The faders (the input gains of "reference") are uniform within +-`gain_db`; a fader ends at 12 dB. At 0,
    as in the released code, a random mix teaches nothing about balance. The levels of the master stand still,
    because a mix is normalized anyway. The sends of "reference" are random too, so render with
    `fx_bus=False`.

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
        >>> len(params.tracks), bool((params.values("track")["fader_db"].abs() <= 12).all())
        (3, True)
    """
    unit = []
    for section, rows in zip(SECTIONS, ((num_tracks,), (), ()), strict=True):
        specs = param_table(section, preset, sample_rate)
        low, high = (_moderate_ends if preset == "default" else _paper_ends)(specs, section, gain_db)
        drawn = low + (high - low) * rng.random((*rows, len(specs)))
        unit.append(torch.tensor(drawn, dtype=torch.float32))
    return ConsoleParams.from_unit(*unit, preset=preset, sample_rate=sample_rate)


def _moderate_ends(specs: tuple[ParamSpec, ...], section: str, gain_db: float) -> np.ndarray:
    """Compute the ends (2, knobs) of the knobs of "default", in the unit interval."""
    neutral = normalize(torch.tensor([[spec.neutral for spec in specs]], dtype=torch.float64), specs)[
        0
    ].numpy()
    reach = np.array([0.0 if spec.name in LEVELS else RANDOM_MOVES / spec.moves for spec in specs])
    ends = np.stack([neutral - reach, neutral + reach]).clip(0.0, 1.0)
    return _within(ends, specs, ("fader_db",), gain_db)


def _paper_ends(specs: tuple[ParamSpec, ...], section: str, gain_db: float) -> np.ndarray:
    """Compute the ends (2, knobs) of the knobs of mono channels, in the unit interval."""
    ends = np.stack([np.zeros(len(specs)), np.ones(len(specs))])
    levels = ("input_gain_db", "output_gain_db")
    return _within(ends, specs, levels, gain_db if section == "track" else 0.0)


def _within(
    ends: np.ndarray, specs: tuple[ParamSpec, ...], names: tuple[str, ...], gain_db: float
) -> np.ndarray:
    """Set the ends of some knobs to +-`gain_db`."""
    for i, spec in enumerate(specs):
        if spec.name in names:
            ends_db = torch.tensor([[-gain_db], [gain_db]], dtype=torch.float64)
            ends[:, i] = normalize(ends_db, (spec,)).flatten()
    return ends


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
        reference, target = (
            normalize_loudness(part.contiguous(), sample_rate=config.sample_rate)
            for part in (mix[..., :half], mix[..., half : 2 * half])
        )
        tracks, gains_db = _at_level(batch.halves()[1], recipe)
    sounding = batch.mask & torch.isfinite(gains_db)
    mask = torch.where(sounding.any(dim=1, keepdim=True), sounding, batch.mask)
    return Task(tracks, batch.pans, mask, reference, target, params)


def _at_level(tracks: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring tracks to the level of the recipe's model. Return them and their gains in dB, (B, N)."""
    config = recipe.config
    if config.track_lufs is not None:
        return normalize_tracks(tracks, config.track_lufs, sample_rate=config.sample_rate)
    levelled = [level_stems(stems, recipe.balance, sample_rate=config.sample_rate) for stems in tracks]
    stems, gains_db = zip(*levelled, strict=True)
    return torch.stack(stems), torch.stack(gains_db)


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
    return Task(batch.tracks, batch.pans, batch.mask, reference, reference)


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


def distance_from_neutral(params: ConsoleParams, pans: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Compute how far consoles are from the one where training starts, in moves of an engineer, squared.

        D = mean over tracks of sum over knobs of m^2 + 0.03 sum over the master's knobs of m^2

    where m is the distance of a knob from its start in moves (`ParamSpec.moves`): 3 dB of a fader, a fifth of
    a pan, a third of an octave. The strips keep the song; the master is almost free to follow the reference,
    as in a fit.

    Args:
        params: A batch of consoles.
        pans: (B, N), 0 to 1, where the pans start.
        mask: (B, N), True for real tracks.

    Returns:
        The mean over examples, a scalar.
    """
    strips, _, master_bus = params.to_unit()  # (B, N, knobs), (B, knobs)
    of_strips, _, of_master = (torch.sigmoid(z) for z in start_console(pans, params.preset))
    of_strips[..., knob_index("send_db", "track", params.preset)] = 0.0  # networks send nothing
    of_tracks = _squared_moves(strips - of_strips, params.specs("track"))  # (B, N)
    mean = (of_tracks * mask).sum(dim=-1) / mask.sum(dim=-1)  # (B,)
    return (mean + MASTER_SHARE * _squared_moves(master_bus - of_master, params.specs("master_bus"))).mean()


def _squared_moves(distance: torch.Tensor, specs: tuple[ParamSpec, ...]) -> torch.Tensor:
    """Sum the squares of distances (..., knobs) in the unit interval, counted in moves, over the knobs."""
    moves = torch.tensor([spec.moves for spec in specs], dtype=distance.dtype, device=distance.device)
    return (distance * moves).square().sum(dim=-1)


def _stack(params: list[ConsoleParams], device: torch.device) -> ConsoleParams:
    """Stack consoles into a batch."""
    parts = ([getattr(p, name) for p in params] for name in ("tracks", "fx_bus_values", "master_bus_values"))
    return ConsoleParams(
        *(torch.stack(part).to(device) for part in parts),
        preset=params[0].preset,
        sample_rate=params[0].sample_rate,
    )
