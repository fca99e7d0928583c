"""Knobs of a console, or of a console a section, by name: found, turned, copied, compared.

Chapter: Mix your own song.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from ..console.automation import Automation
from ..console.params import ConsoleParams
from ..console.specs import ASPECTS
from ..console.strip import Strip
from ..disk import composed
from ..inputs import InputError

Settings = ConsoleParams | Automation
BUSES = ("master_bus", "fx_bus")


@dataclass(frozen=True)
class Change:
    """One knob that differs between two settings.

    Attributes:
        section: The label of the section; empty where all sections, or a song without, are meant.
        strip: The stem, "fx_bus" or "master_bus".
        knob: The knob.
        before: Its value in the first, in its unit.
        after: Its value in the second.
        unit: "dB", "Hz", "ms", ":1" or "".
    """

    section: str
    strip: str
    knob: str
    before: float
    after: float
    unit: str


def each_console(
    settings: Settings, change: Callable[[ConsoleParams], ConsoleParams], section: str | None = None
) -> Settings:
    """Change the console of a song, or those of its sections.

    Args:
        settings: The console, or a console a section.
        change: Makes another console of one.
        section: The label of the sections to change; None: all.

    Returns:
        Other settings; consoles that are not changed are the same objects.

    Raises:
        InputError: With the nearest label, for a section that there is not.

    Example:
        >>> each_console(ConsoleParams.neutral(["kick"]), ConsoleParams.clone, "verse")
        Traceback (most recent call last):
        ...
        diffmst_lib.inputs.InputError: section 'verse': this mix has one console for the whole song
    """
    if isinstance(settings, ConsoleParams):
        if section is not None:
            raise InputError(f"section {section!r}: this mix has one console for the whole song")
        return change(settings)
    if section is not None and section not in settings.labels:
        raise InputError(f"no section {section!r}: {_nearest(section, list(dict.fromkeys(settings.labels)))}")
    consoles = [
        change(console) if section in (None, label) else console
        for console, label in zip(settings.consoles, settings.labels, strict=True)
    ]
    return Automation(settings.starts_s, consoles, settings.labels, settings.fade_s, settings.loudest)


def find_strips(params: ConsoleParams, name: str, *, buses: bool = True) -> list[Strip]:
    """Find the strip of a stem or of a bus.

    Args:
        params: The console.
        name: The name of a stem, compared in NFC, "master_bus" or "fx_bus". On a console of mono channels a stereo
            stem has two strips.
        buses: Whether it may be a bus.

    Returns:
        One strip, or the two of a stereo stem.

    Raises:
        InputError: With the nearest name, when there is no such strip.

    Example:
        >>> [strip.label for strip in find_strips(ConsoleParams.neutral(["pad.L", "pad.R"]), "pad")]
        ['pad.L', 'pad.R']
    """
    if buses and name in BUSES:
        return [params.master_bus if name == "master_bus" else params.fx_bus]
    sought, has = composed(str(name)), [composed(str(one)) for one in params.names]
    wanted = [sought] if sought in has else [f"{sought}.L", f"{sought}.R"]
    rows = [row for row, one in enumerate(has) if one in wanted]
    if not rows:
        raise InputError(f"no stem {name!r}: {_nearest(sought, [*has, *(BUSES if buses else ())])}")
    return [params.track(params.names[row]) for row in rows]


def turned(
    settings: Settings,
    turns: Mapping[str, Mapping[str, float]],
    *,
    relative: bool = False,
    section: str | None = None,
) -> Settings:
    """Turn knobs.

    Args:
        settings: The console, or a console a section.
        turns: {strip: {knob: value}}, in the knobs' units.
        relative: Whether the values are added to where the knobs are.
        section: The label of the sections to change; None: all.

    Returns:
        Other settings.

    Raises:
        InputError: With the nearest name, for a name that there is not; with the range, for a value outside it.

    Example:
        >>> turned(ConsoleParams.neutral(["kick"]), {"kick": {"pan": 1.4}})
        Traceback (most recent call last):
        ...
        diffmst_lib.inputs.InputError: kick: pan = 1.4 is outside 0 to 1
    """

    def turn(console: ConsoleParams) -> ConsoleParams:
        console = console.clone()
        for name, knobs in turns.items():
            for strip in find_strips(console, name):
                for knob, value in knobs.items():
                    strip[knob] = strip[knob] + _amount(name, knob, value) if relative else value
        return console

    return _said(lambda: each_console(settings, turn, section))


def copied(
    settings: Settings, source: str, to: Sequence[str], knobs: Sequence[str], section: str | None = None
) -> Settings:
    """Copy knobs from one strip to others.

    Args:
        settings: The console, or a console a section.
        source: The stem to copy from.
        to: The stems to copy to.
        knobs: The knobs' names.
        section: The label of the sections to change; None: all, each from its own strip.

    Returns:
        Other settings.

    Raises:
        InputError: With the nearest name, for a name that there is not.

    Example:
        >>> params = ConsoleParams.neutral(["lead", "double"])
        >>> params.track("lead")["pan"] = 0.25
        >>> copied(params, "lead", ["double"], ["pan"]).track("double")["pan"]
        0.25
    """

    def paste(console: ConsoleParams) -> ConsoleParams:
        console = console.clone()
        strips = find_strips(console, source, buses=False)
        for name in to:
            targets = find_strips(console, name, buses=False)
            for i, target in enumerate(targets):
                original = strips[min(i, len(strips) - 1)]  # left to left, right to right
                for knob in knobs:
                    target[knob] = original[knob]
        return console

    return _said(lambda: each_console(settings, paste, section))


def picked_knobs(params: ConsoleParams, names: str | Sequence[str] | None) -> list[str]:
    """Find knobs of a strip by their aspects, their effects or their own names.

    Args:
        params: The console.
        names: "tone", "compressor", "pan", or several such; None: all knobs.

    Returns:
        The knobs' names in the order of the table.

    Raises:
        InputError: With the nearest name, for a name that there is not.

    Example:
        >>> picked_knobs(ConsoleParams.neutral(["kick"]), ["balance", "pan"])
        ['input_gain_db', 'pan', 'fader_db']
    """
    specs = params.specs("track")
    if names is None:
        return [spec.name for spec in specs]
    wanted = [names] if isinstance(names, str) else list(names)
    known = [*ASPECTS, *dict.fromkeys(spec.effect for spec in specs), *(spec.name for spec in specs)]
    for name in wanted:
        if name not in known:
            raise InputError(f"no knob, effect or aspect {name!r}: {_nearest(name, known)}")
    return [spec.name for spec in specs if {spec.aspect, spec.effect, spec.name} & set(wanted)]


def changes(old: Settings, new: Settings) -> list[Change]:
    """List the knobs that differ between two settings of a song.

    Args:
        old: The first.
        new: The second, of the same strips and the same kind.

    Returns:
        What differs. A change that is the same in all sections is listed once, without a section.

    Example:
        >>> old = ConsoleParams.neutral(["kick"])
        >>> changes(old, turned(old, {"kick": {"pan": 0.25}}))
        [Change(section='', strip='kick', knob='pan', before=0.5, after=0.25, unit='')]
    """
    pairs = _side_by_side(old, new)
    found = [[(label, *one) for one in _differing(first, last)] for label, first, last in pairs]
    everywhere = {one[1:] for one in found[0]}.intersection(*({one[1:] for one in part} for part in found))
    listed = [Change("", *one[1:]) for one in found[0] if one[1:] in everywhere]
    listed += [Change(*one) for part in found for one in part if one[1:] not in everywhere]
    return list(dict.fromkeys(listed))  # sections of one label that changed alike are one


def _side_by_side(old: Settings, new: Settings) -> list[tuple[str, ConsoleParams, ConsoleParams]]:
    """Pair the consoles of two settings, section by section: (label, first, second)."""
    sections = next((one for one in (new, old) if isinstance(one, Automation)), None)
    if sections is None:
        return [("", old, new)]  # type: ignore[list-item]

    def at(settings: Settings, seconds: float) -> ConsoleParams:
        if isinstance(settings, ConsoleParams):
            return settings
        return settings.consoles[settings.section_at(seconds)]

    return [
        (label, at(old, start), at(new, start))
        for label, start in zip(sections.labels, sections.starts_s, strict=True)
    ]


def _differing(old: ConsoleParams, new: ConsoleParams) -> list[tuple[str, str, float, float, str]]:
    pairs = [("track", one, two) for one, two in zip(_tracks(old), _tracks(new), strict=True)]
    pairs += [("fx_bus", old.fx_bus, new.fx_bus), ("master_bus", old.master_bus, new.master_bus)]
    return [
        (first.label, spec.name, first[spec.name], last[spec.name], spec.unit)
        for section, first, last in pairs
        for spec in new.specs(section)
        if first[spec.name] != last[spec.name]
    ]


def _tracks(params: ConsoleParams) -> list[Strip]:
    return [params.track(name) for name in params.names]


def _amount(strip: str, knob: str, value: object) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    raise InputError(f"{strip}: {knob} takes one number, got {value!r}")


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"


def _said(change: Callable[[], Settings]) -> Settings:
    """Do what a person asked for; what a strip refuses is about what they gave."""
    try:
        return change()
    except KeyError as error:
        raise InputError(error.args[0]) from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from None
