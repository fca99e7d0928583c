"""Parts that users add by name: features, consoles, encoders, controllers.

A user's own import fills a registry. A configuration, a checkpoint and a file of settings only hold a name:
nothing is imported or run because a file says so.

Chapter: Training at scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from .inputs import InputError

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """The parts of one kind, ours and the user's, by name.

    Args:
        kind: What a part is called in messages, such as "feature".
        own: Our parts, whose names nobody can take.

    Example:
        >>> encoders = Registry("encoder", own={"channels": None})
        >>> encoders.register("mine", print)
        >>> encoders.get("mine") is print, encoders.names()
        (True, ('channels', 'mine'))
    """

    def __init__(self, kind: str, own: Mapping[str, Entry]):
        self.kind, self.own = kind, dict(own)
        self.added: dict[str, Entry] = {}

    def register(self, name: str, entry: Entry) -> None:
        """Add a part. To add it once more does no harm, as when the cell of a notebook is run again.

        Args:
            name: What configurations call it: letters, digits, "_" and "-".
            entry: The part.

        Raises:
            InputError: For a name that is no such word, that is ours, or that has another entry already.
        """
        if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
            raise InputError(
                f"the name of a {self.kind} must be a word such as 'my_{self.kind}', not {name!r}"
            )
        if name in self.own:
            raise InputError(f"the {self.kind} {name!r} is one of ours: register yours under another name")
        if name in self.added and not same_entry(self.added[name], entry):
            raise InputError(f"another {self.kind} is registered as {name!r}: choose another name")
        self.added[name] = entry

    def get(self, name: str) -> Entry:
        """Find a part by its name.

        Args:
            name: Name of one of ours or of a registered one.

        Returns:
            The part.

        Raises:
            InputError: For a name that nobody registered, with those that are known.
        """
        for entries in (self.own, self.added):
            if isinstance(name, str) and name in entries:
                return entries[name]
        known = ", ".join(self.names()) or "none"
        raise InputError(
            f"no {self.kind} is registered as {name!r} (known: {known}): import the module that registers it"
        )

    def names(self) -> tuple[str, ...]:
        """List the known names: ours, then the user's in the order in which they came."""
        return (*self.own, *self.added)


def same_entry(one: Any, other: Any) -> bool:
    """Tell whether two entries are the same, or the same definition that was run again.

    Functions and classes count as the same when they are defined under the same name in the same module.
    Functions inside functions, lambdas among them, must have the same code, defaults and values around it.
    Everything else must be equal, part by part.

    Args:
        one: An entry.
        other: Another.

    Returns:
        Whether they are the same.

    Example:
        >>> same_entry((print, 1.0), (print, 1.0)), same_entry((print, 1.0), (print, 2.0))
        (True, False)
    """
    if one is other:
        return True
    if isinstance(one, tuple | list):
        alike = type(one) is type(other) and len(one) == len(other)
        return alike and all(map(same_entry, one, other))
    if is_dataclass(one) and not isinstance(one, type):
        values = [[getattr(x, field.name, None) for field in fields(one)] for x in (one, other)]
        return _place(type(one)) == _place(type(other)) and same_entry(*values)
    if isinstance(one, partial):
        parts = [(x.func, x.args, sorted(x.keywords.items())) for x in (one, other) if isinstance(x, partial)]
        return len(parts) == 2 and same_entry(*parts)
    if _place(one) is not None:
        return _place(one) == _place(other) and (
            "<" not in one.__qualname__ or all(map(_equal, _inside(one), _inside(other)))
        )
    return _equal(one, other)


def _place(definition: Any) -> tuple[str, str] | None:
    """Where a function or a class is defined; None for anything else."""
    if not callable(definition) or not hasattr(definition, "__qualname__"):
        return None
    return definition.__module__, definition.__qualname__


def _inside(function: Any) -> list[Any]:
    """A function's code and defaults, and the values that it takes from around it."""
    kept = [getattr(function, name, None) for name in ("__code__", "__defaults__", "__kwdefaults__")]
    return [*kept, *(cell.cell_contents for cell in getattr(function, "__closure__", None) or ())]


def _equal(one: Any, other: Any) -> bool:
    """Tell whether two values are equal; tensors and arrays as a whole, but not within other values."""
    if one is other:
        return True
    if type(one) is not type(other) or getattr(one, "shape", None) != getattr(other, "shape", None):
        return False
    try:
        equal = one == other
        return bool(equal.all() if hasattr(equal, "all") else equal)
    except (RuntimeError, ValueError):  # of lists with tensors in them: no one number
        return False
