"""A console's knobs as numbers: strips by name, the unit interval, logits, tables and JSON.

Names, units and ranges come from `table`, whose public names can be imported from here too.

Chapter: The console.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..disk import composed
from ..inputs import FIRST_EDITION, InputError, note
from .first_edition import VERSION_1_NAMES, channels_to_stems
from .reading import VERSION, in_one_line, read_settings, read_strip, shortest, strip_places, write_settings
from .specs import CONSOLES, ParamSpec
from .strip import Strip, inside, outside
from .table import (
    EQ_BANDS,
    SECTIONS,
    UNIT_EDGE,
    check_knobs,
    denormalize,
    knob_index,
    normalize,
    param_table,
    physical,
)

if TYPE_CHECKING:
    import pandas as pd

NO_CONSOLE = "not a console's JSON: "  # how a message about a text begins

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


def _each_section(
    change: Callable[[torch.Tensor, tuple[ParamSpec, ...]], torch.Tensor],
    parts: Sequence[torch.Tensor],
    preset: str,
    sample_rate: int,
) -> list[torch.Tensor]:
    """Change the values of the three sections, each with its table."""
    changed = []
    for section, values in zip(SECTIONS, parts, strict=True):
        check_knobs(values, section, preset)
        changed.append(change(values, param_table(section, preset, sample_rate)))
    return changed


def _letters(name: object) -> str:
    """Return a name as it is compared: in NFC, and a number, which may name a track as well, as text."""
    return composed(str(name))


class ConsoleParams:
    """All knobs of a console, in physical units.

    The tensors are `tracks`, `fx_bus_values` and `master_bus_values`; the strips by name are
    `params.track("kick")`, `params.fx_bus` and `params.master_bus`.

    Args:
        tracks: (N, K), the K knobs of each of N strips in the order of `param_table`, or a batch (B, N, K).
        fx_bus: (K,) or (B, K), the knobs of the effects bus.
        master_bus: (K,) or (B, K), the knobs of the master bus.
        names: The N names of the tracks, all different; None: track1, track2 and so on.
        preset: "default", "reference", or the name of a registered console.
        sample_rate: Hz.

    Raises:
        ValueError: For shapes, names and a preset that do not fit.

    Example:
        >>> params = ConsoleParams.neutral(["kick", "vox_lead"])
        >>> params.track("vox_lead")["fader_db"] += 1.5
        >>> params.track("vox_lead")["fader_db"], params.track("kick")["fader_db"]
        (1.5, 0.0)
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
        self.preset, self.sample_rate = preset, sample_rate
        self.tracks, self.fx_bus_values, self.master_bus_values = tracks, fx_bus, master_bus
        for section, values in self._sections().items():
            check_knobs(values, section, preset)
        if tracks.ndim < 2 or tracks.shape[-2] < 1:
            raise ValueError(f"a console needs at least one track, got track values {tuple(tracks.shape)}")
        self.names = list(names) if names is not None else [f"track{i + 1}" for i in range(tracks.shape[-2])]
        if len(self.names) != tracks.shape[-2]:
            raise ValueError(f"{len(self.names)} names for {tracks.shape[-2]} tracks")
        if len({_letters(name) for name in self.names}) < len(self.names):
            raise ValueError(f"track names must differ: {', '.join(map(str, self.names))}")

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
            track: (..., N, knobs) in [0, 1].
            fx_bus: (..., knobs) in [0, 1].
            master_bus: (..., knobs) in [0, 1].
            preset: "default", "reference", or the name of a registered console.
            sample_rate: Hz.
            names: The N names of the tracks.

        Returns:
            The console.

        Raises:
            ValueError: With the knob's name, for values outside [0, 1] and for NaN; for shapes that do not fit.
        """
        values = _each_section(denormalize, (track, fx_bus, master_bus), preset, sample_rate)
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
            track: (..., N, knobs), any numbers; minus infinity is the low end of a knob.
            fx_bus: (..., knobs).
            master_bus: (..., knobs).
            preset: "default", "reference", or the name of a registered console.
            sample_rate: Hz.
            names: The N names of the tracks.

        Returns:
            The console.

        Raises:
            ValueError: For shapes that do not fit.

        Example:
            >>> strips, *buses = (torch.zeros(len(param_table(section))) for section in SECTIONS)
            >>> params = ConsoleParams.from_logits(strips[None], *buses)
            >>> params.track("track1")["input_gain_db"], params.track("track1")["pan"]
            (0.0, 0.5)
        """
        logits = (track, fx_bus, master_bus)
        values = _each_section(
            lambda z, specs: physical(torch.sigmoid(z), specs), logits, preset, sample_rate
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
            preset: "default", "reference", or the name of a registered console.
            sample_rate: Hz.

        Returns:
            The console.
        """
        rows = [
            torch.tensor([s.neutral for s in param_table(section, preset, sample_rate)], device="cpu")
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
        """Return the strip of a track.

        Args:
            name: Name of the track, compared in NFC.

        Returns:
            The strip.

        Raises:
            KeyError: With the nearest name, when there is no such track.
        """
        self._check_one()
        names = [_letters(name) for name in self.names]
        if _letters(name) not in names:
            close = difflib.get_close_matches(_letters(name), names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(str, self.names))}"
            raise KeyError(f"no track {name!r}: {hint}")
        row = names.index(_letters(name))
        return Strip(self.names[row], self.tracks[row], self.specs("track"))

    @property
    def fx_bus(self) -> Strip:
        """The strip of the effects bus."""
        self._check_one()
        return Strip("fx_bus", self.fx_bus_values, self.specs("fx_bus"))

    @property
    def master_bus(self) -> Strip:
        """The strip of the master bus."""
        self._check_one()
        return Strip("master_bus", self.master_bus_values, self.specs("master_bus"))

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
            fits = inside(values, specs)
            if not bool(fits.all()):
                first = tuple((~fits).nonzero()[0])
                strip = self.names[int(first[-2])] if section == "track" else section
                raise ValueError(outside(strip, specs[int(first[-1])], values[first].item()))

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
        """Write every value as JSON, by strip and name; `from_json` gives back exactly the same console.

        Raises:
            ValueError: With the field's name, for a value that is NaN or infinite: JSON has no such numbers.
        """
        self._check_one()
        tracks = {name: self._named("track", row) for name, row in zip(self.names, self.tracks, strict=True)}
        buses = {"fx_bus": self.fx_bus_values, "master_bus": self.master_bus_values}
        return write_settings(
            {"preset": self.preset, "sample_rate": self.sample_rate, "tracks": tracks}
            | {bus: self._named(bus, row) for bus, row in buses.items()}
        )

    def _named(self, section: str, row: torch.Tensor) -> dict[str, float]:
        return dict(zip((spec.name for spec in self.specs(section)), shortest(row), strict=True))

    @classmethod
    def from_json(cls, text: str) -> ConsoleParams:
        """Read a console that `to_json` wrote, in this version of the library or in an earlier one.

        In versions 1 and 2 a strip was a mono channel. The two strips of a stereo stem become one, see
        `first_edition.channels_to_stems`, with an `InputNote`. Of settings by section, the console of the loudest
        one is read; `diffmst_lib.load_params` reads all.

        Args:
            text: JSON of version 1 to 4.

        Returns:
            The console.

        Raises:
            ValueError: In one line with the field's name, when the text is not a console or of another format or
                version, when a field stands there twice or is of a wrong kind, or when a knob is missing,
                unknown or outside its range; its subclass InputError for a console that nobody registered.

        Example:
            >>> text = ConsoleParams.neutral(["kick", "vox"]).to_json()
            >>> ConsoleParams.from_json(text.replace('"pan": 0.5', '"pan": 1.4', 1))
            Traceback (most recent call last):
            ...
            ValueError: not a console's JSON: tracks.kick.pan: 1.4 is outside 0 to 1
        """
        if str(text).endswith(".json"):
            raise ValueError(f"{NO_CONSOLE}{text} is the name of a file, not its text")
        try:
            data = read_settings(text)
            CONSOLES.get(data["preset"])
            return cls._from_settings(data)
        except InputError as error:  # a console that nobody registered
            raise InputError(in_one_line(error)) from None
        except ValueError as error:
            raise ValueError(f"{NO_CONSOLE}{in_one_line(error)}") from None

    @classmethod
    def _from_settings(cls, data: dict[str, Any]) -> ConsoleParams:
        """Make a console of the fields that `read_settings` checked."""
        old = data["version"] < VERSION and data["preset"] == "default"
        preset, rate = FIRST_EDITION if old else data["preset"], data["sample_rate"]
        written = VERSION_1_NAMES if data["version"] == 1 else {}
        *tracks, fx_bus, master_bus = (
            torch.tensor(read_strip(place, row, param_table(section, preset, rate), written), device="cpu")
            for place, section, row in strip_places(data)
        )
        if not tracks:
            raise ValueError("tracks is empty: a console needs at least one track")
        names = [composed(name) for name in data["tracks"]]
        params = cls(torch.stack(tracks), fx_bus, master_bus, names=names, preset=preset, sample_rate=rate)
        return params.as_stems(noted=True) if old else params

    def as_stems(self, *, noted: bool = False) -> ConsoleParams:
        """Convert a console of the first edition, whose strips take mono channels; others are returned as is."""
        if self.preset != FIRST_EDITION:
            return self
        names, tracks, master_bus = channels_to_stems(
            self.names, self.tracks, self.master_bus_values, sample_rate=self.sample_rate
        )
        pairs = [name for name in names if name not in self.names]
        if noted:
            joined = f"the two strips of {', '.join(pairs)} became one; " if pairs else ""
            note(
                f"settings of the first edition: {joined}pans and levels follow today's console, "
                "what lies outside its ranges is at their ends"
            )
        return ConsoleParams(
            tracks, self.fx_bus_values.clone(), master_bus, names=names, sample_rate=self.sample_rate
        )

    def __repr__(self) -> str:
        return f"ConsoleParams({len(self.names)} tracks: {', '.join(self.names)}; preset {self.preset})"
