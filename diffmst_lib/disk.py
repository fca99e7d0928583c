"""Files on disk: where the data is, and how to write a file whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from .inputs import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_STAGING = ".diffmst-"  # hidden folders, in which files are made before they are moved to their place
# What of ours can be left by a process that was killed: those, and the parts of files of versions before 0.4.
_LEFT_OVER = re.compile(r"\.diffmst-[a-z0-9_]{8}|\..+\.(safetensors|wav|flac|json|csv|tar|md)\.[0-9a-f]{32}")
_SETTLED_S = 10.0  # a folder that has just been made may not be locked yet
_OLD_FILE_S = 3600.0  # files have no locks
_ABANDONED_S = 86_400.0  # of folders where a file system has no locks
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM") if hasattr(signal, name)
)
unfinished: list[
    Path
] = []  # folders in which something is begun, and would be left if this process ended now
_swept: set[Path] = set()  # folders in which this process has cleaned up


def data_dir() -> Path:
    """Return the folder of the tiny data set: `data/` in a checkout, its copy inside an installed wheel.

    Example:
        >>> (data_dir() / "multitracks").is_dir()
        True
    """
    package = Path(__file__).resolve().parent
    checkout = package.parent / "data"
    if (checkout / "SOURCES.md").is_file() and (package.parent / "pyproject.toml").is_file():
        return checkout
    return package / "_data"


def printable(name: str) -> str:
    """Return a file's name as valid UTF-8 in NFC: bytes that are none become the replacement character.

    macOS takes "é" apart into two characters, others do not: one name, whoever made the archive.
    """
    return composed(os.fsencode(name).decode("utf-8", "replace"))


def composed(name: str) -> str:
    """Return a name in NFC, in which names are compared and listed."""
    return unicodedata.normalize("NFC", name)


def why(error: BaseException) -> str:
    """Say in one line what went wrong, in the operating system's words where there are any."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all: `write` gets a path in a hidden folder, whose file then moves to `path`."""
    with staging(path.parent) as folder:
        write(folder / path.name)
        os.replace(folder / path.name, path)


def write_together(folder: Path, writers: Mapping[str, Callable[[Path], object]]) -> None:
    """Write several files of a folder, and none of them when one cannot be written.

    Args:
        folder: The folder, which is there.
        writers: Functions that write a file at a path, by the file's name.

    Raises:
        InputError: In one line, when a file cannot be written.
    """
    try:
        with staging(folder) as made:
            for name, write in writers.items():
                write(made / name)
            with undisturbed():
                for name in writers:
                    os.replace(made / name, folder / name)
    except OSError as error:
        raise InputError(f"{folder}: not written ({why(error)})") from None


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a hidden folder to write in, and remove it at the end; also those that killed processes have left.

    It is locked, so that other processes leave it alone.

    Args:
        folder: Where it is made, so that files can be moved to their place.

    Yields:
        The hidden folder.

    Raises:
        OSError: When nothing can be written there.
    """
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)
    made, lock = None, None
    unfinished.append(folder)
    try:
        with undisturbed():
            made = Path(tempfile.mkdtemp(dir=folder, prefix=_STAGING))
            with suppress(OSError):
                lock = _lock(made)
        yield made
    finally:
        with undisturbed():
            if lock is not None:
                os.close(lock)
            if made is not None:
                shutil.rmtree(made, ignore_errors=True)
            unfinished.pop()


def sweep(folder: Path) -> None:
    """Remove the hidden files and folders that killed processes of this library have left in a folder.

    Those of a process that still runs are locked and stay. Where a file system has no locks, what was changed
    in the last day stays.

    Args:
        folder: The folder. What is in folders below stays.

    Example:
        >>> sweep(Path("."))
    """
    with suppress(OSError):
        for path in Path(folder).iterdir():
            if _LEFT_OVER.fullmatch(path.name):
                with suppress(OSError):
                    _remove_if_left(path, time.time() - path.lstat().st_mtime)


def _remove_if_left(path: Path, age_s: float) -> None:
    if path.is_symlink() or not path.is_dir():
        if age_s > _OLD_FILE_S and path.is_file():
            path.unlink()
        return
    try:
        lock = _lock(path)
    except BlockingIOError:
        return
    except OSError:  # there are no locks here
        lock = None
    if age_s > (_SETTLED_S if lock is not None else _ABANDONED_S):
        shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def _lock(folder: Path) -> int:
    """Lock a folder until the descriptor that is returned is closed; BlockingIOError: another process has."""
    if fcntl is None:
        raise OSError("no locks of folders")
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM waiting until a short block is done, for what must not be left half done.

    Only the main thread gets signals; in others this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}
    waiting: list[int] = []
    try:
        for number in _SIGNALS:
            signal.signal(number, lambda number, _: waiting.append(number))
        yield
    finally:
        for number in reversed(_SIGNALS):  # Ctrl-C last: what it raises must find the others in their place
            signal.signal(number, before[number])
        if waiting:
            signal.raise_signal(waiting[0])


@contextmanager
def output_folder(folder: str | Path, files: tuple[str, ...] = ()) -> Iterator[Path]:
    """Make a folder to write in if need be, and remove what was made when the block fails.

    Args:
        folder: Where to write.
        files: Names of the files that will be written there.

    Yields:
        The folder.

    Raises:
        InputError: In one line, when nothing can be written there, or when a folder has the name of a file.
    """
    folder, made = Path(folder), []
    unfinished.append(folder)
    try:
        try:
            with undisturbed():
                for path in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
                    path.mkdir(exist_ok=True)
                    made.append(path)
            with staging(folder):
                pass
        except (OSError, ValueError) as error:  # ValueError: a name with a null byte
            raise InputError(f"{folder}: cannot write there ({why(error)})") from None
        for name in files:
            if (folder / name).is_dir():
                raise InputError(f"{folder / name}: is a folder, cannot be replaced by a file")
        yield folder
    except BaseException:
        with undisturbed():
            for path in reversed(made):
                with suppress(OSError):  # not empty: somebody else's files
                    path.rmdir()
        raise
    finally:
        unfinished.pop()
