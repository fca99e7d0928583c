"""A console's knobs as numbers: strips by name, the unit interval, logits, tables and JSON.

Names, units and ranges come from `table`, whose public names can be imported from here too.

Chapter: The console.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, KeysView, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..inputs import check_preset
from .table import (
    EQ_BANDS,
    SECTIONS,
    UNIT_EDGE,
    VERSION_1_NAMES,
    ParamSpec,
    denormalize,
    knob_index,
    normalize,
    param_table,
    physical,
    range_tensors,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EQ_BANDS",
    "SECTIONS",
    "UNIT_EDGE",
    "ConsoleParams",
    "ParamSpec",
    "Strip",
    "denormalize",
    "knob_index",
    "normalize",
    "param_table",
]

VERSION = 2  # of the JSON; version 1 had other names for the knobs of the equalizer


class Strip:
    """One strip's knobs by name: `strip["pan"]`, `strip["input_gain_db"] += 3`.

    The strip of a stereo stem stands for two rows: reading gives an array (left, right) and writing takes one
    number for both or a pair. Otherwise reading gives a float.

    Args:
        label: The strip's name in messages.
        rows: The rows of numbers to read and write, each (knobs,).
        specs: The knobs, as `param_table` gives them.
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

    def __getitem__(self, name: str) -> Any:
        i = self._find(name)
        values = [round(row[i].item(), 6) for row in self._rows]
        return values[0] if len(values) == 1 else np.array(values)

    def __setitem__(self, name: str, value: Any) -> None:
        i = self._find(name)
        spec = self._specs[i]
        values = np.asarray(value, dtype=float)
        if values.shape not in ((), (1,), (len(self._rows),)):
            wanted = "one number" if len(self._rows) == 1 else "one number or a pair"
            raise ValueError(f"{self.label}: {name} takes {wanted}, got shape {values.shape}")
        slack = 1e-6 * max(abs(spec.low), abs(spec.high))  # float32 may put a range end just outside
        for v in values.flat:
            if not spec.low - slack <= v <= spec.high + slack:
                raise ValueError(_outside(self.label, spec, v))
        clipped = np.broadcast_to(values.clip(spec.low, spec.high), len(self._rows))
        for row, v in zip(self._rows, clipped, strict=True):
            row[i] = float(v)

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def keys(self) -> KeysView[str]:
        """Return the names of the knobs, in the order of the table."""
        return self._index.keys()

    def __repr__(self) -> str:
        return f"{self.label}: " + ", ".join(f"{name} {self[name]}" for name in self)


