"""The examples of a training: those it learns from, read in batches, and those that judge the model.

Chapter: Training at scale.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..data.batches import Batch, loader
from ..data.examples import Alternating, Method1, Method2
from ..data.index import SongIndex
from ..data.songs import Song
from ..inputs import InputError, note
from .advice import no_records, no_stems, none_in_split
from .hardware import Hardware
from .recipes import Recipe
from .same_sounds import note_judged_on_learned
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
    songs = songs_of(index, split)
    if recipe.method == 1:
        return Method1(songs, recipe.sampling, seed=seed)
    records = records_of(index, references, split)
    real = Method2(songs, records, recipe.sampling, seed=seed)
    if not recipe.known or split != "train":
        return real
    known = Method1(songs, recipe.known_sampling, seed=seed)
    return Alternating(known, real, share=recipe.known, batch_size=recipe.batch_size)


def songs_of(index: SongIndex, split: str) -> list[Song]:
    """Return the songs of a split that have stems; InputError in one line when there are none."""
    songs = index.multitracks(split)
    if not songs:
        elsewhere = index.multitracks()
        if not elsewhere:
            raise no_stems(path for song in index for path in song.mix.source.paths)
        raise none_in_split("songs with stems", split, elsewhere, None)
    return songs


def records_of(index: SongIndex, references: SongIndex | None, split: str) -> list[Song]:
    """Return the references of a split, those of `references` where it is given; InputError as `songs_of`."""
    records = (references or index).references(split)
    if not records:
        elsewhere = (references or index).references()
        if not elsewhere:
            raise no_records(index, references)
        raise none_in_split("references", split, elsewhere, references)
    return records


def note_mono(recipe: Recipe, index: SongIndex) -> None:
    """Say with an `InputNote` when no stem to train on is stereo, so that no width can be learned."""
    stems = [stem for song in index.multitracks("train") for stem in song.stems]
    if recipe.config.stems and stems and all(stem.mono for stem in stems):
        note(
            f"none of the {len(stems)} stems to train on is stereo: the model cannot learn to set their width"
        )


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

    An `InputNote` says so in that case, when songs of both splits sound alike, and when all examples have the
    same reference. A recipe with
    tasks of a known answer is judged on as many of these as well, from the same songs; when there are none,
    because they are too short for two moments, a note says that.

    Args:
        recipe: The recipe of the training.
        index: Songs with stems and, for method 2, finished songs as references.
        references: A separate index of the references; None: those of `index`.
        count: Number of examples.
        seed: Seed of all random choices.
        progress: Whether to show a progress bar.

    Returns:
        The examples with their tasks, those with a known answer last.

    Raises:
        InputError: In one line, when neither split has any.
    """
    real, split = replace(recipe, known=0.0), "validation"
    try:
        examples = examples_of(real, index, references, split=split, seed=seed)
    except InputError as error:
        note(f"judged on what it is trained on ({error})")
        split = "train"
        examples = examples_of(real, index, references, seed=seed)
    else:
        note_judged_on_learned(index, None if recipe.method == 1 else references or index)
    judged = held_out(examples, recipe, count, seed=seed, progress="to judge by" if progress else None)
    names = {example.reference for example in judged}
    if len(names) == 1:
        note(f'validation has one reference, {names.pop()}: "wrong" is another moment of it')
    if recipe.method == 1 or not recipe.known:
        return judged
    try:
        known = Method1(index.multitracks(split), recipe.known_sampling, seed=seed)
        return judged + held_out(known, recipe, count, seed=seed)
    except InputError as error:
        note(f"the balance is not judged ({error})")
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
