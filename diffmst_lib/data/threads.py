"""Pools of threads that decode, encode and render. An error in one thread ends them all. Chapter: Data."""

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
    """Open a pool of threads. When the block fails, jobs that have not started are canceled.

    Args:
        workers: Number of threads. Default: the number of cores.

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
        pool: Pool of threads.
        function: Function that the threads call.
        arguments: Arguments of each call.
        ahead: Number of calls that start before the first result is yielded. Their results wait in memory.

    Yields:
        Results in the order of the calls.
    """
    waiting = deque()
    for values in arguments:
        waiting.append(pool.submit(function, *values))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
