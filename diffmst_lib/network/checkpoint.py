"""Models on disk: weights as safetensors, the configuration as JSON beside them; nothing is unpickled.

Chapter: The controller.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import nn

from ..console.reading import in_one_line, quoted
from ..console.table import SECTIONS, param_table
from ..disk import data_dir, output_folder, why, write_together
from ..inputs import InputError
from .config import FIELDS, PRESETS, ModelConfig

FORMAT, VERSION = "diffmst-model", 4
WEIGHTS, CONFIG = "model.safetensors", "config.json"

Model = TypeVar("Model", bound=nn.Module)


def save(model: nn.Module, config: ModelConfig, folder: str | Path, *, half: bool = False) -> Path:
    """Write model.safetensors and config.json into `folder`, both or neither.

    Args:
        model: The model.
        config: Its configuration.
        folder: Where to write; it is created if need be.
        half: Whether to write the parameters in half precision, in half the space. The input constants keep
            theirs, since a level in dB does not fit into half precision well.

    Returns:
        The folder.

    Raises:
        InputError: In one line, when nothing can be written there.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        weights |= {name: weights[name].half() for name, _ in model.named_parameters()}
    about = {"format": FORMAT, "version": VERSION, "config": asdict(config), "console": _console(config)}
    if not str(folder):
        raise InputError("an empty name is no folder for a model")
    with output_folder(folder, (WEIGHTS, CONFIG)) as folder:
        write_together(
            folder,
            {  # safetensors' save_file would hide the weights from other users
                WEIGHTS: lambda path: path.write_bytes(serialize(weights)),
                CONFIG: lambda path: path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8"),
            },
        )
    return folder


def load(make: Callable[[ModelConfig], Model], name: str | Path) -> Model:
    """Load a model from its folder, or by name one that comes with the library.

    Args:
        make: What builds a model from a configuration: its class.
        name: The folder, or the name.

    Returns:
        The model, in eval mode.

    Raises:
        InputError: In one line, for anything that is not a whole model of this version.
    """
    folder = find(name)
    config = _read_config(folder / CONFIG)
    weights = {key: in_single(tensor) for key, tensor in _read_weights(folder / WEIGHTS).items()}
    try:
        with torch.device("meta"):  # shapes without numbers cost nothing, whatever the configuration asks for
            empty = make(config)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder / CONFIG}: makes no model ({why(error)})") from error
    check_weights(folder / WEIGHTS, weights, empty)
    for key, tensor in weights.items():
        impossible = key.endswith(".deviation") and not bool((tensor > 0).all())
        if impossible or not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{folder / WEIGHTS}: {key} holds NaN, infinite or impossible values")
    model = make(config)
    model.load_state_dict(weights)
    return model.eval()


def in_single(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in single precision where it was stored in half, otherwise as it is."""
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def check_weights(path: Path, weights: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    """Check that weights are those of a model: that names, shapes and types fit.

    Args:
        path: Their file, for the message.
        weights: The weights by name.
        model: The model, of whatever class; it may be on the device "meta".

    Raises:
        InputError: In one line, with the first that does not fit.
    """
    wanted, kind = model.state_dict(), type(model).__name__
    missing, extra = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    if missing or extra:
        what = f"lacks {missing[0]}" if missing else f"has {extra[0]}, which a {kind} like this does not"
        raise InputError(f"{path}: weights of another model ({what}; {len(missing + extra)} such names)")
    for key, tensor in weights.items():
        if tensor.shape != wanted[key].shape:
            raise InputError(
                f"{path}: weights of another model: {key} is {tuple(tensor.shape)}, a {kind} like this has "
                f"{tuple(wanted[key].shape)}"
            )
        if tensor.dtype != wanted[key].dtype:
            raise InputError(f"{path}: {key} is {tensor.dtype}, not {wanted[key].dtype}")


def find(name: str | Path) -> Path:
    """Find a model's folder: `name` itself, or where the library keeps the weights of that name.

    Raises:
        InputError: In one line, when there is no model.
    """
    folder = Path(name)
    try:
        if not (folder / CONFIG).exists():
            ours = {path.parent.name: path.parent for path in data_dir().glob(f"weights/*/{CONFIG}")}
            folder = ours.get(str(name), folder)
            if str(name) in PRESETS and str(name) not in ours:
                have = ", ".join(sorted(ours))
                raise InputError(
                    f"no weights of {name!r} come with this version of diffmst_lib ({have or 'none do'}); "
                    "name a folder with a trained model"
                )
        if not str(name) or not folder.is_dir():
            raise InputError(
                f"{name or 'an empty name'}: no such folder with a model ({WEIGHTS} and {CONFIG})"
            )
        for file in (CONFIG, WEIGHTS):
            if not (folder / file).is_file():
                raise InputError(f"{folder}: no model, {file} is missing")
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({why(error)})") from None
    return folder


def _console(config: ModelConfig) -> dict[str, list[list[Any]]]:
    """List names and ranges of the knobs: weights trained for others would set the wrong values."""
    return {
        section: [
            [s.name, s.low, s.high, s.scale] for s in param_table(section, config.console, config.sample_rate)
        ]
        for section in SECTIONS
    }


def _read_config(path: Path) -> ModelConfig:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise InputError(f"{path}: cannot be read as JSON (its brackets are nested too deeply)") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({why(error)})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{path}: not the configuration of a Diff-MST model")
    version = data.get("version")
    if type(version) is int and version in range(1, VERSION):
        raise InputError(
            f"{path}: weights of the first edition (version {version} of the format): train again, or use "
            "diffmst_lib 0.2.0"
        )
    if type(version) is not int or version != VERSION:
        raise InputError(f"{path}: version {quoted(version)} of the format, this library reads {VERSION}")
    values = data.get("config")
    if not isinstance(values, dict) or values.keys() != FIELDS:
        wrong = sorted(set(values) ^ FIELDS) if isinstance(values, dict) else ["config"]
        raise InputError(
            in_one_line(f"{path}: from another version of diffmst_lib, it differs in {', '.join(wrong)}")
        )
    try:
        config = ModelConfig(**values)
        same = data.get("console") == _console(config)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: {in_one_line(error)}") from None
    if not same:
        raise InputError(
            f"{path}: trained for a console with other knobs or ranges than this diffmst_lib has"
        )
    return config


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({why(error)})") from None
