"""`diffmst train`: a model from folders of audio. Chapter: Training at scale."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from ..data.index import SongIndex, build_index, index_file
from ..data.layouts.finding import find_songs
from ..data.songs import FoundSong
from ..inputs import InputError
from ..model import DiffMST
from ..network.config import PRESETS
from ..training.loop import PRECISIONS, Stopped, train
from ..training.recipes import VARIANTS, Recipe, recipe

CHANGES = (
    "steps",
    "batch_size",
    "accumulate",
    "learning_rate",
    "seconds",
    "random_gain_db",
    "mixed_songs",
    "varied",
    "validate_every",
)


def add_command(commands: argparse._SubParsersAction, count: Callable[[str], int]) -> None:
    """Add `train` to the command line."""
    parser = commands.add_parser("train", help="train a model on multitracks and reference songs")
    parser.add_argument(
        "--preset", choices=tuple(PRESETS), default="small", help="size of the model (default: small)"
    )
    parser.add_argument(
        "--recipe",
        choices=tuple(VARIANTS),
        help="one of the paper's five variants, instead of the next three",
    )
    parser.add_argument(
        "--method",
        type=int,
        choices=(1, 2),
        help="1: the reference is a random mix of the same tracks; 2: a real song (default: 2)",
    )
    parser.add_argument(
        "--loss", choices=("mrstft", "af"), help="default: mrstft with method 1, af with method 2"
    )
    parser.add_argument("--max-tracks", type=int, choices=(8, 16), help="default: 16")
    parser.add_argument(
        "--tracks",
        metavar="DIR",
        required=True,
        help="folder of songs with stems, or of an index or cache made by `diffmst data`",
    )
    parser.add_argument(
        "--references",
        metavar="DIR",
        help="folder of finished songs, or of their index (default: the references of --tracks)",
    )
    parser.add_argument(
        "--output", metavar="DIR", required=True, help="folder for weights, logs, examples, checkpoint"
    )
    parser.add_argument("--init", metavar="small|DIR", help="start from these weights; fine-tuning needs it")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in --output, if there is one"
    )
    parser.add_argument("--steps", type=count, help="updates of the weights (default: the recipe's)")
    parser.add_argument("--batch-size", type=count, metavar="N", help="examples of a batch on each device")
    parser.add_argument("--accumulate", type=count, metavar="N", help="batches of an update")
    parser.add_argument("--learning-rate", type=float, metavar="RATE", help="at its highest")
    parser.add_argument("--seconds", type=float, help="length of a segment; method 1 halves it")
    parser.add_argument(
        "--random-gain-db",
        type=float,
        metavar="DB",
        help="how far the faders of method 1's random mixes move; 0 as in the released code",
    )
    parser.add_argument(
        "--mixed-songs", type=float, metavar="SHARE", help="how often stems come from several songs, 0 to 1"
    )
    parser.add_argument(
        "--varied", type=float, metavar="SHARE", help="how often a reference is changed at random, 0 to 1"
    )
    parser.add_argument(
        "--validate-every", type=count, metavar="STEPS", help="steps between validations and checkpoints"
    )
    parser.add_argument("--seed", type=lambda text: count(text, least=0), default=0, help="default: 0")
    parser.add_argument(
        "--workers",
        type=lambda text: count(text, least=0),
        default=2,
        help="processes that read ahead, on each device (default: 2)",
    )
    parser.add_argument(
        "--accelerator",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="default: a GPU if there is one",
    )
    parser.add_argument("--devices", type=count, default=1, help="GPUs, or processes on the CPU (default: 1)")
    parser.add_argument("--nodes", type=count, default=1, help="machines (default: 1)")
    parser.add_argument(
        "--precision",
        choices=tuple(PRECISIONS),
        default="float32",
        help="of the network; console and losses are always float32",
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile the encoders of paper: some minutes, then faster"
    )
    parser.add_argument(
        "--validation-examples",
        type=lambda text: count(text, least=2),
        default=16,
        metavar="N",
        help="examples of a validation (default: 16)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no report")
    parser.set_defaults(run=run_train)


def run_train(options: argparse.Namespace) -> None:
    """`diffmst train`: recipe, data, loop, report."""
    chosen = _recipe(options)
    if not options.output:
        raise InputError("--output is empty: name a folder for the training")
    for option, method in (("varied", 1), ("random_gain_db", 2)):
        if getattr(options, option) is not None and chosen.method == method:
            raise InputError(f"--{option.replace('_', '-')} has no meaning with method {method}")
    if options.references and chosen.method == 1:
        raise InputError(
            "--references has no meaning with method 1, whose references are random mixes of the tracks"
        )
    init = DiffMST.from_pretrained(options.init) if options.init else None
    if init and init.config != chosen.config:
        raise InputError(
            f"{options.init}: a model of preset {init.config.name or 'its own'}, not {options.preset}"
        )
    if options.compile and chosen.config.encoder != "cnn":
        raise InputError(f"--compile is for CNN encoders, which {options.preset} does not have")
    output = Path(options.output)
    progress = (
        not options.quiet and os.environ.get("LOCAL_RANK", "0") == "0"
    )  # one of several processes tells
    index = _index(options.tracks, "auto", output / "tracks.json", options.resume, progress)
    references = None
    if options.references:
        references = _index(options.references, "songs", output / "references.json", options.resume, progress)
        stems = {stem.source.path.resolve() for song in index.multitracks() for stem in song.stems}
        if any(song.mix.source.path.resolve() in stems for song in references.references()):
            raise InputError(f"{options.references}: holds stems of the songs, which are no references")
    if progress:
        print(
            f"{chosen.name}, {options.preset}: {chosen.steps} updates of {chosen.accumulate} x {chosen.batch_size} "
            f"examples; songs to train on: {len(index.multitracks('train'))}",
            flush=True,
        )
    try:
        run = train(
            chosen,
            index,
            output,
            references=references,
            init=init,
            resume=options.resume,
            seed=options.seed,
            workers=options.workers,
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.nodes,
            precision=options.precision,
            compiled=options.compile,
            validation_examples=options.validation_examples,
            progress=progress,
        )
    except Stopped as stopped:
        raise KeyboardInterrupt(f"{stopped} with --resume") from None
    if progress and len(run.validation):
        print(run.validation.iloc[[0, -1]].round(4).to_string(index=False))
        skipped = int(run.log["skipped"].iloc[-1]) if len(run.log) else 0
        print(
            f"written: {output}, a model for --model, {len(run.validation)} validations in validation.csv"
            + (f"; skipped updates: {skipped}" if skipped else "")
        )


def _recipe(options: argparse.Namespace) -> Recipe:
    method = options.method or 2
    loss = options.loss or ("mrstft" if method == 1 else "af")
    name = options.recipe
    if name and (options.method or options.loss or options.max_tracks):
        raise InputError(f"--recipe {name} says it all: leave out --method, --loss and --max-tracks")
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


def _index(folder: str, layout: str, output: Path, resume: bool, progress: bool) -> SongIndex:
    """The index that a folder holds, or one made of its audio and kept in the output folder."""
    if index_file(folder).is_file():
        return SongIndex.load(folder)
    if resume and output.is_file():
        return SongIndex.load(output)
    found, problems = find_songs(folder, layout)
    ours = output.parent.resolve()  # the sounds of an earlier training are no songs
    found = [song for song in found if not any(ours in path.resolve().parents for path in _paths(song))]
    return build_index(found, output, problems=problems, progress=progress)


def _paths(song: FoundSong) -> list[Path]:
    return [source.path for source in (*song.stems.values(), song.mix) if source]
