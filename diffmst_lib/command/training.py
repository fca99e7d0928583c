"""What the commands that train share: options, recipe, model, folders of songs. Chapter: Training at scale."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..options import MODELS
from .arguments import count_from_zero, folder

if TYPE_CHECKING:
    from ..data.index import SongIndex
    from ..data.songs import FoundSong
    from ..model import DiffMST
    from ..training.recipes import Recipe


def add_common(add: Callable[..., object]) -> None:
    """Add to a parser what `diffmst train` and `diffmst rehearse` share.

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
    add(
        "--tracks",
        type=folder,
        metavar="DIR",
        required=True,
        help="folder of songs with stems, or of an index or cache made by `diffmst data`",
    )
    add(
        "--references",
        type=folder,
        metavar="DIR",
        help="folder of finished songs, or of their index (default: the references of --tracks)",
    )
    add("--output", type=folder, metavar="DIR", required=True, help="folder for weights, logs, checkpoint")
    add("--init", type=folder, metavar="small|DIR", help="start from these weights; fine-tuning needs it")
    add(
        "--resume",
        action="store_true",
        help="go on from the checkpoint in --output, if there is one; --steps may be more than before",
    )
    add("--learning-rate", type=float, metavar="RATE", help="at its highest")
    add(
        "--seconds",
        type=float,
        help="length of a segment; method 1 halves it, a moment of a rehearsal lasts three times as long",
    )
    add("--seed", type=count_from_zero, default=0, help="default: 0")
    add("--quiet", action="store_true", help="no progress bar and no report")


def preset_or_file(text: str) -> str:
    """Read the name of a preset or of a JSON file."""
    if text not in MODELS and not text.endswith(".json"):
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(MODELS)}, or a JSON file, not {text}")
    return text


def recipe_of(options: argparse.Namespace, name: str, released: bool = False, **changes: Any) -> Recipe:
    """Make a recipe for the model of --preset.

    Args:
        options: Options of a command with those of `add_common`.
        name: Name of the recipe.
        released: Whether to train as the released code does.
        **changes: Fields with other values. --learning-rate and --seconds are added to them.

    Returns:
        The recipe.

    Raises:
        InputError: In one line, for values that do not fit and for a file that makes no model.
    """
    from ..inputs import InputError
    from ..training.recipes import recipe
    from .model_file import read_config

    changes |= given(options, ("learning_rate", "seconds"))
    model = options.preset if options.preset in MODELS else read_config(options.preset)
    try:
        return recipe(name, model, released=released, **changes)
    except ValueError as error:
        raise InputError(str(error)) from None


def given(options: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return those of some options that were given, by name."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def model_of(options: argparse.Namespace, recipe: Recipe) -> DiffMST | None:
    """Load the model of --init; None without it. InputError in one line when it is not that of --preset."""
    if not options.init:
        return None
    from dataclasses import asdict

    from ..audio.remarks import few
    from ..inputs import InputError
    from ..model import DiffMST
    from ..training.checkpoint import differences

    init = DiffMST.from_pretrained(options.init)
    if init.config != recipe.config:
        differs = few(differences(asdict(init.config), asdict(recipe.config)))
        raise InputError(f"{options.init}: another model than --preset {options.preset}: {differs}")
    return init


@contextmanager
def resumable() -> Iterator[None]:
    """Say how to continue when the training inside is stopped, by a KeyboardInterrupt with that line."""
    from ..training.stopping import Stopped

    try:
        yield
    except Stopped as stopped:
        raise KeyboardInterrupt(f"{stopped} with --resume") from None


def indexes(options: argparse.Namespace, progress: bool) -> tuple[SongIndex, SongIndex | None]:
    """Read the songs and the references of a training, or measure them into its output folder.

    Args:
        options: Options of a command with those of `add_common`.
        progress: Whether to show a progress bar.

    Returns:
        The index of the tracks, and that of the references where --references names one.

    Raises:
        InputError: In one line, for folders without songs, and for references that are stems of the songs.
    """
    from ..data.songs import refuse_stems

    output = Path(options.output)
    index = _index(options.tracks, output / "tracks.json", progress, stems=True)
    if not options.references:
        return index, None
    references = _index(options.references, output / "references.json", progress, stems=False)
    refuse_stems(
        (song.mix.source for song in references.references() if song.mix),
        (stem.source for song in index.multitracks() for stem in song.stems),
        options.references,
    )
    return index, references


def _index(source: str, output: Path, progress: bool, *, stems: bool) -> SongIndex:
    """Load the index of a folder, or build one from its audio in the output folder; what is there is reused."""
    from ..data.building import build_index
    from ..data.index import SongIndex, index_file
    from ..data.layouts.finding import find_songs
    from ..data.placing import place_stems
    from ..inputs import InputNote
    from ..training.advice import no_stems

    if index_file(source).is_file():
        return SongIndex.load(source)
    with warnings.catch_warnings(record=True) as notes:  # an error says it better
        warnings.simplefilter("always", InputNote)
        songs, problems = find_songs(source, "auto" if stems else "songs")
    ours = _real(output.parent)  # the sounds that a training writes are not songs
    songs = [song for song in songs if not any(ours in _real(path).parents for path in _paths(song))]
    if songs and stems and not any(song.stems for song in songs):
        raise no_stems(path for song in songs for path in _paths(song))
    for note in notes:
        warnings.warn_explicit(note.message, note.category, note.filename, note.lineno)
    if stems:
        songs = place_stems(songs, timestamps=False)
    return build_index(songs, output, problems=problems, progress=progress)


def _paths(song: FoundSong) -> list[Path]:
    return [path for source in (*song.stems.values(), song.mix) if source for path in source.paths]


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # resolve() fails on a link to itself
