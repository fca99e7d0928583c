"""What an evaluation has done so far, on disk: rows and embeddings, added one by one. Chapter: Results."""

from __future__ import annotations

import base64
import csv
import errno
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..disk import why, write_whole
from ..inputs import InputError

if TYPE_CHECKING:
    import pandas as pd

PAIRS, EMBEDDINGS, NEW_EMBEDDINGS = "pairs.csv", "embeddings.npz", "embeddings.jsonl"
TEXTS = ("song", "record", "system", "protocol", "error")

Key = tuple[str, int]


def read_pairs(folder: str | Path) -> pd.DataFrame:
    """Read the table of an evaluation.

    Args:
        folder: Its folder, or the file `pairs.csv`.

    Returns:
        A row a pair and system. What was not measured is NaN; `error` is "" unless a system failed.

    Raises:
        InputError: In one line, when there is no such table.
    """
    import pandas as pd

    path = Path(folder)
    path = path if path.suffix == ".csv" else path / PAIRS
    try:
        text = path.read_text(encoding="utf-8")
        # A process that was killed may have written a part of its last line.
        whole = io.StringIO(text[: text.rfind("\n") + 1])
        table = pd.read_csv(whole, dtype=str, keep_default_na=False)
        if not {"pair", *TEXTS} <= set(table.columns):
            raise ValueError("columns are missing")
        numbers = [name for name in table.columns if name not in TEXTS]
        table[numbers] = table[numbers].replace("", "nan").astype(float)  # to the last digit
        return table.astype({"pair": int})
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({why(error)})") from None
    except ValueError as error:
        raise InputError(f"{path}: not the table of an evaluation ({why(error)[:200]})") from None


class Rows:
    """The table that grows row by row.

    Args:
        path: Its file; rows that are there are read.
        columns: The columns of new rows.

    Raises:
        InputError: For a file that is no such table, or has other columns.
    """

    def __init__(self, path: Path, columns: Iterable[str]):
        self.path, self.columns = path, list(columns)
        self.rows: dict[Key, dict[str, Any]] = {}
        cut_off(path)
        if path.is_file() and path.stat().st_size:
            table = read_pairs(path)
            if list(table.columns) != self.columns:
                raise InputError(f"{path}: has other columns than this version writes: name another folder")
            for row in table.to_dict("records"):
                self.rows[row["system"], row["pair"]] = row

    def done(self) -> set[Key]:
        """Tell which pairs were mixed by which systems, without what failed."""
        return {key for key, row in self.rows.items() if not row["error"]}

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row to the end of the file, at once."""
        self.rows[row["system"], row["pair"]] = dict(row)
        append(self.path, _line(row[name] for name in self.columns))

    def write(self, order: Mapping[str, int]) -> None:
        """Write the file anew: by pair, and within a pair in the order of the systems."""
        keys = sorted(self.rows, key=lambda key: (key[1], order.get(key[0], len(order)), key[0]))
        text = _line(self.columns) + "".join(
            _line(self.rows[key][name] for name in self.columns) for key in keys
        )
        write_whole(self.path, lambda part: part.write_text(text, encoding="utf-8"))


class Embeddings:
    """The embeddings, by system and number of the pair; those of records are called "record".

    Args:
        folder: Folder of the evaluation; what is there is read.

    Raises:
        InputError: For a file that is broken.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.vectors: dict[Key, np.ndarray] = read_embeddings(folder)
        self.new = folder / NEW_EMBEDDINGS
        cut_off(self.new)
        if self.new.is_file():
            lines = self.new.read_bytes().split(b"\n")[:-1]
            try:
                for line in lines:
                    one = json.loads(line)
                    vectors = np.frombuffer(base64.b64decode(one["vectors"]), dtype="<f4")
                    self.vectors[one["system"], one["pair"]] = vectors.reshape(one["shape"])
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(f"{self.new}: broken ({why(error)[:200]}): remove it, and {PAIRS}") from None

    def add(self, key: Key, vectors: np.ndarray) -> None:
        """Add what one sound gave, (patches, features), to the end of a file, at once."""
        if key in self.vectors and np.array_equal(self.vectors[key], vectors):
            return
        self.vectors[key] = vectors
        data = base64.b64encode(np.ascontiguousarray(vectors, dtype="<f4").tobytes()).decode()
        about = {"system": key[0], "pair": key[1], "shape": vectors.shape, "vectors": data}
        append(self.new, json.dumps(about, ensure_ascii=False) + "\n")

    def write(self) -> None:
        """Write all of them into one file, `embeddings.npz`: vectors, and of each its system and pair."""
        if not self.vectors:
            return
        keys = sorted(self.vectors)
        counts = [len(self.vectors[key]) for key in keys]
        arrays = {
            "vectors": np.concatenate([self.vectors[key] for key in keys]),
            "system": np.repeat([key[0] for key in keys], counts),
            "pair": np.repeat([key[1] for key in keys], counts),
        }
        write_whole(self.folder / EMBEDDINGS, lambda part: np.savez_compressed(part, **arrays))
        self.new.unlink(missing_ok=True)


def read_embeddings(folder: str | Path) -> dict[Key, np.ndarray]:
    """Read the embeddings of a finished evaluation.

    Args:
        folder: Its folder.

    Returns:
        By system and number of the pair, (patches, features). Of records the system is called "record"; numbers
        below 0 are moments of the set of all records. Nothing where there are none.

    Raises:
        InputError: For a file that is broken.
    """
    path = Path(folder) / EMBEDDINGS
    if not path.is_file():
        return {}
    try:
        with np.load(path) as file:
            vectors, systems, pairs = (file[name] for name in ("vectors", "system", "pair"))
        starts = np.flatnonzero(np.r_[True, (systems[1:] != systems[:-1]) | (pairs[1:] != pairs[:-1])])
        parts = np.split(vectors, starts[1:])
        return {(str(systems[i]), int(pairs[i])): part for i, part in zip(starts, parts, strict=True)}
    except Exception as error:  # NumPy, zipfile and zlib raise many kinds
        raise InputError(f"{path}: broken ({why(error)}): remove it, and pairs.csv") from None


def append(path: Path, text: str) -> None:
    """Add a line to a file in one go.

    Raises:
        InputError: When it cannot be written.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        data = text.encode("utf-8", "surrogateescape")
        try:
            if os.write(file, data) < len(data):  # a disk that is nearly full takes a part
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
    except OSError as error:
        raise InputError(f"{path}: not written ({why(error)})") from None


def cut_off(path: Path) -> None:
    """Cut off a part of a line at the end of a file, which a killed process has left."""
    if path.is_file():
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            write_whole(path, lambda part: part.write_bytes(data[: data.rfind(b"\n") + 1]))


def _line(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(_cell(value) for value in values)
    return line.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)
