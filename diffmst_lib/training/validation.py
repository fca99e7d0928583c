"""Does the model listen? Its loss with the right reference, and with a wrong one.

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
    """One example to judge a model by.

    Attributes:
        task: Its task, a batch of one.
        song: Name of the song of its tracks.
        reference: Name of its reference.
        names: Names of its tracks.
    """

    task: Task
    song: str
    reference: str
    names: list[str]


def held_out(
    examples: Dataset, recipe: Recipe, count: int, *, seed: int = 0, progress: str | None = None
) -> list[HeldOut]:
    """Make tasks of the first items of a data set, always the same.

    Args:
        examples: The data set.
        recipe: The recipe of the tasks.
        count: Number of items.
        seed: Seed of the tasks.
        progress: Name of a progress bar; None for none.

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
    """Measure the audio-feature loss of each example with its own reference and with another example's.

    Both mixes are compared with the example's own target. A model that ignores the reference has the same
    loss twice.

    Args:
        model: The model, in eval mode.
        examples: At least two.

    Returns:
        A table with the columns song, reference, shown instead (the wrong reference), right and wrong (the
        losses); and for each example the mix (2, T) at -16 LUFS and the console with the right reference.
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
        pans=task.pans.to(model.device),
        mask=task.mask.to(model.device),
    )
    return normalize_loudness(mix.cpu(), sample_rate=model.config.sample_rate), params


def _loss(model: DiffMST, mix: torch.Tensor, task: Task) -> float:
    return audio_feature_loss(mix, task.target, sample_rate=model.config.sample_rate)["total"].item()


def _other(examples: list[HeldOut], i: int) -> HeldOut:
    """Find the next example with another reference; if there is none, the next one, another moment of it."""
    later = [*examples[i + 1 :], *examples[:i]]
    return next((example for example in later if example.reference != examples[i].reference), later[0])


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Compute means and medians of the losses of `judge`: right, right_median, wrong, wrong_median."""
    return {
        name: float(value)
        for column in ("right", "wrong")
        for name, value in ((column, table[column].mean()), (f"{column}_median", table[column].median()))
    }
