"""What a training writes while it runs: logs, validations, checkpoints. Chapter: Training at scale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from tqdm.auto import tqdm

from ..model import DiffMST
from .checkpoint import Identity, Progress, save_checkpoint
from .logs import LOG, VALIDATION, Logs
from .recipes import Recipe
from .validation import HeldOut, judge, judge_balance, summary

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOG_EVERY = 10  # steps
EXAMPLES_KEPT = 2  # examples of a validation whose mixes are written


class Recorder:
    """Everything that a training writes. Only the first of several processes writes; all must call `log`.

    Args:
        fabric: The processes of the training.
        recipe: The recipe.
        folder: Where to write.
        model: The model.
        optimizer: The optimizer of its weights.
        identity: Which training it is.
        state: How far it is.
        judged: Examples to judge the model by.
        progress: Whether to show a progress bar.
    """

    def __init__(
        self,
        fabric: Fabric,
        recipe: Recipe,
        folder: Path,
        model: DiffMST,
        optimizer: torch.optim.Optimizer,
        *,
        identity: Identity,
        state: Progress,
        judged: list[HeldOut],
        progress: bool,
    ):
        self.fabric, self.recipe, self.folder = fabric, recipe, folder
        self.model, self.optimizer = model, optimizer
        self.identity, self.state, self.judged = identity, state, judged
        self.logs = Logs(folder, state.step) if fabric.is_global_zero else None
        self.bar = tqdm(total=recipe.steps, initial=state.step, unit="step", disable=not progress)

    def start(self) -> None:
        """Validate a new training; for a resumed one write the model, in case the stopped run did not."""
        if self.logs and self.state.step:
            self.model.save_pretrained(self.folder)
        else:
            self.validate()

    def log(self, norm: float) -> None:
        """Advance the bar; every ten steps and at the end, add a row with the mean loss of all processes."""
        step = self.state.step
        if step % LOG_EVERY == 0 or step == self.recipe.steps:
            row = self.state.row(self.recipe.rate(step - 1), norm)
            row["loss"] = float(self.fabric.all_reduce(torch.tensor(row["loss"]), reduce_op="mean"))
            if self.logs:
                self.logs.add(LOG, row)
            self.bar.set_postfix(loss=f"{row['loss']:.4f}", refresh=False)
        self.bar.update()

    def validate(self) -> None:
        """Judge the model; write a row, and mixes and consoles of the first examples."""
        if not self.logs:
            return
        state = self.state
        self.model.eval()
        table, answers = judge(self.model, self.judged, self.recipe)
        known = any(example.task.answer is not None for example in self.judged)
        balance = judge_balance(self.model, self.judged) if known else None
        self.model.train()
        row = {"step": state.step, "seconds": round(state.seconds, 1)} | summary(table, balance)
        self.logs.add(VALIDATION, row)
        for i, (mix, params) in enumerate(answers[:EXAMPLES_KEPT]):
            self.logs.add_example(i + 1, self.judged[i], mix, params, state.step)

    def save(self) -> None:
        """Write the checkpoint, and the model for `DiffMST.from_pretrained`."""
        if not self.logs:
            return
        self.state.scaler = self.fabric.strategy.precision.state_dict()
        save_checkpoint(self.folder, self.model, self.optimizer, self.identity, self.state)
        self.model.save_pretrained(self.folder)

    def frame(self, name: str) -> pd.DataFrame:
        """Return one of the two tables of the logs; it is empty in a process that does not write."""
        return self.logs.frame(name) if self.logs else pd.DataFrame()

    def close(self) -> None:
        """Write what has not been written yet, and end the bar."""
        self.bar.close()
        if self.logs:
            self.logs.close()
