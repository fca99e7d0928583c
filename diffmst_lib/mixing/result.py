"""A finished mix: sound, console settings and the song they belong to. Chapter: A first mix."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..audio.loudness import MIX_LUFS, loudness
from ..audio.multitrack import Multitrack
from ..console.automation import Automation
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.streaming import each_strip, fx_return
from ..console.table import knob_index
from ..inputs import InputError, note
from ..style.own_features import Feature
from .bus import console_tracks, stems_of_strips
from .editing import Editable
from .measures import SongMeasures, render_measured, sum_of
from .references import Reference
from .report import Report, build_report
from .saving import save_result
from .unsteady import Unsteady

if TYPE_CHECKING:
    import pandas as pd

OFF_LU = 0.1  # a mix so far from its level is told


@dataclass(repr=False)
class MixResult(Editable):
    """What every mixing system here returns.

    `audio` is exactly what the console makes of `song` with `params`. There is no hidden gain: the
    normalization to -16 LUFS is in the master's output gain.

    Attributes:
        audio: The mix, (2, num_samples).
        params: The console.
        song: The stems.
        history: The losses by step, a DataFrame; None without a fit.
        loudness_lufs: Loudness of the mix, in LUFS.
        loss: The audio-feature loss between the whole mix and the whole reference, both at -16 LUFS, by term,
            with the "total"; None without a reference, and after `remix`.
        reference: The record whose style was taken, (2, num_samples), of several the one of the highest weight;
            None without one.
        references: All records with their weights, of sum 1; empty: `reference` alone.
        plain_loss: The total of the loss of the plain sum of the stems; None where it was not asked for.
        unsteady: Knobs that a network would set differently from window to window, by more than 3 dB, the worst
            first. Empty after a fit, which looks at one window.
        measures: What was measured while the song was mixed, for the report.
        features: Terms of the user's own in `loss`, which the report compares as well.
        console: What renders `params`; not given: the library's console of their preset.
        automation: A console a section, with which the mix was rendered; None: the console stands still.
        sections: The sections of the song, a DataFrame: where each begins and ends, its label, which part of the
            record it follows, whether it has a console of its own, and its loss with the song's one console and
            as it is; None without sections.
        record: The record as it was measured, or several with their weights: what `refine` goes on with.
    """

    audio: torch.Tensor
    params: ConsoleParams
    song: Multitrack
    history: pd.DataFrame | None = None
    loudness_lufs: float = math.nan
    loss: dict[str, float] | None = None
    reference: torch.Tensor | None = None
    plain_loss: float | None = None
    unsteady: Sequence[Unsteady] = ()
    measures: SongMeasures | None = field(default=None, repr=False)
    features: dict[str, Feature] = field(default_factory=dict, repr=False)
    console: MixingConsole = field(default=None, repr=False)  # type: ignore[assignment]
    automation: Automation | None = field(default=None, repr=False)
    sections: pd.DataFrame | None = field(default=None, repr=False)
    references: Sequence[tuple[torch.Tensor, float]] = field(default=(), repr=False)
    record: Reference | None = field(default=None, repr=False)
    _report: Report | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.console is None:
            self.console = MixingConsole(self.sample_rate, self.params.preset)
        self._rendered = self.automation
        self._remember()

    def __repr__(self) -> str:
        loss = f", audio-feature loss {self.loss['total']:.4f}" if self.loss else ""
        return f"MixResult({self.song!r}, {self.loudness_lufs:.1f} LUFS{loss})"

    @property
    def total(self) -> float:
        """The total of the loss; NaN where there is none."""
        return math.nan if self.loss is None else self.loss["total"]

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz."""
        return self.song.sample_rate

    def remix(self) -> MixResult:
        """Render `params` again, after an edit, without normalizing: the level follows the edit.

        Of a mix with sections, `params` is the console of the loudest: the others follow what was turned there.

        Example:
            >>> import diffmst_lib as dm
            >>> result = dm.equal_loudness(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"))
            >>> result.params.track("vox_lead")["fader_db"] += 3
            >>> result.remix().loudness_lufs > result.loudness_lufs
            True
        """
        moving = self._followed()
        params = moving.params if moving else self.params.clone()
        audio, measures = render_measured(self.console, self.song, moving or params)
        level = loudness(audio, sample_rate=self.sample_rate)
        return self._followed_by(
            replace(
                self,
                audio=audio,
                params=params,
                automation=moving,
                loudness_lufs=level,
                loss=None,
                measures=measures,
                sections=None if self.sections is None else self.sections.assign(loss=math.nan),
            )
        )

    def _followed(self) -> Automation | None:
        """Return the consoles of the sections, which follow what was turned by hand in `params`."""
        moving, before = self.automation, self._made_with
        if moving is None:
            return None
        if moving is not self._rendered or not isinstance(before, Automation):  # edited section by section
            return replace(moving, consoles=[console.clone() for console in moving.consoles])
        consoles = list(moving.consoles)
        consoles[moving.loudest] = before.params
        return replace(moving, consoles=consoles).edited(self.params)

    def stems(self) -> dict[str, torch.Tensor]:
        """Render the stems as they reach the master bus, without gradient: {name: (2, num_samples)}.

        With the reverb's return (`fx_return`), where the effects bus runs, their sum through the master bus is
        the mix.

        Example:
            >>> import diffmst_lib as dm
            >>> result = dm.unity(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"))
            >>> list(result.stems()) == result.song.names
            True
        """
        return dict(self._each_stem())

    def _each_stem(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Render one stem after another, with its name."""
        names, audio = console_tracks(self.song, self.params.preset)
        wet = each_strip(self.console, audio, self.automation or self.params)
        strips = zip(stems_of_strips(self.song, names), wet, strict=True)
        for name, channels in groupby(strips, key=itemgetter(0)):
            yield name, sum_of([sound for _, sound in channels])

    def fx_return(self) -> torch.Tensor | None:
        """Render what the effects bus returns, (2, num_samples); None where nothing is sent to it."""
        audio = console_tracks(self.song, self.params.preset)[1]
        return fx_return(self.console, audio, self.automation or self.params)

    def report(self, reference: torch.Tensor | None = None) -> Report:
        """Report what was done to the song, stem by stem and to the mix: see `Report`.

        Args:
            reference: A record (2, num_samples) to stand beside the mix; None: that of this result, if any.

        Returns:
            The report, which prints, shows and plots itself.

        Raises:
            InputError: For a reference that is not a stereo mix.
        """
        if reference is not None:
            return build_report(self, reference, measures=self.measures)
        if self._report is None:
            self._report = build_report(self, measures=self.measures)
        return self._report

    def save(
        self,
        folder: str | Path,
        *,
        stems: bool = False,
        embed: bool = False,
        format: str = "wav",
        ceiling_dbtp: float | None = None,
        report: Report | None = None,
    ) -> Path:
        """Write the mix, its console, its report, and sessions for other programs, all or none.

        The files are mix.wav (32-bit float), params.json, params.csv and report.json; session.RPP with its
        plug-ins, for Reaper; session.dawproject, for other workstations; and the channel sheet, channels.md and
        channels.csv. Sessions play the raw stems from where they lie, by relative paths where possible; stems
        that lie nowhere as they are, such as edited ones, are written to audio/NAME.wav beside them. A console
        that no session can hold has none, which an `InputNote` says.

        Args:
            folder: Where to write; it is created if need be.
            stems: Whether to write stems/NAME.wav as well, each stem as it reaches the master bus, and
                stems/fx_return.wav where something is sent to the reverb: through the master bus, their sum is
                the mix.
            embed: Whether to write all raw stems to audio/, so that the folder can be moved and sent. In float
                they are large: 16 stereo stems of 4 minutes have 1.4 GB.
            format: Format of the mix and of `stems`: "wav" (32-bit float), "wav24", "wav16", "flac" or "mp3",
                see `save_mix`.
            ceiling_dbtp: The ceiling of a limiter for the mix, in dBTP; None: no limiter. Sessions have none.
            report: The report, if it has been made; None: it is made now.

        Returns:
            The folder.

        Raises:
            InputError: In one line, when nothing can be written there.
        """
        return save_result(
            self, folder, stems=stems, embed=embed, format=format, ceiling_dbtp=ceiling_dbtp, report=report
        ).folder


def render_mix(
    song: Multitrack,
    params: ConsoleParams,
    *,
    console: MixingConsole | None = None,
    lufs: float = MIX_LUFS,
    reference: Reference | None = None,
    history: pd.DataFrame | None = None,
    levels: Sequence[float] | None = None,
) -> MixResult:
    """Render the song, and put the gain that brings it to `lufs` into the master's output gain.

    Args:
        song: The stems.
        params: The console's settings, which are not changed.
        console: What renders them; None: the library's console of their preset.
        lufs: The level of the mix, in LUFS.
        reference: The record, for the result's loss; None: no loss.
        history: The losses by step, for the result.
        levels: Loudness of each stem in LUFS, where it is known (`check_song`); None: it is measured.

    Returns:
        The mix. When the range of the output gain does not reach the level, the mix comes as near as it can.
    """
    params = params.clone()
    console = console or MixingConsole(song.sample_rate, params.preset)
    audio, measures = render_measured(console, song, params, levels)
    level = loudness(audio, sample_rate=song.sample_rate)
    if math.isfinite(level):
        strip = params.master_bus
        fader = params.specs("master_bus")[knob_index("output_gain_db", "master_bus", params.preset)]
        before = strip["output_gain_db"]
        strip["output_gain_db"] = min(max(before + lufs - level, fader.low), fader.high)
        change_db = strip["output_gain_db"] - before
        if type(console) is MixingConsole:
            audio, level = audio * 10.0 ** (change_db / 20.0), level + change_db
        else:  # in a subclass, the output gain may not be the last thing
            audio, measures = render_measured(console, song, params, levels)
            level = loudness(audio, sample_rate=song.sample_rate)
    result = MixResult(audio, params, song, history, level, measures=measures, console=console)
    if reference is not None:
        result.loss = reference.distance(audio, level, sample_rate=song.sample_rate)
        result.reference, result.features, result.record = reference.audio, reference.own, reference
        result.references = reference.weighted()
    return result


def check_mix(result: MixResult, lufs: float = MIX_LUFS) -> MixResult:
    """Check that a finished mix sounds, and name in an `InputNote` one that is not at its level.

    Args:
        result: The mix.
        lufs: The level that it should have, in LUFS.

    Returns:
        The mix.

    Raises:
        InputError: About the "song", for a mix that is silent or not finite.
    """
    level, called = loudness(result.audio, sample_rate=result.sample_rate), result.song.title or "the song"
    if math.isnan(level):
        raise InputError(f"{called}: the mix holds NaN or infinite samples", about="song")
    if math.isinf(level):
        raise InputError(
            f"{called}: nothing is left of it, the mix is silent: {_why_silent(result)}", about="song"
        )
    if abs(level - lufs) > OFF_LU:
        gain_db = result.params.master_bus["output_gain_db"]
        note(
            f"the mix is at {level:.1f} LUFS, not at {lufs:g}: the master's output gain ends at {gain_db:+.0f} dB"
        )
    return result


def _why_silent(result: MixResult) -> str:
    if result.measures and not any(math.isfinite(one.mixed_lufs) for one in result.measures.stems.values()):
        return "no strip lets its stem through"
    return "the stems cancel each other"
