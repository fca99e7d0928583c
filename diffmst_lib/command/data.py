"""`diffmst data`: index, cache, open set and shards of songs. Chapter: Data."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..options import KINDS, LAYOUTS, SAMPLE_RATE, SPLITS
from .arguments import count, file, folder

if TYPE_CHECKING:
    from ..data.index import SongIndex
    from ..data.songs import FoundSong, Problem

SHOWN = 20  # problems printed; all of them are in the index


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `diffmst data` to its parser."""
    commands = parser.add_subparsers(dest="what", metavar="COMMAND", required=True)
    _add_index(commands.add_parser("index", help="measure every song of a folder once, into index.json"))
    _add_cache(
        commands.add_parser(
            "cache",
            help="decode all files of an index once, to WAV at one sample rate; "
            "files that are such already stay where they are",
        )
    )
    _add_open(
        commands.add_parser(
            "open",
            help="gather and render the open set: multitracks and records anybody can have; "
            "1 GB, and some minutes",
        )
    )
    _add_shard(
        commands.add_parser(
            "shard", help="pack pieces of songs into WebDataset shards, which a cluster streams"
        )
    )
    for command in commands.choices.values():
        command.add_argument(
            "--workers", type=count, help="files decoded at a time (default: the number of cores)"
        )
        command.add_argument("--quiet", action="store_true", help="no progress bar and no report")


def _add_index(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=folder, metavar="DIR", help="multitracks, in one of the layouts, or finished songs")
    add(
        "--layout",
        choices=LAYOUTS,
        default="auto",
        help="default: recognized by names. `instruments`: folders in a song's are its instruments; `folders`: "
        "they are songs; albums of finished songs need `songs`",
    )
    add(
        "--references",
        type=folder,
        metavar="DIR",
        nargs="+",
        default=[],
        help="folders of finished songs besides",
    )
    add(
        "--about",
        type=file,
        metavar="FILE",
        help="JSON {song: {split, artist, title, license, attribution}}, where you know better; "
        "give it again each time",
    )
    add(
        "--timestamps",
        action="store_true",
        help="place stems where the time stamps of their files say (Broadcast WAV), not all at 0",
    )
    add("--output", type=file, metavar="FILE", help="where to write the index (default: DIR/index.json)")
    parser.set_defaults(run=run_index)


