"""Compiled loops: a decorator, and a way to run them over the rows of an array on as many threads as torch may use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numba
import torch


def compiled(function=None, **options):
    """`numba.njit` that releases the GIL and keeps what it compiled on disk, where it finds a place to write.

    >>> @compiled
    ... def twice(x):
    ...     return 2 * x
    >>> twice(3)
    6
    """
    if function is None:
        return partial(compiled, **options)
    try:
        return numba.njit(function, cache=True, nogil=True, **options)
    except RuntimeError:  # no writable folder, neither beside the file nor at home: compile at each start
        return numba.njit(function, nogil=True, **options)


def over_rows(kernel, num_rows: int, *arguments) -> None:
    """Call `kernel(first, last, *arguments)` for parts of the rows; the kernel must release the GIL.

    >>> total = []
    >>> over_rows(lambda first, last, add: total.extend(range(first, last)), 3, None)
    >>> sorted(total)
    [0, 1, 2]
    """
    threads = min(torch.get_num_threads(), num_rows)
    if threads < 2:
        kernel(0, num_rows, *arguments)
        return
    edges = [num_rows * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(partial(_part, kernel, arguments), edges[:-1], edges[1:]))  # list: errors come out here


def _part(kernel, arguments, first, last):
    kernel(first, last, *arguments)
