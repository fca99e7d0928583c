"""`diffmst rehearse`: a model learns most of mixing without sound. Chapter: Method 1."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import count, count_from_zero
from .training import add_folders, add_preset, indexes, preset_or_config

if TYPE_CHECKING:
    from ..training.loop import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst rehearse` to its parser."""
    from ..training.hearing import MOMENTS
    from ..training.rehearsing import STEPS

    add = parser.add_argument
    add_preset(add)
    add_folders(add)
    add(
        "--steps",
        type=count,
        default=STEPS,
        help=f"updates of the weights, each of 32 tasks (default: {STEPS})",
    )
    add(
        "--moments",
        type=count,
        default=MOMENTS,
        metavar="N",
        help=f"pairs of moments of each song that are heard (default: {MOMENTS})",
    )
    add("--seed", type=count_from_zero, default=0, help="default: 0")
    add("--quiet", action="store_true", help="no progress bar and no report")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Rehearse with a new model: index the data, hear it, learn, report.

    Args:
        options: Options of `diffmst rehearse`.

    Raises:
        InputError: For options and folders that do not fit.
        KeyboardInterrupt: When the rehearsal was stopped. The message says how to continue.
    """
    from ..training.recipes import recipe
    from ..training.rehearsal import check_config
    from ..training.rehearsing import rehearse
    from ..training.stopping import Stopped

    like = recipe("af-16", preset_or_config(options.preset))
    check_config(like.config)
    progress = not options.quiet
    index, references = indexes(options, progress)
    if progress:
        print(
            f"rehearsal, {like.config.name or options.preset}: {options.steps} updates; songs to learn from: "
            f"{len(index.multitracks('train'))}, records: {len((references or index).references('train'))}",
            flush=True,
        )
    try:
        finished = rehearse(
            like,
            index,
            options.output,
            references=references,
            steps=options.steps,
            moments=options.moments,
            resume=options.resume,
            seed=options.seed,
            progress=progress,
        )
    except Stopped as stopped:
        raise KeyboardInterrupt(f"{stopped} with --resume") from None
    if progress:
        _report(finished, options.output)


def _report(finished: Run, output: str) -> None:
    rows = sorted({0, len(finished.log) - 1})
    print(finished.log.iloc[rows].round(4).to_string(index=False))
    print(f"written: {Path(output)}; `diffmst train --init {Path(output)}` goes on from it with sound")
