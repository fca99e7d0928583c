"""One strip's knobs by name. Chapter: The console."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, KeysView

import torch

from .table import ParamSpec

SLACK = 1e-5  # relative: float32 may put the end of a range just outside


class Strip:
    """One strip's knobs by name: `strip["pan"]`, `strip["fader_db"] += 3`.

    Args:
        label: The strip's name in messages.
        row: The row of numbers to read and write, (knobs,).
        specs: The knobs, as `param_table` gives them.

    Raises:
        KeyError: With the nearest name, for a knob that the strip does not have.
        ValueError: With strip, knob, value and range, when a value outside the knob's range is written.
    """

    def __init__(self, label: str, row: torch.Tensor, specs: tuple[ParamSpec, ...]):
        self.label, self._row, self._specs = label, row, specs
        self._index = {spec.name: i for i, spec in enumerate(specs)}

    def _find(self, name: str) -> int:
        if name not in self._index:
            close = difflib.get_close_matches(name, self._index, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(self._index)}"
            raise KeyError(f"{self.label} has no parameter {name!r}: {hint}")
        return self._index[name]

    def __getitem__(self, name: str) -> float:
        return round(self._row[self._find(name)].item(), 6)

    def __setitem__(self, name: str, value: float) -> None:
        i = self._find(name)
        spec = self._specs[i]
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{self.label}: {name} takes one number, got {value!r}") from None
        if not bool(inside(self._row.new_tensor([number], dtype=torch.float64), (spec,)).all()):
            raise ValueError(outside(self.label, spec, number))
        self._row[i] = min(max(number, spec.low), spec.high)

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def keys(self) -> KeysView[str]:
        """Return the names of the knobs, in the order of the table."""
        return self._index.keys()

    def __repr__(self) -> str:
        return f"{self.label}: " + ", ".join(f"{name} {self[name]}" for name in self)


def inside(values: torch.Tensor, specs: tuple[ParamSpec, ...]) -> torch.Tensor:
    """Tell which of the values (..., len(specs)) lie in the ranges of their knobs; NaN does not."""
    low, high = (
        torch.tensor([getattr(s, end) for s in specs], dtype=values.dtype, device=values.device)
        for end in ("low", "high")
    )
    return (values >= low - SLACK * low.abs()) & (values <= high + SLACK * high.abs())


def outside(strip: str, spec: ParamSpec, value: float) -> str:
    """Write the message about a value outside its knob's range."""
    number = f"{value:g} {spec.unit}".rstrip() if not math.isnan(value) else "NaN"
    return f"{strip}: {spec.name} = {number} is outside {spec.low:g} to {spec.high:g}"
