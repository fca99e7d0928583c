"""What users give: errors and notes about it, and the checks that all modules share."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import MISSING, field, fields
from numbers import Real
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PRESETS = ("default", "reference")  # of the console, the features and the losses
# The console with mono strips of the first edition, whose files of settings are read.
FIRST_EDITION = "channels"


class InputError(ValueError):
    """Something is wrong with what the user gave; the message is one line for that user.

    Args:
        message: The line.
        about: "song" or "reference" where the message is about one of them, so that a command can put the
            name of its file in front.
    """

    def __init__(self, message: str = "", *, about: str = ""):
        super().__init__(message)
        self.about = about


class InputNote(UserWarning):
    """Something in the input was changed to fit (resampled, padded, ignored) and is worth one line."""


def note(message: str) -> None:
    """Warn with an `InputNote` that points at the user's line, from which the library was called.

    Args:
        message: One line.
    """
    package, user, level = str(Path(__file__).parent), 2, 1
    frame: FrameType | None = sys._getframe()
    while frame:  # also through foreign frames between two of ours, such as those of a decorator
        level += 1
        if frame.f_code.co_filename.startswith(package):
            user = level
        frame = frame.f_back
    warnings.warn(message, InputNote, stacklevel=user)


def check_preset(preset: str) -> None:
    """Raise ValueError for anything but "default" and "reference"."""
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")


def check_dtype(x: torch.Tensor) -> None:
    """Raise ValueError unless audio is a tensor of float32 or float64."""
    import torch  # here, so that a command can refuse what it gets without it

    if not isinstance(x, torch.Tensor):
        raise ValueError(f"audio must be a torch tensor, got {type(x).__name__}")
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"audio must be float32 or float64, got {str(x.dtype).removeprefix('torch.')}")


def check_rate(sample_rate: float) -> None:
    """Raise ValueError unless a sample rate is a number above 0."""
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, Real) or not 0 < sample_rate < math.inf:
        raise ValueError(f"sample_rate must be a number above 0 Hz, got {sample_rate!r}")


def limited(
    low: float = -math.inf,
    high: float = math.inf,
    *,
    whole: bool = False,
    above: bool = False,
    optional: bool = False,
    default: Any = MISSING,
) -> Any:
    """Declare a dataclass field that holds a number from `low` to `high`; `check_limits` enforces it.

    Args:
        low: The lowest value.
        high: The highest value; infinity and NaN are never allowed.
        whole: Whether the number must be an int.
        above: Whether the number must be above `low`, not at it.
        optional: Whether None is allowed.
        default: The field's default.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Fader:
        ...     gain_db: float = limited(-60, 12, default=0.0)
        ...     def __post_init__(self):
        ...         check_limits(self)
        >>> Fader(20.0)
        Traceback (most recent call last):
        ...
        ValueError: gain_db cannot be 20.0
    """

    def allows(value: Any) -> bool:
        if value is None:
            return optional
        if isinstance(value, bool) or not isinstance(value, int if whole else Real):
            return False
        return (low < value if above else low <= value) and value <= high and math.isfinite(value)

    return field(default=default, metadata={"allows": allows})


def one_of(choices: Sequence[Any], *, default: Any = MISSING) -> Any:
    """Declare a dataclass field that holds one of `choices`, type included; `check_limits` enforces it.

    Args:
        choices: The values allowed.
        default: The field's default.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Strip:
        ...     channels: int = one_of((1, 2))
        >>> check_limits(Strip(2))
    """

    def allows(value: Any) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in choices)

    return field(default=default, metadata={"allows": allows})


def check_limits(instance: Any, where: str = "") -> None:
    """Check that every field of a dataclass is within the limits that it declares.

    Args:
        instance: A dataclass with fields made by `limited` or `one_of`.
        where: The end of the message, such as " in a model's configuration".

    Raises:
        ValueError: With the name and the value of the first field that is out of its limits.
    """
    for declared in fields(instance):
        value = getattr(instance, declared.name)
        if "allows" in declared.metadata and not declared.metadata["allows"](value):
            raise ValueError(f"{declared.name} cannot be {value!r}{where}")
