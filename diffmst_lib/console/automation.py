"""A console a section: settings that change with the song, cross-faded at the boundaries, and their JSON.

Static settings are a limit that the paper names. A song's sections, a verse and a chorus, may have a console
each. At a boundary all knobs move in a short fade from one section's values to the next one's.

Chapter: Mix your own song.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from .params import ConsoleParams
from .reading import SECTIONS_FIELD, SECTIONS_VERSION, in_one_line, read_settings
from .section_json import read_parts, written_parts
from .specs import ParamSpec
from .strip import Strip
from .table import SECTIONS, denormalize, knob_index, normalize

ALIKE = 1e-6  # of a knob's range: below, two sections have the same value
STRAIGHT = 0.25  # a straight line between values 28 % apart leaves an exponential by less than 0.8 %


@dataclass(eq=False)
class Automation:
    """A console for each section of a song, one after another.

    Inside a section its console stands still. Around each boundary b, from b - fade_s / 2 to b + fade_s / 2,
    every knob moves on its own scale, u(t) = u_1 + (t - b + fade_s / 2) / fade_s * (u_2 - u_1) in the unit
    interval: faders in dB, frequencies, times and ratios as ratios.

    Attributes:
        starts_s: Where each section begins, in seconds: first 0.0, ascending, at least fade_s apart.
        consoles: One console a section, with the same tracks, preset and sample rate.
        labels: One name a section; sections that are alike have the same.
        fade_s: How long a fade takes, in seconds; it is centered on the boundary.
        loudest: The number of the loudest section, whose console stands for the whole song.

    Raises:
        ValueError: For sections, consoles and times that do not fit together.

    Example:
        >>> verse, chorus = (ConsoleParams.neutral(["kick", "vox"]) for _ in range(2))
        >>> chorus.track("vox")["fader_db"] = 3.0
        >>> moving = Automation([0.0, 20.0], [verse, chorus], ["verse", "chorus"], loudest=1)
        >>> moving.at(20.0).track("vox")["fader_db"]
        1.5
        >>> moving.changing()
        [('track', 1, 'fader_db')]
        >>> moving.envelope("track", 1, "fader_db")
        [(0.0, 0.0), (19.75, 0.0), (20.25, 3.0)]
    """

    starts_s: list[float]
    consoles: list[ConsoleParams]
    labels: list[str]
    fade_s: float = 0.5
    loudest: int = 0

    def __post_init__(self) -> None:
        self.starts_s = [float(start) for start in self.starts_s]
        self.consoles, self.labels = list(self.consoles), [str(label) for label in self.labels]
        if not self.starts_s or not len(self.starts_s) == len(self.consoles) == len(self.labels):
            raise ValueError(
                f"{len(self.starts_s)} section starts, {len(self.consoles)} consoles, "
                f"{len(self.labels)} labels: one of each a section is needed"
            )
        if not (math.isfinite(self.fade_s) and self.fade_s > 0):
            raise ValueError(f"fade_s cannot be {self.fade_s}: a time above 0 s")
        if self.starts_s[0] != 0.0:
            raise ValueError(f"the first section must start at 0 s, not at {self.starts_s[0]:g} s")
        for before, start in zip(self.starts_s, self.starts_s[1:], strict=False):
            if not (math.isfinite(start) and start - before >= self.fade_s - 1e-9):
                raise ValueError(
                    f"sections start at {before:g} s and {start:g} s: "
                    f"they must follow each other by at least the fade of {self.fade_s:g} s"
                )
        if not 0 <= self.loudest < len(self.consoles):
            raise ValueError(
                f"loudest cannot be {self.loudest}: a section from 0 to {len(self.consoles) - 1}"
            )
        first = self.consoles[0]
        for label, console in zip(self.labels, self.consoles, strict=True):
            if console.tracks.ndim != 2:
                raise ValueError(f"section {label!r} needs one console, not a batch")
            for what in ("names", "preset", "sample_rate"):
                if getattr(console, what) != getattr(first, what):
                    raise ValueError(f"section {label!r} has a console of other {what} than the first")

    @property
    def params(self) -> ConsoleParams:
        """The console of the loudest section, which stands for the whole song."""
        return self.consoles[self.loudest]

    def section_at(self, seconds: float) -> int:
        """Return the number of the section that a time lies in; a boundary belongs to what follows.

        Args:
            seconds: A time in the song.
        """
        return max(0, bisect_right(self.starts_s, seconds) - 1)

    def fades(self) -> list[tuple[float, float]]:
        """List where the knobs move: (start, end) in seconds, one for each boundary."""
        return [(start - self.fade_s / 2, start + self.fade_s / 2) for start in self.starts_s[1:]]

    def at(self, seconds: float) -> ConsoleParams:
        """Return the console at a time: a section's own, and inside a fade one between two.

        Args:
            seconds: A time in the song; before its start and after its end the nearest section counts.

        Returns:
            The console. Outside of fades it is the section's own object, not a copy.
        """
        near = min(max(bisect_right(self.starts_s, seconds + self.fade_s / 2) - 1, 0), len(self.consoles) - 1)
        if near == 0:
            return self.consoles[0]
        share = (seconds - self.starts_s[near]) / self.fade_s + 0.5
        if not 0 < share < 1:
            return self.consoles[near if share >= 1 else near - 1]
        return between(self.consoles[near - 1], self.consoles[near], share)

    def changing(self) -> list[tuple[str, int | None, str]]:
        """List what differs between any two sections.

        Returns:
            One (section, row, knob) for each knob that moves: section is "track", "fx_bus" or "master_bus"; row
            is the number of the track, None for a bus.
        """
        units = [torch.stack(parts) for parts in zip(*(c.to_unit() for c in self.consoles), strict=True)]
        found: list[tuple[str, int | None, str]] = []
        for section, values in zip(SECTIONS, units, strict=True):
            specs = self.params.specs(section)
            moves = (values.amax(0) - values.amin(0)) > ALIKE
            for where in moves.nonzero().tolist():
                found.append((section, where[0] if section == "track" else None, specs[where[-1]].name))
        return found

    def envelope(self, section: str, row: int | None, knob: str) -> list[tuple[float, float]]:
        """List the points of one knob's course, between which straight lines come close to it.

        A knob on a linear scale moves in straight lines. One on a logarithmic scale has so many points within a
        fade that straight lines in its unit stay within 1 % of it.

        Args:
            section: "track", "fx_bus" or "master_bus".
            row: The number of the track; None for a bus.
            knob: The knob's name.

        Returns:
            (time in seconds, value in the knob's unit) with ascending times, first at 0.0; only one point for a
            knob that never moves. After the last point the value stays.

        Raises:
            KeyError: With the nearest name, for a knob that there is not.
        """
        values = [_strip(console, section, row)[knob] for console in self.consoles]
        spec = next(spec for spec in self.params.specs(section) if spec.name == knob)
        points = [(0.0, values[0])]
        for (start, end), old, new in zip(self.fades(), values, values[1:], strict=False):
            if old == new:
                continue
            count = 1
            if spec.scale == "log":
                count = max(1, math.ceil(abs(math.log(new / old)) / STRAIGHT))
            shares = [i / count for i in range(count + 1)]
            course = [
                old * (new / old) ** s if spec.scale == "log" else old + s * (new - old) for s in shares
            ]
            points += [(start + s * (end - start), v) for s, v in zip(shares, course, strict=True)]
        return points

    def edited(self, params: ConsoleParams) -> Automation:
        """Follow an edit of the loudest section's console in all sections.

        A knob that was alike in all sections gets the new value everywhere. Where a section has its own, it
        moves as far on the knob's scale, but not beyond its range.

        Args:
            params: `params`, edited.

        Returns:
            Other settings, whose `params` are those given.

        Raises:
            ValueError: For a console of other tracks.
        """
        consoles = [_moved(console, self.params, params) for console in self.consoles]
        consoles[self.loudest] = params.clone()
        return replace(self, consoles=consoles)

    def louder(self, change_db: float) -> Automation:
        """Move the master's output gain of all sections together; it stays within its range in all of them.

        Args:
            change_db: By how much.

        Returns:
            Other settings.
        """
        consoles = [console.clone() for console in self.consoles]
        gains_db = [console.master_bus["output_gain_db"] for console in consoles]
        knob = knob_index("output_gain_db", "master_bus", self.params.preset)
        spec = self.params.specs("master_bus")[knob]
        change_db = min(max(change_db, spec.low - min(gains_db)), spec.high - max(gains_db))
        for console in consoles:
            console.master_bus_values[..., knob] += change_db
        return replace(self, consoles=consoles)

    def to_json(self) -> str:
        """Write the JSON of `params` with one more key, "sections"; `from_json` reads it back.

        A section lists only the knobs that differ from the console of the document, which is the loudest
        section's. So a change there holds for every section that does not say otherwise.
        """
        document = json.loads(self.params.to_json())
        consoles = [json.loads(console.to_json()) for console in self.consoles]
        document["version"] = SECTIONS_VERSION
        document[SECTIONS_FIELD] = {
            "fade_s": self.fade_s,
            "loudest": self.loudest,
            "parts": written_parts(self.starts_s, self.labels, consoles, document),
        }
        return json.dumps(document, indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Automation:
        """Read what `to_json` wrote.

        Args:
            text: The JSON of a console with the key "sections".

        Returns:
            The consoles of the sections.

        Raises:
            ValueError: In one line with the field's name, for a text that is not that.
        """
        params = ConsoleParams.from_json(text)
        try:
            return cls(**read_parts(params, read_settings(text).get(SECTIONS_FIELD)))
        except (ValueError, KeyError) as error:
            said = error.args[0] if isinstance(error, KeyError) else error
            raise ValueError(f"not a console's JSON: {in_one_line(said)}") from None


def between(first: ConsoleParams, second: ConsoleParams, share: float) -> ConsoleParams:
    """Return the console a share of the way from one to another, each knob on its own scale.

    Args:
        first: The console at share 0.
        second: The console at share 1, of the same tracks.
        share: From 0 to 1.

    Returns:
        The console; knobs that both have alike stay exactly as they are.

    Example:
        >>> first, second = (ConsoleParams.neutral(["kick"]) for _ in range(2))
        >>> first.track("kick")["ratio"], second.track("kick")["ratio"] = 2.0, 8.0
        >>> round(between(first, second, 0.5).track("kick")["ratio"], 3)
        4.0
    """
    return _combined(
        lambda specs, old, new: denormalize(
            torch.lerp(normalize(old, specs), normalize(new, specs), share).clamp(0.0, 1.0), specs
        ),
        first,
        second,
    )


def _moved(console: ConsoleParams, before: ConsoleParams, after: ConsoleParams) -> ConsoleParams:
    """Move a console's knobs as far as another console's were moved."""

    def move(
        specs: tuple[ParamSpec, ...], own: torch.Tensor, old: torch.Tensor, new: torch.Tensor
    ) -> torch.Tensor:
        by = normalize(new, specs) - normalize(old, specs)
        moved = denormalize((normalize(own, specs) + by).clamp(0.0, 1.0), specs)
        return torch.where(old == new, own, torch.where(own == old, new, moved))

    if after.names != before.names:
        raise ValueError(f"the console is for {', '.join(after.names)}, not for {', '.join(before.names)}")
    return _combined(move, console, before, after)


def _combined(change: Callable[..., torch.Tensor], *consoles: ConsoleParams) -> ConsoleParams:
    """Make a console of the values of others, section by section; what all have alike stays exactly so."""
    first, parts = consoles[0], []
    rows = [(console.tracks, console.fx_bus_values, console.master_bus_values) for console in consoles]
    for section, *values in zip(SECTIONS, *rows, strict=True):
        alike = torch.stack([torch.as_tensor(one == values[0]) for one in values]).all(dim=0)
        made = change(first.specs(section), *(one.double() for one in values)).to(values[0].dtype)
        parts.append(torch.where(alike, values[0], made))
    return ConsoleParams(*parts, names=first.names, preset=first.preset, sample_rate=first.sample_rate)


def _strip(console: ConsoleParams, section: str, row: int | None) -> Strip:
    if section == "track":
        if row is None:
            raise ValueError("a knob of a track needs the number of its row")
        return console.track(console.names[row])
    return console.fx_bus if section == "fx_bus" else console.master_bus
