"""A session for Reaper: a track a stem, our strip as a plug-in, and the same sound.

`session.RPP` is a text file. Its plug-ins lie in the folder `Effects` beside it, where Reaper (5.12 or later)
finds those of a project, so nothing has to be installed. Of a strip

- the trim is the gain of the item (where sections move it, also the envelope of the volume before the
  plug-ins),
- equalizer, compressor, width and pan are `diffmst_strip.jsfx`, with plain numbers as sliders. The pan is not
  the track's: Reaper's law is another one, and ours comes after the width,
- the fader is the track's volume, and the send goes from there to a track with the reverb, a convolution.

The master's chain is `diffmst_master.jsfx` on the master track. What a plug-in delays, it tells, and Reaper
takes it back. An engine that we did not write renders the session as our mix; what differs is 90 dB below it
or more in every octave (tests/export/test_null.py).

Chapter: Mix your own song.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from ..audio.loading import save_audio
from ..console.reverb import room_response
from ..console.table import OFF_DB, REVERB_BANDS
from ..inputs import InputError
from .jsfx import plugin, plugin_knobs
from .reaper_text import Block, can_be_quoted, envelope, line, number, quoted
from .session import Clip, Session, Track, why_no_session

SESSION = "session.RPP"
PLUGINS = ("strip", "master")
EFFECTS = "Effects"  # the folder beside a project in which Reaper looks for the project's own plug-ins
_HERE = "<Project>/"  # how a project names them
_FIELDS = 64  # of the line with a plug-in's sliders
_FLOAT_WAV = "ZXZhdyAAAA=="  # how Reaper writes "render to WAV, 32 bits floating point"
_KINDS = {".flac": "FLAC", ".ogg": "VORBIS", ".mp3": "MP3"}  # of files; the others are "WAVE"
_STEP_DB = 1.0  # between two points of a volume envelope, which is straight in amplitude and not in dB
Points = list[tuple[float, float]]


def reaper_files(session: Session) -> dict[str, Callable[[Path], object]]:
    """List the files of a session for Reaper, as `disk.write_together` takes them.

    Args:
        session: The session.

    Returns:
        Functions that write a file at a path, by its name from the session's folder on: "session.RPP", the
        plug-ins "diffmst_strip.jsfx" and "diffmst_master.jsfx", to be used elsewhere, and those that the session
        plays in "Effects". Where something is sent to the reverb also "diffmst_reverb.jsfx" and its impulse
        response "diffmst_reverb.wav" there.

    Raises:
        InputError: For a console that no session can hold.

    Example:
        >>> import diffmst_lib as dm
        >>> from diffmst_lib.export import build_session
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium")
        >>> session = build_session(song, dm.ConsoleParams.neutral(song.names), "out")
        >>> sorted(reaper_files(session))
        ['Effects/diffmst_master.jsfx', 'Effects/diffmst_strip.jsfx', 'diffmst_master.jsfx', 'diffmst_strip.jsfx', 'session.RPP']
    """
    if reason := why_no_session(session.preset):
        raise InputError(f"no session: {reason}")
    rate = session.sample_rate
    files: dict[str, Callable[[Path], object]] = {SESSION: partial(_write_text, project_text(session))}
    plugins = {f"diffmst_{name}.jsfx": partial(_write_text, plugin(name, rate)) for name in PLUGINS}
    files |= plugins | {f"{EFFECTS}/{name}": write for name, write in plugins.items()}
    if session.fx_bus is not None:
        files[f"{EFFECTS}/diffmst_reverb.jsfx"] = partial(_write_text, plugin("reverb", rate))
        files[f"{EFFECTS}/diffmst_reverb.wav"] = partial(_write_sound, impulse_response(session), rate)
    return files


def reaper_notes(session: Session) -> list[str]:
    """Say what a session for Reaper cannot hold, a line each; an empty list where it holds everything.

    Args:
        session: The session.

    Example:
        >>> import diffmst_lib as dm
        >>> from diffmst_lib.export import build_session
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium")
        >>> reaper_notes(build_session(song, dm.ConsoleParams.neutral(song.names), "out"))
        []
    """
    notes = []
    changing = session.automation.changing() if session.automation else []
    if session.fx_bus is not None and any(section == "fx_bus" for section, _, _ in changing):
        notes.append(
            "session.RPP has one room for the whole song; in the mix the reverb changes with the sections"
        )
    odd = [t.name for t in session.tracks if not can_be_quoted(_file(t.clip, session.folder))]
    if odd:
        notes.append(
            f"session.RPP cannot name the file of {', '.join(odd)}: Reaper will ask for it; "
            "rename the file, or embed the stems"
        )
    return notes


def impulse_response(session: Session) -> torch.Tensor:
    """Compute the impulse response (2, taps) of a session's reverb, at its sample rate."""
    assert session.fx_bus is not None
    bands = (
        torch.tensor([[session.fx_bus[f"band{i}_{knob}"] for i in range(REVERB_BANDS)]], device="cpu")
        for knob in ("gain", "decay")
    )
    gains, decays = bands
    return room_response(sample_rate=session.sample_rate, band_gains=gains, band_decays=decays)[0]


