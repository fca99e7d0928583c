"""`diffmst bench`: tables of times and peak memory. Chapter: Training at scale."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..options import MODELS
from .arguments import count, seconds

if TYPE_CHECKING:
    import pandas as pd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst bench` to its parser."""
    parser.add_argument(
        "--tracks",
        type=count,
        nargs="+",
        help="numbers of tracks, which are stereo stems but for --model paper (default: 4 8; --render 16; "
        "--model, --train, --data 8)",
    )
    parser.add_argument(
        "--seconds", type=seconds, help="length of the audio (default: 10; with --render 60, with --train 5)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--render",
        action="store_true",
        help="rendering without gradients instead, beside pedalboard where it is installed",
    )
    what.add_argument("--loss", action="store_true", help="the audio-feature loss of a stereo pair instead")
    what.add_argument(
        "--model",
        nargs="+",
        choices=MODELS,
        metavar="PRESET",
        help="the network of these presets (tiny, small, paper) beside its console instead",
    )
    what.add_argument(
        "--train",
        choices=MODELS,
        metavar="PRESET",
        help="a training step of this preset through both consoles instead",
    )
    what.add_argument(
        "--data",
        metavar="INDEX",
        help="a data set's loader beside a training step of small on its examples instead",
    )
    parser.add_argument("--repeats", type=count, default=3, help="alternating runs of each (default: 3)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure, and print each table when it is complete.

    Args:
        options: Options of `diffmst bench`.

    Raises:
        InputError: For options that exclude each other, and an index that cannot be read.
    """
    from ..bench.measuring import machine
    from ..inputs import InputError

    if options.loss and options.tracks:
        raise InputError("--tracks has no meaning with --loss, which takes one stereo pair")
    jobs = plan(options)
    print(machine())
    for measure in jobs:
        print(measure().to_string())


def plan(options: argparse.Namespace) -> list[Callable[[], pd.DataFrame]]:
    """List the measurements that the options select.

    Args:
        options: Options of `diffmst bench`.

    Returns:
        Functions without arguments (`functools.partial`). Each of them measures and returns a table.

    Raises:
        InputError: For an index that cannot be read.
    """
    from ..bench import console, loader, losses, network, training
    from ..data.index import SongIndex

    length = options.seconds or (60.0 if options.render else 5.0 if options.train else 10.0)
    timed = {"seconds": length, "repeats": options.repeats}
    if options.loss:
        return [partial(losses.loss_times, **timed)]
    if options.render:
        systems = ("default", "reference", "pedalboard")
        job = partial(console.render_table, systems=systems, **timed)
    elif options.model:
        job = partial(network.model_table, options.model, **timed)
    elif options.train:
        job = partial(training.step_table, options.train, **timed)
    elif options.data:
        job = partial(loader.data_table, SongIndex.load(options.data), seconds=length)
    else:
        return [partial(console.console_table, options.tracks or [4, 8], **timed)]
    return [partial(job, num_tracks=n) for n in options.tracks or [16 if options.render else 8]]
