"""What commands write for a mix: its options, what must not be overwritten, and what was written.

Chapter: Mix your own song.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import folder

if TYPE_CHECKING:
    from ..audio.multitrack import Multitrack
    from ..mixing.report import Report
    from ..mixing.result import MixResult
    from ..mixing.saving import Saved

_SOUNDS = (".wav", ".flac", ".mp3")  # endings of files that a mix consists of


def add_song_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder of stems and how it is read.

    Args:
        parser: Parser of a command that reads a song.
    """
    add = parser.add_argument
    add("tracks", type=folder, metavar="TRACKS_DIR", help="folder with one audio file a stem, mono or stereo")
    add(
        "--layout",
        choices=("auto", "instruments", "folders"),
        default="auto",
        help="folders in TRACKS_DIR: instruments where their names say so (default), all are, or none is",
    )
    add(
        "--timestamps",
        action="store_true",
        help="place stems where the time stamps of their files say (Broadcast WAV), not all at 0",
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --output and what belongs to it.

    Args:
        parser: Parser of a command that writes a mix.
    """
    add = parser.add_argument
    add(
        "--output",
        type=folder,
        metavar="DIR",
        required=True,
        help="folder for the mix, params.json, params.csv, report.json, sessions for Reaper and for DAWproject, and "
        "the channel sheet",
    )
    add(
        "--stems", action="store_true", help="write DIR/stems as well: each stem as it reaches the master bus"
    )
    add(
        "--embed",
        action="store_true",
        help="write all raw stems to DIR/audio for the sessions, which otherwise play them from where they lie: 1.4 GB "
        "for 16 stereo stems of 4 minutes",
    )
    add("--overwrite", action="store_true", help="replace the files of an earlier mix in DIR")
    add("--quiet", action="store_true", help="no progress bar and no report")


def keep_the_users_files(
    options: argparse.Namespace, references: Sequence[str] = (), format: str = "wav"
) -> None:
    """Refuse an output folder with an earlier mix, or in which a stem or a reference would be overwritten.

    Args:
        options: Options with `tracks` and those of `add_output_arguments`.
        references: Files of the references.
        format: Format of the mix.

    Raises:
        InputError: With the name of the folder or the file.
    """
    from ..audio.delivery import MIX_FILES
    from ..inputs import InputError
    from ..mixing.saving import STEMS, saved_files

    # realpath, since resolve() fails on a link to itself
    output = Path(os.path.realpath(options.output))
    stems = [output / STEMS] if options.stems else []
    if Path(os.path.realpath(options.tracks)) in [output, *stems]:
        raise InputError(f"{options.tracks}: holds the stems, choose another folder for the mix")
    files = list(dict.fromkeys([*MIX_FILES, *saved_files(format)]))
    for reference in references:
        path = Path(os.path.realpath(reference))
        if path in [output / name for name in files] or path.parent in stems:
            raise InputError(f"{reference}: the reference would be overwritten, choose another output folder")
    _refuse_earlier(options, files)


def keep_earlier_stems(options: argparse.Namespace, song: Multitrack, format: str = "wav") -> None:
    """Refuse a folder with stems of an earlier mix, or name those that stay beside a new mix.

    Args:
        options: Options with those of `add_output_arguments`.
        song: The song.
        format: Format of the stems.

    Raises:
        InputError: With the names of the files, or with the folder of the song.
    """
    from ..audio.delivery import MIX_FILES, mix_name
    from ..audio.remarks import few
    from ..export.file_names import file_names
    from ..export.session import AUDIO, files_beside
    from ..inputs import InputError, note
    from ..mixing.saving import FX_RETURN, STEMS

    output, suffix = Path(options.output), Path(mix_name(format)).suffix
    wet = [f"{name}{suffix}" for name in file_names([*song.names, FX_RETURN])] if options.stems else []
    raw = files_beside(song, embed=options.embed)
    if raw and os.path.realpath(output / AUDIO) == os.path.realpath(options.tracks):
        raise InputError(f"{options.tracks}: holds the stems, choose another folder for the mix")
    _refuse_earlier(options, [f"{STEMS}/{file}" for file in wet] + [f"{AUDIO}/{file}" for file in raw])
    if not Path(output, "params.json").exists():
        return
    for place, files in ((STEMS, wet), (AUDIO, raw)):
        there = sorted(path.name for path in Path(output, place).glob("*.*") if path.suffix in _SOUNDS)
        if left := [file for file in there if file not in files]:
            note(f"{output / place}: stems that are not of this mix stay there: {few(left)}")
    if left := [name for name in MIX_FILES if name != mix_name(format) and (output / name).exists()]:
        note(f"{output}: not of this mix, and stays there: {few(left)}")


def _refuse_earlier(options: argparse.Namespace, files: Sequence[str]) -> None:
    from ..audio.remarks import few
    from ..inputs import InputError

    output = Path(options.output)
    there = [file for file in files if os.path.lexists(output / file) and not (output / file).is_dir()]
    if there and not options.overwrite:
        raise InputError(
            f"{output}: holds {few(there)}; replace with --overwrite, or name another folder for the mix"
        )


def print_mix(result: MixResult, report: Report, saved: Saved) -> None:
    """Print what became of a song, and what was written.

    Args:
        result: The mix.
        report: Its report.
        saved: What was written.
    """
    song, peak = result.song, result.audio.abs().max().item()
    stems = f"{len(song.names)} stem{'s' if len(song.names) > 1 else ''}"
    file, remark = saved.mix, ""
    if file.gain_db < 0 or file.limiting is not None:
        remark = f" ({file.path.name}: {file.lufs:.1f} LUFS, {file.true_peak_dbtp:.1f} dBTP)"
    elif peak > 1:
        remark = " (above full scale: kept, the file is 32-bit float)"
    print(f"{stems}, {song.duration_s:.1f} s, {result.loudness_lufs:.1f} LUFS, peak {peak:.2f}{remark}")
    if result.history is not None:
        total = result.history["total"]
        best = (total + result.history["pull"]).idxmin()
        print(f"fit: audio-feature loss {total.iloc[0]:.4f} -> {total[best]:.4f}")
    if result.loss is not None:
        print(f"whole mix: audio-feature loss {result.loss['total']:.4f}")
    print(f"\n{report}\n")
    print(f"written: {saved.folder}/" + ", ".join(saved.files))


def tell_limits(saved: Saved) -> None:
    """Name in one `InputNote` what the sessions cannot hold, in short: they tell it in full themselves.

    Args:
        saved: What was written.
    """
    from ..inputs import note

    if saved.notes:
        short = "; ".join(one.partition(":")[0] for one in saved.notes)
        note(f"in the sessions: {short} (their own notes tell more)")


@contextmanager
def files_named(paths: Mapping[str, str], song: Multitrack) -> Iterator[None]:
    """Put the name of the file in front of an error about the song or a reference.

    Args:
        paths: Names of files and folders by what an `InputError` is about.
        song: The song.

    Raises:
        InputError: The same error, with the name.
    """
    from ..inputs import InputError

    try:
        yield
    except InputError as error:
        if error.about not in paths:
            raise
        message = str(error).removeprefix(f"{song.title}: ")
        raise InputError(f"{paths[error.about]}: {message}", about=error.about) from None
