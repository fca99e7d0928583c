"""The examples of a training: those it learns from, read in batches, and those that judge the model.

Chapter: Training at scale.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from ..data.batches import Batch, loader
from ..data.examples import Method1, Method2
from ..data.index import SongIndex
from ..inputs import InputError, note
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
    """Make the data set of a recipe: `Method1` or `Method2` on one split of an index.

    Args:
        recipe: The recipe.
        index: Songs with stems and, for method 2, finished songs as references.
        references: A separate index of the references; None: those of `index`.
        split: "train", "validation" or "test".
        seed: Seed of all random choices.

    Returns:
        The data set; example i depends on the seed and i alone.

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
    """Make tasks of the first examples of the "validation" split, or of "train" when it has none.

    An `InputNote` says so in that case, and also when all examples have the same reference.

    Args:
        recipe: The recipe of the training.
        index: Songs with stems and, for method 2, finished songs as references.
        references: A separate index of the references; None: those of `index`.
        count: Number of examples.
        seed: Seed of all random choices.
        progress: Whether to show a progress bar.

    Returns:
        The examples with their tasks.

    Raises:
        InputError: In one line, when neither split has any.
    """
    try:
        examples = examples_of(recipe, index, references, split="validation", seed=seed)
    except InputError as error:
        note(f"judged on what it is trained on ({error})")
        examples = examples_of(recipe, index, references, seed=seed)
    judged = held_out(examples, recipe, count, seed=seed, progress="to judge by" if progress else None)
    names = {example.reference for example in judged}
    if len(names) == 1:
        note(f'validation has one reference, {names.pop()}: "wrong" is another moment of it')
    return judged


def read_batches(
    examples: Method1, recipe: Recipe, hardware: Hardware, fabric: Fabric, first_step: int
) -> Generator[Batch, None, None]:
    """Read the batches of a training from a step on, each process its share.

    Args:
        examples: The data set.
        recipe: The recipe, which gives the numbers of steps and examples.
        hardware: The hardware, which gives the number of processes that read ahead.
        fabric: The processes of the training.
        first_step: The step to begin with, from 0 on.

    Yields:
        `recipe.accumulate` batches per step.

    Raises:
        InputError: In one line, when a file can no longer be read.
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
    except InputError as error:  # from a process that reads ahead, its message holds a whole traceback
        raise InputError(str(error).strip().splitlines()[-1].split("InputError: ")[-1]) from None


def _nothing(what: str, split: str, elsewhere: int) -> InputError:
    if not elsewhere:
        return InputError(f"there are no {what}")
    return InputError(
        f"the {split} split has none of the {elsewhere} {what}: `diffmst data index --about` sets splits"
    )
