"""Does it listen? The loss with the right reference beside the loss with a wrong one. Chapters: Method 1, Method 2."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import torch
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..audio.loudness import normalize_loudness
from ..console.params import ConsoleParams
from ..data.examples import collate
from ..model import DiffMST
from ..style.losses import audio_feature_loss
from .methods import Task, make_task
from .recipes import Recipe


@dataclass
class HeldOut:
    """One example to judge by: its task (of a batch of one) and where it comes from."""

    task: Task
    song: str
    reference: str
    names: list[str]


def held_out(
    examples: Dataset, recipe: Recipe, count: int, *, seed: int = 0, progress: str | None = None
) -> list[HeldOut]:
    """The first `count` items of a data set as tasks, the same at every validation; `progress` names a progress bar."""
    found = []
    for item in tqdm(range(count), desc=progress, unit="example", disable=progress is None):
        batch = collate([examples[item]])
        reference = batch.reference_songs[0] or f"random mix {item + 1}, {batch.songs[0]}"
        found.append(
            HeldOut(
                make_task(batch, recipe, range(item, item + 1), seed),
                batch.songs[0],
                reference,
                batch.names[0],
            )
        )
    return found


@torch.no_grad()
def judge(
    model: DiffMST, examples: list[HeldOut]
) -> tuple[pd.DataFrame, list[tuple[torch.Tensor, ConsoleParams]]]:
    """Audio-feature loss of each example with its own reference, `right`, and shown another one's, `wrong`.

    Both mixes are compared with the example's own target. A model that says the same whatever it hears has the same two
    numbers. Returns the table, and the mix (2, T) at -16 LUFS and console of each right answer.
    """
    rows, mixes = [], []
    for i, example in enumerate(examples):
        other = _other(examples, i)
        losses, answers = {}, []
        for name, shown in (("right", example), ("wrong", other)):
            task = example.task
            mix, params = model(
                task.tracks.to(model.device),
                shown.task.reference.to(model.device),
                sides=task.sides.to(model.device),
                mask=task.mask.to(model.device),
            )
            mix = normalize_loudness(mix.cpu(), sample_rate=model.config.sample_rate)
            losses[name] = audio_feature_loss(mix, task.target, sample_rate=model.config.sample_rate)[
                "total"
            ].item()
            answers.append((mix[0], params))
        rows.append(
            {"song": example.song, "reference": example.reference, "shown instead": other.reference} | losses
        )
        mixes.append(answers[0])
    return pd.DataFrame(rows), mixes


def _other(examples: list[HeldOut], i: int) -> HeldOut:
    """The next example with another reference; another moment of the same where there is only one."""
    later = [*examples[i + 1 :], *examples[:i]]
    return next((example for example in later if example.reference != examples[i].reference), later[0])


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Mean and median of both columns of `judge`."""
    return {
        name: float(value)
        for column in ("right", "wrong")
        for name, value in ((column, table[column].mean()), (f"{column}_median", table[column].median()))
    }


def constants(examples: Iterable[HeldOut]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tracks (K, T) and references (K', 2, T) of tasks, for `DiffMST.standardize`."""
    tasks = [example.task for example in examples]
    return torch.cat([task.tracks[task.mask] for task in tasks]), torch.cat(
        [task.reference for task in tasks]
    )
