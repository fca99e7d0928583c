"""Whether a loader keeps up with training: `diffmst bench --data INDEX`. Ratios within one run count. Chapter: Data."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable

import pandas as pd
import torch

from ..console.engines.memory import keep_large_blocks
from ..data.examples import Batch, Method2, Sampling, loader
from ..data.index import SongIndex
from ..model import DiffMST
from ..network.config import ModelConfig
from ..style.features import audio_features
from ..style.losses import feature_distance


def training_step(preset: str) -> Callable[[Batch], None]:
    """A function that trains the model of a preset on a batch once: forward, audio-feature loss, backward, Adam."""
    model = DiffMST(preset)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

    def step(batch: Batch) -> None:
        mix, _ = model(batch.tracks, batch.reference, sides=batch.sides, mask=batch.mask)
        optimizer.zero_grad()
        feature_distance(audio_features(mix), audio_features(batch.reference))["total"].mean().backward()
        optimizer.step()

    return step


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
    """What examples of Method 2 take to draw, beside a training step on them: one row a number of workers.

    Columns: seconds an example of the loader alone, over `batches` batches after the first ones, and of the training step
    alone; their ratio, how many times faster the loader is; and the share of the time that training waits for the loader
    when both run together, over `steps` steps. Every example has `num_tracks` tracks, or one less where all stems are
    stereo.
    """
    config = ModelConfig.preset(preset)
    sampling = Sampling(
        track_lufs=config.track_lufs,
        seconds=seconds,
        min_tracks=max(1, num_tracks - 1),
        max_tracks=num_tracks,
    )
    examples = Method2(index.multitracks(), index.references(), sampling)
    step, rows = training_step(preset), {}
    with keep_large_blocks():
        batch = next(iter(loader(examples, batch_size, steps=1)))
        step(batch)
        step_s = statistics.median(_seconds(lambda: step(batch)) for _ in range(3)) / batch_size
        for count in workers:
            ahead = 1 + 2 * count  # what is prepared while the processes start does not count
            read = iter(loader(examples, batch_size, steps=ahead + batches, workers=count))
            for _ in range(ahead):
                next(read)
            load_s = _seconds(lambda: deque(read, maxlen=0)) / (
                batches * batch_size
            )  # each is let go, as in training
            rows[count] = {
                "loader (s)": round(load_s, 3),
                f"step of {preset} (s)": round(step_s, 3),
                "step / loader": round(step_s / load_s, 1),
                "waiting in training (%)": round(100 * _waiting(examples, batch_size, steps, count, step)),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("workers")


def _waiting(
    examples: Method2, batch_size: int, steps: int, workers: int, step: Callable[[Batch], None]
) -> float:
    """Share of the time spent in waiting for batches."""
    batches, waited = iter(loader(examples, batch_size, steps=steps + 1, workers=workers)), 0.0
    step(next(batches))
    started = time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        step(batch)
    return waited / (time.perf_counter() - started)


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
