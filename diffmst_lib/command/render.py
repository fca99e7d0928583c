"""`diffmst render`: stems and a console's settings in, the files of a mix out. Chapter: Mix your own song."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import file
from .delivery import add_delivery_arguments, at_level, save_options
from .references import add_reference_arguments, asked_references, load_references, reference_paths
from .session import (
    add_output_arguments,
    add_song_arguments,
    files_named,
    keep_earlier_stems,
    keep_the_users_files,
    print_mix,
    tell_limits,
)

if TYPE_CHECKING:
    from ..audio.multitrack import Multitrack
    from ..console.automation import Automation
    from ..console.params import ConsoleParams


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst render` to its parser."""
    add_song_arguments(parser)
    parser.add_argument(
        "settings",
        type=file,
        metavar="params.json",
        help="the console's settings, of an earlier mix or edited, with sections or without; or its channels.csv, "
        "which is rounded; or the folder of the mix",
    )
    add_reference_arguments(parser)
    add_output_arguments(parser)
    add_delivery_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Render a song. All input is read and checked before anything is written.

    Args:
        options: Options of `diffmst render`.

    Raises:
        InputError: For bad input, in one line that begins with the name of the file.
    """
    from ..audio.stems import load_multitrack
    from ..console.automation import Automation
    from ..disk import output_folder
    from ..mixing.rendering import render
    from ..mixing.saving import save_result, saved_files
    from .memory import keep_freed_memory

    keep_freed_memory()
    asked = asked_references(options)
    paths = [one.path for one in asked]
    settings = _read_settings(options.settings)
    keep_the_users_files(options, paths, options.format)
    rate = (settings.params if isinstance(settings, Automation) else settings).sample_rate
    song = load_multitrack(
        options.tracks, sample_rate=rate, layout=options.layout, timestamps=options.timestamps
    )
    record = load_references(asked, sample_rate=rate)
    keep_earlier_stems(options, song, options.format)
    names = {"song": options.tracks, **reference_paths(asked)}
    with output_folder(options.output, saved_files(options.format)) as output, files_named(names, song):
        _check_names(options.settings, settings, song)
        result = at_level(render(song, settings, reference=record), options)
        report = result.report()
        keep_the_users_files(options, paths, options.format)  # others may have written there in the meantime
        saved = save_result(
            result, output, stems=options.stems, embed=options.embed, report=report, **save_options(options)
        )
    tell_limits(saved)
    if not options.quiet:
        print_mix(result, report, saved)


def _read_settings(path: str) -> ConsoleParams | Automation:
    """Read a file of settings: JSON, or the channel sheet where its name ends so."""
    from ..console.settings_file import load_params
    from ..export.channel_table import read_sheet

    if Path(path).suffix.lower() == ".csv":
        return read_sheet(path)
    return load_params(path)


def _check_names(path: str, settings: ConsoleParams | Automation, song: Multitrack) -> None:
    """Refuse settings whose strips are not the song's, with the name of their file."""
    from ..console.automation import Automation
    from ..console.settings_file import for_stems
    from ..inputs import InputError

    try:
        for_stems(settings.params if isinstance(settings, Automation) else settings, song.names)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
