"""`diffmst train`: training of a model on folders of audio. Chapter: Training at scale."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..options import ACCELERATORS, BALANCES, PRECISIONS, RECIPES, SCHEDULES
from .arguments import count, count_from_zero, number_from_zero
from .training import add_common, given, indexes, model_of, recipe_of, resumable

if TYPE_CHECKING:
    from ..training.loop import Run
    from ..training.recipes import Recipe

CHANGES = (  # options that change fields of the recipe
    "steps",
    "batch_size",
    "accumulate",
    "schedule",
    "clip_norm",
    "pull",
    "soft_limit",
    "balance",
    "random_gain_db",
    "mixed_songs",
    "varied",
    "known",
    "validate_every",
)
MAY_BE_OFF = ("clip_norm", "soft_limit")  # at 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst train` to its parser."""
    add_common(parser.add_argument)
    _add_what(parser.add_argument)
    _add_changes(parser.add_argument)
    _add_how(parser.add_argument)
    parser.set_defaults(run=run)


def _add_what(add: Callable[..., object]) -> None:
    add("--recipe", choices=RECIPES, help="one of the paper's five variants, instead of the next three")
    add(
        "--method",
        type=int,
        choices=(1, 2),
        help="1: the reference is a random mix of the same tracks; 2: a real song (default: 2)",
    )
    add("--loss", choices=("mrstft", "af"), help="default: mrstft with method 1, af with method 2")
    add("--max-tracks", type=int, choices=(8, 16), help="default: 16")
    add(
        "--released",
        action="store_true",
        help="train as the released code does: its losses, its levels, its random mixes, nothing that holds knobs",
    )


def _add_changes(add: Callable[..., object]) -> None:
    add("--steps", type=count, help="updates of the weights (default: the recipe's)")
    add("--batch-size", type=count, metavar="N", help="examples of a batch on each device")
    add("--accumulate", type=count, metavar="N", help="batches of an update")
    add("--schedule", choices=SCHEDULES, help="of the learning rate: constant, or down to 0 along a cosine")
    add("--clip-norm", type=_limit, metavar="NORM", help="longest gradient; none: no limit")
    add("--pull", type=float, metavar="WEIGHT", help="how firmly knobs are held at neutral; 0: not at all")
    add(
        "--soft-limit",
        type=_limit,
        metavar="LOSS",
        help="above it a loss counts for less, so that hopeless examples do not dominate; none: no limit",
    )
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
    add(
        "--known",
        type=float,
        metavar="SHARE",
        help="how often a batch of method 2 has a known answer and no record, 0 to 1",
    )
    add("--validate-every", type=count, metavar="STEPS", help="steps between validations and checkpoints")


def _add_how(add: Callable[..., object]) -> None:
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


def _limit(text: str) -> float:
    """Read a number of at least 0, or "none", which counts as 0."""
    try:
        return 0.0 if text == "none" else number_from_zero(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; or none, for no limit") from None


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

    recipe = _recipe(options)
    _check_fit(options, recipe)
    init = model_of(options, recipe)
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
    index, references = indexes(options, progress)
    if progress:
        print(
            f"{recipe.name}, {recipe.config.name or options.preset}: {recipe.steps} updates of "
            f"{recipe.accumulate} x {recipe.batch_size} examples; songs to train on: "
            f"{len(index.multitracks('train'))}",
            flush=True,
        )
    with resumable():
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

    method = options.method or 2
    loss = options.loss or ("mrstft" if method == 1 else "af")
    name = options.recipe
    if name and (options.method or options.loss or options.max_tracks):
        raise InputError(f"--recipe {name} sets all of these: leave out --method, --loss and --max-tracks")
    changes = given(options, CHANGES)
    changes |= {key: None for key in MAY_BE_OFF if changes.get(key) == 0}
    if not name:
        if method == 2 and loss == "mrstft":
            raise InputError(
                "--loss mrstft needs a mix to compare with sample by sample, which method 2 does not have"
            )
        if method == 2:
            name, changes["max_tracks"] = "af-16", options.max_tracks or 16
        else:
            name = f"mrstft{'+af' if loss == 'af' else ''}-{options.max_tracks or 16}"
    return recipe_of(options, name, options.released, **changes)


def _check_fit(options: argparse.Namespace, recipe: Recipe) -> None:
    """Refuse options that have no meaning for the recipe."""
    from ..inputs import InputError

    for option, method in (("varied", 1), ("known", 1), ("random_gain_db", 2)):
        if getattr(options, option) is not None and recipe.method == method:
            raise InputError(f"--{option.replace('_', '-')} has no meaning with method {method}")
    if options.soft_limit is not None and recipe.loss == "mrstft":
        raise InputError("--soft-limit has no meaning with the loss mrstft")
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
