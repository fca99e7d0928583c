"""A mix as a workstation sees it: tracks with their files and knobs, two buses, markers. Chapter: Mix your own song."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile
import torch

from ..audio.chunks import claimed_sound
from ..audio.loading import save_audio
from ..audio.multitrack import Multitrack, Source
from ..audio.roles import ROLES
from ..audio.song_folder import RAW_STEMS
from ..console.automation import Automation
from ..console.mixing_console import uses_fx_bus
from ..console.params import ConsoleParams
from ..console.specs import own_effects, takes_stems
from ..inputs import InputError
from .file_names import file_names

AUDIO = RAW_STEMS  # the folder beside a session with the stems that lie nowhere else
COLORS = {  # of a track, by the role of its stem
    "voice": "#d1495b",
    "drums": "#8d6a9f",
    "bass": "#30638e",
    "keys": "#edae49",
    "guitar": "#4f9d69",
    "other": "#7d8597",
}
# What every workstation reads, and reads from the same first sample: kinds of files, and of samples in them.
_READ_ANYWHERE = {
    "WAV": {".wav", ".wave", ".bwf"},
    "WAVEX": {".wav", ".wave", ".bwf"},
    "AIFF": {".aif", ".aiff"},
    "FLAC": {".flac"},
    "OGG": {".ogg"},
}
_SAMPLES = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "VORBIS"}
_SLACK_S = 0.001  # a resampled file ends a sample earlier or later


@dataclass(frozen=True)
class Clip:
    """A file on a track.

    Attributes:
        path: The file, absolute. It may not be there yet, see `written`.
        start_s: Where its first sample lies in the song, in seconds, from 0 on.
        channels: 1 or 2.
        sample_rate: Sample rate of the file, in Hz.
        seconds: Its length.
        written: Whether it lies beside the session and is written with it, see `stem_writers`.
    """

    path: Path
    start_s: float
    channels: int
    sample_rate: int
    seconds: float
    written: bool


@dataclass(frozen=True)
class Track:
    """A stem's track.

    Attributes:
        name: The stem's name.
        role: "voice", "drums", "bass", "keys", "guitar" or "other".
        color: "#rrggbb".
        clip: Its file.
        knobs: The knobs of its strip in physical units, in the order of `param_table`.
    """

    name: str
    role: str
    color: str
    clip: Clip
    knobs: dict[str, float]


@dataclass(frozen=True)
class Session:
    """What a workstation needs of a mix, without the details of a format.

    Attributes:
        title: The song's name.
        sample_rate: Sample rate of the mix, in Hz.
        seconds: Length of the song.
        tracks: A track a stem, in the order of `audio.roles.ROLES` where the roles are known; otherwise, and
            within a role, in the song's.
        fx_bus: The knobs of the effects bus; None: nothing is sent to it.
        master: The knobs of the master bus.
        automation: A console a section, with the strips in the order of the tracks; None: the knobs stand still.
            With it, the knobs of tracks and buses are those of the first section.
        markers: (seconds, name) of each section.
        preset: Name of the console.
        folder: Where the session will lie, absolute. Paths are written relative to it where possible.
        embedded: Whether all stems lie beside the session because that was wanted.
    """

    title: str
    sample_rate: int
    seconds: float
    tracks: list[Track]
    fx_bus: dict[str, float] | None
    master: dict[str, float]
    automation: Automation | None
    markers: list[tuple[float, str]]
    preset: str
    folder: Path
    embedded: bool = False


def why_no_session(preset: str) -> str | None:
    """Say why the mixes of a console cannot become a session; None where they can.

    Args:
        preset: Name of the console.

    Example:
        >>> why_no_session("default"), why_no_session("reference")
        (None, "the console 'reference' has a strip a channel, and a session has a track a stem")
    """
    if not takes_stems(preset):
        return f"the console {preset!r} has a strip a channel, and a session has a track a stem"
    own = [effect.name for section in ("track", "master_bus") for effect in own_effects(preset, section)]
    if own:
        return f"the console {preset!r} has effects of its own, which no workstation has: {', '.join(own)}"
    return None


def build_session(
    song: Multitrack,
    settings: ConsoleParams | Automation,
    folder: str | Path,
    *,
    roles: Mapping[str, str] | None = None,
    embed: bool = False,
) -> Session:
    """Lay out a mix as a session.

    A track plays the raw stem from the file that it was read from, where every workstation reads that file in
    the same way: WAV, AIFF, FLAC and Ogg Vorbis of one or two channels. The other stems are written beside the
    session: arrays, edited stems, excerpts, sides of a pair, one of several streams, and formats of which a
    workstation may skip more or less at the beginning (MP3, AAC, Opus).

    Args:
        song: The stems.
        settings: The console, or a console a section.
        folder: Where the session will lie.
        roles: "voice", "drums", "bass", "keys", "guitar" or "other" by the stem's name; None, and for names
            that are missing: "other".
        embed: Whether to write all stems beside the session, so that it can be moved and sent.

    Returns:
        The session. Nothing is written.

    Raises:
        InputError: For a console that no session can hold, see `why_no_session`.
        ValueError: For settings whose strips are not the song's stems.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium")
        >>> session = build_session(song, ConsoleParams.neutral(song.names), "session")
        >>> kick = session.tracks[song.names.index("kick")]
        >>> kick.clip.path.name, kick.clip.written, session.fx_bus
        ('kick.ogg', False, None)
        >>> song.audio *= 0.5
        >>> build_session(song, ConsoleParams.neutral(song.names), "session").tracks[0].clip.path.name
        'alt_hats.wav'
    """
    automation = settings if isinstance(settings, Automation) else None
    consoles = settings.consoles if isinstance(settings, Automation) else [settings]
    first = consoles[0]
    if reason := why_no_session(first.preset):
        raise InputError(f"no session: {reason}")
    if list(first.names) != list(song.names):
        raise ValueError("the strips of the console are not the stems of the song")
    folder = Path(os.path.abspath(folder))
    known = dict.fromkeys(song.names, "other") | dict(roles or {})
    order = sorted(range(len(song.names)), key=lambda row: ROLES.index(known[song.names[row]]))
    clips = _clips(song, folder, embed)
    tracks = []
    for row in order:
        name, strip = song.names[row], first.track(song.names[row])
        role = known[name]
        tracks.append(Track(name, role, COLORS[role], clips[row], {knob: strip[knob] for knob in strip}))
    if automation:
        automation = replace(automation, consoles=[_in_order(one, order) for one in automation.consoles])
    sends = any(uses_fx_bus(params) for params in consoles)
    return Session(
        title=song.title,
        sample_rate=song.sample_rate,
        seconds=song.duration_s,
        tracks=tracks,
        fx_bus={knob: first.fx_bus[knob] for knob in first.fx_bus} if sends else None,
        master={knob: first.master_bus[knob] for knob in first.master_bus},
        automation=automation,
        markers=list(zip(automation.starts_s, automation.labels, strict=True)) if automation else [],
        preset=first.preset,
        folder=folder,
        embedded=embed,
    )


def _in_order(params: ConsoleParams, order: Sequence[int]) -> ConsoleParams:
    """Put the strips of a console in another order."""
    return ConsoleParams(
        params.tracks[list(order)],
        params.fx_bus_values,
        params.master_bus_values,
        names=[params.names[row] for row in order],
        preset=params.preset,
        sample_rate=params.sample_rate,
    )


def files_beside(song: Multitrack, *, embed: bool = False) -> list[str]:
    """List the files of the stems that a session of a song writes beside itself.

    Args:
        song: The stems.
        embed: Whether all stems are written.

    Returns:
        Names of the files in the folder `AUDIO`.

    Example:
        >>> files_beside(Multitrack(["kick", "vox/lead"], torch.zeros(2, 2, 9)))
        ['kick.wav', 'vox_lead.wav']
    """
    return [clip.path.name for clip in _clips(song, Path(AUDIO), embed) if clip.written]


def _clips(song: Multitrack, folder: Path, embed: bool) -> list[Clip]:
    sources = dict.fromkeys(song.names) if embed else song.sources
    files, mono = file_names(song.names), song.is_mono()
    return [
        _as_it_lies(sources[name], song.duration_s)
        or Clip(
            folder / AUDIO / f"{file}.wav",
            0.0,
            1 if is_mono else 2,
            song.sample_rate,
            song.duration_s,
            written=True,
        )
        for name, file, is_mono in zip(song.names, files, mono, strict=True)
    ]


def _as_it_lies(source: Source | None, seconds: float) -> Clip | None:
    """Return the file of a stem; None where not every workstation would play the same sound from it."""
    if source is None or source.start_s < 0:
        return None
    try:
        str(source.path).encode()  # a session is UTF-8
        found = soundfile.info(os.fspath(source.path))
        with open(source.path, "rb") as file:
            claim = claimed_sound(file)
    except (soundfile.SoundFileError, RuntimeError, OSError, UnicodeError):  # vanished, or not for libsndfile
        return None
    if (
        source.path.suffix.lower() not in _READ_ANYWHERE.get(found.format, ())
        or found.subtype not in _SAMPLES
    ):
        return None
    if claim is not None and claim.claimed is None:  # a header that does not know its length
        return None
    length = found.frames / found.samplerate
    if source.start_s + length > seconds + _SLACK_S:  # the song is a part of it
        return None
    return Clip(source.path, source.start_s, found.channels, found.samplerate, length, written=False)


def stem_writers(session: Session, song: Multitrack) -> dict[str, Callable[[Path], object]]:
    """List the stems that are written beside a session, as `disk.write_together` takes them.

    Args:
        session: The session.
        song: The song that it was built from.

    Returns:
        Functions that write a stem as a 32-bit float WAV at a path, by the file's name from the session's
        folder on, such as "audio/kick.wav"; mono where the stem is.
    """
    writers: dict[str, Callable[[Path], object]] = {}
    stems = song.stems
    for track in session.tracks:
        if track.clip.written:
            sound = stems[track.name][: track.clip.channels]
            writers[f"{AUDIO}/{track.clip.path.name}"] = _writer(sound, song.sample_rate)
    return writers


def _writer(sound: torch.Tensor, sample_rate: int) -> Callable[[Path], object]:
    def write(path: Path) -> object:
        path.parent.mkdir(exist_ok=True)
        return save_audio(path, sound, sample_rate=sample_rate)

    return write
