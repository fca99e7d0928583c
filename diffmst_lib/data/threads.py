"""Threads that decode, encode and render, where an error in one ends them all. Chapter: Data."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")


@contextmanager
def thread_pool(workers: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads; when the block fails, jobs that have not begun are dropped.

    Args:
        workers: Threads; as many as there are cores by default.

    Yields:
        The pool.
    """
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def in_order(
    pool: ThreadPoolExecutor,
    function: Callable[..., Result],
    arguments: Iterable[tuple[Any, ...]],
    *,
    ahead: int,
) -> Iterator[Result]:
    """Compute results in a pool and yield them in order.

    Args:
        pool: The threads.
        function: What they call.
        arguments: The arguments of each call.
        ahead: How many calls are begun before the first of their results is taken; the results wait in
            memory.

    Yields:
        The results.
    """
    waiting = deque()
    for values in arguments:
        waiting.append(pool.submit(function, *values))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
