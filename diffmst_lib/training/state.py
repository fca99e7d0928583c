"""A training on disk: one safetensors file with all that it takes to go on, replaced whole or not at all. Chapter 14."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from ..audio import InputError, write_whole
from .recipes import Recipe

FORMAT, VERSION = "diffmst-training", 1
CHECKPOINT = "checkpoint.safetensors"


@dataclass
class Progress:
    """How far a training is: steps done, seconds they took, updates skipped, losses since the last row of the log, and
    the scale of fp16's gradients.

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
        return {"step": self.step, "seconds": round(self.seconds, 2), "loss": mean, "learning_rate": learning_rate,
                "gradient_norm": norm, "skipped": self.skipped}


def save_state(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, seed: int, progress: Progress
) -> None:
    """Write the checkpoint of a training; InputError when it cannot be written, and then the old one is still there."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        tensors |= {f"optimizer.{key}.{name}": torch.as_tensor(value)
                    for key, value in optimizer.state.get(parameter, {}).items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    about = {"format": FORMAT, "version": VERSION, "recipe": asdict(recipe), "seed": seed, "progress": asdict(progress)}
    data = serialize(tensors, {"about": json.dumps(about)})
    try:
        write_whole(folder / CHECKPOINT, lambda part: part.write_bytes(data))
    except OSError as error:
        raise InputError(f"{folder / CHECKPOINT}: not written ({error.strerror or error})") from None


def load_state(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, seed: int
) -> Progress:
    """Put a checkpoint into model and optimizer. InputError when there is none, when it is broken or of another recipe."""
    path = folder / CHECKPOINT
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a whole checkpoint ({getattr(error, 'strerror', None) or error})") from None
    if (about.get("format"), about.get("version")) != (FORMAT, VERSION):
        raise InputError(f"{path}: not a checkpoint of a training by this version of diffmst_lib")
    before, now = about["recipe"] | {"seed": about["seed"]}, json.loads(json.dumps(asdict(recipe))) | {"seed": seed}
    differs = [name for name in now if before.get(name) != now[name]]
    if differs:
        name = differs[0]
        raise InputError(f"{path}: a training with {name} {before.get(name)}, not {now[name]}: go on as it began, "
                         "or begin anew in another folder")
    model.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items()
                           if name.startswith("model.")})
    for name, parameter in model.named_parameters():
        state = {key: tensors[f"optimizer.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
                 if f"optimizer.{key}.{name}" in tensors}
        if state:
            optimizer.state[parameter] = {key: value if key == "step" else value.to(parameter)
                                          for key, value in state.items()}
    return Progress(**about["progress"])
