"""Files on disk: where the data is, and how to write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from .inputs import InputError


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
    """Return a file's name as valid UTF-8: bytes that are not become the replacement character."""
    return os.fsencode(name).decode("utf-8", "replace")


def why(error: BaseException) -> str:
    """Say in one line what went wrong, in the operating system's words where there are any."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all: `write` gets a temporary path beside it, which then replaces it."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_together(folder: Path, writers: Mapping[str, Callable[[Path], object]]) -> None:
    """Write several files of a folder, and none of them when one cannot be written.

    Args:
        folder: The folder, which is there.
        writers: Functions that write a file at a path, by the file's name.

    Raises:
        InputError: In one line, when a file cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".diffmst-") as staging:
            for name, write in writers.items():
                write(Path(staging) / name)
            for name in writers:
                os.replace(Path(staging) / name, folder / name)
    except OSError as error:
        raise InputError(f"{folder}: not written ({why(error)})") from None


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
    try:
        try:
            for path in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
                path.mkdir(exist_ok=True)
                made.append(path)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".diffmst-"):
                pass
        except (OSError, ValueError) as error:  # ValueError: a name with a null byte
            raise InputError(f"{folder}: cannot write there ({why(error)})") from None
        for name in files:
            if (folder / name).is_dir():
                raise InputError(f"{folder / name}: is a folder, cannot be replaced by a file")
        yield folder
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):  # not empty: somebody else's files
                path.rmdir()
        raise
