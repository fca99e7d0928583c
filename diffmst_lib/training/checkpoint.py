"""A training on disk: one safetensors file with everything needed to resume, written whole or not at all.

Chapter: Training at scale.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from ..audio.remarks import few
from ..data.songs import Song
from ..disk import why, write_whole
from ..inputs import InputError, note
from ..network.checkpoint import CONFIG, WEIGHTS, check_weights
from ..style.own_features import own_features
from .own_loss import qualified_name
from .recipes import Recipe

FORMAT, VERSION = "diffmst-training", 3  # before it a strip was a mono channel: the first edition
CHECKPOINT = "checkpoint.safetensors"
MAY_CHANGE = ("steps", "devices")  # parts of the identity that may differ when a training is resumed
# What a training means that began before a recipe had the field.
BEFORE = {one.name: one.default for one in fields(Recipe) if one.default is not MISSING}
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
            way_out = "a lower learning rate" + (" or float32" if precision != "float32" else "")
            raise InputError(
                f"{self.skipped} of {self.step} updates had gradients that are not finite: {way_out} may keep "
                "them finite"
            )


def identity_of(recipe: Recipe, seed: int, songs: Iterable[Song], devices: int) -> Identity:
    """Identify a training: by these, a checkpoint is known to belong to it.

    Args:
        recipe: The recipe. An own loss and own features are known by their names.
        seed: Seed of all random choices.
        songs: Its songs and references, in any order; their number and a digest of names and splits are kept.
        devices: Number of processes.

    Returns:
        The fields of the recipe, its model's configuration, and "seed", "data" and "devices".
    """
    lines = sorted(f"{song.split}/{song.name}" for song in songs)
    digest = hashlib.sha256("\n".join(lines).encode("utf-8", errors="surrogateescape")).hexdigest()
    of_recipe = {one.name: getattr(recipe, one.name) for one in fields(recipe)} | {
        "model": asdict(recipe.config),
        "loss": recipe.loss_name,
        "features": [
            [name, one.function and qualified_name(one.function), one.weight]
            for name, one in sorted(own_features(recipe.features).items())
        ],
    }
    about = of_recipe | {
        "seed": seed,
        "data": f"{len(lines)} songs, names and splits {digest[:8]}",
        "devices": devices,
    }
    return json.loads(json.dumps(about))


def differences(before: Identity, now: Identity) -> list[str]:
    """List what differs between two identities or configurations, with the old and the new value.

    Example:
        >>> differences({"pull": 0.1, "model": {"width": 32}}, {"pull": 0.0, "model": {"width": 64}})
        ['pull 0.1, now 0.0', 'model.width 32, now 64']
    """
    listed = []
    for name, value in now.items():
        old = before.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            listed += [f"{name}.{one}" for one in differences(old, value)]
        elif old != value:
            listed.append(f"{name} {old}, now {value}")
    return listed


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


def steps_done(folder: Path, recipe: Recipe, identity: Identity) -> int:
    """Tell how far the training in a folder is, if it may go on as this one.

    Other devices and another number of steps are allowed, with an `InputNote`.

    Args:
        folder: Folder of the training.
        recipe: The recipe with which it is to go on.
        identity: Which training is to be resumed, by `identity_of`.

    Returns:
        Number of steps done.

    Raises:
        InputError: In one line, when there is no checkpoint, or when it is broken or of another training.
    """
    path = folder / CHECKPOINT
    about, _ = _read(path, tensors=False)
    before, done = json.loads(json.dumps(BEFORE)) | about["identity"], about["progress"]["step"]
    same = {name: identity[name] for name in MAY_CHANGE}
    differs = differences(before | same, identity)
    if differs:
        way_out = "go on as it began, or begin anew in another folder"
        if before["model"] == identity["model"]:
            way_out += f" (--init {folder} or init= starts from its weights)"
        raise InputError(f"{path}: another training: {few(differs)}: {way_out}")
    if recipe.steps < done:
        raise InputError(
            f"{path}: {done} steps are done, more than the {recipe.steps} asked for: ask for more of them, or "
            "begin anew in another folder"
        )
    if before["devices"] != identity["devices"]:
        note(f"{path}: began with {before['devices']} devices, goes on with {identity['devices']}")
    if recipe.steps == done:
        note(f"{folder}: finished, all {done} steps are done; it would go on with a higher number of steps")
    elif before["steps"] != recipe.steps:
        message = f"{folder}: goes on from step {done} to {recipe.steps}, not to {before['steps']}"
        if recipe.schedule != "constant":
            message += (
                f"; the learning rate goes on at {recipe.rate(done):.2g}, where the {recipe.schedule} schedule "
                f"of {recipe.steps} steps is by then"
            )
        note(message)
    return done


def load_checkpoint(
    folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None
) -> Progress:
    """Load a checkpoint into model and optimizer; `steps_done` tells whether it is the right one.

    Args:
        folder: Folder of the training.
        model: The model, which gets the weights.
        optimizer: The optimizer, which gets its state; None: the weights are enough.

    Returns:
        How far the training is.

    Raises:
        InputError: In one line, when there is no checkpoint, when it is broken, or when its weights are those
            of another class of models, or of a part of one's own that has changed since.
    """
    about, tensors = _read(folder / CHECKPOINT)
    weights = {
        name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")
    }
    check_weights(folder / CHECKPOINT, weights, model)
    model.load_state_dict(weights)
    for name, parameter in model.named_parameters() if optimizer else ():
        state = {
            key: tensors[f"optimizer.{key}.{name}"]
            for key in ("step", "exp_avg", "exp_avg_sq")
            if f"optimizer.{key}.{name}" in tensors
        }
        if any(key != "step" and value.shape != parameter.shape for key, value in state.items()):
            raise _useless(folder / CHECKPOINT, f"the state of the optimizer for {name} does not fit")
        if optimizer and state:
            optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter) for key, value in state.items()
            }
    return Progress(**about["progress"])


def _read(path: Path, *, tensors: bool = True) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read what a checkpoint says about itself, and its tensors."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            found = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118
    except RecursionError:
        raise _useless(path, "not a checkpoint, its brackets are nested too deeply") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise _useless(path, f"not a whole checkpoint ({why(error)})") from None
    about = about if isinstance(about, dict) else {}
    version = about.get("version")
    if about.get("format") == FORMAT and type(version) is int and version in range(1, VERSION):
        raise InputError(
            f"{path}: a training of the first edition, whose console had mono channels: begin anew in "
            "another folder"
        )
    if about.get("format") != FORMAT or type(version) is not int or version != VERSION:
        raise _useless(path, "not a checkpoint of a training by this version of diffmst_lib")
    if wrong := _wrong_field(about):
        raise _useless(path, f"not a checkpoint of a training, its {wrong} is missing or of a wrong kind")
    return about, found


def _wrong_field(about: dict[str, Any]) -> str | None:
    """Find what a checkpoint says about itself that no training would say; None when all is well."""
    identity, progress = about.get("identity"), about.get("progress")
    if not isinstance(identity, dict) or not isinstance(progress, dict):
        return "identity" if isinstance(progress, dict) else "progress"
    for name, kind in (("model", dict), ("steps", int), ("devices", int)):
        if type(identity.get(name)) is not kind:
            return f"identity.{name}"
    if unknown := progress.keys() ^ {one.name for one in fields(Progress)}:
        return f"progress.{min(unknown)}"
    numbers = {name: progress[name] for name in ("step", "skipped")}
    fits = {name: type(value) is int and 0 <= value < 1e15 for name, value in numbers.items()}
    fits["seconds"] = _is_number(progress["seconds"]) and 0 <= progress["seconds"] < 1e15
    fits["losses"] = isinstance(progress["losses"], list) and all(map(_is_number, progress["losses"]))
    scaler = progress["scaler"]
    fits["scaler"] = isinstance(scaler, dict) and all(map(_is_number, scaler.values()))
    return next((f"progress.{name}" for name, good in fits.items() if not good), None)


def _is_number(value: object) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 1e15)


def _useless(path: Path, what: str) -> InputError:
    """Say what is wrong with a checkpoint, and how to go on without it."""
    folder = path.parent
    if (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file():
        way_out = f"begin anew in another folder; --init {folder} or init= starts from the weights beside it"
    else:
        way_out = "remove it or name another folder, and begin anew"
    return InputError(f"{path}: {what}: {way_out}")
