"""The logs of a training: two CSV files, TensorBoard, and examples of every validation.

Chapters: Method 1, Method 2, Training at scale.
"""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import soundfile
import torch

from ..console.params import ConsoleParams
from ..disk import why, write_whole
from ..inputs import InputError, note
from .validation import HeldOut

LOG, VALIDATION, EXAMPLES, BOARD = "log.csv", "validation.csv", "examples", "tensorboard"
EXAMPLE_SECONDS = 10  # libsndfile crashes when it writes minutes of Vorbis at once


class Logs:
    """Rows in `log.csv` and `validation.csv` of a folder, the same numbers for TensorBoard, and examples.

    Args:
        folder: Folder of the training.
        step: Number of steps done. Rows of later steps are dropped, because those steps will run again; at 0
            everything is dropped.
    """

    def __init__(self, folder: Path, step: int):
        self.folder = folder
        if not step:
            for name in (EXAMPLES, BOARD):
                shutil.rmtree(folder / name, ignore_errors=True)
        self.tables = {name: rows_until(folder / name, step) for name in (LOG, VALIDATION)}
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            note("TensorBoard is not installed, its log is not written; the CSV files are")
            self.board = None
        else:
            self.board = SummaryWriter(str(folder / BOARD), purge_step=step + 1 if step else None)

    def add(self, name: str, row: dict[str, float]) -> None:
        """Append a row, which has a "step", to one of the two tables, `LOG` or `VALIDATION`."""
        add_row(self.folder / name, self.tables[name], row)
        if self.board:
            group = "validation" if name == VALIDATION else "training"
            for key, value in row.items():
                if key != "step":
                    self.board.add_scalar(f"{group}/{key}", value, row["step"])

    def frame(self, name: str) -> pd.DataFrame:
        """Return one of the two tables."""
        return pd.DataFrame(self.tables[name])

    def add_example(
        self, number: int, example: HeldOut, mix: torch.Tensor, params: ConsoleParams, step: int
    ) -> None:
        """Write the mix of a validation example as Ogg, its console as CSV, and its target if not there yet.

        Args:
            number: Number of the example, from 1 on.
            example: The example.
            mix: Audio (2, T).
            params: The console, a batch of one.
            step: Number of steps done.

        Raises:
            InputError: In one line, when a file cannot be written; nothing of it is left.
        """
        folder, rate = self.folder / EXAMPLES, params.sample_rate
        folder.mkdir(exist_ok=True)
        target = folder / f"{number}-target.ogg"
        if not target.exists():
            write_ogg(target, example.task.target[0], rate)
        name = f"{number}-step{step:07d}"
        write_ogg(folder / f"{name}.ogg", mix, rate)
        _write(folder / f"{name}.csv", _of_real_tracks(example, params).to_frame().to_csv)
        if self.board:
            mono = mix.mean(dim=0, keepdim=True).clamp(-1, 1)
            self.board.add_audio(f"example {number}", mono, step, sample_rate=rate)

    def close(self) -> None:
        """Write what has not been written yet."""
        if self.board:
            self.board.close()


def write_ogg(path: Path, audio: torch.Tensor, sample_rate: int) -> None:
    """Write the first ten seconds of a sound as Ogg Vorbis, turned down if it is above full scale.

    Args:
        path: The file.
        audio: Audio (2, T).
        sample_rate: Sample rate in Hz.

    Raises:
        InputError: In one line, when the file cannot be written; nothing of it is left.
    """
    audio = audio[:, : EXAMPLE_SECONDS * sample_rate]
    samples = (audio / audio.abs().amax().clamp(min=1.0)).T.numpy()
    data = io.BytesIO()  # to be written by Python, which says why a write failed, as libsndfile does not
    soundfile.write(data, samples, sample_rate, format="OGG", subtype="VORBIS")
    _write(path, lambda part: part.write_bytes(data.getbuffer()))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write_whole(path, write)
    except OSError as error:
        raise InputError(f"{path}: not written ({why(error)})") from None


def _of_real_tracks(example: HeldOut, params: ConsoleParams) -> ConsoleParams:
    mask = example.task.mask[0]
    return ConsoleParams(
        params.tracks[0].cpu()[mask],
        params.fx_bus_values[0].cpu(),
        params.master_bus_values[0].cpu(),
        preset=params.preset,
        sample_rate=params.sample_rate,
        names=[name for name, real in zip(example.names, mask, strict=True) if real],
    )


def rows_until(path: Path, step: int) -> list[dict[str, float]]:
    """Read the rows of a CSV file up to a step; drop the others, and what is no row, as a killed run leaves it.

    Args:
        path: The file.
        step: The last step whose row is kept; 0 drops all.

    Returns:
        The rows.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if step and path.is_file() else ""
    text = text[: text.rfind("\n") + 1]
    if not text.startswith("step,"):
        path.unlink(missing_ok=True)
        return []
    table = pd.read_csv(io.StringIO(text), on_bad_lines="skip").apply(pd.to_numeric, errors="coerce")
    table = table[table["step"] <= step].astype({"step": int})
    if table.empty:  # a header alone would get a second one
        path.unlink()
        return []
    write_whole(path, lambda part: table.to_csv(part, index=False))
    return table.to_dict("records")


def add_row(path: Path, rows: list[dict[str, float]], row: dict[str, float]) -> None:
    """Append a row to a CSV file; with columns that the file does not have, write it anew, whole.

    Args:
        path: The file.
        rows: The rows that it has, as `rows_until` returns them. The new one is added, each with all columns.
        row: The new row.
    """
    columns = list(rows[0]) if rows else []
    added = [name for name in row if name not in columns]
    rows.append({name: row.get(name, math.nan) for name in [*columns, *added]})
    if not columns or not added:
        pd.DataFrame(rows[-1:]).to_csv(path, mode="a", index=False, header=not columns)
        return
    for one in rows:
        one |= {name: one.get(name, math.nan) for name in added}
    write_whole(path, lambda part: pd.DataFrame(rows).to_csv(part, index=False))
