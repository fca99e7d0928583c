"""The command `diffmst`: its parser, notes and errors in one line each, exit codes. Chapter: A first mix."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from .. import __version__

VERBS = {  # the commands, each in a module of its own, and their texts in `diffmst --help`
    "mix": "stems and a reference in, a stereo mix and console settings out",
    "rehearse": "teach a model to mix without sound, in minutes, before it is trained",
    "train": "train a model on multitracks and reference songs",
    "data": "data sets: index folders of songs, cache, open set, shards",
    "bench": "speed and memory: console and loss beside the released code's, models",
}


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of the command line.

    Args:
        verb: Command whose options are added. The options of other commands are not loaded.

    Returns:
        Parser of the command line.
    """
    parser = argparse.ArgumentParser(
        prog="diffmst", description="Mix stems in the style of a reference song."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in VERBS.items():
        options = commands.add_parser(name, help=about, description=about)
        if name == verb:
            import_module(f".{name}", __package__).add_arguments(options)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after `diffmst`. Default: those of the shell.

    Returns:
        Exit code: 0 for success, 2 for bad input, 130 when stopped. For bad options, argparse exits with 2.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # names may have letters that the terminal cannot show
    try:
        verb = next((word for word in words if not word.startswith("-")), None)
        return _run(build_parser(verb).parse_args(words))
    except BrokenPipeError:  # the reader of the report has closed the pipe; the files are complete
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stopped:
        return _say(str(stopped) or "stopped", 130)


def _run(options: argparse.Namespace) -> int:
    from ..inputs import InputError

    try:
        with _notes_on_stderr():
            options.run(options)
        sys.stdout.flush()
    except InputError as error:
        return _say(f"error: {error}", 2)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _say(f"error: {error.filename or 'output'}: {error.strerror or error}", 2)
    return 0


def _say(message: str, code: int) -> int:
    print(f"diffmst: {message}", file=sys.stderr)
    return code


@contextmanager
def _notes_on_stderr() -> Iterator[None]:
    """Print the library's InputNotes as plain lines. Other warnings stay as they are."""
    from ..inputs import InputNote

    def show(message: Warning, category: type[Warning], *rest: object, **options: object) -> None:
        if issubclass(category, InputNote):
            _say(f"note: {message}", 0)
        else:
            plain(message, category, *rest, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("always", InputNote)
        plain, warnings.showwarning = warnings.showwarning, show
        yield
