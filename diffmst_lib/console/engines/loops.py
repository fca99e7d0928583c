"""Compiled loops: a decorator, and a function that runs them over the rows of an array on threads.

Chapters: The equalizer, The compressor.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import numba
import torch
from numba.core.caching import FunctionCache


class _Cache(FunctionCache):
    """numba's cache on disk, but that a damaged or full one only costs time: the function is compiled anew."""

    def load_overload(self, signature: Any, context: Any) -> Any:
        try:
            return super().load_overload(signature, context)
        except Exception:  # unpickling what is damaged raises anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        with suppress(OSError):  # a full or read-only disk
            super().save_overload(signature, data)


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile with `numba.njit`, without the GIL, and cache the result on disk where a folder is writable.

    A damaged cache is dropped, and one that cannot be written is done without.

    Args:
        function: What to compile; None: return a decorator with these options.
        options: Further options of `numba.njit`.

    Returns:
        The compiled function, or the decorator.

    Example:
        >>> @compiled
        ... def twice(x):
        ...     return 2 * x
        >>> twice(3)
        6
    """
    if function is None:
        return partial(compiled, **options)
    dispatcher = numba.njit(function, nogil=True, **options)
    with suppress(
        RuntimeError
    ):  # no writable folder, neither beside the file nor at home: compile at each start
        dispatcher._cache = _Cache(dispatcher.py_func)  # type: ignore[attr-defined]
    return dispatcher


def over_rows(kernel: Callable[..., Any], num_rows: int, *arguments: Any) -> None:
    """Call a kernel for parts of the rows, on as many threads as torch may use.

    Args:
        kernel: Called as `kernel(first, last, *arguments)`; it must release the GIL.
        num_rows: How many rows there are.
        arguments: Further arguments of the kernel.

    Example:
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


def _part(kernel: Callable[..., Any], arguments: tuple[Any, ...], first: int, last: int) -> None:
    kernel(first, last, *arguments)
