"""Editing a finished mix by the names of its stems, with undo: every edit gives another result.

Chapter: Mix your own song.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import torch

from ..console.automation import Automation
from ..console.params import ConsoleParams
from ..console.settings_file import for_stems
from ..inputs import InputError
from .knobs import Change, Settings, changes, copied, each_console, picked_knobs, turned

if TYPE_CHECKING:
    import pandas as pd

Turns = Mapping[str, Mapping[str, float]]
Strips = str | Sequence[str] | Turns
REFINE = "refine"  # what is no edit by hand
_Result = TypeVar("_Result", bound="Editable")


@dataclass(frozen=True)
class Before:
    """A result before a step, without its sound, which the console makes again.

    Attributes:
        what: What the step was: "edit", "nudge", "copy", "with_params", "desk", "remix" or "refine".
        settings: The console, or a console a section.
        loss: The loss by term, if there was one.
        history: The losses of the fit by step, if there was one.
    """

    what: str
    settings: Settings
    loss: dict[str, float] | None
    history: pd.DataFrame | None


class Editable:
    """What a `MixResult` can do with its knobs. Nothing here changes the result itself.

    Each method renders the song again, without normalizing: the level follows the edit, as on a desk.
    """

    params: ConsoleParams
    automation: Automation | None
    loss: dict[str, float] | None
    history: pd.DataFrame | None
    _past: tuple[Before, ...] = ()
    _future: tuple[Before, ...] = ()
    _made_with: Settings

    def remix(self: _Result) -> _Result:
        """Render the settings again."""
        raise NotImplementedError

    def edit(self: _Result, strips: Strips, /, *, section: str | None = None, **knobs: float) -> _Result:
        """Set knobs of one or several strips.

        Args:
            strips: A stem, several stems, "master_bus" or "fx_bus"; or knobs by strip, {"kick": {"pan": 0.4}}.
            section: The label of the section to change, where the mix has sections; None: all of them.
            **knobs: Values in the knobs' units.

        Returns:
            Another result.

        Raises:
            InputError: With the nearest name for a strip, a knob or a section that there is not; with the range
                for a value outside of it.

        Example:
            >>> import diffmst_lib as dm
            >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)
            >>> result = dm.equal_loudness(song)
            >>> edited = result.edit("vox_lead", pan=0.4).edit({"master_bus": {"ratio": 1.5}})
            >>> edited.params.track("vox_lead")["pan"], result.params.track("vox_lead")["pan"]
            (0.4, 0.5)
        """
        return self._turned("edit", strips, knobs, section)

    def nudge(self: _Result, strips: Strips, /, *, section: str | None = None, **knobs: float) -> _Result:
        """Move knobs of one or several strips from where they are.

        Args:
            strips: As in `edit`.
            section: As in `edit`.
            **knobs: What is added to each knob, in its unit.

        Returns:
            Another result.

        Raises:
            InputError: As in `edit`.

        Example:
            >>> import diffmst_lib as dm
            >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)
            >>> louder = dm.equal_loudness(song).nudge(["vox_lead", "bgvox"], fader_db=+1.5)
            >>> louder.edits[["strip", "knob", "unit"]].values.tolist()
            [['bgvox', 'fader_db', 'dB'], ['vox_lead', 'fader_db', 'dB']]
        """
        return self._turned("nudge", strips, knobs, section)

    def copy_strip(
        self: _Result,
        source: str,
        to: str | Sequence[str],
        knobs: str | Sequence[str] | None = None,
        *,
        section: str | None = None,
    ) -> _Result:
        """Copy the knobs of one stem's strip to others.

        Args:
            source: The stem to copy from.
            to: The stem or the stems to copy to.
            knobs: What to copy: aspects ("balance", "tone", "dynamics", "image"), effects ("eq", "compressor")
                or knobs ("pan"); None: all, also the trim and the fader.
            section: As in `edit`; within the section.

        Returns:
            Another result.

        Raises:
            InputError: With the nearest name, for a name that there is not.

        Example:
            >>> import diffmst_lib as dm
            >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)
            >>> result = dm.equal_loudness(song).edit("vox_lead", ratio=3.0, pan=0.3)
            >>> both = result.copy_strip("vox_lead", "bgvox", "dynamics")
            >>> [both.params.track("bgvox")[knob] for knob in ("ratio", "pan")]
            [3.0, 0.5]
        """
        wanted = picked_knobs(self.params, knobs)
        settings = copied(
            self._settings(), source, [to] if isinstance(to, str) else list(to), wanted, section
        )
        return self._step("copy", settings)

    def with_params(self: _Result, params: Settings, *, section: str | None = None) -> _Result:
        """Mix with other settings, for instance those of `load_params`.

        Args:
            params: The console, or a console a section. Where the mix has sections, what of a console differs
                from `params` of this result is changed in them.
            section: As in `edit`.

        Returns:
            Another result.

        Raises:
            InputError: For settings of another song or of another kind of console; for a section that there is
                not.

        Example:
            >>> import diffmst_lib as dm
            >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)
            >>> result = dm.equal_loudness(song)
            >>> other = result.params.clone()
            >>> other.track("vox_lead")["fader_db"] -= 3
            >>> result.with_params(other).loudness_lufs < result.loudness_lufs
            True
        """
        return self._step("with_params", self._replaced(params, section))

    def undo(self: _Result) -> _Result:
        """Return to before the last step.

        Returns:
            The result as it was, rendered again, with the loss that it had; `redo` takes it back.

        Raises:
            InputError: When there was no step.

        Example:
            >>> import diffmst_lib as dm
            >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 2)
            >>> edited = dm.equal_loudness(song).edit("vox_lead", pan=0.4)
            >>> edited.undo().params.track("vox_lead")["pan"], edited.undo().redo().params.track("vox_lead")["pan"]
            (0.5, 0.4)
        """
        if not self._past:
            raise InputError("there is nothing to undo")
        last = self._past[-1]
        return self._at(last, self._past[:-1], (self._before(last.what), *self._future))

    def redo(self: _Result) -> _Result:
        """Do again what `undo` took back.

        Returns:
            The result as it was, rendered again.

        Raises:
            InputError: When nothing was undone, or something was edited since.
        """
        if not self._future:
            raise InputError("there is nothing to redo")
        following = self._future[0]
        return self._at(following, (*self._past, self._before(following.what)), self._future[1:])

    @property
    def edits(self) -> pd.DataFrame:
        """What was changed since the mix was made, a row a knob, with the number of its step.

        Columns: step, what, section (empty where all are meant), strip, knob, before, after, unit. Steps that were
        undone are not in it.
        """
        import pandas as pd

        rows = [
            (step, what, one.section, one.strip, one.knob, one.before, one.after, one.unit)
            for step, (what, found) in enumerate(self._steps(), start=1)
            for one in found
        ]
        columns = ["step", "what", "section", "strip", "knob", "before", "after", "unit"]
        return pd.DataFrame(rows, columns=columns)

    def _steps(self) -> list[tuple[str, list[Change]]]:
        """List what each step changed. Knobs that were turned in `params` but not rendered yet come last."""
        states = [*(one.settings for one in self._past), self._made_with, self._settings()]
        found = [changes(old, new) for old, new in pairwise(states)]
        steps = list(zip([*(one.what for one in self._past), "params"], found, strict=True))
        return steps if steps[-1][1] else steps[:-1]

    def _remember(self) -> None:
        """Keep what the result was made with: `params` may be turned by hand before the next step."""
        self._made_with = each_console(self._settings(), ConsoleParams.clone)

    def _followed_by(self: _Result, remixed: _Result) -> _Result:
        """Give a rendering of `params` as they were turned by hand its place among the steps."""
        turned_by_hand = bool(changes(self._made_with, remixed._settings()))
        remixed._past = (*self._past, self._before("remix")) if turned_by_hand else self._past
        remixed._future = () if turned_by_hand else self._future
        return remixed

    def _turned(
        self: _Result, what: str, strips: Strips, knobs: Mapping[str, float], section: str | None
    ) -> _Result:
        if isinstance(strips, Mapping):
            if knobs:
                raise InputError(f"{what} takes knobs by strip or knobs by name, not both")
            turns = strips
        else:
            turns = dict.fromkeys([strips] if isinstance(strips, str) else strips, knobs)
        if not turns or not all(turns.values()):
            raise InputError(
                f"{what}: no knob is named, as in {what}({next(iter(turns), 'kick')!r}, pan=0.5)"
            )
        return self._step(what, turned(self._settings(), turns, relative=what == "nudge", section=section))

    def _settings(self) -> Settings:
        return self.params if self.automation is None else self.automation

    def _replaced(self, params: Settings, section: str | None) -> Settings:
        """Return the settings with those of another console."""
        settings = self._settings()
        if isinstance(params, Automation):
            if section is not None:
                raise InputError("section takes a console, not a console a section")
            return each_console(params, lambda console: _fitting(console, self.params))
        new, old = _fitting(params, self.params), self.params
        if settings is old and section is None:
            return new

        def change(console: ConsoleParams) -> ConsoleParams:
            parts = zip(_parts(console), _parts(old), _parts(new), strict=True)
            moved = [torch.where(last != first, last, one) for one, first, last in parts]
            return ConsoleParams(
                *moved, names=console.names, preset=console.preset, sample_rate=console.sample_rate
            )

        return each_console(settings, change, section)

    def _step(self: _Result, what: str, settings: Settings) -> _Result:
        """Render with other settings, and remember what was before."""
        return self._at(Before(what, settings, None, self.history), (*self._past, self._before(what)), ())

    def _before(self, what: str) -> Before:
        """Return what this result was when it was made; what was turned in `params` since is part of the step."""
        return Before(what, self._made_with, self.loss, self.history)

    def _at(self: _Result, state: Before, past: tuple[Before, ...], future: tuple[Before, ...]) -> _Result:
        other = copy.copy(self)
        settings = each_console(state.settings, ConsoleParams.clone)
        other.automation = settings if isinstance(settings, Automation) else None
        other.params = settings.params if isinstance(settings, Automation) else settings
        result = other.remix()
        result.loss, result.history = state.loss, state.history
        result._past, result._future = past, future
        return result


def _fitting(params: ConsoleParams, old: ConsoleParams) -> ConsoleParams:
    """Return a console for the same song and of the same kind as another, its strips in the same order."""
    for what, new, now in (
        ("preset", params.preset, old.preset),
        ("sample rate", params.sample_rate, old.sample_rate),
    ):
        if new != now:
            raise InputError(f"these settings have the {what} {new}, the mix has {now}")
    return for_stems(params, old.names).clone()


def _parts(params: ConsoleParams) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return params.tracks, params.fx_bus_values, params.master_bus_values
