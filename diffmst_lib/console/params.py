"""The console's parameters: one table of names, units and ranges, from which everything else derives. Chapter: The console.

A strip is a row of numbers in a fixed order. `param_table` is the only place where that order, the units and the
ranges are written down: the unit interval that a network or an optimizer works in, the physical values that an
engineer reads, the JSON and CSV files, and the width of a network's output all come from it.
"""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from ..inputs import check_preset

SECTIONS = ("track", "fx_bus", "master_bus")
UNIT_EDGE = (
    0.02  # logits start at least this far from the ends of the unit interval, where a sigmoid has no slope
)
EQ_BANDS = ("low_shelf", "peak_1", "peak_2", "peak_3", "peak_4", "high_shelf")

# Cutoff ranges in Hz. The released code leaves no peaking band below 80 Hz and puts three of four above 2 kHz; the
# default bands overlap by about an octave each and cover the spectrum evenly on a log axis.
_CUTOFF_HZ = {
    "default": ((20, 500), (40, 600), (200, 2500), (800, 8000), (2500, 16000), (2500, 16000)),
    "reference": ((20, 2000), (80, 2000), (2000, 8000), (8000, 12000), (12000, None), (6000, None)),
}


@dataclass(frozen=True)
class ParamSpec:
    """One knob: its name, effect, unit, range, scale ("linear" or "log") and neutral value (the knob doing nothing)."""

    name: str
    effect: str
    unit: str
    low: float
    high: float
    scale: str
    neutral: float


@lru_cache(maxsize=32)
def param_table(section: str, preset: str = "default", sample_rate: int = 44100) -> tuple[ParamSpec, ...]:
    """The knobs of one section in their fixed order: "track" (27), "fx_bus" (25) or "master_bus" (26).

    The default preset maps quantities that are heard as ratios (Hz, ms, Q, ratio) logarithmically, the reference
    preset maps everything linearly, as the released code does.

    >>> [spec.name for spec in param_table("track")][:2]
    ['input_gain_db', 'low_shelf_gain_db']
    """
    check_preset(preset)
    log = "log" if preset == "default" else "linear"

    def fader(name: str) -> ParamSpec:
        return ParamSpec(name, "gain", "dB", -48.0, 48.0, "linear", 0.0)

    def equalizer() -> list[ParamSpec]:
        specs = []
        for band, (low, high) in zip(EQ_BANDS, _CUTOFF_HZ[preset]):
            high = high or sample_rate // 2 - 1000
            if preset == "default":
                high = min(high, 0.45 * sample_rate)
                low = min(low, high / 2)
            if not low < high:
                raise ValueError(
                    f"preset {preset} has no room for its equalizer at a sample rate of {sample_rate} Hz"
                )
            specs += [
                ParamSpec(f"{band}_gain_db", "eq", "dB", -12.0, 12.0, "linear", 0.0),
                ParamSpec(
                    f"{band}_frequency_hz", "eq", "Hz", float(low), float(high), log, math.sqrt(low * high)
                ),
                ParamSpec(f"{band}_q", "eq", "", 0.1, 5.0, log, math.sqrt(0.5)),
            ]
        return specs

    def dynamics() -> list[ParamSpec]:
        return [
            ParamSpec("threshold_db", "compressor", "dB", -60.0, 0.0, "linear", 0.0),
            ParamSpec("ratio", "compressor", ":1", 1.0, 10.0, log, 1.0),
            ParamSpec("attack_ms", "compressor", "ms", 5.0, 250.0, log, 20.0),
            ParamSpec("release_ms", "compressor", "ms", 10.0, 250.0, log, 100.0),
            ParamSpec("knee_db", "compressor", "dB", 3.0, 12.0, "linear", 6.0),
            ParamSpec("makeup_gain_db", "compressor", "dB", 0.0, 6.0, "linear", 0.0),
        ]

    if section == "track":
        pan = ParamSpec("pan", "panner", "", 0.0, 1.0, "linear", 0.5)
        send = ParamSpec("send_db", "fx_bus", "dB", -80.0, 12.0, "linear", -80.0)
        return (fader("input_gain_db"), *equalizer(), *dynamics(), pan, send)
    if section == "master_bus":
        return (*equalizer(), *dynamics(), fader("output_gain_db"), fader("input_gain_db"))
    if section == "fx_bus":
        gains = [ParamSpec(f"band{i}_gain", "reverb", "", 0.0, 1.0, "linear", 0.5) for i in range(12)]
        decays = [ParamSpec(f"band{i}_decay", "reverb", "", 0.0, 1.0, "linear", 0.5) for i in range(12)]
        return (*gains, *decays, ParamSpec("mix", "reverb", "", 0.0, 1.0, "linear", 1.0))
    raise ValueError(f"section must be one of {', '.join(SECTIONS)}, not {section!r}")