def project_text(session: Session) -> str:
    """Return the text of session.RPP.

    Args:
        session: The session.
    """
    rate, seconds = session.sample_rate, session.seconds
    tracks = [_track(session, row, track) for row, track in enumerate(session.tracks)]
    if session.fx_bus is not None:
        tracks.append(_reverb(session))
    master = _plugin_block("master", session.master, _moving(session, "master_bus", None), rate)
    return Block(
        'REAPER_PROJECT 0.1 "6.0/x64" 0',
        [
            Block("NOTES 0 2", [f"|{text}" for text in _about(session)]),
            "PANLAW 1",  # 0 dB: a track in the middle is left alone
            "PANMODE 3",
            line("SAMPLERATE", rate, 1, 0),
            line("RENDER_FMT", 0, 2, rate),
            line("RENDER_RANGE", 0, 0, seconds, 0, 0),  # a render has the length of our mix
            Block("RENDER_CFG", [_FLOAT_WAV]),
            "TEMPO 120 4 4",
            "MASTER_NCH 2 2",
            "MASTER_VOLUME 1 0 -1 -1 1",
            "MASTER_FX 1",
            Block("MASTERFXLIST", ["SHOW 0", "LASTSEL 0", "DOCKED 0", *master]),
            *(line("MARKER", i, at, name, 0) for i, (at, name) in enumerate(session.markers, start=1)),
            *tracks,
        ],
    ).text()


def _about(session: Session) -> list[str]:
    """Write the notes of the project, a line each."""
    lines = [
        " ".join(session.title.split()),
        "",
        f"A mix by Diff-MST: {len(session.tracks)} stems, {session.seconds:.1f} s at {session.sample_rate} Hz.",
        "Item gain = trim. Plug-in = equalizer, compressor, width, pan. Track volume = fader.",
        "Render it as it is (32-bit float, the whole song): the same sound as the mix on disk.",
        f"The plug-ins lie in the folder {EFFECTS} beside this project; keep it there when you move the project.",
        "Should Reaper not find them (before 5.12): copy what is in it into the folder Effects that Options >",
        f"Show REAPER resource path opens, and delete each {_HERE} in this file with a text editor.",
    ]
    if session.automation:
        lines.append(
            "Volumes of sections have a lane on each track; the sliders that move are among its envelopes."
        )
    return lines + reaper_notes(session)


def _track(session: Session, row: int, track: Track) -> Block:
    """Write the track of a stem."""
    knobs, moving = track.knobs, _moving(session, "track", row)
    trim, trim_points = _gain(knobs["input_gain_db"], moving.pop("input_gain_db", []), -math.inf)
    fader, fader_points = _gain(knobs["fader_db"], moving.pop("fader_db", []), OFF_DB)
    moving.pop("send_db", None)  # an envelope of the track that receives
    block = Block("TRACK", [*_track_head(track.name, track.color, fader)])
    if trim_points:
        block.inside.append(envelope("VOLENV", trim_points, shown=False))
    if fader_points:
        block.inside.append(envelope("VOLENV2", fader_points, shown=True))
    chain = _plugin_block("strip", knobs, moving, session.sample_rate)
    block.inside.append(Block("FXCHAIN", ["SHOW 0", "LASTSEL 0", "DOCKED 0", *chain]))
    block.inside.append(_item(session, track, trim))
    return block


def _reverb(session: Session) -> Block:
    """Write the track that receives what is sent."""
    block = Block("TRACK", [*_track_head("Reverb", "#9aa0a6", 1.0)])
    for row, track in enumerate(session.tracks):
        points = _moving(session, "track", row).get("send_db", [])
        send, send_points = _gain(track.knobs["send_db"], points, OFF_DB)
        if send > 0.0:
            block.inside.append(
                f"AUXRECV {row} 0 {number(send)} 0 0 0 0 0 0 -1:U 0 -1 ''"
            )  # 0: after the fader
            if send_points:
                block.inside.append(envelope("AUXVOLENV", send_points, shown=False))
    chain = _plugin_block("reverb", {}, {}, session.sample_rate)
    block.inside.append(Block("FXCHAIN", ["SHOW 0", "LASTSEL 0", "DOCKED 0", *chain]))
    return block


