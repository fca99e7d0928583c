"""A new model: random weights, and input constants from a first look at the examples. Chapter: Method 1."""

from __future__ import annotations

import torch

from ..data.examples import Method1
from ..model import DiffMST
from ..network.encoder import Standardize
from .recipes import Recipe
from .validation import held_out


def new_model(
    recipe: Recipe, examples: Method1, seed: int, *, look: bool = True, progress: bool = False
) -> DiffMST:
    """Build a recipe's model, and standardize its encoders on the first examples.

    The global state of random numbers stays as it is.

    Args:
        recipe: The recipe; `recipe.first_look` examples are used.
        examples: The data set on which the model will be trained.
        seed: Seed of the weights and of the tasks.
        look: Whether to standardize; not needed when a checkpoint will be loaded.
        progress: Whether to show a progress bar.

    Returns:
        The model, in training mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = DiffMST(recipe.config)
    if look and any(isinstance(module, Standardize) for module in model.modules()):
        bar = "first look" if progress else None
        first = held_out(examples, recipe, recipe.first_look, seed=seed, progress=bar)
        tracks = torch.cat(
            [example.task.tracks[example.task.mask] for example in first]
        )  # (K, 2, T) or (K, T)
        references = torch.cat([example.task.reference for example in first])  # (K', 2, T)
        model.standardize(tracks, references)
    return model
