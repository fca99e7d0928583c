"""`diffmst evaluate`: systems side by side, with the same songs and records. Chapter: Results."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..options import SPLITS
from .arguments import count, count_from_zero, folder, number
from .training import indexes

if TYPE_CHECKING:
    from ..data.songs import Song
    from ..evaluation.pairs import Pair

HELD_OUT = ("validation", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst evaluate` to its parser."""
    _add_what(parser.add_argument)
    _add_how(parser.add_argument)
    parser.set_defaults(run=run)


def _add_what(add: Callable[..., object]) -> None:
    add(
        "--tracks",
        metavar="DIR",
        required=True,
        help="folder of songs with stems, or of an index or cache made by `diffmst data`",
    )
    add(
        "--references",
        metavar="DIR",
        help="folder of finished songs, or of their index (default: the references of --tracks)",
    )
    add("--systems", type=_names, metavar="A,B,...", required=True, help="names; an unknown one lists all")
    add(
        "--program",
        type=_program,
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="a system that is a command line with {song}, {record} and {output}, or mst=FOLDER; may be repeated",
    )
    add("--output", type=folder, metavar="DIR", required=True, help="folder for tables, figure and sounds")
    add(
        "--split",
        type=_splits,
        metavar="A,B",
        help=f"songs and records of these splits: {', '.join(SPLITS)}, or all (default: validation and test where "
        "there are any, else all)",
    )
    add("--songs", type=_names, metavar="A,B,...", help="names of songs, instead of all of the split")
    add("--records", type=_names, metavar="A,B,...", help="names of records, instead of all of the split")
    add("--pairs", type=count, metavar="N", help="pairs at random (default: all songs after all records)")
    add(
        "--list",
        metavar="FILE",
        help="a published list of pairs, such as data/test_list.json; FILE:NAME where it holds several "
        "(default: the first whose songs and records are there)",
    )
    add("--fits", type=count, metavar="N", help="slow systems get the first N pairs alone (default: all)")


def _add_how(add: Callable[..., object]) -> None:
    add("--seconds", type=_seconds, default=None, help="length of a moment, 1 or more (default: 10)")
    add(
        "--max-stems",
        type=count,
        metavar="N",
        help="the N loudest stems of a moment (default: all that sound)",
    )
    add(
        "--protocol",
        choices=("default", "paper"),
        default="default",
        help="default: mix and record at -16 LUFS; paper: the mix at -22 LUFS, and the paper's epsilon in the loss",
    )
    add("--steps", type=count, default=50, help="steps of the systems that fit (default: 50)")
    add("--wrong", action="store_true", help="show systems that listen a wrong record as well: do they?")
    add("--keep-audio", action="store_true", help="keep records and mixes, as `diffmst listen` needs them")
    add(
        "--workers",
        type=count_from_zero,
        default=os.cpu_count() or 1,
        help="processes of one thread each; 0: none beside this one (default: the number of CPUs)",
    )
    add("--seed", type=count_from_zero, default=0, help="of random pairs and random consoles (default: 0)")
    add("--quiet", action="store_true", help="no progress bar and no report")


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("is empty: give names, separated by commas")
    return names


def _program(text: str) -> tuple[str, str]:
    name, equals, command = text.partition("=")
    if not (name.strip() and equals and command.strip()):
        raise argparse.ArgumentTypeError(f"must be NAME=COMMAND, not {text}")
    return name.strip(), command.strip()


def _splits(text: str) -> list[str]:
    splits = _names(text)
    if splits == ["all"]:
        return list(SPLITS)
    for split in splits:
        if split not in SPLITS:
            raise argparse.ArgumentTypeError(f"must be all or some of {', '.join(SPLITS)}, not {split}")
    return splits


def _seconds(text: str) -> float:
    value = number(text)
    if not 1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"must be a number between 1 and 3600, not {text}")
    return value


