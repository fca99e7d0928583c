"""Refine a mix after edits: the fit goes on from there, and what was edited by hand stays.

Chapter: Mix your own song.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..console.automation import Automation
from ..console.params import ConsoleParams
from ..inputs import InputError
from .editing import REFINE
from .keeping import KEEP
from .knobs import BUSES, Change, Settings, each_console
from .level import HIGHEST_LUFS, LOWEST_LUFS, bring_to
from .optimize import fit_console
from .parts import Lock, blend, check_amount, check_fit, check_locks
from .references import Reference, check_reference
from .result import MixResult

if TYPE_CHECKING:
    import pandas as pd

_Fit = Callable[[ConsoleParams, tuple[float, float] | None, str], ConsoleParams]


def refine(
    result: MixResult,
    steps: int = 100,
    *,
    lock: Sequence[str] = (),
    lock_edits: bool = True,
    section: str | None = None,
    keep: float = KEEP,
    amount: float | Mapping[str, float] = 1.0,
    fit_seconds: float = 15.0,
    progress: bool = False,
) -> MixResult:
    """Go on with the fit from a mix as it is, for instance after edits, towards its own record.

    The pull holds the console at this mix, not at the song as it was delivered. Where the mix has sections, each
    is fitted by itself, in its own part of the song.

    Args:
        result: The mix, with the record that it was made with.
        steps: Gradient steps, 0 or more.
        lock: Stems, buses and knobs that stay as they are, as in `optimize_mix`.
        lock_edits: Whether the knobs that were edited by hand (`MixResult.edits`) stay as well.
        section: The label of the section to refine; None: all of them.
        keep: Weight of the pull, as in `optimize_mix`.
        amount: How far to go, 0 to 1, as in `optimize_mix`.
        fit_seconds: Length of the loudest window, on which the console is fitted, in seconds.
        progress: Whether to show a progress bar.

    Returns:
        Another result, as loud as this one: the master's output gain, which only sets the level, moves for it
        even where it is locked. `undo` leads back to this one.

    Raises:
        InputError: For a mix without a record, for names in `lock` and a section that there are not.
        ValueError: For other arguments that do not fit.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)
        >>> record = dm.load_audio(dm.data_dir() / "references" / "vibe_ace.ogg")
        >>> mix = dm.optimize_mix(song, record, steps=2, fit_seconds=2).edit("vox_lead", pan=0.4)
        >>> better = refine(mix, steps=2, fit_seconds=2)
        >>> better.params.track("vox_lead")["pan"], better.undo().loss is None
        (0.4, True)
    """
    import pandas as pd

    if not isinstance(result, MixResult):
        raise InputError(f"refine takes a mix, a MixResult, not {type(result).__name__}")
    if result.reference is None:
        raise InputError("this mix was made without a record: optimize_mix takes one, and init=result.params")
    check_fit(keep, fit_seconds, steps=steps)
    check_amount(amount)
    settings, rate = result._settings(), result.sample_rate
    record = result.record or check_reference(
        result.reference, sample_rate=rate, features=result.features or None
    )
    locked = check_locks(lock, result.params.names, result.params.preset)
    edited = [one for what, found in result._steps() if what != REFINE for one in found] if lock_edits else []
    histories: list[pd.DataFrame] = []

    def fit(init: ConsoleParams, part_s: tuple[float, float] | None, label: str) -> ConsoleParams:
        mine = [one for one in edited if one.section in ("", label)]
        song = result.song if part_s is None else result.song.excerpt(*part_s)
        found, history = fit_console(
            song,
            record,
            init,
            result.console,
            steps=steps,
            keep=keep,
            lock=[*locked, *_locks(init, mine)],
            fit_seconds=fit_seconds,
            progress=progress,
        )
        histories.append(history)
        return _held(init, blend(init, found, amount), mine)

    each_console(settings, lambda console: console, section)  # refuses a section that there is not
    if isinstance(settings, Automation):
        settings = _each_section(settings, fit, result.song.audio.shape[-1] / rate, section)
    else:
        settings = fit(settings, None, "")
    return _at_level(result, settings, record, pd.concat(histories, ignore_index=True).rename_axis("step"))


def _at_level(result: MixResult, settings: Settings, record: Reference, history: pd.DataFrame) -> MixResult:
    """Render other settings as loud as a mix is, a step further in its edits."""
    step = refined = result._step(REFINE, settings)
    level, rate = result.loudness_lufs, result.sample_rate
    if LOWEST_LUFS <= level <= HIGHEST_LUFS:  # NaN is not
        refined = bring_to(step, level)
        refined._past = step._past
    refined.loss = record.distance(refined.audio, refined.loudness_lufs, sample_rate=rate)
    refined.history = history
    return refined


def _each_section(settings: Automation, fit: _Fit, seconds: float, section: str | None) -> Automation:
    """Fit the console of each section; sections that share one are fitted once, in the longest of them."""
    ends = [*settings.starts_s[1:], seconds]
    consoles = list(settings.consoles)
    groups: dict[tuple[str, str], list[int]] = {}
    for i, (label, console) in enumerate(zip(settings.labels, settings.consoles, strict=True)):
        if section in (None, label):
            groups.setdefault((label, console.to_json()), []).append(i)
    for (label, _), members in groups.items():
        longest = max(members, key=lambda i: ends[i] - settings.starts_s[i])
        start = settings.starts_s[longest]
        found = fit(settings.consoles[longest], (start, ends[longest] - start), label)
        for i in members:
            consoles[i] = found
    return Automation(settings.starts_s, consoles, settings.labels, settings.fade_s, settings.loudest)


def _locks(params: ConsoleParams, edited: Sequence[Change]) -> list[Lock]:
    """Name the knobs that were edited as a fit locks them; it does not know those of the effects bus."""
    return [
        (one.strip if one.strip in BUSES else params.names.index(one.strip), one.knob)
        for one in edited
        if one.strip != "fx_bus"
    ]


def _held(init: ConsoleParams, found: ConsoleParams, edited: Sequence[Change]) -> ConsoleParams:
    """Put the edited knobs of the effects bus back."""
    found = found.clone()
    for one in edited:
        if one.strip == "fx_bus":
            found.fx_bus[one.knob] = init.fx_bus[one.knob]
    return found
