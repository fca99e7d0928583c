"""`diffmst mix`: stems and a reference in, a stereo mix and console settings out. Chapter: A first mix."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import count, count_from_zero, folder, seconds

if TYPE_CHECKING:
    import torch

    from ..audio.multitrack import Multitrack
    from ..mixing.result import MixResult
    from ..model import DiffMST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `diffmst mix` to its parser."""
    add = parser.add_argument
    add("tracks", metavar="TRACKS_DIR", help="folder with one audio file a stem, mono or stereo")
    add("--reference", metavar="FILE", help="stereo mix whose style to take")
    add(
        "--output",
        type=folder,
        metavar="DIR",
        required=True,
        help="folder for mix.wav, params.json, params.csv",
    )
    add(
        "--method",
        choices=("model", "optimize", "equal-loudness"),
        help="ask a network (default with --model), fit the console to the reference (default without), "
        "or the baseline without a reference",
    )
    add("--model", metavar="small|PATH", help="the network: small, or a folder made by save_pretrained")
    add(
        "--refine",
        type=count_from_zero,
        metavar="STEPS",
        help="gradient steps that continue from the network's console (default: none)",
    )
    add("--steps", type=count, help="gradient steps of optimize (default: 200)")
    add(
        "--fit-seconds",
        type=seconds,
        help="fit on the loudest window of this length; the whole song is rendered (default: 15)",
    )
    add("--quiet", action="store_true", help="no progress bar and no report")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Mix a song. All input is read and checked before anything is written.

    Args:
        options: Options of `diffmst mix`.

    Raises:
        InputError: For bad input, in one line that begins with the name of the file.
    """
    from ..audio.loading import load_audio, load_multitrack
    from ..audio.loudness import SAMPLE_RATE
    from ..disk import output_folder
    from ..mixing.result import FILES
    from ..model import DiffMST

    method = _method(options)
    _keep_the_users_files(options, FILES)
    model = None
    if method == "model":
        model = DiffMST.from_pretrained("small" if options.model is None else options.model)
    rate = model.config.sample_rate if model else SAMPLE_RATE
    song = load_multitrack(options.tracks, sample_rate=rate)
    reference = load_audio(options.reference, sample_rate=rate) if options.reference else None
    with output_folder(options.output, FILES) as output, _files_named(options, song):
        result = _mix(song, reference, method, model, options)
        result.save(output)
    if not options.quiet:
        _report(result, output)


def _mix(
    song: Multitrack,
    reference: torch.Tensor | None,
    method: str,
    model: DiffMST | None,
    options: argparse.Namespace,
) -> MixResult:
    from ..mixing.baselines import equal_loudness
    from ..mixing.optimize import optimize_mix

    if method == "equal-loudness":
        return equal_loudness(song, reference=reference)
    given = {"steps": options.steps, "refine_steps": options.refine, "fit_seconds": options.fit_seconds}
    fit = {name: value for name, value in given.items() if value is not None} | {
        "progress": not options.quiet
    }
    return model.mix(song, reference, **fit) if model else optimize_mix(song, reference, **fit)


@contextmanager
def _files_named(options: argparse.Namespace, song: Multitrack) -> Iterator[None]:
    """Put the name of the file in front of an error about the song or the reference."""
    from ..inputs import InputError

    try:
        yield
    except InputError as error:
        path = {"song": options.tracks, "reference": options.reference}.get(error.about)
        if not path:
            raise
        raise InputError(f"{path}: {str(error).removeprefix(f'{song.title}: ')}", about=error.about) from None


def _method(options: argparse.Namespace) -> str:
    """Return the chosen method, or the one that the other options imply. Refuse options of another method."""
    from ..inputs import InputError

    asks_model = options.model is not None or options.refine is not None
    method = options.method or ("model" if asks_model else "optimize")
    fits = method == "optimize" or (method == "model" and options.refine)
    unused = {
        "--model": options.model is not None and method != "model",
        "--refine": options.refine is not None and method != "model",
        "--steps": options.steps is not None and method != "optimize",
        "--fit-seconds": options.fit_seconds is not None and not fits,
    }
    for option, wrong in unused.items():
        if wrong:
            without = " without --refine" if option == "--fit-seconds" and method == "model" else ""
            raise InputError(f"{option} has no meaning with --method {method}{without}")
    if not options.reference and method != "equal-loudness":
        raise InputError(f"--method {method} needs a --reference")
    return method


def _keep_the_users_files(options: argparse.Namespace, written: tuple[str, ...]) -> None:
    """Refuse an output folder in which the mix would overwrite a stem or the reference."""
    from ..inputs import InputError

    if Path(options.output).resolve() == Path(options.tracks).resolve():
        raise InputError(f"{options.output}: holds the stems, choose another folder for the mix")
    outputs = [Path(options.output, name).resolve() for name in written]
    if options.reference and Path(options.reference).resolve() in outputs:
        raise InputError(
            f"{options.reference}: the reference would be overwritten, choose another output folder"
        )


def _report(result: MixResult, output: Path) -> None:
    song, peak = result.song, result.audio.abs().max().item()
    print(
        f"{len(song.stems)} stems, {song.duration_s:.1f} s, {result.loudness_lufs:.1f} LUFS, peak {peak:.2f}"
        + (" (above full scale: kept, the file is 32-bit float)" if peak > 1 else "")
    )
    if result.history is not None:
        totals = result.history["total"]
        print(f"audio-feature loss {totals.iloc[0]:.4f} -> {totals.min():.4f}")
    elif result.loss is not None:
        print(f"audio-feature loss {result.loss['total']:.4f}")
    print(f"written: {output}/mix.wav, params.json, params.csv")
