"""Does the model listen? Its loss with the right reference and with a wrong one, and the balance it finds.

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
from ..network.powers import band_power
from ..style.losses import audio_feature_loss
from .known import balance_error_db
from .recipes import Recipe
from .tasks import Task, make_task


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
    model: DiffMST, examples: list[HeldOut], recipe: Recipe | None = None
) -> tuple[pd.DataFrame, list[tuple[torch.Tensor, ConsoleParams]]]:
    """Measure the audio-feature loss of each example with its own reference and with another example's.

    Both mixes are compared with the example's own target. A model that ignores the reference has the same
    loss twice. Examples with a known answer are for `judge_balance`, and left out.

    Args:
        model: The model, in eval mode.
        examples: At least two.
        recipe: The recipe whose features, preset and level the loss has; None: our own at -16 LUFS. A model
            that is trained with another loss is judged by audio features, too.

    Returns:
        A table with the columns song, reference, shown instead (the wrong reference), right and wrong (the
        losses); and for each example the mix (2, T) at -16 LUFS and the console with the right reference.
    """
    rows, answers = [], []
    examples = [example for example in examples if example.task.answer is None]
    for i, example in enumerate(examples):
        other = _other(examples, i)
        mix, params = _answer(model, example.task, example.task.reference)
        wrong, _ = _answer(model, example.task, other.task.reference)
        losses = {
            "right": _loss(mix, example.task, params.sample_rate, recipe),
            "wrong": _loss(wrong, example.task, params.sample_rate, recipe),
        }
        rows.append(
            {"song": example.song, "reference": example.reference, "shown instead": other.reference} | losses
        )
        answers.append((normalize_loudness(mix[0], sample_rate=params.sample_rate), params))
    return pd.DataFrame(rows), answers


@torch.no_grad()
def judge_balance(model: DiffMST, examples: list[HeldOut]) -> pd.DataFrame:
    """Measure how well a model restores a disturbed balance, on examples with a known answer.

    Args:
        model: A model of stems, in eval mode.
        examples: Examples; those without a known answer are left out.

    Returns:
        A table with the columns song, balance_before_db and balance_db: how far the levels of the stems are
        from those of the answer, as rms over the audible ones without what they share, in dB
        (`balance_error_db`); as the model gets them, and behind its strips.
    """
    rows = []
    for example in examples:
        task = example.task
        if task.answer is None:
            continue
        params = model.predict(
            task.tracks.to(model.device), task.reference.to(model.device), **_of_tracks(model, task)
        )
        power = band_power(task.tracks, sample_rate=model.config.sample_rate)
        before, after = (
            balance_error_db(task.answer, power, task.mask, done).item() for done in (None, params.to("cpu"))
        )
        rows.append({"song": example.song, "balance_before_db": before, "balance_db": after})
    return pd.DataFrame(rows, columns=["song", "balance_before_db", "balance_db"])


def _answer(model: DiffMST, task: Task, reference: torch.Tensor) -> tuple[torch.Tensor, ConsoleParams]:
    mix, params = model(task.tracks.to(model.device), reference.to(model.device), **_of_tracks(model, task))
    return mix.cpu(), params


def _of_tracks(model: DiffMST, task: Task) -> dict[str, torch.Tensor]:
    return {"pans": task.pans.to(model.device), "mask": task.mask.to(model.device)}


def _loss(mix: torch.Tensor, task: Task, sample_rate: int, recipe: Recipe | None) -> float:
    options = {"preset": recipe.loss_preset, "features": recipe.features} if recipe else {}
    if recipe is None or recipe.normalize:
        mix = normalize_loudness(mix, sample_rate=sample_rate)
    return audio_feature_loss(mix, task.target, sample_rate=sample_rate, **options)["total"].item()


def _other(examples: list[HeldOut], i: int) -> HeldOut:
    """Find the next example with another reference; if there is none, the next one, another moment of it."""
    later = [*examples[i + 1 :], *examples[:i]]
    return next((example for example in later if example.reference != examples[i].reference), later[0])


def summary(table: pd.DataFrame, balance: pd.DataFrame | None = None) -> dict[str, float]:
    """Compute means and medians of the losses of `judge`, and the means of `judge_balance`.

    Args:
        table: The table of `judge`.
        balance: The table of `judge_balance`, if there is one.

    Returns:
        Numbers by name: right, right_median, wrong, wrong_median; with `balance` also balance_before_db and
        balance_db.
    """
    losses = {
        name: float(value)
        for column in ("right", "wrong")
        for name, value in ((column, table[column].mean()), (f"{column}_median", table[column].median()))
    }
    return losses | ({} if balance is None else balance.mean(numeric_only=True).to_dict())
