"""What a training tells: two CSV files, TensorBoard, and at every validation sounds and knobs. Chapters: Method 1, Method 2, Training at scale."""

from __future__ import annotations

import io
import shutil
import warnings
from pathlib import Path

import pandas as pd
import soundfile
import torch

from ..console.params import ConsoleParams
from ..disk import write_whole
from ..inputs import InputNote
from .validation import HeldOut

LOG, VALIDATION, EXAMPLES, BOARD = "log.csv", "validation.csv", "examples", "tensorboard"
EXAMPLE_SECONDS = 10  # libsndfile crashes on minutes of Vorbis at once


class Logs:
    """Rows in `log.csv` and `validation.csv` of a folder, the same numbers for TensorBoard, and examples.

    After a resume, rows later than its step are dropped: they will come again.
    """

    def __init__(self, folder: Path, step: int):
        self.folder = folder
        if not step:
            for name in (EXAMPLES, BOARD):
                shutil.rmtree(folder / name, ignore_errors=True)
        self.tables = {name: _rows_until(folder / name, step) for name in (LOG, VALIDATION)}
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            warnings.warn(
                "TensorBoard is not installed, its log is not written; the CSV files are",
                InputNote,
                stacklevel=4,
            )
            self.board = None
        else:
            self.board = SummaryWriter(str(folder / BOARD), purge_step=step + 1 if step else None)

    def add(self, name: str, row: dict[str, float]) -> None:
        """Append a row, with its "step", to one of the two tables."""
        self.tables[name].append(row)
        pd.DataFrame(self.tables[name][-1:]).to_csv(
            self.folder / name, mode="a", index=False, header=len(self.tables[name]) == 1
        )
        if self.board:
            group = "validation" if name == VALIDATION else "training"
            for key, value in row.items():
                if key != "step":
                    self.board.add_scalar(f"{group}/{key}", value, row["step"])

    def frame(self, name: str) -> pd.DataFrame:
        """One of the two tables."""
        return pd.DataFrame(self.tables[name])

    def add_example(
        self, number: int, example: HeldOut, mix: torch.Tensor, params: ConsoleParams, step: int
    ) -> None:
        """The mix of a validation example as Ogg, its console as CSV; beside them, once, what it is compared with."""
        folder, rate = self.folder / EXAMPLES, params.sample_rate
        folder.mkdir(exist_ok=True)
        target = folder / f"{number}-target.ogg"
        if not target.exists():
            _write_ogg(target, example.task.target[0], rate)
        name = f"{number}-step{step:07d}"
        _write_ogg(folder / f"{name}.ogg", mix, rate)
        sounding = example.task.mask[0]
        only = ConsoleParams(
            params.tracks[0].cpu()[sounding],
            params.fx_bus_values[0].cpu(),
            params.master_bus_values[0].cpu(),
            preset=params.preset,
            sample_rate=rate,
            names=[n for n, sounds in zip(example.names, sounding) if sounds],
        )
        only.to_frame().to_csv(folder / f"{name}.csv")
        if self.board:
            self.board.add_audio(
                f"example {number}", mix.mean(dim=0, keepdim=True).clamp(-1, 1), step, sample_rate=rate
            )

    def close(self) -> None:
        """Everything is on disk afterwards."""
        if self.board:
            self.board.close()


def _write_ogg(path: Path, audio: torch.Tensor, sample_rate: int) -> None:
    audio = audio[:, : EXAMPLE_SECONDS * sample_rate]
    soundfile.write(path, (audio / audio.abs().amax().clamp(min=1.0)).T.numpy(), sample_rate)


def _rows_until(path: Path, step: int) -> list[dict[str, float]]:
    """The rows of a CSV up to a step, which alone are left in the file; what a killed run has left of a line is dropped."""
    text = path.read_text(encoding="utf-8", errors="replace") if step and path.is_file() else ""
    text = text[: text.rfind("\n") + 1]
    if not text.startswith("step,"):
        path.unlink(missing_ok=True)
        return []
    table = pd.read_csv(io.StringIO(text))
    table = table[table["step"] <= step]
    write_whole(path, lambda part: table.to_csv(part, index=False))
    return table.to_dict("records")
