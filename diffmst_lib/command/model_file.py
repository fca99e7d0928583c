"""A model's configuration from a JSON file, for `diffmst train --preset FILE`. Chapter: Training at scale."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, fields
from pathlib import Path

from ..console.reading import in_one_line, quoted
from ..disk import why
from ..inputs import InputError
from ..network.checkpoint import FORMAT, VERSION
from ..network.config import FIELDS, PRESETS, ModelConfig


def read_config(path: str | Path) -> ModelConfig:
    """Read a model's configuration: the config.json of a saved model, all fields, or what differs from a preset.

    Args:
        path: A JSON file. {"base": "small", "width": 64, "name": "mine"} is the preset "small" but for these.

    Returns:
        The configuration.

    Raises:
        InputError: In one line, for anything else. Nothing that the file names is imported.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "mine.json"
        ...     _ = path.write_text('{"base": "small", "width": 64, "name": "mine"}')
        ...     read_config(path).width
        64
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"), parse_int=_number)
    except RecursionError:
        raise InputError(f"{path}: cannot be read as JSON (its brackets are nested too deeply)") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({in_one_line(why(error))})") from None
    if isinstance(values, dict) and values.get("format") == FORMAT:
        if values.get("version") != VERSION:
            raise InputError(
                f"{path}: a model of version {quoted(values.get('version'))}, only version {VERSION} can be trained"
            )
        values = values.get("config")
    if not isinstance(values, dict):
        raise InputError(
            f'{path}: must hold a model\'s configuration, such as {{"base": "small", "width": 64}}'
        )
    if (base := values.pop("base", None)) is not None:
        if not isinstance(base, str) or base not in PRESETS:
            raise InputError(f"{path}: base must be one of {', '.join(PRESETS)}, not {quoted(base)}")
        values = asdict(PRESETS[base]) | values
    if unknown := sorted(values.keys() - FIELDS):
        raise InputError(f"{path}: a model's configuration has no {in_one_line(unknown[0])}")
    needed = {one.name for one in fields(ModelConfig) if one.default is MISSING}
    if missing := sorted(needed - values.keys()):
        raise InputError(f'{path}: lacks {", ".join(missing)}; or name a preset: "base": "small"')
    try:
        return ModelConfig(**values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {in_one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{path}: a value whose brackets are nested too deeply") from None


def _number(digits: str) -> float:
    """Read a whole number; one of hundreds of digits is infinite, and so outside every range."""
    return int(digits) if len(digits) < 16 else float(digits)
