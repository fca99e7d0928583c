"""The options of a mix's files: format, level, ceiling. Chapter: Mix your own song."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .arguments import number

if TYPE_CHECKING:
    from ..mixing.result import MixResult

FORMATS = ("wav", "wav24", "wav16", "flac", "mp3")  # those of audio.encoding, which takes long to load


def add_delivery_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --format, --lufs and --ceiling to a command that writes a mix."""
    add = parser.add_argument
    add(
        "--format",
        choices=FORMATS,
        default="wav",
        help="of the mix and of --stems: wav (default) is 32-bit float and keeps all; the others are turned down "
        "to -1 dBTP where need be, never clipped: 24-bit and 16-bit WAV, 24-bit FLAC, MP3 of 320 kbit/s",
    )
    add(
        "--lufs",
        type=lufs,
        metavar="LUFS",
        help="level of the mix, in the master's output gain, -60 to -5 (default: -16, for render that of the "
        "settings)",
    )
    add(
        "--ceiling",
        type=ceiling,
        metavar="DBTP",
        help="hold the true peak of the mix's file at this ceiling with a limiter, -30 to 0 dBTP (default: no "
        "limiter; sessions and params.json have none)",
    )


def lufs(text: str) -> float:
    """Read a level, -60 to -5 LUFS."""
    value = number(text)
    if not -60.0 <= value <= -5.0:
        raise argparse.ArgumentTypeError(f"must be a number from -60 to -5 (LUFS), not {text}")
    return value


def ceiling(text: str) -> float:
    """Read a ceiling, -30 to 0 dBTP."""
    value = number(text)
    if not -30.0 <= value <= 0.0:
        raise argparse.ArgumentTypeError(f"must be a number from -30 to 0 (dBTP), not {text}")
    return value


def at_level(result: MixResult, options: argparse.Namespace, lufs: float | None = None) -> MixResult:
    """Bring a mix to the level of --lufs, behind the limiter where there is a --ceiling.

    Args:
        result: The mix.
        options: Options with those of `add_delivery_arguments`.
        lufs: The level where --lufs is not given but --ceiling is; None: as the limiter leaves it.

    Returns:
        The mix, the same object where nothing is asked for.
    """
    asked = options.lufs if options.lufs is not None or options.ceiling is None else lufs
    if asked is None:
        return result
    from ..mixing.level import bring_to

    return bring_to(result, asked, ceiling_dbtp=options.ceiling)


def save_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `MixResult.save` takes of --format and --ceiling."""
    return {"format": options.format, "ceiling_dbtp": options.ceiling}
