"""Files on disk: where the data is, and writing that is whole or not at all."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .inputs import InputError


def data_dir() -> Path:
    """The tiny data set: `data/` in a checkout, a copy of it inside an installed wheel.

    >>> (data_dir() / "multitracks").is_dir()
    True
    """
    package = Path(__file__).resolve().parent
    checkout = package.parent / "data"
    if (checkout / "SOURCES.md").is_file() and (package.parent / "pyproject.toml").is_file():
        return checkout
    return package / "_data"


def write_whole(path: Path, write) -> None:
    """Call `write(temporary path)` beside `path`, then move the result into place, so that no partial file is left."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def output_folder(folder: str | Path, files: tuple[str, ...] = ()) -> Iterator[Path]:
    """The folder, made if need be; when the block fails, what was made is removed again.

    Raises InputError in one line when nothing can be written there, or when a folder is where a file should go.
    """
    folder, made = Path(folder), []
    try:
        try:
            for path in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
                path.mkdir(exist_ok=True)
                made.append(path)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".diffmst-"):
                pass
        except OSError as error:
            raise InputError(f"{folder}: cannot write there ({error.strerror or error})") from None
        for name in files:
            if (folder / name).is_dir():
                raise InputError(f"{folder / name}: is a folder, cannot be replaced by a file")
        yield folder
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):  # not empty: somebody else's files
                path.rmdir()
        raise


def printable(name: str) -> str:
    """A file's name as text that can be written anywhere: bytes that are no UTF-8 become question marks."""
    return os.fsencode(name).decode("utf-8", "replace")