def run(options: argparse.Namespace) -> int:
    """Compare systems, and report.

    Args:
        options: Options of `diffmst evaluate`.

    Returns:
        Exit code: 0, or 1 when a system has failed with a pair.

    Raises:
        InputError: For options, systems and folders that do not fit.
        KeyboardInterrupt: When it was stopped. The message says how to continue.
    """
    from ..evaluation.running import evaluate, prepare

    programs = dict(options.program)
    systems = [*options.systems, *(name for name in programs if name not in options.systems)]
    prepare(systems, programs, steps=options.steps)
    progress = not options.quiet
    songs, records, record_set = _songs(options, progress)
    pairs, seconds, name = _pairs(options, songs, records)
    found = evaluate(
        songs,
        records,
        systems,
        options.output,
        pairs=pairs,
        record_set=record_set,
        fits=options.fits,
        seconds=seconds,
        protocol=options.protocol,
        steps=options.steps,
        max_stems=options.max_stems,
        seed=options.seed,
        wrong=options.wrong,
        programs=programs,
        keep_audio=options.keep_audio,
        workers=options.workers,
        list_name=name,
        progress=progress,
    )
    if progress:
        columns = ["system", "pairs", "failed", "af_mean", "octave_db", "moved_db", "kad", "seconds_used"]
        print(found.summary[columns].round(4).to_string(index=False))
        print(f"written: {Path(options.output)}, see summary.md")
    if found.failed:
        print(f"diffmst: {found.failed} of {len(found.pairs)} mixes failed, see pairs.csv", file=sys.stderr)
    return 1 if found.failed else 0


def _songs(options: argparse.Namespace, progress: bool) -> tuple[list[Song], list[Song], list[Song]]:
    """List the songs and the records that may be paired, the human mixes among them, and all records."""
    index, references = indexes(options, progress)
    every = (references or index).references()
    if options.list:  # it says itself which
        return index.multitracks(), every, []
    songs = _chosen(index.multitracks(), options.songs, options.split, options.tracks, "song with stems")
    where = options.references or options.tracks
    records = _chosen(every, options.records, options.split, where, "finished song")
    return songs, records, every


def _chosen(
    songs: list[Song], names: list[str] | None, splits: list[str] | None, where: str, what: str
) -> list[Song]:
    from ..audio.remarks import few
    from ..evaluation.excerpts import HUMAN
    from ..inputs import InputError

    by_name = {song.name: song for song in songs}
    if names:
        if missing := [name for name in names if name not in by_name]:
            raise InputError(f"{where}: no {what} named {few(missing)}, there are {few(by_name, 12)}")
        chosen = [by_name[name] for name in names]
    else:
        splits = splits or (
            [one for one in HELD_OUT if any(song.split == one for song in songs)] or list(SPLITS)
        )
        chosen = [song for song in songs if song.split in splits]
        if not chosen:
            raise InputError(f"{where}: no {what} in the split {' or '.join(splits)}")
    return [*chosen, *(song for song in songs if song.name.startswith(HUMAN) and song not in chosen)]


def _pairs(
    options: argparse.Namespace, songs: list[Song], records: list[Song]
) -> tuple[list[Pair], float, str]:
    """Choose the pairs; return them with the length of their moments and the name of the list."""
    from ..evaluation.excerpts import HUMAN
    from ..evaluation.pairs import all_pairs, random_pairs, read_list
    from ..inputs import InputError

    if options.list:
        given = [
            f"--{name}"
            for name in ("pairs", "songs", "records", "split", "seconds")
            if getattr(options, name)
        ]
        if given:
            raise InputError(f"{given[0]} has no meaning with --list, which says it")
        path, name = options.list, ""
        if ":" in path and not Path(path).exists():
            path, _, name = path.rpartition(":")
        return read_list(path, name, songs, records)
    seconds = options.seconds or 10.0
    records = [record for record in records if not record.name.startswith(HUMAN)]
    if options.pairs:
        return random_pairs(songs, records, options.pairs, seconds=seconds, seed=options.seed), seconds, ""
    return all_pairs(songs, records, seconds=seconds), seconds, ""
