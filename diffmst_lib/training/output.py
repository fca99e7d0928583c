"""The output folder of a training. Chapter: Training at scale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..disk import output_folder, sweep
from ..inputs import InputError
from ..network.checkpoint import CONFIG, WEIGHTS
from .checkpoint import CHECKPOINT
from .lock import locked
from .logs import EXAMPLES, LOG, VALIDATION


@contextmanager
def training_folder(output: str | Path, *, resume: bool) -> Iterator[tuple[Path, bool]]:
    """Make the output folder of a training, or find the one to resume in, and keep other trainings out of it.

    Args:
        output: Path of the folder.
        resume: Whether a training in that folder may be resumed.

    Yields:
        The folder, and whether it holds a checkpoint to resume from.

    Raises:
        InputError: When nothing can be written there, when another training runs there, or when the folder
            holds a model, or a training and `resume` is False.
    """
    if not str(output):
        raise InputError("the output has an empty name")
    with output_folder(output, (CHECKPOINT, WEIGHTS, CONFIG, LOG, VALIDATION)) as folder:
        pass
    with locked(folder):
        started = (folder / CHECKPOINT).exists()
        if started and not resume:
            raise InputError(f"{folder}: holds a training; go on with it (resume), or name another folder")
        if not started and (folder / WEIGHTS).exists():
            raise InputError(f"{folder}: holds a model, name another folder")
        sweep(folder / EXAMPLES)
        yield folder, started
