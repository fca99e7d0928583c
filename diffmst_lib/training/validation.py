"""Does it listen? The loss with the right reference beside the loss with a wrong one.

Chapters: Method 1, Method 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..audio.loudness import normalize_loudness
from ..console.params import ConsoleParams
from ..data.batches import collate
from ..model import DiffMST
from ..style.losses import audio_feature_loss
from .methods import Task, make_task
from .recipes import Recipe


@dataclass
class HeldOut:
    """One example to judge by.

    Attributes:
        task: Its task, of a batch of one.
        song: Where its tracks come from.
        reference: Where its reference comes from.
        names: Of its tracks.
    """

    task: Task
    song: str
    reference: str
    names: list[str]


def held_out(
    examples: Dataset, recipe: Recipe, count: int, *, seed: int = 0, progress: str | None = None
) -> list[HeldOut]:
    """The first items of a data set with their tasks, the same at every validation.

    Args:
        examples: The data set.
        recipe: What makes tasks of its items.
        count: How many.
        seed: Of the tasks.
        progress: The name of a progress bar, None for none.

    Returns:
        The examples.
    """
    chosen = []
    for item in tqdm(range(count), desc=progress, unit="example", disable=progress is None):
        batch = collate([examples[item]])
        reference = batch.reference_songs[0] or f"random mix {item + 1}, {batch.songs[0]}"
        chosen.append(HeldOut(make_task(batch, recipe, seed), batch.songs[0], reference, batch.names[0]))
    return chosen


@torch.no_grad()
def judge(
    model: DiffMST, examples: list[HeldOut]
) -> tuple[pd.DataFrame, list[tuple[torch.Tensor, ConsoleParams]]]:
    """Measure the audio-feature loss of each example with its own reference, and shown another one's.

    Both mixes are compared with the example's own target. A model that gives the same mix whatever its
    reference is has the same two numbers.

    Args:
        model: The model, in eval mode.
        examples: At least two.

    Returns:
        A table with the columns song, reference, shown instead, right and wrong; and of each right answer the
        mix (2, T) at -16 LUFS and the console.
    """
    rows, answers = [], []
    for i, example in enumerate(examples):
        other = _other(examples, i)
        mix, params = _answer(model, example.task, example.task.reference)
        wrong, _ = _answer(model, example.task, other.task.reference)
        losses = {"right": _loss(model, mix, example.task), "wrong": _loss(model, wrong, example.task)}
        rows.append(
            {"song": example.song, "reference": example.reference, "shown instead": other.reference} | losses
        )
        answers.append((mix[0], params))
    return pd.DataFrame(rows), answers


def _answer(model: DiffMST, task: Task, reference: torch.Tensor) -> tuple[torch.Tensor, ConsoleParams]:
    mix, params = model(
        task.tracks.to(model.device),
        reference.to(model.device),
        sides=task.sides.to(model.device),
        mask=task.mask.to(model.device),
    )
    return normalize_loudness(mix.cpu(), sample_rate=model.config.sample_rate), params


def _loss(model: DiffMST, mix: torch.Tensor, task: Task) -> float:
    return audio_feature_loss(mix, task.target, sample_rate=model.config.sample_rate)["total"].item()


def _other(examples: list[HeldOut], i: int) -> HeldOut:
    """The next example with another reference; another moment of the same where there is only one."""
    later = [*examples[i + 1 :], *examples[:i]]
    return next((example for example in later if example.reference != examples[i].reference), later[0])


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Mean and median of both columns of `judge`: right, right_median, wrong, wrong_median."""
    return {
        name: float(value)
        for column in ("right", "wrong")
        for name, value in ((column, table[column].mean()), (f"{column}_median", table[column].median()))
    }
