"""The commands `diffmst data index`, `cache`, `open` and `shard`. Chapter: Data."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ..audio.loudness import SAMPLE_RATE
from ..data.examples import Sampling
from ..data.index import SongIndex, build_index, index_file, with_facts
from ..data.layouts.finding import LAYOUTS, find_songs
from ..data.layouts.folders import CACHE_MARK, unique
from ..data.open_set.gathering import build_open_set
from ..data.scale.cache import build_cache, cache_size
from ..data.scale.shards import KINDS, write_shards
from ..data.songs import SPLITS, FoundSong, Problem
from ..inputs import InputError

SHOWN = 20  # problems printed; all of them are in the index


def add_commands(commands, count) -> None:
    """Add `data` and its own commands to a parser; `count` reads whole numbers."""
    data = commands.add_parser("data", help="data sets: index folders of songs, cache, open set, shards")
    ways = data.add_subparsers(dest="what", metavar="COMMAND", required=True)

    index = ways.add_parser("index", help="measure every song of a folder once, into index.json")
    index.add_argument("folder", metavar="DIR", help="multitracks, in one of the layouts, or finished songs")
    index.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="auto",
        help="default: recognized by names; albums of finished songs need `songs`",
    )
    index.add_argument(
        "--references", metavar="DIR", nargs="+", default=[], help="folders of finished songs besides"
    )
    index.add_argument(
        "--about",
        metavar="FILE",
        help="JSON {song: {split, artist, title, license, attribution}}, where you know better; "
        "give it again each time",
    )
    index.add_argument("--output", metavar="FILE", help="where to write the index (default: DIR/index.json)")
    index.set_defaults(run=run_index)

    cache = ways.add_parser(
        "cache",
        help="decode all files of an index once, to WAV at one sample rate; "
        "files that are such already stay where they are",
    )
    cache.add_argument(
        "--sample-rate", type=count, default=SAMPLE_RATE, metavar="HZ", help=f"default: {SAMPLE_RATE}"
    )
    cache.add_argument("index", metavar="INDEX", help="index.json or its folder")
    cache.add_argument(
        "--output", metavar="DIR", required=True, help="folder for the decoded files and their index"
    )
    cache.set_defaults(run=run_cache)

    open_set = ways.add_parser(
        "open",
        help="gather and render the open set: multitracks and records anybody can have; "
        "1 GB, and some minutes",
    )
    open_set.add_argument(
        "--source", metavar="DIR", required=True, help="folder that holds the songs, at any depth"
    )
    open_set.add_argument("--output", metavar="DIR", required=True, help="folder for the set and its index")
    open_set.add_argument(
        "--midi", metavar="DIR", help="OpenMSX's MIDI files (default: where Debian puts them)"
    )
    open_set.add_argument(
        "--soundfont", metavar="FILE", help="SoundFont to render them with (default: the same)"
    )
    open_set.set_defaults(run=run_open)

    shard = ways.add_parser(
        "shard", help="pack pieces of songs into WebDataset shards, which a cluster streams"
    )
    shard.add_argument("index", metavar="INDEX", help="index.json or its folder")
    shard.add_argument("--output", metavar="DIR", required=True, help="folder for the shards")
    shard.add_argument("--split", choices=SPLITS, default="train", help="default: train")
    shard.add_argument("--kind", choices=KINDS, help="default: both, where the split has them")
    shard.add_argument(
        "--seconds", type=count, default=10, help="length of the segments to be drawn (default: 10)"
    )
    shard.add_argument("--piece-seconds", type=count, default=30, help="length of a piece (default: 30)")
    shard.add_argument(
        "--pieces", type=count, metavar="N", help="pieces of a song, evenly spread (default: all)"
    )
    shard.add_argument("--megabytes", type=count, default=1000, help="size of a shard (default: 1000)")
    shard.set_defaults(run=run_shard)

    for command in (index, cache, open_set, shard):
        command.add_argument(
            "--workers", type=count, help="files decoded at a time (default: the number of cores)"
        )
        command.add_argument("--quiet", action="store_true", help="no progress bar and no report")


def run_index(options: argparse.Namespace) -> None:
    """`diffmst data index`: find, measure, report."""
    output = options.output or options.folder
    _refuse_made_sets(output)
    found, problems = find_songs(options.folder, options.layout)
    for folder in options.references:
        songs, others = find_songs(folder, "songs")
        stems = {source.path.resolve() for song in found for source in song.stems.values()}
        if any(song.mix.path.resolve() in stems for song in songs):
            raise InputError(f"{folder}: holds stems of the songs, which are no references")
        found, problems = (
            found + _renamed(songs, {song.name for song in found}, Path(folder)),
            problems + others,
        )
    if options.about:
        found = with_facts(found, options.about)
    index = build_index(found, output, problems=problems, workers=options.workers, progress=not options.quiet)
    if not options.quiet:
        report(index)


def _refuse_made_sets(output: str) -> None:
    """The index of a cache or of the open set knows more than its files tell."""
    path = index_file(output)
    if (path.parent / CACHE_MARK).exists():
        raise InputError(
            f"{path.parent}: a cache, which has its index; index the songs that it was made from"
        )
    songs = []
    with suppress(InputError):  # none, or none that anybody can read
        songs = SongIndex.load(path).songs
    if any(song.layout == "open" for song in songs):
        raise InputError(
            f"{path}: the index of the open set, which `diffmst data open` renews; name another --output"
        )


def _renamed(songs: list[FoundSong], taken: set[str], folder: Path) -> list[FoundSong]:
    """Songs whose name is taken are named with their folder, and a number if need be."""
    named = []
    for song in songs:
        name = song.name if song.name not in taken else unique(f"{folder.resolve().name}/{song.name}", taken)
        taken.add(name)
        named.append(replace(song, name=name))
    return named


def run_cache(options: argparse.Namespace) -> None:
    """`diffmst data cache`: size, decoding, report."""
    if not options.output:
        raise InputError("--output is empty: name a folder for the cache")
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
    """`diffmst data open`: gather, render, measure, report."""
    songs, problems = build_open_set(
        options.source,
        options.output,
        midi=options.midi,
        soundfont=options.soundfont,
        progress=not options.quiet,
    )
    index = build_index(
        songs, options.output, problems=problems, workers=options.workers, progress=not options.quiet
    )
    if not options.quiet:
        report(index)


def run_shard(options: argparse.Namespace) -> None:
    """`diffmst data shard`: cut, pack, report."""
    if not options.output:
        raise InputError("--output is empty: name a folder for the shards")
    index = SongIndex.load(options.index)
    songs = {"multitracks": index.multitracks(options.split), "references": index.references(options.split)}
    kinds = [options.kind] if options.kind else [kind for kind in KINDS if songs[kind]]
    if not kinds:
        raise InputError(f"{options.index}: no songs in the split {options.split}")
    if options.seconds > options.piece_seconds:
        raise InputError(
            f"segments of {options.seconds} s do not fit into pieces of {options.piece_seconds} s"
        )
    sampling = Sampling(track_lufs=-48, seconds=options.seconds)  # shards keep the levels of the songs
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
    """Songs and hours by split, then what was left out."""
    rows = {}
    for split in SPLITS:
        multitracks, references = index.multitracks(split), index.references(split)
        rows[split] = {
            "multitracks": len(multitracks),
            "tracks": sum(song.num_tracks for song in multitracks),
            "hours": sum(song.duration_s for song in multitracks) / 3600,
            "references": len(references),
            "hours of them": sum(s.mix.duration_s for s in references) / 3600,
        }
    print(
        pd.DataFrame(rows)
        .T.astype({k: int for k in ("multitracks", "tracks", "references")})
        .round(2)
        .to_string()
    )
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
            print(
                f"{what}: " + ", ".join(f"{name} ({count})" for name, count in Counter(values).most_common())
            )
    report_problems(index.problems, "the index")


def report_problems(problems: list[Problem], place: str) -> None:
    """What was left out, the first of it."""
    if problems:
        print(f"left out, {len(problems)}:")
        for problem in problems[:SHOWN]:
            print(f"  {problem.path}: {problem.reason}")
        if len(problems) > SHOWN:
            print(f"  and {len(problems) - SHOWN} more, listed in {place}")
