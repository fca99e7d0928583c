"""What users ask of a mix: which parts of the console `lock` names, how far `amount` goes, how long a fit takes.

Chapter: Style by optimization.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TypeGuard

import torch

from ..console.params import ConsoleParams
from ..console.specs import ASPECTS
from ..console.table import SECTIONS, denormalize, param_table
from ..disk import composed
from ..inputs import InputError

Lock = tuple[int | str, str | None]  # a row of the strips or a bus; a knob or all of them


def check_locks(lock: Sequence[str], names: Sequence[str], preset: str = "default") -> list[Lock]:
    """Find the strips and knobs that `lock` names.

    Names are compared in NFC. One is first tried as a whole track: "drums.v1" may be one. Then the part after its last dot is a knob.

    Args:
        lock: Names of tracks ("vox_lead"), of their knobs ("kick.pan"), "master_bus" or "master_bus.ratio".
        names: The tracks of the console.
        preset: The console's preset.

    Returns:
        Rows (of a bus its name) and knobs (None for all of a strip).

    Raises:
        InputError: With the nearest name, for a name that is neither.

    Example:
        >>> check_locks(["vox_lead", "kick.pan", "master_bus"], ["kick", "vox_lead"])
        [(1, None), (0, 'pan'), ('master_bus', None)]
    """
    if isinstance(lock, str):
        raise InputError(f"lock takes a list of names, as in lock=[{lock!r}]")
    if not all(isinstance(name, str) for name in lock):
        raise InputError(f"lock takes names of stems and knobs, got {list(lock)!r}")
    names = [composed(name) for name in names]
    strips = [*names, "master_bus"]

    def rows(name: str) -> list[int | str]:
        sides = [f"{name}.L", f"{name}.R"] if name not in names else [name]
        return ["master_bus"] if name == "master_bus" else [i for i, n in enumerate(names) if n in sides]

    found: list[Lock] = []
    for name in map(composed, lock):
        whole, (strip, _, knob) = rows(name), name.rpartition(".")
        if whole:
            found += [(row, None) for row in whole]
            continue
        section = "master_bus" if strip == "master_bus" else "track"
        knobs = [spec.name for spec in param_table(section, preset)]
        if rows(strip) and knob in knobs:
            found += [(row, knob) for row in rows(strip)]
            continue
        known = [f"{strip}.{k}" for k in knobs] if rows(strip) else strips
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
        raise InputError(f"lock: no stem or knob {name!r}: {hint}")
    return found


def locks_fader(lock: Sequence[Lock]) -> bool:
    """Tell whether a locked strip holds its level."""
    return any(isinstance(row, int) and knob in (None, "fader_db") for row, knob in lock)


def hold(start: ConsoleParams, found: ConsoleParams, lock: Sequence[Lock]) -> ConsoleParams:
    """Put what is locked back to where it started; another console. Differentiable."""
    strips = torch.zeros_like(start.tracks, dtype=torch.bool)
    master = torch.zeros_like(start.master_bus_values, dtype=torch.bool)
    for row, knob in lock:
        section = "track" if isinstance(row, int) else "master_bus"
        columns = [i for i, spec in enumerate(start.specs(section)) if knob in (None, spec.name)]
        if isinstance(row, int):
            strips[row, columns] = True
        else:
            master[columns] = True
    return ConsoleParams(
        torch.where(strips, start.tracks, found.tracks),
        found.fx_bus_values,
        torch.where(master, start.master_bus_values, found.master_bus_values),
        names=start.names,
        preset=start.preset,
        sample_rate=start.sample_rate,
    )


def check_amount(amount: float | Mapping[str, float]) -> dict[str, float]:
    """Check an amount, a number or numbers by aspect, and return it by aspect.

    Raises:
        InputError: For a number outside 0 to 1 and for a name that is no aspect.

    Example:
        >>> check_amount({"balance": 0})
        {'balance': 0.0, 'tone': 1.0, 'dynamics': 1.0, 'image': 1.0}
    """
    by_aspect = dict(amount) if isinstance(amount, Mapping) else dict.fromkeys(ASPECTS, amount)
    for name, value in by_aspect.items():
        if name not in ASPECTS:
            raise InputError(f"amount has no aspect {name!r}: there are {', '.join(ASPECTS)}")
        if not (_is_number(value) and 0 <= value <= 1):
            raise InputError(f"amount must be from 0 to 1, got {value!r}")
    return {name: float(by_aspect.get(name, 1.0)) for name in ASPECTS}


def blend(
    start: ConsoleParams, found: ConsoleParams, amount: float | Mapping[str, float] = 1.0
) -> ConsoleParams:
    """Go a part of the way from one console to another: on each knob's own scale, aspect by aspect.

    Args:
        start: Where to begin.
        found: Where the whole amount leads.
        amount: 0 to 1, for all knobs or by aspect: {"balance": 0, "tone": 1, "dynamics": 0.5, "image": 1}.

    Returns:
        Another console. Knobs whose amount is 0 or 1 are exactly those of `start` or `found`.
    """
    shares = check_amount(amount)
    blended = found.clone()
    parts = zip(
        SECTIONS, _parts(start), _parts(found), start.to_unit(), found.to_unit(), _parts(blended), strict=True
    )
    for section, first, last, a, b, values in parts:
        specs = start.specs(section)
        share = torch.tensor([shares[spec.aspect] for spec in specs], device=a.device)
        between = torch.where(share == 1, last, denormalize(a + share * (b - a), specs))
        values.copy_(torch.where((share == 0) | (first == last), first, between))
    return blended


def _parts(params: ConsoleParams) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return params.tracks, params.fx_bus_values, params.master_bus_values


def check_fit(keep: float, fit_seconds: float, **steps: int) -> None:
    """Check what fits and networks share: the pull, the length of the window, and numbers of steps by name.

    Raises:
        ValueError: For a pull or a number of steps below 0, a window without length, and no numbers.

    Example:
        >>> check_fit(1.0, 15.0, refine_steps=2.5)
        Traceback (most recent call last):
        ...
        ValueError: refine_steps must be a whole number of at least 0, got 2.5
    """
    for name, number in steps.items():
        if isinstance(number, bool) or not isinstance(number, Integral) or number < 0:
            raise ValueError(f"{name} must be a whole number of at least 0, got {number!r}")
    if not (_is_number(fit_seconds) and 0 < fit_seconds < math.inf):
        raise ValueError(f"fit_seconds must be a number above 0, got {fit_seconds!r}")
    if not (_is_number(keep) and 0 <= keep < math.inf):
        raise ValueError(f"keep must be a number of at least 0, got {keep!r}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)
