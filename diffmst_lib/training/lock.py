"""A lock, so that no two trainings or evaluations write into one folder. Chapter: Training at scale."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..inputs import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".training.lock"  # of a training; an evaluation has one of its own
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
_held: set[Path] = set()  # by this process, whose own locks the system does not hold against it


@contextmanager
def locked(folder: Path, what: str = "training") -> Iterator[None]:
    """Keep others out of a folder that do the same, such as trainings, while the block runs.

    The operating system ends the lock of a process that was killed. Where a file system has no locks, the file
    tells which process made it, and counts for nothing once that process is gone. Of the processes of one
    training only the first locks. On Windows nothing is locked: two trainings in one folder are not noticed there.

    Args:
        folder: The folder, which is there.
        what: What runs there, by which the lock is named.

    Raises:
        InputError: In one line, when another of the same runs there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder)):
        ...     (Path(folder) / LOCK).is_file()
        True
    """
    if fcntl is None or any(os.environ.get(name, "0") != "0" for name in _RANKS):
        yield
        return
    path = folder / f".{what}.lock"
    place = path.resolve()
    if place in _held:
        raise _busy(path, _me())
    _held.add(place)
    file = None
    try:
        file = _take(path)
        yield
    finally:
        if file is not None:
            with suppress(OSError):
                path.unlink()  # before the lock ends: it is surely ours
            os.close(file)
        _held.discard(place)


def _take(path: Path) -> int:
    """Lock the file, and write into it who did; InputError when another process has."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            owner = _read(file)
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                raise _busy(path, owner) from None
            except OSError:  # this file system has no locks
                if owner and _runs(owner):
                    raise _busy(path, owner, has_no_locks=True) from None
            if _is(file, path):  # the one before may have removed it in the meantime
                os.ftruncate(file, 0)
                os.pwrite(file, json.dumps(_me()).encode(), 0)
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _read(file: int) -> dict[str, Any]:
    try:
        owner = json.loads(os.pread(file, 1000, 0))
    except (ValueError, RecursionError):
        return {}
    return owner if isinstance(owner, dict) and type(owner.get("process")) is int else {}


def _me() -> dict[str, Any]:
    return {"process": os.getpid(), "computer": platform.node(), "began": _began(os.getpid())}


def _began(process: int) -> str:
    """When a process began, in the system's ticks; "" where the system does not tell."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _runs(owner: dict[str, Any]) -> bool:
    """Tell whether the process that made a lock still runs; one on another computer may."""
    if owner.get("computer") != platform.node():
        return True
    process = owner["process"]
    if process == os.getpid():  # this one holds it no longer, or another had the number before
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    return process > 0 and _began(process) == owner.get("began", "")


def _busy(path: Path, owner: dict[str, Any], *, has_no_locks: bool = False) -> InputError:
    who = f" (process {owner['process']} on {owner.get('computer')})" if owner else ""
    way_out = f"; if it has ended, remove {path}" if has_no_locks else ""
    return InputError(
        f"{path.parent}: another {path.name.split('.')[1]} runs there{who}: wait for it, or name another folder{way_out}"
    )
