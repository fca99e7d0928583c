"""What the commands that train share: the model's preset, and the folders of songs. Chapter: Training at scale."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import folder

if TYPE_CHECKING:
    from ..data.index import SongIndex
    from ..data.songs import FoundSong
    from ..network.config import ModelConfig


def add_preset(add: Callable[..., object]) -> None:
    """Add --preset to a parser.

    Args:
        add: `add_argument` of the parser.
    """
    add(
        "--preset",
        type=preset_or_file,
        default="small",
        metavar="tiny|small|paper|FILE",
        help="size of the model, or a JSON file: a model's config.json, or what differs from a preset, such as "
        '{"base": "small", "width": 64, "name": "mine"} (default: small)',
    )


def add_folders(add: Callable[..., object]) -> None:
    """Add --tracks, --references, --output and --resume to a parser.

    Args:
        add: `add_argument` of the parser.
    """
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
    add("--output", type=folder, metavar="DIR", required=True, help="folder for weights, logs, checkpoint")
    add(
        "--resume",
        action="store_true",
        help="go on from the checkpoint in --output, if there is one; --steps may be more than before",
    )


def preset_or_file(text: str) -> str:
    """Read the name of a preset or of a JSON file."""
    from ..network.config import PRESETS

    if text not in PRESETS and not text.endswith(".json"):
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(PRESETS)}, or a JSON file, not {text}")
    return text


def preset_or_config(preset: str) -> str | ModelConfig:
    """Return the name of a preset, or the configuration in a JSON file, as `recipe` takes it."""
    from ..network.config import PRESETS
    from .model_file import read_config

    return preset if preset in PRESETS else read_config(preset)


def indexes(options: argparse.Namespace, progress: bool) -> tuple[SongIndex, SongIndex | None]:
    """Read the songs and the references of a training, or measure them into its output folder.

    Args:
        options: Options of a command with those of `add_folders`.
        progress: Whether to show a progress bar.

    Returns:
        The index of the tracks, and that of the references where --references names one.

    Raises:
        InputError: In one line, for folders without songs, and for references that are stems of the songs.
    """
    from ..data.songs import refuse_stems

    output = Path(options.output)
    index = _index(options.tracks, "auto", output / "tracks.json", progress)
    if not options.references:
        return index, None
    references = _index(options.references, "songs", output / "references.json", progress)
    refuse_stems(
        (song.mix.source for song in references.references() if song.mix),
        (stem.source for song in index.multitracks() for stem in song.stems),
        options.references,
    )
    return index, references


def _index(source: str, layout: str, output: Path, progress: bool) -> SongIndex:
    """Load the index of a folder, or build one from its audio in the output folder; what is there is reused."""
    from ..data.building import build_index
    from ..data.index import SongIndex, index_file
    from ..data.layouts.finding import find_songs

    if index_file(source).is_file():
        return SongIndex.load(source)
    songs, problems = find_songs(source, layout)
    ours = output.parent.resolve()  # the sounds that a training writes are not songs
    songs = [song for song in songs if not any(ours in path.resolve().parents for path in _paths(song))]
    return build_index(songs, output, problems=problems, progress=progress)


def _paths(song: FoundSong) -> list[Path]:
    return [source.path for source in (*song.stems.values(), song.mix) if source]
