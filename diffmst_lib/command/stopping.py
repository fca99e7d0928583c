"""Ctrl-C and closed pipes: the command stops in one line, and what it writes is whole. Chapter: A first mix."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
AGAIN_S = 1.0


@contextmanager
def stoppable(*, at_once: bool) -> Iterator[list[int]]:
    """Have Ctrl-C, SIGTERM and SIGHUP stop the block by a KeyboardInterrupt, whatever the libraries make of it.

    Some of them swallow it, so it is raised again each second. Signals that the shell ignores stay ignored;
    threads other than the main one get none.

    Args:
        at_once: Whether the process ends at once while modules are imported and nothing has been begun on
            disk. Modules that are interrupted as they are imported say so in many lines.

    Yields:
        The numbers of the signals that came, in their order.
    """
    stops: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stops
        return
    owner, has_timer = os.getpid(), hasattr(signal, "setitimer")

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a worker
            os._exit(128 + number)
        stops.append(number)
        if at_once and _imports(frame) and not _writing():
            os.write(2, b"diffmst: stopped\n")
            os._exit(128 + number)
        if has_timer:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise KeyboardInterrupt

    def again(number: int, frame: FrameType | None) -> None:
        stop(stops[0] if stops else signal.SIGINT, frame)

    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in STOPS}
    handlers: dict[int, Any] = {number: stop for number in STOPS if before[number] != signal.SIG_IGN}
    if has_timer:
        before[signal.SIGALRM] = signal.getsignal(signal.SIGALRM) or signal.SIG_DFL
        handlers[signal.SIGALRM] = again
    hooks = sys.unraisablehook, threading.excepthook
    sys.unraisablehook = lambda args: None if stops else hooks[0](args)
    threading.excepthook = lambda args: None if stops else hooks[1](args)
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        yield stops
    finally:
        if has_timer:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number in handlers:
            late = at_once and number == signal.SIGINT  # all is done: nothing is left to be stopped
            signal.signal(number, signal.SIG_IGN if late else before[number])
        sys.unraisablehook, threading.excepthook = hooks


def ignore_stops() -> None:
    """Ignore what would stop the command, which has stopped: the last line is still to be written."""
    if threading.current_thread() is threading.main_thread():
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)


def _imports(frame: FrameType | None) -> bool:
    """Tell whether a module is being imported."""
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _writing() -> bool:
    """Tell whether something is begun on disk, without importing what is not imported yet."""
    disk = sys.modules.get(f"{__package__.rpartition('.')[0]}.disk")
    return bool(disk and getattr(disk, "unfinished", 0))


class _Lasting(io.TextIOBase):
    """A stream that goes on when its reader has left, such as stderr in `diffmst mix ... 2>&1 | head -1`."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        return self._unless_left(self._stream.write, text) or len(text)

    def flush(self) -> None:
        self._unless_left(self._stream.flush)

    def _unless_left(self, do: Any, *args: str) -> Any:
        try:
            return do(*args)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def open_streams() -> Iterator[None]:
    """Give the command streams that it can write to, though the shell has closed them or their reader has left.

    Without, the first file that is opened would get the number of stdout, and the words that belong there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    before = sys.stdout, sys.stderr
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - closed below
    sys.stdout = sys.stdout or nowhere
    sys.stderr = _Lasting(sys.stderr) if sys.stderr else nowhere  # type: ignore[assignment]
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # names may have letters that the terminal cannot show
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        nowhere.close()
