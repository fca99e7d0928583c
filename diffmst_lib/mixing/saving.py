"""A finished mix as files, all or none: its sound, its console, its report and its sessions.

Chapter: Mix your own song.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Protocol

import torch

from ..audio.delivery import Delivery, mix_name, save_mix, stem_files
from ..audio.multitrack import Multitrack
from ..console.automation import Automation
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..disk import output_folder, write_together
from ..export.channel_sheet import MARKDOWN, TABLE, sheet_files
from ..export.dawproject import FILE as DAWPROJECT
from ..export.dawproject import dawproject_files
from ..export.dawproject_notes import dawproject_notes
from ..export.file_names import file_names
from ..export.reaper import EFFECTS, PLUGINS, reaper_files, reaper_notes
from ..export.reaper import SESSION as REAPER
from ..export.session import build_session, stem_writers, why_no_session
from ..inputs import note
from ..network.roles import roles
from .measures import SongMeasures
from .report import Report

DOCUMENTS = ("params.json", "params.csv", "report.json")  # beside the mix
_PLUGINS = tuple(
    f"{EFFECTS}/diffmst_{name}" for name in ("strip.jsfx", "master.jsfx", "reverb.jsfx", "reverb.wav")
)
SESSION_FILES = (  # for other programs
    *(REAPER, DAWPROJECT, MARKDOWN, TABLE),
    *(f"diffmst_{name}.jsfx" for name in PLUGINS),
    *_PLUGINS,
)
STEMS = "stems"  # the folder with the stems as they reach the master bus, where they are wanted
FX_RETURN = "fx_return"  # what the reverb returns, beside the stems
Writers = dict[str, Callable[[Path], object]]


class Mix(Protocol):
    """What files need of a `MixResult`, which saves itself and cannot be imported here."""

    audio: torch.Tensor
    params: ConsoleParams
    song: Multitrack
    console: MixingConsole
    automation: Automation | None
    measures: SongMeasures | None

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz."""

    def report(self) -> Report:
        """Report what was done to the song."""

    def fx_return(self) -> torch.Tensor | None:
        """Render what the effects bus returns."""

    def _each_stem(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Render one stem after another, with its name."""


@dataclass(frozen=True)
class Saved:
    """What was written.

    Attributes:
        folder: The folder.
        files: Names of the files in it, and of the folders, which end in "/".
        mix: The mix as it was written.
        notes: What the sessions cannot hold.
    """

    folder: Path
    files: list[str]
    mix: Delivery
    notes: list[str]


def saved_files(format: str = "wav") -> tuple[str, ...]:
    """List the names of the files that a mix consists of, without stems.

    Args:
        format: Format of the mix, a word of `audio.delivery.FORMATS`.

    Example:
        >>> saved_files("flac")[:4]
        ('mix.flac', 'params.json', 'params.csv', 'report.json')
    """
    return (mix_name(format), *DOCUMENTS, *SESSION_FILES)


def save_result(
    result: Mix,
    folder: str | Path,
    *,
    stems: bool = False,
    embed: bool = False,
    format: str = "wav",
    ceiling_dbtp: float | None = None,
    report: Report | None = None,
) -> Saved:
    """Write a finished mix, as `MixResult.save` says.

    Args:
        result: The mix.
        folder: Where to write; it is created if need be.
        stems: Whether to write the stems as they reach the master bus.
        embed: Whether to write all raw stems beside the sessions.
        format: Format of the mix and of its stems.
        ceiling_dbtp: The ceiling of a limiter for the mix, in dBTP; None: no limiter.
        report: The report, if it has been made.

    Returns:
        What was written.

    Raises:
        InputError: In one line, when nothing can be written there.
    """
    text = json.dumps((report or result.report()).to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    settings, delivered = result.automation or result.params, []

    def write_mix(path: Path) -> None:
        mix = save_mix(
            path, result.audio, sample_rate=result.sample_rate, format=format, ceiling_dbtp=ceiling_dbtp
        )
        delivered.append(mix)

    writers: Writers = {
        mix_name(format): write_mix,
        "params.json": lambda path: path.write_text(settings.to_json() + "\n", encoding="utf-8"),
        "params.csv": lambda path: result.params.to_frame().to_csv(path),
        "report.json": lambda path: path.write_text(text + "\n", encoding="utf-8"),
    }
    sessions, notes = _session_writers(result, Path(folder), embed)
    writers |= sessions
    if stems:
        writers |= {f"{STEMS}/{file}": write for file, write in _wet_stems(result, format).items()}
    with ExitStack() as stack:
        folder = stack.enter_context(
            output_folder(folder, tuple(name for name in writers if "/" not in name))
        )
        for inner in dict.fromkeys(name.partition("/")[0] for name in writers if "/" in name):
            files = tuple(name.removeprefix(f"{inner}/") for name in writers if name.startswith(f"{inner}/"))
            stack.enter_context(output_folder(folder / inner, files))
        write_together(folder, writers)
    names = list(dict.fromkeys(name.partition("/")[0] + "/" * ("/" in name) for name in writers))
    return Saved(folder, names, replace(delivered[0], path=folder / mix_name(format)), notes)


def _session_writers(result: Mix, folder: Path, embed: bool) -> tuple[Writers, list[str]]:
    """List the files of the sessions, and what they cannot hold; none where they would not sound like the mix."""
    reason = why_no_session(result.params.preset)
    if reason is None and type(result.console) is not MixingConsole:
        reason = f"the mix was made by a {type(result.console).__name__}, and no workstation has that console"
    if reason:
        note(f"no session is written: {reason}")
        return {}, []
    settings = result.automation or result.params
    session = build_session(result.song, settings, folder, roles=roles(result.song), embed=embed)
    writers = stem_writers(session, result.song) | reaper_files(session) | dawproject_files(session)
    writers |= sheet_files(session, _reductions(result.measures) if result.measures else None)
    return writers, [*reaper_notes(session), *dawproject_notes(session)]


def _reductions(measures: SongMeasures) -> dict[str, tuple[float, float]]:
    """Return the gain reduction of each strip, typical and most, where something sounds."""
    found = {name: stem.reduction for name, stem in measures.stems.items()}
    found["master_bus"] = measures.master
    return {name: (one.mean_db, one.most_db) for name, one in found.items() if math.isfinite(one.mean_db)}


def _wet_stems(result: Mix, format: str) -> Writers:
    """List the files of the stems, which are rendered one by one as they are written."""
    returns = result.fx_return()
    sounds = chain((sound for _, sound in result._each_stem()), [] if returns is None else [returns])
    names = [*result.song.names, *([] if returns is None else [FX_RETURN])]
    return stem_files(file_names(names), sounds, sample_rate=result.sample_rate, format=format)