def _track_head(name: str, color: str, volume: float) -> list[str]:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return [
        line("NAME", name),
        f"PEAKCOL {0x1000000 | blue << 16 | green << 8 | red}",
        "AUTOMODE 0",  # the fader scales its envelope
        line("VOLPAN", volume, 0, -1, -1, 1),
        "NCHAN 2",
        "FX 1",
        "MAINSEND 1 0",
    ]


def _item(session: Session, track: Track, trim: float) -> Block:
    """Write the item that plays a stem's file."""
    clip = track.clip
    start, skipped = max(clip.start_s, 0.0), max(-clip.start_s, 0.0)
    length = min(clip.seconds - skipped, session.seconds - start)
    kind = _KINDS.get(clip.path.suffix.lower(), "WAVE")
    return Block(
        "ITEM",
        [
            line("POSITION", start),
            line("LENGTH", max(length, 0.0)),
            "LOOP 0",
            "FADEIN 1 0 0 1 0 0 0",  # none: Reaper's own would be heard
            "FADEOUT 1 0 0 1 0 0 0",
            line("NAME", track.name),
            line("VOLPAN", trim, 0, 1, -1),
            line("SOFFS", skipped),
            "PLAYRATE 1 1 0 -1 0 0.0025",
            "CHANMODE 0",
            Block(f"SOURCE {kind}", [line("FILE", _file(clip, session.folder))]),
        ],
    )


def _file(clip: Clip, folder: Path) -> str:
    """Return a file's path with forward slashes, relative to a folder where both are on one drive."""
    if clip.written:
        return clip.path.relative_to(folder).as_posix()
    try:
        return Path(os.path.relpath(os.path.realpath(clip.path), os.path.realpath(folder))).as_posix()
    except ValueError:  # another drive
        return clip.path.as_posix()


def _plugin_block(
    name: str, knobs: dict[str, float], moving: dict[str, Points], sample_rate: int
) -> list[str | Block]:
    """Write a plug-in with its sliders and their envelopes."""
    section = {"strip": "track", "master": "master_bus"}.get(name)
    sliders = plugin_knobs(section, sample_rate) if section else []
    values = [number(knobs[knob.name]) for knob in sliders]
    values += ["-"] * (_FIELDS - len(values))
    file = quoted(f"{_HERE}diffmst_{name}.jsfx")
    return [
        "BYPASS 0 0 0",
        Block(f'JS {file} ""', [" ".join(values)]),
        *(
            envelope(
                f"PARMENV {i} {number(k.low)} {number(k.high)} {number(k.neutral)}",
                moving[k.name],
                shown=False,
            )
            for i, k in enumerate(sliders)
            if k.name in moving
        ),
        "WAK 0 0",
    ]


def _moving(session: Session, section: str, row: int | None) -> dict[str, Points]:
    """Return the points of each knob of a strip that moves."""
    automation = session.automation
    if automation is None:
        return {}
    return {
        knob: automation.envelope(section, row, knob)
        for part, number_, knob in automation.changing()
        if (part, number_) == (section, row)
    }


def _gain(still_db: float, points_db: Sequence[tuple[float, float]], off_db: float) -> tuple[float, Points]:
    """Turn a gain in dB into a factor, and its course into factors of that, at most 1.

    Args:
        still_db: The gain where it does not move.
        points_db: (seconds, dB) where it moves.
        off_db: At this and below nothing is heard.

    Returns:
        The factor, which is the largest where the gain moves, and the envelope, which scales it.
    """
    top_db = max((db for _, db in points_db), default=still_db)

    def factor(db: float) -> float:
        return 10.0 ** (db / 20.0) if db > off_db else 0.0

    if len(points_db) < 2 or top_db <= off_db:
        return factor(top_db), []
    course: Points = []
    for (start, old), (end, new) in itertools.pairwise(points_db):
        steps = max(1, math.ceil(abs(new - old) / _STEP_DB))
        course += [(start + (end - start) * i / steps, old + (new - old) * i / steps) for i in range(steps)]
    course.append(points_db[-1])
    return factor(top_db), [(at, factor(db) / factor(top_db)) for at, db in course]


def _write_text(text: str, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="replace", newline="\n")  # half of a letter becomes "?"


def _write_sound(sound: torch.Tensor, sample_rate: int, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    save_audio(path, sound, sample_rate=sample_rate)
