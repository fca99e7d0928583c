"""The model that a training begins with: given, or with random weights and input constants from a first look.

Chapter: Method 1.
"""

from __future__ import annotations

from dataclasses import asdict

import torch

from ..audio.remarks import few
from ..data.examples import Method1
from ..model import DiffMST
from ..network.encoder import Standardize
from .checkpoint import differences
from .recipes import Recipe
from .validation import held_out


def check_init(init: DiffMST | None, recipe: Recipe) -> None:
    """Raise ValueError unless a model to start from, if one is given, is what the recipe trains."""
    if init is not None and not isinstance(init, DiffMST):
        raise ValueError(f"init must be a model, as DiffMST.from_pretrained gives it, not {init!r}")
    if init and init.config != recipe.config:
        differs = few(differences(asdict(init.config), asdict(recipe.config)))
        raise ValueError(f"init is a model of another configuration than the recipe's: {differs}")


def untrained(recipe: Recipe, seed: int = 0) -> DiffMST:
    """Build a recipe's model with random weights. The global state of random numbers stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return DiffMST(recipe.config)


def new_model(
    recipe: Recipe, examples: Method1, seed: int, *, look: bool = True, progress: bool = False
) -> DiffMST:
    """Build a recipe's model, and standardize its encoders on the first examples.

    Args:
        recipe: The recipe; `recipe.first_look` examples are used.
        examples: The data set on which the model will be trained.
        seed: Seed of the weights and of the tasks.
        look: Whether to standardize; not needed when a checkpoint will be loaded.
        progress: Whether to show a progress bar.

    Returns:
        The model, in training mode.
    """
    model = untrained(recipe, seed)
    if look and any(isinstance(module, Standardize) for module in model.modules()):
        bar = "first look" if progress else None
        first = held_out(examples, recipe, recipe.first_look, seed=seed, progress=bar)
        tracks = torch.cat(
            [example.task.tracks[example.task.mask] for example in first]
        )  # (K, 2, T) or (K, T)
        references = torch.cat([example.task.reference for example in first])  # (K', 2, T)
        model.standardize(tracks, references)
    return model
