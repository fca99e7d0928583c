"""A finished mix: sound, console settings and the song they belong to. Chapter: A first mix."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..audio.loading import save_audio
from ..audio.loudness import MIX_LUFS, loudness
from ..audio.meters import stereo_powers
from ..audio.multitrack import Multitrack, check_stereo
from ..console.mixing_console import MixingConsole, uses_fx_bus
from ..console.params import ConsoleParams
from ..console.table import knob_index
from ..disk import output_folder, write_together
from ..inputs import InputError, note
from ..style.features import audio_features
from ..style.losses import feature_distance, term_weights
from ..style.own_features import Feature, OwnFeatures, own_features
from .bus import console_tracks, stems_of_strips
from .limits import FARTHER, NEGATIVE
from .measures import SongMeasures, render_measured
from .report import Report, build_report
from .stem_files import file_names
from .unsteady import Unsteady

if TYPE_CHECKING:
    import pandas as pd

SILENT = 1e-6  # power of a channel against the other's, at which it counts as silent: -60 dB
FILES = ("mix.wav", "params.json", "params.csv", "report.json")  # what a saved mix consists of
STEMS = "stems"  # the folder in it with the stems, where they are wanted
FX_RETURN = "fx_return"  # what the reverb returns, beside the stems
SHORTEST_S = 0.1  # of a reference: less has no spectrum and no level
OFF_LU = 0.1  # a mix so far from its level is told


@dataclass(repr=False)
class MixResult:
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
        reference: The record whose style was taken, (2, num_samples); None without one.
        plain_loss: The total of the loss of the plain sum of the stems; None where it was not asked for.
        unsteady: Knobs that a network would set differently from window to window, by more than 3 dB, the worst
            first. Empty after a fit, which looks at one window.
        measures: What was measured while the song was mixed, for the report.
        features: Terms of the user's own in `loss`, which the report compares as well.
        console: What renders `params`; not given: the library's console of their preset.
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
    _report: Report | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.console is None:
            self.console = MixingConsole(self.sample_rate, self.params.preset)

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

        Example:
            >>> import diffmst_lib as dm
            >>> result = dm.equal_loudness(dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium"))
            >>> result.params.track("vox_lead")["fader_db"] += 3
            >>> result.remix().loudness_lufs > result.loudness_lufs
            True
        """
        params = self.params.clone()
        audio, measures = render_measured(self.console, self.song, params)
        level = loudness(audio, sample_rate=self.sample_rate)
        return replace(self, audio=audio, params=params, loudness_lufs=level, loss=None, measures=measures)

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
        strips = zip(stems_of_strips(self.song, names), self.console.strips(audio, self.params), strict=True)
        for name, channels in groupby(strips, key=itemgetter(0)):
            yield name, torch.stack([wet for _, wet in channels]).sum(dim=0)

    @torch.no_grad()
    def fx_return(self) -> torch.Tensor | None:
        """Render what the effects bus returns, (2, num_samples); None where nothing is sent to it."""
        if not uses_fx_bus(self.params):
            return None
        console, audio = self.console, console_tracks(self.song, self.params.preset)[1]
        send = torch.zeros_like(self.audio)
        gains = console.send_gains(self.params)
        for wet, gain in zip(console.strips(audio, self.params), gains, strict=True):
            send += wet * gain
        return console.fx_bus(send[None], self.params)[0]

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

    def save(self, folder: str | Path, *, stems: bool = False, report: Report | None = None) -> Path:
        """Write mix.wav (32-bit float), params.json, params.csv and report.json, all or none.

        Args:
            folder: Where to write; it is created if need be.
            stems: Whether to write stems/NAME.wav as well, each stem as it reaches the master bus, and
                stems/fx_return.wav where something is sent to the reverb: through the master bus, their sum is
                the mix.
            report: The report, if it has been made; None: it is made now.

        Returns:
            The folder.

        Raises:
            InputError: In one line, when nothing can be written there.
        """
        report = report or self.report()
        text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        writers: dict[str, Callable[[Path], object]] = {
            "mix.wav": lambda path: save_audio(path, self.audio, sample_rate=self.sample_rate),
            "params.json": lambda path: path.write_text(self.params.to_json() + "\n", encoding="utf-8"),
            "params.csv": lambda path: self.params.to_frame().to_csv(path),
            "report.json": lambda path: path.write_text(text + "\n", encoding="utf-8"),
        }
        with ExitStack() as stack:
            folder = stack.enter_context(output_folder(folder, FILES))
            if stems:
                files = self._stem_writers()
                stack.enter_context(output_folder(folder / STEMS, tuple(files)))
                writers |= {f"{STEMS}/{file}": write for file, write in files.items()}
            write_together(folder, writers)
        return folder

    def _stem_writers(self) -> dict[str, Callable[[Path], object]]:
        """List the files of the stems. Their writers render as they are called, in their order."""
        returns = self.fx_return()
        sounds = chain(self._each_stem(), [] if returns is None else [(FX_RETURN, returns)])
        names = [*self.song.names, *([] if returns is None else [FX_RETURN])]

        def write_next(path: Path) -> object:
            path.parent.mkdir(exist_ok=True)
            return save_audio(path, next(sounds)[1], sample_rate=self.sample_rate)

        return dict.fromkeys([f"{name}.wav" for name in file_names(names)], write_next)


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
        result.reference, result.features = reference.audio, reference.own
    return result