@lru_cache(maxsize=64)
@torch.inference_mode(
    False
)  # a tensor made in inference mode could never take part in a gradient, and this one is kept
def _ranges(
    specs: tuple[ParamSpec, ...], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, ...]:
    low = torch.tensor([s.low for s in specs], dtype=dtype, device=device)
    high = torch.tensor([s.high for s in specs], dtype=dtype, device=device)
    is_log = torch.tensor([s.scale == "log" for s in specs], device=device)
    return low, high, is_log


def denormalize(unit: torch.Tensor, specs: tuple[ParamSpec, ...]) -> torch.Tensor:
    """Unit interval to physical values: low + u (high - low), or low (high / low)^u on a log scale.

    `unit` is (..., len(specs)) in [0, 1]; returns the same shape in the units of the table. Differentiable.

    >>> cutoff = param_table("track")[2:3]                       # the low shelf's, 20 to 500 Hz, on a log scale
    >>> denormalize(torch.tensor([0.5]), cutoff)
    tensor([100.])

    Raises ValueError, naming the parameter, its value and the range, for values outside [0, 1] and for NaN; on a GPU
    nothing is read back, so values are not checked there.
    """
    _check_inside(unit, specs, torch.zeros_like(unit[..., :1]), torch.ones_like(unit[..., :1]), "unit value")
    low, high, is_log = _ranges(specs, unit.dtype, unit.device)
    linear = low + unit * (high - low)
    base = torch.where(
        is_log, high / low, torch.ones_like(low)
    )  # 1 where linear: no division by a range end of 0
    return torch.where(is_log, low * base**unit, linear)


def normalize(values: torch.Tensor, specs: tuple[ParamSpec, ...]) -> torch.Tensor:
    """Physical values to the unit interval, the inverse of `denormalize`; values outside the range are clipped.

    Linear knobs: u = (p - low) / (high - low); logarithmic ones: u = log(p / low) / log(high / low). `values` is
    (..., len(specs)) in the units of the table. Differentiable.

    >>> normalize(torch.tensor([100.0]), param_table("track")[2:3])
    tensor([0.5000])
    """
    low, high, is_log = _ranges(specs, values.dtype, values.device)
    values = torch.minimum(torch.maximum(values, low), high)
    linear = (values - low) / (high - low)
    safe = torch.where(is_log, values, torch.ones_like(values)) / torch.where(
        is_log, low, torch.ones_like(low)
    )
    span = torch.where(is_log, high / low, torch.full_like(low, math.e))
    return torch.where(is_log, torch.log(safe) / torch.log(span), linear).clamp(0.0, 1.0)


def _check_inside(values, specs, low, high, what: str) -> None:
    if values.shape[-1] != len(specs):
        raise ValueError(
            f"expected {len(specs)} parameters in the last dimension, got shape {tuple(values.shape)}"
        )
    inside = (values >= low) & (values <= high)  # NaN is outside
    if values.device.type != "cpu" or bool(inside.all()):
        return
    where = (~inside).nonzero()[0]
    spec = specs[int(where[-1])]
    bad = values[tuple(where)].item()
    low, high = (bound.expand_as(values)[tuple(where)].item() for bound in (low, high))
    raise ValueError(f"{spec.name}: {what} {bad:g} is outside {low:g} to {high:g}")


class Strip:
    """One strip's knobs by name: `strip["pan"]`, `strip["input_gain_db"] += 3`.

    A strip of a stereo stem stands for two rows: reading gives an array (left, right) and writing takes one number
    for both or a pair. Otherwise reading gives a float.
    """

    def __init__(self, label: str, rows: list[torch.Tensor], specs: tuple[ParamSpec, ...]):
        self.label, self._rows, self._specs = label, rows, specs
        self._index = {spec.name: i for i, spec in enumerate(specs)}

    def _find(self, name: str) -> int:
        if name not in self._index:
            close = difflib.get_close_matches(name, self._index, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(self._index)}"
            raise KeyError(f"{self.label} has no parameter {name!r}: {hint}")
        return self._index[name]

    def __getitem__(self, name: str):
        i = self._find(name)
        values = [round(row[i].item(), 6) for row in self._rows]
        return values[0] if len(values) == 1 else np.array(values)

    def __setitem__(self, name: str, value) -> None:
        i = self._find(name)
        spec = self._specs[i]
        values = np.asarray(value, dtype=float)
        if values.shape not in ((), (1,), (len(self._rows),)):
            wanted = "one number" if len(self._rows) == 1 else "one number or a pair"
            raise ValueError(f"{self.label}: {name} takes {wanted}, got shape {values.shape}")
        slack = 1e-6 * max(abs(spec.low), abs(spec.high))  # float32 may put a range end just outside
        for v in values.flat:
            if not spec.low - slack <= v <= spec.high + slack:
                number = f"{v:g} {spec.unit}".rstrip()
                raise ValueError(f"{self.label}: {name} = {number} is outside {spec.low:g} to {spec.high:g}")
        for row, v in zip(self._rows, np.broadcast_to(values.clip(spec.low, spec.high), len(self._rows))):
            row[i] = float(v)

    def __iter__(self):
        return iter(self._index)

    def keys(self):
        return self._index.keys()

    def __repr__(self) -> str:
        return f"{self.label}: " + ", ".join(f"{name} {self[name]}" for name in self)


