"""`diffmst rehearse`: a model learns most of mixing without sound. Chapter: Method 1."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from ..options import MOMENTS, REHEARSAL_STEPS
from .arguments import count
from .training import add_common, indexes, model_of, recipe_of, resumable

if TYPE_CHECKING:
    from ..training.loop import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst rehearse` to its parser."""
    add = parser.add_argument
    add_common(add)
    add(
        "--steps",
        type=count,
        default=REHEARSAL_STEPS,
        help=f"updates of the weights, each of 32 tasks (default: {REHEARSAL_STEPS})",
    )
    add(
        "--moments",
        type=count,
        default=MOMENTS,
        metavar="N",
        help=f"pairs of moments of each song that are heard (default: {MOMENTS})",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Rehearse: index the data, hear it, learn, report.

    Args:
        options: Options of `diffmst rehearse`.

    Raises:
        InputError: For options and folders that do not fit.
        KeyboardInterrupt: When the rehearsal was stopped. The message says how to continue.
    """
    from ..training.rehearsal import check_config
    from ..training.rehearsing import rehearse

    like = recipe_of(options, "af-16")
    check_config(like.config)
    init = model_of(options, like)
    progress = not options.quiet
    index, references = indexes(options, progress)
    if progress:
        print(
            f"rehearsal, {like.config.name or options.preset}: {options.steps} updates; songs to learn from: "
            f"{len(index.multitracks('train'))}, records: {len((references or index).references('train'))}",
            flush=True,
        )
    with resumable():
        finished = rehearse(
            like,
            index,
            options.output,
            references=references,
            init=init,
            steps=options.steps,
            moments=options.moments,
            resume=options.resume,
            seed=options.seed,
            progress=progress,
        )
    if progress:
        _report(finished, options)


def _report(finished: Run, options: argparse.Namespace) -> None:
    log, folder = finished.log, finished.folder
    print(log.iloc[sorted({0, len(log) - 1})].round(4).to_string(index=False))
    words = ["--preset", options.preset, "--tracks", options.tracks, "--init", str(folder)]
    words += ["--references", options.references] if options.references else []
    print(
        f"written: {folder}; `diffmst train {shlex.join(words)} --output MODEL` goes on from it with sound, into "
        "a folder MODEL"
    )
