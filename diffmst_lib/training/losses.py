"""What training minimizes: the recipe's loss, the pull towards neutral, and what keeps the song.

Chapters: Method 1, Method 2.
"""

from __future__ import annotations

import torch

from ..audio.loudness import normalize_loudness
from ..console.params import ConsoleParams
from ..console.table import ParamSpec, knob_index
from ..network.controller import start_console
from ..network.powers import band_power, through_strips
from ..style.features import audio_features
from ..style.losses import feature_distance, mrstft_loss
from .keeping import keep_song
from .known import KNOWN_WEIGHT, known_loss
from .own_loss import own_loss
from .recipes import Recipe
from .tasks import Task

MASTER_SHARE = 0.03  # the master is hardly pulled: it may follow the reference


def task_loss(mix: torch.Tensor, task: Task, recipe: Recipe) -> torch.Tensor:
    """Compute the recipe's loss of a mix. Differentiable.

    The mix is brought to -16 LUFS first, unless `recipe.normalize` is off. With `recipe.soft_limit` c, an
    audio-feature loss L counts as L / (1 + L / c), so that one mix far from its target does not dominate the
    step.

    Args:
        mix: (B, 2, T), at any level.
        task: The task, with the target.
        recipe: The recipe, with the loss.

    Returns:
        The loss, a scalar.

    Raises:
        InputError: In one line, for an own loss or feature that does not fit.
    """
    rate, preset = recipe.config.sample_rate, recipe.loss_preset
    if recipe.normalize:
        mix = normalize_loudness(mix, sample_rate=rate)
    if not isinstance(recipe.loss, str):
        return own_loss(recipe.loss, mix, task.target, rate)
    if recipe.loss == "mrstft":
        return mrstft_loss(mix, task.target, preset=preset)
    own = recipe.features
    features = (
        audio_features(sound, sample_rate=rate, preset=preset, features=own) for sound in (mix, task.target)
    )
    losses = feature_distance(*features, each=True, features=own)["total"]  # (B,)
    if recipe.soft_limit is not None:
        losses = losses / (1.0 + losses / recipe.soft_limit)
    return losses.mean()


def step_loss(network: torch.nn.Module, task: Task, recipe: Recipe, passes: int) -> torch.Tensor:
    """Let a model answer a task, and compute all that training minimizes.

        a known answer:  0.04 L_known + pull D
        otherwise:       L + pull D + keep K

    L is `task_loss`, D `distance_from_neutral`, K `keep_song`, which is for stems.

    Args:
        network: The model, or what wraps it.
        task: The task.
        recipe: The recipe.
        passes: How often the model listens.

    Returns:
        The loss, a scalar.
    """
    known = task.answer is not None
    mix, params = network(
        task.tracks, task.reference, pans=task.pans, mask=task.mask, passes=passes, render=not known
    )
    pull = recipe.pull * distance_from_neutral(params, task.pans, task.mask)
    if not recipe.config.stems:
        return task_loss(mix, task, recipe) + pull
    power = band_power(task.tracks, sample_rate=recipe.config.sample_rate)
    if task.answer is not None:
        return KNOWN_WEIGHT * known_loss(params, task.answer, power, task.mask) + pull
    kept = recipe.keep * keep_song(power, through_strips(power, params), params, task.mask)
    return task_loss(mix, task, recipe) + pull + kept


def distance_from_neutral(
    params: ConsoleParams, pans: torch.Tensor, mask: torch.Tensor, *, each: bool = False
) -> torch.Tensor:
    """Compute how far consoles are from the one where training starts, in moves of an engineer, squared.

        D = mean over tracks of sum over knobs of m^2 + 0.03 sum over the master's knobs of m^2

    where m is the distance of a knob from its start in moves (`ParamSpec.moves`): 3 dB of a fader, a fifth of
    a pan, a third of an octave. The strips keep the song; the master is almost free to follow the reference,
    as in a fit.

    Args:
        params: A batch of consoles.
        pans: (B, N), 0 to 1, where the pans start.
        mask: (B, N), True for real tracks.
        each: Whether to return the distance of each console instead of their mean.

    Returns:
        A scalar, or (B,).
    """
    strips, _, master_bus = params.to_unit()  # (B, N, knobs), (B, knobs)
    of_strips, _, of_master = (torch.sigmoid(z) for z in start_console(pans, params.preset))
    of_strips[..., knob_index("send_db", "track", params.preset)] = 0.0  # networks send nothing
    of_tracks = _squared_moves(strips - of_strips, params.specs("track"))  # (B, N)
    mean = (of_tracks * mask).sum(dim=-1) / mask.sum(dim=-1)  # (B,)
    total = mean + MASTER_SHARE * _squared_moves(master_bus - of_master, params.specs("master_bus"))  # (B,)
    return total if each else total.mean()


def _squared_moves(distance: torch.Tensor, specs: tuple[ParamSpec, ...]) -> torch.Tensor:
    """Sum the squares of distances (..., knobs) in the unit interval, counted in moves, over the knobs."""
    moves = torch.tensor([spec.moves for spec in specs], dtype=distance.dtype, device=distance.device)
    return (distance * moves).square().sum(dim=-1)
