"""The option of sections: where a song's console changes. Chapter: Mix your own song."""

from __future__ import annotations

import argparse
import re
from typing import Any


def add_sections_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --sections to the parser of a command."""
    parser.add_argument(
        "--sections",
        type=sections,
        metavar="auto|TIMES|FILE",
        help="a console for each section of the song, verse to the reference's verse: auto finds them, TIMES as in "
        "0:45,1:20 say where they begin, FILE holds markers (lines such as 0:45 verse, labels of Audacity, "
        "or Reaper's list as CSV)",
    )


def sections(text: str) -> str | list[float]:
    """Read "auto", times or the name of a file.

    Args:
        text: Text of the argument.

    Returns:
        Times in seconds; of anything else the text.

    Raises:
        argparse.ArgumentTypeError: For no text, and for times that are none.

    Example:
        >>> sections("auto"), sections("0:45,1:20"), sections("markers.txt")
        ('auto', [45.0, 80.0], 'markers.txt')
    """
    from ..inputs import InputError
    from ..mixing.markers import read_times

    if not text.strip():
        raise argparse.ArgumentTypeError("is empty: write auto, times or the name of a file")
    if not re.fullmatch(r"[-+\d:.,\s]+", text):
        return text
    try:
        return read_times(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def chosen_sections(options: argparse.Namespace) -> dict[str, Any]:
    """Return the sections as `optimize_mix` and `DiffMST.mix` take them; a file of markers is read here.

    Args:
        options: Options of the command.

    Returns:
        {"sections": "auto", times or (time, name) pairs}; empty where none are asked for.

    Raises:
        InputError: For a file that cannot be read or holds no markers.
    """
    from ..mixing.markers import read_markers

    given = options.sections
    if given is None:
        return {}
    return {"sections": given if given == "auto" or isinstance(given, list) else read_markers(given)}