class ConsoleParams:
    """All knobs of a console, in physical units.

    The tensors are `tracks`, `fx_bus_values` and `master_bus_values`; the strips by name are
    `params.track("kick")`, `params.fx_bus` and `params.master_bus`.

    Args:
        tracks: (N, 27), the knobs of the N tracks in the order of `param_table`, or a batch (B, N, 27).
        fx_bus: (25,) or (B, 25), the knobs of the effects bus.
        master_bus: (26,) or (B, 26), the knobs of the master bus.
        names: The N names of the tracks, all different; None: track1, track2 and so on.
        preset: "default" or "reference".
        sample_rate: Hz.

    Raises:
        ValueError: For shapes, names and a preset that do not fit.

    Example:
        >>> params = ConsoleParams.neutral(["kick", "vox.L", "vox.R"])
        >>> params.track("kick")["pan"] = 0.4
        >>> params.track("vox")["pan"].shape       # a stereo stem answers for both of its tracks
        (2,)
    """

    def __init__(
        self,
        tracks: torch.Tensor,
        fx_bus: torch.Tensor,
        master_bus: torch.Tensor,
        *,
        names: Sequence[str] | None = None,
        preset: str = "default",
        sample_rate: int = 44100,
    ):
        check_preset(preset)
        self.preset, self.sample_rate = preset, sample_rate
        self.tracks, self.fx_bus_values, self.master_bus_values = tracks, fx_bus, master_bus
        for section, values in self._sections().items():
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

    def _sections(self) -> dict[str, torch.Tensor]:
        return {"track": self.tracks, "fx_bus": self.fx_bus_values, "master_bus": self.master_bus_values}

    def specs(self, section: str) -> tuple[ParamSpec, ...]:
        """Return the table of one section for this preset and sample rate."""
        return param_table(section, self.preset, self.sample_rate)

    @classmethod
    def from_unit(
        cls,
        track: torch.Tensor,
        fx_bus: torch.Tensor,
        master_bus: torch.Tensor,
        *,
        preset: str = "default",
        sample_rate: int = 44100,
        names: Sequence[str] | None = None,
    ) -> ConsoleParams:
        """Make a console from values in the unit interval. Differentiable.

        Args:
            track: (..., N, 27) in [0, 1].
            fx_bus: (..., 25) in [0, 1].
            master_bus: (..., 26) in [0, 1].
            preset: "default" or "reference".
            sample_rate: Hz.
            names: The N names of the tracks.

        Returns:
            The console.

        Raises:
            ValueError: With the knob's name, for values outside [0, 1] and for NaN.
        """
        parts = (track, fx_bus, master_bus)
        values = (
            denormalize(u, param_table(section, preset, sample_rate))
            for section, u in zip(SECTIONS, parts, strict=True)
        )
        return cls(*values, names=names, preset=preset, sample_rate=sample_rate)

    def to_unit(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map the three tensors to [0, 1], clipped to the ranges."""
        track, fx_bus, master_bus = (normalize(v, self.specs(s)) for s, v in self._sections().items())
        return track, fx_bus, master_bus

    @classmethod
    def from_logits(
        cls,
        track: torch.Tensor,
        fx_bus: torch.Tensor,
        master_bus: torch.Tensor,
        *,
        preset: str = "default",
        sample_rate: int = 44100,
        names: Sequence[str] | None = None,
    ) -> ConsoleParams:
        """Make a console from logits z: each knob is sigmoid(z) in the unit interval. Differentiable.

        A sigmoid cannot leave the unit interval, so nothing is checked. A NaN logit gives a NaN knob, which
        `check` and the mixing console reject.

        Args:
            track: (..., N, 27), any numbers; minus infinity is the low end of a knob.
            fx_bus: (..., 25).
            master_bus: (..., 26).
            preset: "default" or "reference".
            sample_rate: Hz.
            names: The N names of the tracks.

        Returns:
            The console.

        Example:
            >>> params = ConsoleParams.from_logits(torch.zeros(1, 27), torch.zeros(25), torch.zeros(26))
            >>> params.track("track1")["input_gain_db"], params.track("track1")["pan"]
            (0.0, 0.5)
        """
        parts = (track, fx_bus, master_bus)
        values = (
            physical(torch.sigmoid(z), param_table(section, preset, sample_rate))
            for section, z in zip(SECTIONS, parts, strict=True)
        )
        return cls(*values, names=names, preset=preset, sample_rate=sample_rate)

    def to_logits(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute the logits of the three tensors, knobs at least UNIT_EDGE from the ends of their ranges.

        Nearer to the ends a sigmoid has almost no slope, and gradient descent would not move the knob.
        """
        track, fx_bus, master_bus = (torch.logit(u.clamp(UNIT_EDGE, 1.0 - UNIT_EDGE)) for u in self.to_unit())
        return track, fx_bus, master_bus

    @classmethod
    def neutral(
        cls,
        names: Sequence[str],
        *,
        pans: Sequence[float] | torch.Tensor | None = None,
        preset: str = "default",
        sample_rate: int = 44100,
    ) -> ConsoleParams:
        """Make a console that only sums: faders at unity, equalizers flat, ratios 1, nothing sent.

        Args:
            names: The names of the tracks.
            pans: One pan per track in [0, 1]; None: all at the center.
            preset: "default" or "reference".
            sample_rate: Hz.

        Returns:
            The console.
        """
        rows = [
            torch.tensor([s.neutral for s in param_table(section, preset, sample_rate)])
            for section in SECTIONS
        ]
        tracks = rows[0].repeat(len(names), 1)
        if pans is not None:
            tracks[:, knob_index("pan", preset=preset)] = torch.as_tensor(pans, dtype=tracks.dtype)
        return cls(tracks, rows[1], rows[2], names=names, preset=preset, sample_rate=sample_rate)

    def values(self, section: str) -> dict[str, torch.Tensor]:
        """Return one section as {knob: tensor}, for the tracks (..., N), for a bus (...)."""
        rows = self._sections()[section]
        return {spec.name: rows[..., i] for i, spec in enumerate(self.specs(section))}

    def track(self, name: str) -> Strip:
        """Return the strip of a track, or of both tracks of a stereo stem.

        Args:
            name: Name of the track, or of the stem without ".L" and ".R".

        Returns:
            The strip.

        Raises:
            KeyError: With the nearest name, when there is no such track.
        """
        self._check_one()
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
        self._check_one()
        return Strip("fx_bus", [self.fx_bus_values], self.specs("fx_bus"))

    @property
    def master_bus(self) -> Strip:
        """The strip of the master bus."""
        self._check_one()
        return Strip("master_bus", [self.master_bus_values], self.specs("master_bus"))

    def _check_one(self) -> None:
        if self.tracks.ndim != 2:
            raise ValueError(
                f"strips by name need one console, not a batch of shape {tuple(self.tracks.shape)}"
            )

    def check(self) -> None:
        """Check that every knob is in its range.

        On a GPU nothing is read back, so nothing is checked.

        Raises:
            ValueError: With strip, name, value and range, for a value outside its range and for NaN.
        """
        for section, values in self._sections().items():
            if values.device.type != "cpu":
                continue
            specs = self.specs(section)
            low, high, _ = range_tensors(specs, values.dtype, values.device)
            slack = 1e-5  # float32 may put a range end just outside
            inside = (values >= low - slack * low.abs()) & (values <= high + slack * high.abs())
            if not bool(inside.all()):
                first = tuple((~inside).nonzero()[0])
                strip = self.names[int(first[-2])] if section == "track" else section
                raise ValueError(_outside(strip, specs[int(first[-1])], values[first].item()))

    def clone(self) -> ConsoleParams:
        """Return a detached copy on the CPU, free to edit."""
        return self._each(lambda values: values.detach().cpu().clone())

    def to(self, device: torch.device | str | torch.Tensor) -> ConsoleParams:
        """Return the console on another device, or with a tensor's device and type. Differentiable."""
        return self._each(lambda values: values.to(device))

    def __getitem__(self, index: int) -> ConsoleParams:
        """Return one console of a batch; it shares memory with the batch."""
        if self.tracks.ndim == 2:
            raise ValueError("this is one console, not a batch of them")
        return self._each(lambda values: values[index])

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> ConsoleParams:
        parts = map(change, self._sections().values())
        return ConsoleParams(*parts, names=self.names, preset=self.preset, sample_rate=self.sample_rate)

    def to_frame(self) -> pd.DataFrame:
        """Make a table, one row per strip and one column per knob, NaN where a strip has no such knob."""
        import pandas as pd

        strips = [*map(self.track, self.names), self.fx_bus, self.master_bus]
        columns = dict.fromkeys(spec.name for section in SECTIONS for spec in self.specs(section))
        index = pd.Index([strip.label for strip in strips], name="strip")
        return pd.DataFrame(
            [{k: strip[k] for k in strip} for strip in strips], index=index, columns=list(columns)
        )

    def to_json(self) -> str:
        """Write every value as JSON, by strip and name; `from_json` reads it back."""
        self._check_one()
        return json.dumps(
            {
                "format": "diffmst-console",
                "version": VERSION,
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
        """Read a console that `to_json` wrote, in this version of the library or in an earlier one.

        Args:
            text: JSON of version 1 or 2.

        Returns:
            The console.

        Raises:
            ValueError: In one line, when the text is not a console or of another version, or when a knob is
                missing or bad.
        """
        try:
            data = json.loads(text)
            version = data["version"]
            if version not in (1, VERSION):
                raise ValueError(f"version {version!r}, this library reads versions 1 and {VERSION}")
            written = VERSION_1_NAMES if version == 1 else {}
            params = cls.neutral(list(data["tracks"]), preset=data["preset"], sample_rate=data["sample_rate"])
            strips = [(params.track(name), row) for name, row in data["tracks"].items()]
            strips += [(params.fx_bus, data["fx_bus"]), (params.master_bus, data["master_bus"])]
            for strip, row in strips:
                for name in strip:
                    strip[name] = row[written.get(name, name)]
            return params
        except KeyError as error:
            raise ValueError(f"not a console's JSON: {error} is missing") from None
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not a console's JSON: a value of the wrong kind ({error})") from None
        except ValueError as error:
            raise ValueError(f"not a console's JSON: {error}") from None

    def __repr__(self) -> str:
        return f"ConsoleParams({len(self.names)} tracks: {', '.join(self.names)}; preset {self.preset})"


def _outside(strip: str, spec: ParamSpec, value: float) -> str:
    """Write the message about a value outside its knob's range."""
    number = f"{value:g} {spec.unit}".rstrip()
    return f"{strip}: {spec.name} = {number} is outside {spec.low:g} to {spec.high:g}"
