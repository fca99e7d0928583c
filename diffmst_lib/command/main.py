"""The command `diffmst`: its parser, notes and errors in one line each, exit codes. Chapter: A first mix."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from .. import __version__
from .stopping import ignore_stops, open_streams, stoppable

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
VERBS = {  # the commands, each in a module of its own, and their texts in `diffmst --help`
    "mix": "stems and a reference in, a stereo mix and console settings out",
    "render": "stems and a console's settings in, the same files out: an earlier mix, edited by hand",
    "rehearse": "teach a model to mix without sound, in minutes, before it is trained",
    "train": "train a model on multitracks and reference songs",
    "evaluate": "compare systems on songs and records: tables with intervals, and a figure",
    "data": "data sets: index folders of songs, cache, open set, shards",
    "bench": "speed and memory: console and loss beside the released code's, models",
    "listen": "a listening test: one page from an evaluation's mixes, and the table of its ratings",
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
        arguments: Words after `diffmst`. Default: those of the shell, and the process ends with the command.

    Returns:
        Exit code: 0 for success, 1 when a part of many has failed, 2 for bad input, 128 and the signal's number
        when stopped: 130 by Ctrl-C. For bad options, argparse exits with 2.
    """
    words = sys.argv[1:] if arguments is None else arguments
    with stoppable(at_once=arguments is None) as stops, open_streams():
        try:
            code = _run(words, stops)
        except BaseException as error:
            # Libraries turn the interrupt into errors of their own.
            if not isinstance(error, KeyboardInterrupt) and (isinstance(error, SystemExit) or not stops):
                raise
            ignore_stops()
            message = str(error) if isinstance(error, KeyboardInterrupt) else ""
            code = _say(message or "stopped", 128 + (stops or [signal.SIGINT])[0])
            if arguments is None:
                with suppress(OSError):
                    sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)  # threads that still mix are not waited for
    return code


def _run(words: list[str], stops: list[int]) -> int:
    from ..inputs import InputError

    code = 0
    try:
        try:
            verb = next((word for word in words if not word.startswith("-")), None)
            options = build_parser(verb).parse_args(words)
            with _notes_on_stderr():
                code = options.run(options) or 0
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the report has closed the pipe; the files are complete
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (InputError, OSError) as error:
        if stops:
            raise
        if isinstance(error, InputError):
            return _say(f"error: {error}", 2)
        return _say(f"error: {error.filename or 'output'}: {error.strerror or error}", 2)
    return code


def _say(message: str, code: int) -> int:
    line = _CONTROLS.sub(lambda found: repr(found[0])[1:-1], message)  # names of files may have line breaks
    print(f"diffmst: {line}", file=sys.stderr)
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
