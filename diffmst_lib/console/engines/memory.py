"""Memory that stays in the process while a fit runs."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt's settings in glibc
_DEFAULTS = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}
_inside = 0  # how many blocks are open: the outermost one gives the memory back


@contextmanager
def keep_large_blocks() -> Iterator[None]:
    """Inside, what one operation frees is there for the next; afterwards it goes back to the system.

    glibc returns every block above 32 MB to the kernel at once, and takes a new one for the next tensor, page by page.
    On the tracks of a whole song that takes longer than the arithmetic. Does nothing with another C library.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "malloc_trim"):
        yield
        return
    global _inside
    _inside += 1
    for setting in _DEFAULTS:
        libc.mallopt(setting, 1 << 30)
    try:
        yield
    finally:
        _inside -= 1
        if not _inside:
            for setting, value in _DEFAULTS.items():
                libc.mallopt(setting, value)
            libc.malloc_trim(0)
