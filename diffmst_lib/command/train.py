"""`diffmst train`: training of a model on folders of audio. Chapter: Training at scale."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import count, count_from_zero, folder

if TYPE_CHECKING:
    from ..data.index import SongIndex
    from ..data.songs import FoundSong
    from ..model import DiffMST
    from ..training.loop import Run
    from ..training.recipes import Recipe

CHANGES = (  # options that change fields of the recipe
    "steps",
    "batch_size",
    "accumulate",
    "learning_rate",
    "seconds",
    "balance",
    "random_gain_db",
    "mixed_songs",
    "varied",
    "validate_every",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst train` to its parser."""
    _add_what(parser.add_argument)
    _add_changes(parser.add_argument)
    _add_how(parser.add_argument)
    parser.set_defaults(run=run)


def _add_what(add: Callable[..., object]) -> None:
    from ..network.config import PRESETS
    from ..training.recipes import VARIANTS

    add("--preset", choices=tuple(PRESETS), default="small", help="size of the model (default: small)")
    add(
        "--recipe",
        choices=tuple(VARIANTS),
        help="one of the paper's five variants, instead of the next three",
    )
    add(
        "--method",
        type=int,
        choices=(1, 2),
        help="1: the reference is a random mix of the same tracks; 2: a real song (default: 2)",
    )
    add("--loss", choices=("mrstft", "af"), help="default: mrstft with method 1, af with method 2")
    add("--max-tracks", type=int, choices=(8, 16), help="default: 16")
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
    add(
        "--output",
        type=folder,
        metavar="DIR",
        required=True,
        help="folder for weights, logs, examples, checkpoint",
    )
    add("--init", metavar="small|DIR", help="start from these weights; fine-tuning needs it")
    add("--resume", action="store_true", help="go on from the checkpoint in --output, if there is one")


def _add_changes(add: Callable[..., object]) -> None:
    from ..audio.loudness import BALANCES

    add("--steps", type=count, help="updates of the weights (default: the recipe's)")
    add("--batch-size", type=count, metavar="N", help="examples of a batch on each device")
    add("--accumulate", type=count, metavar="N", help="batches of an update")
    add("--learning-rate", type=float, metavar="RATE", help="at its highest")
    add("--seconds", type=float, help="length of a segment; method 1 halves it")
    add(
        "--balance",
        choices=BALANCES,
        help="delivered: the model gets stems in the balance of the files (default); equal: all equally loud",
    )
    add(
        "--random-gain-db",
        type=float,
        metavar="DB",
        help="how far the faders of method 1's random mixes move; 0 as in the released code",
    )
    add("--mixed-songs", type=float, metavar="SHARE", help="how often stems come from several songs, 0 to 1")
    add("--varied", type=float, metavar="SHARE", help="how often a reference is changed at random, 0 to 1")
    add("--validate-every", type=count, metavar="STEPS", help="steps between validations and checkpoints")


def _add_how(add: Callable[..., object]) -> None:
    from ..training.hardware import ACCELERATORS, PRECISIONS

    add("--seed", type=count_from_zero, default=0, help="default: 0")
    add(
        "--workers",
        type=count_from_zero,
        default=2,
        help="processes that read ahead, on each device (default: 2)",
    )
    add("--accelerator", choices=ACCELERATORS, default="auto", help="default: a GPU if there is one")
    add("--devices", type=count, default=1, help="GPUs, or processes on the CPU (default: 1)")
    add("--nodes", type=count, default=1, help="machines (default: 1)")
    add(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of the network; console and losses are always float32",
    )
    add("--compile", action="store_true", help="compile the encoders of paper: some minutes, then faster")
    add(
        "--validation-examples",
        type=lambda text: count(text, least=2),
        default=16,
        metavar="N",
        help="examples of a validation (default: 16)",
    )
    add("--quiet", action="store_true", help="no progress bar and no report")


def run(options: argparse.Namespace) -> None:
    """Train a model: make the recipe, index the data, run the loop, report.

    Args:
        options: Options of `diffmst train`.

    Raises:
        InputError: For options and folders that do not fit.
        KeyboardInterrupt: When the training was stopped. The message says how to continue.
    """
    from ..training.hardware import Hardware
    from ..training.loop import train
    from ..training.stopping import Stopped

    recipe = _recipe(options)
    _check_fit(options, recipe)
    init = _init(options, recipe)
    hardware = Hardware(
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.nodes,
        precision=options.precision,
        workers=options.workers,
        compiled=options.compile,
    )
    first_process = os.environ.get("LOCAL_RANK", "0") == "0"  # only the first process reports
    progress = first_process and not options.quiet
    index, references = _indexes(options, progress)
    if progress:
        print(
            f"{recipe.name}, {options.preset}: {recipe.steps} updates of {recipe.accumulate} x "
            f"{recipe.batch_size} examples; songs to train on: {len(index.multitracks('train'))}",
            flush=True,
        )
    try:
        finished = train(
            recipe,
            index,
            options.output,
            references=references,
            init=init,
            resume=options.resume,
            seed=options.seed,
            hardware=hardware,
            validation_examples=options.validation_examples,
            progress=progress,
        )
    except Stopped as stopped:
        raise KeyboardInterrupt(f"{stopped} with --resume") from None
    if progress and len(finished.validation):
        _report(finished, options.output)


