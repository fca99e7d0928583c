"""A training on disk: one safetensors file with everything needed to resume, written whole or not at all.

Chapter: Training at scale.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from ..disk import why, write_whole
from ..inputs import InputError, note
from .recipes import Recipe

FORMAT, VERSION = "diffmst-training", 3  # before it a strip was a mono channel: the first edition
CHECKPOINT = "checkpoint.safetensors"
MAY_CHANGE = ("data", "devices")  # parts of the identity that may differ when a training is resumed
SKIPPED_AT_LEAST = {"float32": 1, "bf16": 1, "fp16": 10}  # updates that may be skipped at first, later 1 %

Identity = dict[str, Any]


@dataclass
class Progress:
    """How far a training is. All random choices follow from the seed and the step, so no more is needed.

    Attributes:
        step: Number of steps done.
        seconds: Time that they took, without validations, in seconds.
        skipped: Number of updates skipped because their gradient was not finite.
        losses: Losses of the steps since the last row of the log.
        scaler: State of the scaler of fp16's gradients.
    """

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    losses: list[float] = field(default_factory=list)
    scaler: dict[str, float] = field(default_factory=dict)

    def add(self, loss: float, norm: float, seconds: float) -> None:
        """Count one more step, and whether its update was skipped.

        Args:
            loss: Its loss.
            norm: The norm of its gradient; not finite when the update was skipped.
            seconds: Time that it took, in seconds.
        """
        self.step, self.seconds = self.step + 1, self.seconds + seconds
        self.skipped += not math.isfinite(norm)
        self.losses.append(loss)

    def row(self, learning_rate: float, norm: float) -> dict[str, float]:
        """Make a row of the log, with the mean loss since the last row."""
        mean = sum(self.losses) / len(self.losses)
        self.losses.clear()
        return {
            "step": self.step,
            "seconds": round(self.seconds, 2),
            "loss": mean,
            "learning_rate": learning_rate,
            "gradient_norm": norm,
            "skipped": self.skipped,
        }

    def check_skipped(self, precision: str) -> None:
        """Raise InputError when more than 1 % of the updates were skipped, and more than allowed at first."""
        if self.skipped > max(SKIPPED_AT_LEAST[precision], 0.01 * self.step):
            raise InputError(
                f"{self.skipped} of {self.step} updates had gradients that are not finite: lower the "
                "learning rate, or train in float32"
            )


def identity_of(recipe: Recipe, seed: int, names: Iterable[str], devices: int) -> Identity:
    """Identify a training: by these, a checkpoint is known to belong to it.

    Args:
        recipe: The recipe.
        seed: Seed of all random choices.
        names: Names of its songs, in any order; a digest of them is kept.
        devices: Number of processes.

    Returns:
        The fields of the recipe, its model's configuration, and "seed", "data" and "devices".
    """
    of_recipe = json.loads(json.dumps(asdict(recipe) | {"model": asdict(recipe.config)}))
    songs = hashlib.sha256("\n".join(sorted(names)).encode("utf-8", errors="surrogateescape")).hexdigest()
    return of_recipe | {"seed": seed, "data": songs, "devices": devices}


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: Identity,
    progress: Progress,
) -> None:
    """Write the checkpoint of a training.

    Args:
        folder: Folder of the training.
        model: The model, whose weights are saved.
        optimizer: The optimizer, whose state is saved.
        identity: Which training it is.
        progress: How far it is.

    Raises:
        InputError: When it cannot be written; the previous checkpoint is kept.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        tensors |= {
            f"optimizer.{key}.{name}": torch.as_tensor(value)
            for key, value in optimizer.state.get(parameter, {}).items()
        }
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    about = {"format": FORMAT, "version": VERSION, "identity": identity, "progress": asdict(progress)}
    data = serialize(tensors, {"about": json.dumps(about)})
    try:
        write_whole(folder / CHECKPOINT, lambda part: part.write_bytes(data))
    except OSError as error:
        raise InputError(f"{folder / CHECKPOINT}: not written ({why(error)})") from None


def load_checkpoint(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, identity: Identity
) -> Progress:
    """Load a checkpoint into model and optimizer. Other data or devices are allowed, with an `InputNote`.

    Args:
        folder: Folder of the training.
        model: The model, which gets the weights.
        optimizer: The optimizer, which gets its state.
        identity: Which training is to be resumed.

    Returns:
        How far the training is.

    Raises:
        InputError: In one line, when there is no checkpoint, or when it is broken or of another training.
    """
    path = folder / CHECKPOINT
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a whole checkpoint ({why(error)})") from None
    if about.get("format") == FORMAT and about.get("version") in range(1, VERSION):
        raise InputError(
            f"{path}: a training of the first edition, whose console had mono channels: begin anew in "
            "another folder"
        )
    if (about.get("format"), about.get("version")) != (FORMAT, VERSION):
        raise InputError(f"{path}: not a checkpoint of a training by this version of diffmst_lib")
    _check_identity(path, about["identity"], identity)
    model.load_state_dict(
        {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    )
    for name, parameter in model.named_parameters():
        state = {
            key: tensors[f"optimizer.{key}.{name}"]
            for key in ("step", "exp_avg", "exp_avg_sq")
            if f"optimizer.{key}.{name}" in tensors
        }
        if state:
            optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter) for key, value in state.items()
            }
    return Progress(**about["progress"])


def _check_identity(path: Path, before: Identity, identity: Identity) -> None:
    differs = [name for name in identity if before.get(name) != identity[name]]
    for name in differs:
        if name in MAY_CHANGE:
            note(f"{path}: it goes on with other {name} than it began with")
            continue
        values = "another model" if name == "model" else f"{name} {before.get(name)}, not {identity[name]}"
        raise InputError(
            f"{path}: a training with {values}: go on as it began, or begin anew in another folder"
        )