@dataclass
class Reference:
    """A record whose style is taken, measured once.

    Attributes:
        audio: The record (2, num_samples), as it was given.
        features: Its audio features at -16 LUFS.
        own: The features of the user's own among them, which the loss compares as well.
    """

    audio: torch.Tensor
    features: dict[str, torch.Tensor]
    own: dict[str, Feature] = field(default_factory=dict)

    def terms(self, mix: torch.Tensor, *, sample_rate: int) -> dict[str, torch.Tensor]:
        """Compute the audio-feature loss of a mix (2, num_samples) at -16 LUFS, by term. Differentiable."""
        features = audio_features(mix, sample_rate=sample_rate, features=self.own)
        return feature_distance(features, self.features, features=self.own)

    @torch.no_grad()
    def distance(self, mix: torch.Tensor, lufs: float, *, sample_rate: int) -> dict[str, float]:
        """Compute the audio-feature loss of a mix (2, num_samples) of known loudness, by term."""
        gain = 10.0 ** ((MIX_LUFS - lufs) / 20.0) if math.isfinite(lufs) else 1.0
        features = audio_features(mix, sample_rate=sample_rate, features=self.own, gain=gain)
        terms = feature_distance(features, self.features, features=self.own)
        return {name: term.item() for name, term in terms.items()}


def check_reference(reference: torch.Tensor, *, sample_rate: int, features: OwnFeatures = None) -> Reference:
    """Check a record, and measure its audio features at -16 LUFS.

    A record that a mix of these stems can hardly come near is named in an `InputNote`: one that is mono, one
    with a silent channel, and one whose channels are of opposite polarity.

    Args:
        reference: A stereo mix (2, num_samples).
        sample_rate: Sample rate in Hz.
        features: Features of the user's own, as in `audio_feature_loss`.

    Returns:
        The record.

    Raises:
        InputError: About the "reference", for anything that is not a stereo mix; for a feature that does not
            fit.
    """
    own = own_features(features)
    term_weights(own)
    audio, lufs = check_stereo(reference, sample_rate=sample_rate)
    if audio.shape[-1] < SHORTEST_S * sample_rate:
        raise InputError(
            f"the reference is {audio.shape[-1] / sample_rate:.3f} s long, at least {SHORTEST_S} s are needed",
            about="reference",
        )
    audio = audio.detach()
    powers = stereo_powers(audio)
    if torch.equal(audio[0], audio[1]):
        note("the reference is mono: its two channels are equal, and so the mix will be narrow")
    elif min(powers.left, powers.right) < SILENT * max(powers.left, powers.right):
        note("one channel of the reference is silent: no mix of these stems should lean that far")
    elif powers.correlation < NEGATIVE:
        note(
            f"the reference has a correlation of {powers.correlation:.2f}: its channels are more opposite than alike, "
            "and it loses in mono what no mix of these stems should"
        )
    gain = 10.0 ** ((MIX_LUFS - lufs) / 20.0)
    return Reference(audio, audio_features(audio, sample_rate=sample_rate, features=own, gain=gain), own)


def distance_of_plain_sum(song: Multitrack, reference: Reference) -> float:
    """Compute the audio-feature loss of the plain sum of a song's stems."""
    plain_sum = song.audio.sum(dim=0)
    level = loudness(plain_sum, sample_rate=song.sample_rate)
    return reference.distance(plain_sum, level, sample_rate=song.sample_rate)["total"]


def tell_if_farther(result: MixResult, reference: Reference) -> None:
    """Name in an `InputNote` a mix that is farther from its record than the plain sum of the stems."""
    if result.plain_loss is None:
        result.plain_loss = distance_of_plain_sum(result.song, reference)
    plain = result.plain_loss
    if result.total > FARTHER * plain:
        note(
            f"the mix is farther from its record than the plain sum of the stems: audio-feature loss "
            f"{result.total:.4f} against {plain:.4f}"
        )


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
