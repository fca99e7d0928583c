"""The command line: `diffmst mix`, `train`, `bench` and `data`. Exit code 2 and one line for bad input. Chapter: Mix your own song."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .. import __version__
from ..audio.loading import load_audio, load_multitrack
from ..audio.loudness import SAMPLE_RATE, loudness, normalize_loudness
from ..audio.multitrack import check_song, check_stereo
from ..data.index import SongIndex
from ..disk import output_folder
from ..inputs import InputError, InputNote
from ..mixing.baselines import equal_loudness
from ..mixing.optimize import optimize_mix
from ..mixing.result import FILES
from ..model import DiffMST
from ..network.config import PRESETS
from ..style.losses import audio_feature_loss
from . import data as cli_data
from . import train as cli_train


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="diffmst", description="Mix stems in the style of a reference song."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    mix = commands.add_parser("mix", help="stems and a reference in, a stereo mix and console settings out")
    mix.add_argument("tracks", metavar="TRACKS_DIR", help="folder with one audio file a stem, mono or stereo")
    mix.add_argument("--reference", metavar="FILE", help="stereo mix whose style to take")
    mix.add_argument(
        "--output", metavar="DIR", required=True, help="folder for mix.wav, params.json, params.csv"
    )
    mix.add_argument(
        "--method",
        choices=("model", "optimize", "equal-loudness"),
        help="ask a network (default with --model), fit the console to the reference (default without), "
        "or the baseline without a reference",
    )
    mix.add_argument(
        "--model", metavar="small|PATH", help="the network: small, or a folder made by save_pretrained"
    )
    mix.add_argument(
        "--refine",
        type=partial(_count, least=0),
        metavar="STEPS",
        help="gradient steps that continue from the network's console (default: none)",
    )
    mix.add_argument("--steps", type=_count, help="gradient steps of optimize (default: 200)")
    mix.add_argument(
        "--fit-seconds",
        type=_seconds,
        help="fit on the loudest window of this length; the whole song is rendered (default: 15)",
    )
    mix.add_argument("--quiet", action="store_true", help="no progress bar and no report")
    mix.set_defaults(run=run_mix)

    bench = commands.add_parser(
        "bench", help="speed and memory: console and loss beside the reference, models"
    )
    bench.add_argument(
        "--tracks",
        type=_count,
        nargs="+",
        help="numbers of tracks (default: 4 8 16; --render 16; --model, --train, --data 8)",
    )
    bench.add_argument(
        "--seconds", type=_seconds, help="length of the audio (default: 10; with --render 60, with --train 5)"
    )
    what = bench.add_mutually_exclusive_group()
    what.add_argument(
        "--render",
        action="store_true",
        help="rendering without gradients instead, beside pedalboard where it is installed",
    )
    what.add_argument("--loss", action="store_true", help="the audio-feature loss of a stereo pair instead")
    what.add_argument(
        "--model",
        nargs="+",
        choices=tuple(PRESETS),
        metavar="PRESET",
        help="the network of these presets (tiny, small, paper) beside its console instead",
    )
    what.add_argument(
        "--train",
        choices=tuple(PRESETS),
        metavar="PRESET",
        help="a training step of this preset through both consoles instead",
    )
    what.add_argument(
        "--data",
        metavar="INDEX",
        help="a data set's loader beside a training step of small on its examples instead",
    )
    bench.add_argument("--repeats", type=_count, default=3, help="alternating runs of each (default: 3)")
    bench.set_defaults(run=run_bench)

    cli_train.add_command(commands, _count)
    cli_data.add_commands(commands, _count)
    return parser


def _count(text: str, least: int = 1) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"must be a number between 0.1 and 3600, not {text}")
    return value


@contextmanager
def _notes_on_stderr():
    """Turn the library's InputNotes into plain lines; other warnings pass as they are."""
    told = set()

    def show(message, category, *rest, **options):
        if issubclass(category, InputNote):
            if str(message) not in told:  # the command and the library look at the same file
                print(f"diffmst: note: {message}", file=sys.stderr)
            told.add(str(message))
        else:
            plain(message, category, *rest, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("always", InputNote)
        plain, warnings.showwarning = warnings.showwarning, show
        yield


def run_mix(options: argparse.Namespace) -> None:
    """`diffmst mix`: everything is read and checked before anything is computed or written."""
    method = _method(options)
    name = "small" if options.model is None else options.model
    model = DiffMST.from_pretrained(name) if method == "model" else None
    rate = model.config.sample_rate if model else SAMPLE_RATE
    song = load_multitrack(options.tracks, sample_rate=rate)
    check_song(song)
    reference = None
    if options.reference:
        reference = _load_reference(options.reference, rate)
    elif method != "equal-loudness":
        raise InputError(f"--method {method} needs a --reference")
    if not options.output:
        raise InputError("--output is empty: name a folder for the mix")
    if Path(options.output).resolve() == Path(options.tracks).resolve():
        raise InputError(f"{options.output}: holds the stems, choose another folder for the mix")
    if options.reference and Path(options.reference).resolve() in [
        Path(options.output, f).resolve() for f in FILES
    ]:
        raise InputError(
            f"{options.reference}: the reference would be overwritten, choose another output folder"
        )
    with output_folder(options.output, FILES) as folder:
        fit = {"progress": not options.quiet}
        if options.fit_seconds is not None:
            fit["fit_seconds"] = options.fit_seconds
        if model:
            result = model.mix(song, reference, refine_steps=options.refine or 0, **fit)
        elif method == "optimize":
            result = optimize_mix(
                song, reference, **fit | ({"steps": options.steps} if options.steps else {})
            )
        else:
            result = equal_loudness(song)
        result.save(folder)
    if options.quiet:
        return
    peak = result.audio.abs().max().item()
    print(
        f"{len(song.stems)} stems, {song.duration_s:.1f} s, {loudness(result.audio, sample_rate=rate):.1f} LUFS, "
        f"peak {peak:.2f}{' (above full scale: kept, the file is 32-bit float)' if peak > 1 else ''}"
    )
    if result.history is not None:
        print(
            f"audio-feature loss {result.history['total'].iloc[0]:.4f} -> {result.history['total'].min():.4f}"
        )
    elif reference is not None:
        target = normalize_loudness(reference, loudness(result.audio, sample_rate=rate), sample_rate=rate)
        print(
            f"audio-feature loss {audio_feature_loss(result.audio, target, sample_rate=rate)['total'].item():.4f}"
        )
    print(f"written: {folder}/mix.wav, params.json, params.csv")


def _method(options: argparse.Namespace) -> str:
    """The method asked for, or the one that the other options mean; options of another method are refused."""
    asks_model = options.model is not None or options.refine is not None
    method = options.method or ("model" if asks_model else "optimize")
    fits = method == "optimize" or method == "model" and options.refine
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
    return method


def _load_reference(path: str, sample_rate: int):
    try:
        return check_stereo(load_audio(path, sample_rate=sample_rate), sample_rate=sample_rate)
    except InputError as error:
        named = str(error) if str(error).startswith(str(Path(path))) else f"{path}: {error}"
        raise InputError(named) from None


def run_bench(options: argparse.Namespace) -> None:
    """`diffmst bench`: tables of times and peak memory."""
    from ..bench import console as bench
    from ..bench import loader as bench_data
    from ..bench import training as bench_train

    if options.loss and options.tracks:
        raise InputError("--tracks has no meaning with --loss, which takes one stereo pair")
    print(bench.machine())
    try:
        if options.render:
            for n in options.tracks or [16]:
                print(
                    bench.render_table(
                        num_tracks=n,
                        seconds=options.seconds or 60.0,
                        repeats=options.repeats,
                        systems=("default", "reference", "pedalboard"),
                    ).to_string()
                )
        elif options.model:
            for n in options.tracks or [8]:
                print(
                    bench.model_table(
                        options.model, num_tracks=n, seconds=options.seconds or 10.0, repeats=options.repeats
                    ).to_string()
                )
        elif options.train:
            for n in options.tracks or [8]:
                print(
                    bench_train.step_table(
                        options.train, num_tracks=n, seconds=options.seconds or 5.0, repeats=options.repeats
                    ).to_string()
                )
        elif options.data:
            index = SongIndex.load(options.data)
            for n in options.tracks or [8]:
                print(bench_data.data_table(index, num_tracks=n, seconds=options.seconds or 10.0).to_string())
        elif options.loss:
            print(bench.loss_times(seconds=options.seconds or 10.0, repeats=options.repeats).to_string())
        else:
            print(
                bench.console_table(
                    options.tracks or [4, 8, 16], seconds=options.seconds or 10.0, repeats=options.repeats
                ).to_string()
            )
    except RuntimeError as error:
        raise InputError(str(error)) from None


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = build_parser().parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(
            errors="replace"
        )  # a name that the terminal has no characters for is no reason to stop
    try:
        with _notes_on_stderr():
            options.run(options)
        sys.stdout.flush()
    except InputError as error:
        print(f"diffmst: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the report has closed: what was written is whole
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"diffmst: error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"diffmst: {stopped.args[0] if stopped.args else 'stopped'}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
