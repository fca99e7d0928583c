"""Whether sounds fit into memory, asked before they are read. Chapter: Mix your own song."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ..inputs import InputError

BYTES = 4  # of a sample
SURE = 2**28  # bytes that are there without asking


def free_bytes() -> int | None:
    """Return the memory that this process can still get, in bytes; None where the system does not say."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    with suppress(OSError, ValueError):  # of a container; "max": no limit
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / f"memory.{what}").read_text("ascii")) for what in ("max", "current"))
        found.append(max(0, limit - used))
    return min(found, default=None)


def check_room(needed: float, what: str) -> None:
    """Refuse sound that does not fit into memory, where the process would be killed without a word.

    Args:
        needed: Bytes.
        what: What needs them, for the message.

    Raises:
        InputError: With both numbers.

    Example:
        >>> check_room(1e6, "song: 2 stems of 0 minutes")
    """
    if needed <= SURE:
        return
    free = free_bytes()
    if free is not None and needed > free:
        raise InputError(f"{what}: {needed / 1e9:.1f} GB of memory needed, {free / 1e9:.1f} GB free")
