"""Ctrl-C and SIGTERM: requests to stop that never interrupt a step. Chapter: Training at scale."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):
    """A training was interrupted; its checkpoint holds what it has done."""


@contextmanager
def stop_request() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set while the block runs; a second Ctrl-C interrupts as always.

    Only the main thread gets signals. In other threads the event is never set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[number])
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
