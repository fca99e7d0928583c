"""A new model: random weights, and the constants of a first look at what it will get. Chapter: Method 1."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..data.examples import Method1
from ..model import DiffMST
from .recipes import Recipe
from .validation import HeldOut, held_out


def new_model(
    recipe: Recipe, examples: Method1, seed: int, *, look: bool = True, progress: bool = False
) -> DiffMST:
    """Build a recipe's model, and standardize its encoders by the first examples.

    Nobody else's random numbers change.

    Args:
        recipe: What to do; `recipe.first_look` examples are looked at.
        examples: What the model will be trained on.
        seed: Of the weights and of the tasks.
        look: Whether to look; not where weights and constants will come from a checkpoint.
        progress: Whether to show a progress bar.

    Returns:
        The model, in training mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = DiffMST(recipe.config)
    if look and (recipe.config.style or recipe.config.encoder == "statistics"):
        bar = "first look" if progress else None
        model.standardize(*sounds(held_out(examples, recipe, recipe.first_look, seed=seed, progress=bar)))
    return model


def sounds(examples: Iterable[HeldOut]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tracks (K, T) and references (K', 2, T) of examples, for `DiffMST.standardize`."""
    tasks = [example.task for example in examples]
    return torch.cat([task.tracks[task.mask] for task in tasks]), torch.cat(
        [task.reference for task in tasks]
    )
