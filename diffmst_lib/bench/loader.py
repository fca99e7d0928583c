"""Speed of a loader, compared with training: `diffmst bench --data INDEX`. Chapter: Data."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable

import pandas as pd
import torch

from ..data.batches import Batch, loader
from ..data.examples import Method2
from ..data.index import SongIndex
from ..data.sampling import Sampling
from ..model import DiffMST
from ..network.config import ModelConfig
from ..style.features import audio_features
from ..style.losses import feature_distance
from .measuring import seconds_of


def data_table(
    index: SongIndex,
    *,
    preset: str = "small",
    num_tracks: int = 8,
    seconds: float = 10.0,
    batch_size: int = 4,
    steps: int = 6,
    batches: int = 32,
    workers: tuple[int, ...] = (0, 1, 2),
) -> pd.DataFrame:
    """Measure the loading of examples of Method 2, and a training step on them.

    Args:
        index: Index with multitracks and references.
        preset: Preset of the model that is trained.
        num_tracks: Number of tracks of every example, or one less: stems, or channels for "paper".
        seconds: Length of the examples in seconds.
        batch_size: Number of examples per batch.
        steps: Number of training steps in the run with both the loader and the training.
        batches: Number of batches in the run of the loader alone.
        workers: Numbers of processes that read ahead.

    Returns:
        Table with one row per number of workers. Columns: seconds per example of the loader alone, seconds
        per example of the training step alone, their ratio, and the percentage of the time for which training
        waits for the loader when both run together.
    """
    config = ModelConfig.preset(preset)
    sampling = Sampling(
        track_lufs=config.track_lufs,
        seconds=seconds,
        min_tracks=max(1, num_tracks - 1),
        max_tracks=num_tracks,
    )
    examples = Method2(index.multitracks(), index.references(), sampling)
    step, rows = _training_step(preset), {}
    batch = next(iter(loader(examples, batch_size, steps=1)))
    step(batch)
    step_s = statistics.median(seconds_of(lambda: step(batch)) for _ in range(3)) / batch_size
    for count in workers:
        load_s = _loader_seconds(examples, batch_size, batches, count)
        rows[count] = {
            "loader (s)": round(load_s, 3),
            f"step of {preset} (s)": round(step_s, 3),
            "step / loader": round(step_s / load_s, 1),
            "waiting in training (%)": round(100 * _waiting(examples, batch_size, steps, count, step)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("workers")


def _training_step(preset: str) -> Callable[[Batch], None]:
    """Make a function that trains a model on a batch once: forward, audio-feature loss, backward, Adam."""
    model = DiffMST(preset)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

    def step(batch: Batch) -> None:
        mix, _ = model(batch.tracks, batch.reference, pans=batch.pans, mask=batch.mask)
        optimizer.zero_grad()
        feature_distance(audio_features(mix), audio_features(batch.reference))["total"].mean().backward()
        optimizer.step()

    return step


def _loader_seconds(examples: Method2, batch_size: int, batches: int, workers: int) -> float:
    """Measure the loader alone, in seconds per example."""
    ahead = 1 + 2 * workers  # batches that are loaded while the processes start do not count
    read = iter(loader(examples, batch_size, steps=ahead + batches, workers=workers))
    for _ in range(ahead):
        next(read)
    drop_each = deque(maxlen=0).extend  # frees every batch, as training does
    return seconds_of(lambda: drop_each(read)) / (batches * batch_size)


def _waiting(
    examples: Method2, batch_size: int, steps: int, workers: int, step: Callable[[Batch], None]
) -> float:
    """Measure the share of the time in which training waits for batches."""
    batches, waited = iter(loader(examples, batch_size, steps=steps + 1, workers=workers)), 0.0
    step(next(batches))
    started = time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        step(batch)
    return waited / (time.perf_counter() - started)
