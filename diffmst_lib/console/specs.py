"""Knobs, effects of one's own, and the names of consoles. Chapter: The console."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..inputs import FIRST_EDITION, PRESETS
from ..registry import Registry

# What a mixing engineer changes: how loud, what color, how even, where. Every knob belongs to one of them.
ASPECTS = ("balance", "tone", "dynamics", "image")
_ASPECT_OF_EFFECT = {
    "gain": "balance",
    "eq": "tone",
    "compressor": "dynamics",
    "width": "image",
    "panner": "image",
    "fx_bus": "image",
    "reverb": "image",
}

# The effects of ours after which another may come, in the order of the signal. The output gain stays last.
PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "default": {
        "track": ("gain", "equalizer", "compressor", "fader"),
        "master_bus": ("equalizer", "compressor", "width"),
    },
    "reference": {
        "track": ("gain", "equalizer", "compressor"),
        "master_bus": ("gain", "equalizer", "compressor"),
    },
}


@dataclass(frozen=True)
class ParamSpec:
    """One knob.

    Attributes:
        name: Its name, which ends with its unit where it has one: "_db", "_hz", "_ms".
        effect: The effect that it belongs to.
        unit: "dB", "Hz", "ms", ":1" or "".
        low: The lowest value.
        high: The highest value.
        scale: "linear" or "log", how the unit interval maps to the range.
        neutral: The value at which the knob does nothing, or the whole effect does nothing.
        step: What an engineer would call one move: a difference in the knob's unit, on a log scale a factor.
        aspect: What the knob changes: "balance", "tone", "dynamics" or "image". Knobs of our effects know it,
            one of your own must say it.
        moves: The number of moves in the whole range.

    Raises:
        ValueError: For a range, a step or an aspect that cannot be.

    Example:
        >>> from diffmst_lib import param_table
        >>> fader = [spec for spec in param_table("track") if spec.name == "fader_db"][0]
        >>> fader.step, fader.moves, fader.aspect
        (3.0, 24.0, 'balance')
    """

    name: str
    effect: str
    unit: str
    low: float
    high: float
    scale: str
    neutral: float
    step: float
    aspect: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "aspect", self.aspect or _ASPECT_OF_EFFECT.get(self.effect, ""))
        if not self.name.isidentifier():
            raise ValueError(f"the name of a knob must be a word like drive_db, not {self.name!r}")
        if self.aspect not in ASPECTS:
            raise ValueError(
                f"{self.name}: aspect must be one of {', '.join(ASPECTS)}, not {self.aspect or None!r}"
            )
        if self.scale not in ("linear", "log"):
            raise ValueError(f"{self.name}: scale must be linear or log, not {self.scale!r}")
        if not (math.isfinite(self.high - self.low) and self.low < self.high):
            raise ValueError(f"{self.name}: the range {self.low} to {self.high} is none")
        if self.scale == "log" and not self.low > 0:
            raise ValueError(f"{self.name}: a log scale starts above 0, not at {self.low}")
        if not self.low <= self.neutral <= self.high:
            raise ValueError(
                f"{self.name}: the neutral value {self.neutral} is outside {self.low} to {self.high}"
            )
        if not self.step > (1 if self.scale == "log" else 0):
            raise ValueError(f"{self.name}: step cannot be {self.step} on a {self.scale} scale")

    @property
    def moves(self) -> float:
        """The number of moves in the whole range."""
        if self.scale == "log":
            return math.log(self.high / self.low) / math.log(self.step)
        return (self.high - self.low) / self.step


@dataclass(frozen=True)
class Effect:
    """An effect of your own, for the strips or the master bus of a console: see `register_console`.

    Attributes:
        name: Its name, which is also the `effect` of its knobs.
        knobs: Its knobs, at least one. With all of them neutral the effect changes nothing.
        run: `run(x, sample_rate, **knobs)` returns sound like x (K, C, T), differentiable in x and in every
            knob (K,), which come by their names in their units. In a strip C is 1 for a mono stem, which is
            processed once, and 2 otherwise; after the fader and on the master bus it is always 2.
        after: The effect of ours that it follows: in a strip "gain" (the trim), "equalizer", "compressor" or
            "fader" (the last of a strip), on the master "equalizer", "compressor" or "width" (the last but
            for the output gain). On strips of mono channels (`base="reference"`) "gain", "equalizer" or
            "compressor", on their master as well.
    """

    name: str
    knobs: tuple[ParamSpec, ...]
    run: Callable[..., torch.Tensor]
    after: str = "compressor"


@dataclass(frozen=True)
class Console:
    """A kind of console: one of ours, and what a registered one has besides.

    Attributes:
        base: "default", "reference", or "channels" of the first edition.
        track: Effects of every strip, besides ours.
        master_bus: Effects of the master bus, besides ours.
    """

    base: str
    track: tuple[Effect, ...] = ()
    master_bus: tuple[Effect, ...] = ()


CONSOLES = Registry("console", own={name: Console(name) for name in PRESETS})
_FIRST = Console(FIRST_EDITION)  # nobody chooses it: old files hold it


def _console(preset: str) -> Console:
    return _FIRST if preset == FIRST_EDITION else CONSOLES.get(preset)


def base_console(preset: str) -> str:
    """Return the console of ours that a console is, or is based on: "default", "reference" or "channels".

    Args:
        preset: The name of a console, ours or registered.

    Raises:
        ValueError: For a name that nobody registered.

    Example:
        >>> base_console("reference")
        'reference'
    """
    return _console(preset).base


def takes_stems(preset: str) -> bool:
    """Tell whether the strips of a console take stereo stems; others take mono channels.

    Args:
        preset: The name of a console.

    Raises:
        ValueError: For a name that nobody registered.

    Example:
        >>> takes_stems("default"), takes_stems("reference")
        (True, False)
    """
    return base_console(preset) == "default"


def own_effects(preset: str, section: str) -> tuple[Effect, ...]:
    """Return the effects that a registered console has in a section besides ours, in the order of their knobs."""
    console = _console(preset)
    return {"track": console.track, "master_bus": console.master_bus}.get(section, ())