def _add_cache(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--sample-rate", type=count, default=SAMPLE_RATE, metavar="HZ", help=f"default: {SAMPLE_RATE}")
    add("index", type=folder, metavar="INDEX", help="index.json or its folder")
    add(
        "--output",
        type=folder,
        metavar="DIR",
        required=True,
        help="folder for the decoded files and their index",
    )
    parser.set_defaults(run=run_cache)


def _add_open(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--source",
        type=folder,
        metavar="DIR",
        required=True,
        help="folder that holds the songs, at any depth",
    )
    add("--output", type=folder, metavar="DIR", required=True, help="folder for the set and its index")
    add("--midi", type=folder, metavar="DIR", help="OpenMSX's MIDI files (default: where Debian puts them)")
    add("--soundfont", type=file, metavar="FILE", help="SoundFont to render them with (default: the same)")
    parser.set_defaults(run=run_open)


def _add_shard(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("index", type=folder, metavar="INDEX", help="index.json or its folder")
    add("--output", type=folder, metavar="DIR", required=True, help="folder for the shards")
    add("--split", choices=SPLITS, default="train", help="default: train")
    add("--kind", choices=KINDS, help="default: both, where the split has them")
    add("--seconds", type=count, default=10, help="length of the segments to be drawn (default: 10)")
    add("--piece-seconds", type=count, default=30, help="length of a piece (default: 30)")
    add("--pieces", type=count, metavar="N", help="pieces of a song, evenly spread (default: all)")
    add("--megabytes", type=count, default=1000, help="size of a shard (default: 1000)")
    parser.set_defaults(run=run_shard)


def run_index(options: argparse.Namespace) -> None:
    """Run `diffmst data index`: find songs, measure them, report.

    Args:
        options: Options of the command.

    Raises:
        InputError: For folders without songs, and for indexes that must not be replaced.
    """
    from ..data.building import build_index, with_facts
    from ..data.layouts.finding import find_songs
    from ..data.placing import place_stems
    from ..data.songs import refuse_stems

    output = options.output or options.folder
    _refuse_made_sets(output)
    songs, problems = find_songs(options.folder, options.layout)
    for records_folder in options.references:
        records, others = find_songs(records_folder, "songs")
        stems = [stem for song in songs for stem in song.stems.values()]
        refuse_stems((record.mix for record in records if record.mix), stems, records_folder)
        songs = songs + _renamed(records, {song.name for song in songs}, Path(records_folder))
        problems = problems + others
    if options.about:
        songs = with_facts(songs, options.about)
    songs = place_stems(songs, timestamps=options.timestamps)
    index = build_index(songs, output, problems=problems, workers=options.workers, progress=not options.quiet)
    if not options.quiet:
        report(index)


def _refuse_made_sets(output: str) -> None:
    """Refuse to replace the index of a cache or of the open set, which has more facts than the files."""
    from ..data.index import SongIndex, index_file
    from ..data.layouts.folders import CACHE_MARK
    from ..inputs import InputError

    path = index_file(output)
    if (path.parent / CACHE_MARK).exists():
        raise InputError(
            f"{path.parent}: a cache, which has its index; index the songs that it was made from, and cache them again"
        )
    songs = []
    with suppress(InputError):  # no index, or one that cannot be read
        songs = SongIndex.load(path).songs
    if any(song.layout == "open" for song in songs):
        raise InputError(
            f"{path}: the index of the open set, which `diffmst data open` renews; name another --output"
        )


def _renamed(songs: list[FoundSong], taken: set[str], records: Path) -> list[FoundSong]:
    """Rename songs whose name is taken: put their folder in front, and a number behind where necessary."""
    from ..data.layouts.folders import unique

    named = []
    for song in songs:
        name = song.name
        if name in taken:
            name = unique(f"{records.resolve().name}/{name}", taken)
        taken.add(name)
        named.append(replace(song, name=name))
    return named


def run_cache(options: argparse.Namespace) -> None:
    """Run `diffmst data cache`: print the size, decode the files, report.

    Args:
        options: Options of the command.

    Raises:
        InputError: For an index that cannot be read, and a folder that cannot be written.
    """
    from ..data.index import SongIndex
    from ..data.scale.cache import build_cache, cache_size

    index = SongIndex.load(options.index)
    if not options.quiet:
        print(f"{len(index)} songs take {cache_size(index, options.sample_rate) / 1e9:.2f} GB", flush=True)
    cached = build_cache(
        index,
        options.output,
        sample_rate=options.sample_rate,
        workers=options.workers,
        progress=not options.quiet,
    )
    if not options.quiet:
        report(cached)


def run_open(options: argparse.Namespace) -> None:
    """Run `diffmst data open`: gather files, render songs, measure them, report.

    Args:
        options: Options of the command.

    Raises:
        InputError: For a folder without songs of the open set.
    """
    from ..data.building import build_index
    from ..data.open_set.gathering import build_open_set

    progress = not options.quiet
    songs, problems = build_open_set(
        options.source, options.output, midi=options.midi, soundfont=options.soundfont, progress=progress
    )
    index = build_index(songs, options.output, problems=problems, workers=options.workers, progress=progress)
    if not options.quiet:
        report(index)


def run_shard(options: argparse.Namespace) -> None:
    """Run `diffmst data shard`: cut songs into pieces, pack them into shards, report.

    Args:
        options: Options of the command.

    Raises:
        InputError: For a split without songs, and for segments longer than the pieces.
    """
    from ..data.index import SongIndex
    from ..data.sampling import Sampling
    from ..data.scale.shards import write_shards
    from ..data.songs import Problem
    from ..inputs import InputError

    index = SongIndex.load(options.index)
    songs = {"multitracks": index.multitracks(options.split), "references": index.references(options.split)}
    kinds = [options.kind] if options.kind else [kind for kind in KINDS if songs[kind]]
    if not kinds:
        raise InputError(f"{options.index}: no songs in the split {options.split}")
    if options.seconds > options.piece_seconds:
        raise InputError(
            f"segments of {options.seconds} s do not fit into pieces of {options.piece_seconds} s"
        )
    # Shards keep the levels of the songs. Counted in channels, so that pieces for either kind of model are in.
    sampling = Sampling(track_lufs=-48, seconds=options.seconds)
    for kind in kinds:
        summary = write_shards(
            index,
            options.output,
            sampling,
            split=options.split,
            kind=kind,
            piece_seconds=options.piece_seconds,
            pieces_per_song=options.pieces,
            shard_bytes=1e6 * options.megabytes,
            workers=options.workers,
            progress=not options.quiet,
        )
        if not options.quiet:
            about = json.loads(summary.read_text(encoding="utf-8"))
            print(
                f"{kind}: {about['samples']} pieces, {about['seconds'] / 3600:.2f} hours, "
                f"{about['bytes'] / 1e9:.2f} GB, shards: {len(about['shards'])}"
            )
            report_problems([Problem(*problem) for problem in about["problems"]], "the shards' .json file")


def report(index: SongIndex) -> None:
    """Print the number and hours of songs by split, then the files and folders that were left out."""
    import pandas as pd

    rows = {}
    for split in SPLITS:
        multitracks, references = index.multitracks(split), index.references(split)
        rows[split] = {
            "multitracks": len(multitracks),
            "stems": sum(len(song.stems) for song in multitracks),
            "hours": sum(song.duration_s for song in multitracks) / 3600,
            "references": len(references),
            "hours of them": sum(song.mix.duration_s for song in references) / 3600,
        }
    whole = {column: int for column in ("multitracks", "stems", "references")}
    print(pd.DataFrame(rows).T.astype(whole).round(2).to_string())
    mono = [song.name for song in index.songs if song.mix and song.mix.mono]
    if mono:
        print(f"mono, so no references: {', '.join(mono[:SHOWN])}{', ...' if len(mono) > SHOWN else ''}")
    unknown = sum(not song.artist for song in index)
    if unknown:
        print(f"artist unknown, split by title: {unknown} of {len(index)} songs")
    for what, values in {
        "layouts": [song.layout for song in index.songs],
        "licenses": [song.license for song in index.songs if song.license],
    }.items():
        if values:
            counted = ", ".join(f"{name} ({times})" for name, times in Counter(values).most_common())
            print(f"{what}: {counted}")
    report_problems(index.problems, "the index")


def report_problems(problems: list[Problem], place: str) -> None:
    """Print the first problems; `place` says where all of them are."""
    if problems:
        print(f"left out, {len(problems)}:")
        for problem in problems[:SHOWN]:
            print(f"  {problem.path}: {problem.reason}")
        if len(problems) > SHOWN:
            print(f"  and {len(problems) - SHOWN} more, listed in {place}")