class ConsoleParams:
    """All knobs of a console, in physical units.

    Arguments: `tracks` (N, 27), `fx_bus` (25,) and `master_bus` (26,) in the order of `param_table`; a leading batch
    dimension is allowed on all three. `names` are the N track names. The tensors stay readable as `tracks`,
    `fx_bus_values` and `master_bus_values`, the strips by name: `params.track("kick")`, `params.fx_bus`,
    `params.master_bus`.

    >>> params = ConsoleParams.neutral(["kick", "vox.L", "vox.R"])
    >>> params.track("kick")["pan"] = 0.4
    >>> params.track("vox")["pan"].shape       # a stereo stem answers for both of its tracks
    (2,)
    """

    def __init__(self, tracks, fx_bus, master_bus, *, names=None, preset="default", sample_rate=44100):
        check_preset(preset)
        self.preset, self.sample_rate = preset, sample_rate
        self.tracks, self.fx_bus_values, self.master_bus_values = tracks, fx_bus, master_bus
        for section, values in zip(SECTIONS, (tracks, fx_bus, master_bus)):
            width = len(self.specs(section))
            if values.shape[-1] != width:
                raise ValueError(
                    f"{section} values need a last dimension of {width}, got {tuple(values.shape)}"
                )
        if tracks.ndim < 2 or tracks.shape[-2] < 1:
            raise ValueError(f"a console needs at least one track, got track values {tuple(tracks.shape)}")
        self.names = list(names) if names is not None else [f"track{i + 1}" for i in range(tracks.shape[-2])]
        if len(self.names) != tracks.shape[-2]:
            raise ValueError(f"{len(self.names)} names for {tracks.shape[-2]} tracks")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"track names must differ: {', '.join(self.names)}")

    def specs(self, section: str) -> tuple[ParamSpec, ...]:
        """The table of one section for this preset and sample rate."""
        return param_table(section, self.preset, self.sample_rate)

    @classmethod
    def from_unit(
        cls, track, fx_bus, master_bus, *, preset="default", sample_rate=44100, names=None
    ) -> ConsoleParams:
        """From unit-interval tensors (..., N, 27), (..., 25), (..., 26); differentiable. Raises ValueError outside [0, 1]."""
        sections = zip(SECTIONS, (track, fx_bus, master_bus))
        values = (denormalize(u, param_table(section, preset, sample_rate)) for section, u in sections)
        return cls(*values, names=names, preset=preset, sample_rate=sample_rate)

    def to_unit(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The three tensors in [0, 1], clipped to this preset's ranges."""
        values = (self.tracks, self.fx_bus_values, self.master_bus_values)
        return tuple(normalize(v, self.specs(section)) for section, v in zip(SECTIONS, values))

    @classmethod
    def neutral(cls, names, *, pans=None, preset="default", sample_rate=44100) -> ConsoleParams:
        """A console that only sums: faders at unity, EQ flat, ratio 1, nothing sent, pans at `pans` or the center."""
        rows = [
            torch.tensor([s.neutral for s in param_table(section, preset, sample_rate)])
            for section in SECTIONS
        ]
        tracks = rows[0].repeat(len(names), 1)
        if pans is not None:
            pan = [s.name for s in param_table("track", preset, sample_rate)].index("pan")
            tracks[:, pan] = torch.as_tensor(pans, dtype=tracks.dtype)
        return cls(tracks, rows[1], rows[2], names=names, preset=preset, sample_rate=sample_rate)

    def values(self, section: str) -> dict[str, torch.Tensor]:
        """One section as {parameter name: tensor}, track parameters (..., N), bus parameters (...)."""
        rows = {"track": self.tracks, "fx_bus": self.fx_bus_values, "master_bus": self.master_bus_values}[
            section
        ]
        return {spec.name: rows[..., i] for i, spec in enumerate(self.specs(section))}

    def track(self, name: str) -> Strip:
        """The strip of a track, or of both tracks of a stereo stem. KeyError with the nearest name otherwise."""
        self._one()
        rows = [i for i, n in enumerate(self.names) if n == name]
        rows = rows or [i for i, n in enumerate(self.names) if n in (f"{name}.L", f"{name}.R")]
        if not rows:
            close = difflib.get_close_matches(name, self.names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self.names)}"
            raise KeyError(f"no track {name!r}: {hint}")
        return Strip(name, [self.tracks[i] for i in rows], self.specs("track"))

    @property
    def fx_bus(self) -> Strip:
        """The strip of the effects bus."""
        self._one()
        return Strip("fx_bus", [self.fx_bus_values], self.specs("fx_bus"))

    @property
    def master_bus(self) -> Strip:
        """The strip of the master bus."""
        self._one()
        return Strip("master_bus", [self.master_bus_values], self.specs("master_bus"))

    def _one(self) -> None:
        if self.tracks.ndim != 2:
            raise ValueError(
                f"strips by name need one console, not a batch of shape {tuple(self.tracks.shape)}"
            )

    def check(self) -> None:
        """Raise ValueError, with strip, name, value and range, for a value outside of its range, NaN included.

        On a GPU nothing is read back, so nothing is checked.
        """
        for section, values in zip(SECTIONS, (self.tracks, self.fx_bus_values, self.master_bus_values)):
            if values.device.type != "cpu":
                continue
            specs = self.specs(section)
            low, high, _ = _ranges(specs, values.dtype, values.device)
            slack = 1e-5  # float32 may put a range end just outside
            inside = (values >= low - slack * low.abs()) & (values <= high + slack * high.abs())
            if not bool(inside.all()):
                where = (~inside).nonzero()[0]
                spec, strip = (
                    specs[int(where[-1])],
                    self.names[int(where[-2])] if section == "track" else section,
                )
                number = f"{values[tuple(where)].item():g} {spec.unit}".rstrip()
                raise ValueError(f"{strip}: {spec.name} = {number} is outside {spec.low:g} to {spec.high:g}")

    def clone(self) -> ConsoleParams:
        """A detached copy on the CPU, free to edit."""
        return self._each(lambda values: values.detach().cpu().clone())

    def to(self, device: torch.device | str) -> ConsoleParams:
        """The same console on another device, gradients included."""
        return self._each(lambda values: values.to(device))

    def __getitem__(self, index: int) -> ConsoleParams:
        """One console of a batch; its values share memory with the batch's."""
        if self.tracks.ndim == 2:
            raise ValueError("this is one console, not a batch of them")
        return self._each(lambda values: values[index])

    def _each(self, change) -> ConsoleParams:
        parts = (self.tracks, self.fx_bus_values, self.master_bus_values)
        return ConsoleParams(
            *map(change, parts), names=self.names, preset=self.preset, sample_rate=self.sample_rate
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a strip, one column a parameter, units in the names; cells that a strip lacks are NaN."""
        strips = [*map(self.track, self.names), self.fx_bus, self.master_bus]
        columns = dict.fromkeys(spec.name for section in SECTIONS for spec in self.specs(section))
        index = pd.Index([strip.label for strip in strips], name="strip")
        return pd.DataFrame(
            [{k: strip[k] for k in strip} for strip in strips], index=index, columns=list(columns)
        )

    def to_json(self) -> str:
        """JSON with every value by strip and name; `from_json` reads it back."""
        self._one()
        return json.dumps(
            {
                "format": "diffmst-console",
                "version": 1,
                "preset": self.preset,
                "sample_rate": self.sample_rate,
                "tracks": {name: {k: self.track(name)[k] for k in self.track(name)} for name in self.names},
                "fx_bus": {k: self.fx_bus[k] for k in self.fx_bus},
                "master_bus": {k: self.master_bus[k] for k in self.master_bus},
            },
            indent=2,
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> ConsoleParams:
        """From `to_json`. Raises ValueError in one line when the text is no console, or a parameter is missing or bad."""
        try:
            data = json.loads(text)
            params = cls.neutral(list(data["tracks"]), preset=data["preset"], sample_rate=data["sample_rate"])
            strips = [(params.track(name), row) for name, row in data["tracks"].items()]
            for strip, row in [
                *strips,
                (params.fx_bus, data["fx_bus"]),
                (params.master_bus, data["master_bus"]),
            ]:
                for name in strip:
                    strip[name] = row[name]
            return params
        except KeyError as error:
            raise ValueError(f"not a console's JSON: {error} is missing") from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not a console's JSON: a value of the wrong kind ({error})") from None
        except ValueError as error:
            raise ValueError(f"not a console's JSON: {error}") from None

    def __repr__(self) -> str:
        return f"ConsoleParams({len(self.names)} tracks: {', '.join(self.names)}; preset {self.preset})"
