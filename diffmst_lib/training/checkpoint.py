"""A training on disk: one safetensors file with all that it takes to go on, replaced whole or not at all. Chapter: Training at scale."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from ..disk import write_whole
from ..inputs import InputError, InputNote
from .recipes import Recipe

FORMAT, VERSION = "diffmst-training", 1
CHECKPOINT = "checkpoint.safetensors"


@dataclass
class Progress:
    """How far a training is: steps done, seconds they took (without validations), updates skipped, losses since the last
    row of the log, and the scale of fp16's gradients.

    With the seed that is all there is to know: what is drawn is a function of the seed and the step.
    """

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    losses: list[float] = field(default_factory=list)
    scaler: dict[str, float] = field(default_factory=dict)

    def add(self, loss: float, norm: float, seconds: float) -> None:
        """One more step, with its loss and the length of its gradient."""
        self.step, self.seconds = self.step + 1, self.seconds + seconds
        self.skipped += not math.isfinite(norm)
        self.losses.append(loss)

    def row(self, learning_rate: float, norm: float) -> dict[str, float]:
        """A row of the log, with the mean loss since the one before."""
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


def save_state(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, begun: dict, progress: Progress
) -> None:
    """Write the checkpoint of a training; InputError when it cannot be written, and then the old one is still there.

    `begun` is what `description` says of the training.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        tensors |= {
            f"optimizer.{key}.{name}": torch.as_tensor(value)
            for key, value in optimizer.state.get(parameter, {}).items()
        }
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    about = {"format": FORMAT, "version": VERSION, "begun": begun, "progress": asdict(progress)}
    data = serialize(tensors, {"about": json.dumps(about)})
    try:
        write_whole(folder / CHECKPOINT, lambda part: part.write_bytes(data))
    except OSError as error:
        raise InputError(f"{folder / CHECKPOINT}: not written ({error.strerror or error})") from None


def description(recipe: Recipe, seed: int, names: list[str], devices: int) -> dict:
    """What a training must keep when it goes on: its recipe and seed; and what it should keep, data and devices."""
    config = json.loads(json.dumps(asdict(recipe) | {"model": asdict(recipe.config)}))
    songs = hashlib.sha256("\n".join(sorted(names)).encode("utf-8", errors="surrogateescape")).hexdigest()
    return config | {"seed": seed, "data": songs, "devices": devices}


def load_state(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, begun: dict
) -> Progress:
    """Put a checkpoint into model and optimizer. InputError when there is none, when it is broken or of another recipe.

    Other data or another number of devices are told in an `InputNote`.
    """
    path = folder / CHECKPOINT
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a whole checkpoint ({getattr(error, 'strerror', None) or error})"
        ) from None
    if (about.get("format"), about.get("version")) != (FORMAT, VERSION):
        raise InputError(f"{path}: not a checkpoint of a training by this version of diffmst_lib")
    before = about["begun"]
    differs = [name for name in begun if before.get(name) != begun[name]]
    for name in set(differs) & {"data", "devices"}:
        warnings.warn(f"{path}: it goes on with other {name} than it began with", InputNote, stacklevel=3)
    differs = [name for name in differs if name not in ("data", "devices")]
    if differs:
        name = differs[0]
        values = "another model" if name == "model" else f"{name} {before.get(name)}, not {begun[name]}"
        raise InputError(
            f"{path}: a training with {values}: go on as it began, or begin anew in another folder"
        )
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
