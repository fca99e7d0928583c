"""Memory of song-sized buffers: what is freed is written over by the next. Chapter: A first mix."""

from __future__ import annotations

import ctypes
import platform

# Of mallopt, in malloc.h of glibc.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MOST_BYTES = 2**30  # what is larger, such as all stems of a song, still goes back at once


def keep_freed_memory() -> None:
    """Have glibc keep the large buffers that are freed, until the process ends.

    By default it returns each of them, and every page of the next one costs a fault of the processor: a third
    of the time of `diffmst mix` on a song of 16 stems. Elsewhere this does nothing.

    Example:
        >>> keep_freed_memory()
    """
    if platform.libc_ver()[0] != "glibc":
        return
    allocator = ctypes.CDLL(None)
    for option, value in ((_MMAP_THRESHOLD, _MOST_BYTES), (_TRIM_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1)):
        allocator.mallopt(option, value)