def _report(finished: Run, output: str) -> None:
    validation, log = finished.validation, finished.log
    print(validation.iloc[[0, -1]].round(4).to_string(index=False))
    skipped = int(log["skipped"].iloc[-1]) if len(log) else 0
    print(
        f"written: {Path(output)}, a model for --model, {len(validation)} validations in validation.csv"
        + (f"; skipped updates: {skipped}" if skipped else "")
    )


def _recipe(options: argparse.Namespace) -> Recipe:
    """Return the recipe by its name, or by method, loss and number of tracks, with the options' changes."""
    from ..inputs import InputError
    from ..training.recipes import recipe

    method = options.method or 2
    loss = options.loss or ("mrstft" if method == 1 else "af")
    name = options.recipe
    if name and (options.method or options.loss or options.max_tracks):
        raise InputError(f"--recipe {name} sets all of these: leave out --method, --loss and --max-tracks")
    changes = {key: getattr(options, key) for key in CHANGES if getattr(options, key) is not None}
    if not name:
        if method == 2 and loss == "mrstft":
            raise InputError(
                "--loss mrstft needs a mix to compare with sample by sample, which method 2 does not have"
            )
        if method == 2:
            name, changes["max_tracks"] = "af-16", options.max_tracks or 16
        else:
            name = f"mrstft{'+af' if loss == 'af' else ''}-{options.max_tracks or 16}"
    try:
        return recipe(name, options.preset, **changes)
    except ValueError as error:
        raise InputError(str(error)) from None


def _check_fit(options: argparse.Namespace, recipe: Recipe) -> None:
    """Refuse options that have no meaning for the recipe."""
    from ..inputs import InputError

    for option, method in (("varied", 1), ("random_gain_db", 2)):
        if getattr(options, option) is not None and recipe.method == method:
            raise InputError(f"--{option.replace('_', '-')} has no meaning with method {method}")
    if options.balance and recipe.config.track_lufs is not None:
        raise InputError(
            f"--balance has no meaning with {options.preset}, which gets all channels equally loud"
        )
    if options.references and recipe.method == 1:
        raise InputError(
            "--references has no meaning with method 1, whose references are random mixes of the tracks"
        )
    if options.compile and recipe.config.encoder != "cnn":
        raise InputError(f"--compile is for CNN encoders, which {options.preset} does not have")


def _init(options: argparse.Namespace, recipe: Recipe) -> DiffMST | None:
    """Load the model whose weights are the start."""
    if not options.init:
        return None
    from ..inputs import FIRST_EDITION, InputError
    from ..model import DiffMST

    init = DiffMST.from_pretrained(options.init)
    if init.config != recipe.config:
        wrong = f"preset {init.config.name or 'its own'}"
        if init.config.console == FIRST_EDITION:
            wrong = "the first edition, whose console has mono channels"
        raise InputError(f"{options.init}: a model of {wrong}, not of preset {options.preset}")
    return init


def _indexes(options: argparse.Namespace, progress: bool) -> tuple[SongIndex, SongIndex | None]:
    """Return the index of the tracks, and the index of the references where --references names one."""
    from ..data.songs import refuse_stems

    output = Path(options.output)
    index = _index(options.tracks, "auto", output / "tracks.json", options.resume, progress)
    if not options.references:
        return index, None
    references = _index(options.references, "songs", output / "references.json", options.resume, progress)
    refuse_stems(
        (song.mix.source for song in references.references() if song.mix),
        (stem.source for song in index.multitracks() for stem in song.stems),
        options.references,
    )
    return index, references


def _index(source: str, layout: str, output: Path, resume: bool, progress: bool) -> SongIndex:
    """Load the index of a folder, or build one from its audio in the output folder."""
    from ..data.building import build_index
    from ..data.index import SongIndex, index_file
    from ..data.layouts.finding import find_songs

    if index_file(source).is_file():
        return SongIndex.load(source)
    if resume and output.is_file():
        return SongIndex.load(output)
    songs, problems = find_songs(source, layout)
    ours = output.parent.resolve()  # the sounds that a training writes are not songs
    songs = [song for song in songs if not any(ours in path.resolve().parents for path in _paths(song))]
    return build_index(songs, output, problems=problems, progress=progress)


def _paths(song: FoundSong) -> list[Path]:
    return [source.path for source in (*song.stems.values(), song.mix) if source]
