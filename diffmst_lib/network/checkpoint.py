"""Models on disk: weights as safetensors, the rest as JSON beside them; nothing is ever unpickled. Chapter: The controller."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize

from ..console.params import SECTIONS, param_table
from ..disk import data_dir
from ..inputs import InputError
from .config import FIELDS, PRESETS, ModelConfig

if TYPE_CHECKING:
    from ..model import DiffMST

FORMAT, VERSION = "diffmst-model", 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save(model: DiffMST, folder: str | Path) -> Path:
    """Write model.safetensors and config.json into `folder`; both or, when one of them cannot be written, neither."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    text = json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "config": asdict(model.config),
            "console": _console(model.config),
        },
        indent=1,
    )
    if not str(folder):
        raise InputError("an empty name is no folder for a model")
    try:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".diffmst-") as staging:
            (Path(staging) / WEIGHTS).write_bytes(
                serialize(weights)
            )  # save_file would hide it from other users
            (Path(staging) / CONFIG).write_text(text + "\n", encoding="utf-8")
            for name in (WEIGHTS, CONFIG):
                os.replace(Path(staging) / name, folder / name)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: cannot write the model there ({_reason(error)})") from None
    return folder


def load(name: str | Path) -> DiffMST:
    """The model in a folder, or one of those that come with the library by name; InputError in one line otherwise."""
    from ..model import DiffMST

    folder = find(name)
    config, weights = _read_config(folder / CONFIG), _read_weights(folder / WEIGHTS)
    try:
        with torch.device(
            "meta"
        ):  # shapes without numbers: whatever the configuration asks for, it costs nothing
            wanted = DiffMST(config).state_dict()
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{folder / CONFIG}: makes no model ({_reason(error)})") from None
    missing, extra = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    if missing or extra:
        what = f"lacks {missing[0]}" if missing else f"has {extra[0]}, which the configuration does not"
        raise InputError(
            f"{folder / WEIGHTS}: weights of another model ({what}; {len(missing + extra)} such names)"
        )
    for key, tensor in weights.items():
        if tensor.shape != wanted[key].shape:
            raise InputError(
                f"{folder / WEIGHTS}: weights of another model: {key} is {tuple(tensor.shape)}, the "
                f"configuration asks for {tuple(wanted[key].shape)}"
            )
        if tensor.dtype != wanted[key].dtype:
            raise InputError(f"{folder / WEIGHTS}: {key} is {tensor.dtype}, not {wanted[key].dtype}")
        if (
            not bool(torch.isfinite(tensor).all())
            or key.endswith(".deviation")
            and not bool((tensor > 0).all())
        ):
            raise InputError(f"{folder / WEIGHTS}: {key} holds NaN, infinite or impossible values")
    model = DiffMST(config)
    model.load_state_dict(weights)
    return model.eval()


def find(name: str | Path) -> Path:
    """The folder of a model: where the library keeps the weights of that name, unless `name` itself is one."""
    folder = Path(name)
    try:
        if not (folder / CONFIG).exists() and str(name) in PRESETS:
            folder = data_dir() / "weights" / str(name)
            if not folder.exists():
                have = ", ".join(sorted(p.name for p in folder.parent.glob("*/")))
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
        raise InputError(f"{name}: cannot be read ({_reason(error)})") from None
    return folder


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def _console(config: ModelConfig) -> dict:
    """Names and ranges of the knobs that the heads drive: weights for other ranges would turn the wrong way."""
    return {
        section: [
            [s.name, s.low, s.high, s.scale] for s in param_table(section, config.console, config.sample_rate)
        ]
        for section in SECTIONS
    }


def _read_config(path: Path) -> ModelConfig:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({_reason(error)})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{path}: not the configuration of a Diff-MST model")
    if data.get("version") != VERSION:
        raise InputError(
            f"{path}: version {data.get('version')} of the format, this library reads version {VERSION}"
        )
    values = data.get("config")
    if not isinstance(values, dict) or values.keys() != FIELDS:
        wrong = sorted(set(values) ^ FIELDS) if isinstance(values, dict) else ["config"]
        raise InputError(f"{path}: from another version of diffmst_lib, it differs in {', '.join(wrong)}")
    try:
        config = ModelConfig(**values)
        same = data.get("console") == _console(config)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    if not same:
        raise InputError(
            f"{path}: trained for a console with other knobs or ranges than this diffmst_lib has"
        )
    return config


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({_reason(error)})") from None
