"""The examples of a training: those it learns from, read in batches, and those it is judged by.

Chapter: Training at scale.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..data.batches import Batch, loader
from ..data.examples import Method1, Method2
from ..data.index import SongIndex
from ..inputs import InputError, InputNote
from .hardware import Hardware
from .recipes import Recipe
from .validation import HeldOut, held_out

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def examples_of(
    recipe: Recipe,
    index: SongIndex,
    references: SongIndex | None = None,
    *,
    split: str = "train",
    seed: int = 0,
) -> Method1:
    """The data set of a recipe: `Method1` or `Method2` on one split of an index.

    Args:
        recipe: What to do.
        index: Songs with stems and, for method 2, finished songs as references.
        references: An index of their own for the references.
        split: "train", "validation" or "test".
        seed: Of everything drawn.

    Returns:
        The data set; example i is a function of the seed and i.

    Raises:
        InputError: In one line, when the split has no songs with stems, or no references for method 2.

    Example:
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> examples_of(dm.training.recipe("af-16", "tiny"), index)[0].reference.shape
        torch.Size([2, 88200])
    """
    songs = index.multitracks(split)
    if not songs:
        raise _nothing("songs with stems", split, len(index.multitracks()))
    if recipe.method == 1:
        return Method1(songs, recipe.sampling, seed=seed)
    records = (references or index).references(split)
    if not records:
        raise _nothing("references", split, len((references or index).references()))
    return Method2(songs, records, recipe.sampling, seed=seed)


def examples_to_judge_by(
    recipe: Recipe,
    index: SongIndex,
    references: SongIndex | None,
    count: int,
    *,
    seed: int,
    progress: bool = False,
) -> list[HeldOut]:
    """The first examples of the "validation" split, as tasks; of the "train" split where it has none.

    An `InputNote` says so in that case, and also when all examples have the same reference.

    Args:
        recipe: What is trained.
        index: Songs with stems and, for method 2, finished songs as references.
        references: An index of their own for the references.
        count: How many.
        seed: Of everything drawn.
        progress: Whether to show a progress bar.

    Returns:
        The examples with their tasks.

    Raises:
        InputError: In one line, when neither split has any.
    """
    try:
        examples = examples_of(recipe, index, references, split="validation", seed=seed)
    except InputError as error:
        warnings.warn(f"judged on what it is trained on ({error})", InputNote, stacklevel=3)
        examples = examples_of(recipe, index, references, seed=seed)
    judged = held_out(examples, recipe, count, seed=seed, progress="to judge by" if progress else None)
    names = {example.reference for example in judged}
    if len(names) == 1:
        warnings.warn(
            f'validation has one reference, {names.pop()}: "wrong" is another moment of it',
            InputNote,
            stacklevel=3,
        )
    return judged


def read_batches(
    examples: Method1, recipe: Recipe, hardware: Hardware, fabric: Fabric, first_step: int
) -> Iterator[Batch]:
    """Read the batches of a training, from a step on, each process its share.

    Args:
        examples: What it learns from.
        recipe: Numbers of steps and of examples.
        hardware: How many processes read ahead.
        fabric: The processes of the training.
        first_step: The step to begin with.

    Yields:
        `recipe.accumulate` batches a step.

    Raises:
        InputError: In one line, for a file that cannot be read any more.
    """
    batches = loader(
        examples,
        recipe.batch_size,
        steps=recipe.steps * recipe.accumulate,
        first_step=first_step * recipe.accumulate,
        workers=hardware.workers,
        rank=fabric.global_rank,
        ranks=fabric.world_size,
        pin_memory=fabric.device.type == "cuda",
    )
    try:
        yield from batches
    except InputError as error:  # of a process that reads ahead it comes with a traceback
        raise InputError(str(error).strip().splitlines()[-1].split("InputError: ")[-1]) from None


def _nothing(what: str, split: str, elsewhere: int) -> InputError:
    if not elsewhere:
        return InputError(f"there are no {what}")
    return InputError(
        f"the {split} split has none of the {elsewhere} {what}: `diffmst data index --about` sets splits"
    )
