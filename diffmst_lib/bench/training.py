"""Time of the parts of a training step, with our console and with the released one, on the same stems.

Chapter: Training at scale.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import torch

from ..mixing.bus import run_console
from ..model import DiffMST
from ..network.config import ModelConfig
from ..training.losses import distance_from_neutral, task_loss
from ..training.recipes import recipe
from ..training.tasks import Task
from .measuring import SAMPLE_RATE, one_thread

CONSOLES = ("reference", "default")
TRACK_LUFS = -30.0  # of each channel with the released console


def noise_task(batch_size: int, num_stems: int, seconds: float, *, as_channels: bool = False) -> Task:
    """Make a task of Method 2 from noise: stems at about -30 dB, a stereo reference at about -16 dB.

    Args:
        batch_size: Number of examples.
        num_stems: Number of stereo stems per example.
        seconds: Length of the stems in seconds.
        as_channels: Whether the tracks are the channels of these stems instead, two of each.

    Returns:
        Task for a training step.
    """
    generator, length = torch.Generator().manual_seed(0), round(seconds * SAMPLE_RATE)
    tracks = 0.03 * torch.randn(batch_size, num_stems, 2, length, generator=generator)
    reference = 0.15 * torch.randn(batch_size, 2, length, generator=generator)
    if as_channels:
        tracks = tracks.flatten(1, 2)  # (B, 2 N, T)
    pans, mask = torch.full(tracks.shape[:2], 0.5), torch.ones(tracks.shape[:2], dtype=torch.bool)
    return Task(tracks, pans, mask, reference, reference)


def step_parts(config: ModelConfig, task: Task) -> Callable[[], dict[str, float]]:
    """Make a job that updates a new model on a task, once for each number of passes.

    Training uses these numbers of passes in turn.

    Args:
        config: Configuration of the model.
        task: Task to learn from.

    Returns:
        Job that returns the mean seconds of each part of an update. The part "network" includes the rendering
        of mixes between its passes.

    Example:
        >>> parts = step_parts(ModelConfig.preset("tiny"), noise_task(1, 2, 0.5))()
        >>> list(parts)
        ['network', 'console', 'loss', 'backward', 'optimizer']
    """
    settings, model = recipe("af-16", config), DiffMST(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    turns = range(1, 1 + max(1, config.passes))

    def step() -> dict[str, float]:
        seconds, began = Counter(), time.perf_counter()

        def lap(name: str) -> None:
            nonlocal began
            now = time.perf_counter()
            seconds[name] += (now - began) / len(turns)
            began = now

        for passes in turns:
            params = model.predict(task.tracks, task.reference, pans=task.pans, mask=task.mask, passes=passes)
            lap("network")
            mix = run_console(model.console, task.tracks, params, mask=task.mask)
            lap("console")
            distance = distance_from_neutral(params, task.pans, task.mask)
            loss = task_loss(mix, task, settings) + settings.pull * distance
            lap("loss")
            optimizer.zero_grad()
            loss.backward()
            lap("backward")
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm or math.inf)
            optimizer.step()
            lap("optimizer")
        return dict(seconds)

    return step


def step_table(
    preset: str = "small", *, batch_size: int = 1, num_tracks: int = 8, seconds: float = 5.0, repeats: int = 3
) -> pd.DataFrame:
    """Measure a training step of Method 2 with the released console and with ours, on the same stems.

    The table has median seconds of alternating runs on one thread, after one warm-up run each, which
    compiles.

    Args:
        preset: Preset of the model.
        batch_size: Number of examples.
        num_tracks: Number of stereo stems per example. The released console has a strip for each channel.
        seconds: Length of the stems in seconds.
        repeats: Number of measured runs per console.

    Returns:
        Table with one row per console. Columns: the parts of a step in seconds, their sum, and the number of
        steps per second relative to the released console.
    """
    config, steps = ModelConfig.preset(preset), {}
    for console in CONSOLES:
        stems = console == "default"
        model = replace(
            config,
            console=console,
            track_lufs=None if stems else TRACK_LUFS,
            evidence=stems and config.evidence,
        )
        steps[console] = step_parts(model, noise_task(batch_size, num_tracks, seconds, as_channels=not stems))
    times: dict[str, list[dict[str, float]]] = {console: [] for console in CONSOLES}
    with one_thread():
        for step in steps.values():
            step()
        for _ in range(repeats):
            for console, step in steps.items():
                times[console].append(step())
    rows = {
        console: {part: statistics.median(run[part] for run in runs) for part in runs[0]}
        | {"all": statistics.median(sum(run.values()) for run in runs)}
        for console, runs in times.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(
        f"{batch_size} x {num_tracks} stereo stems x {seconds:g} s"
    )
    table["steps a second, relative"] = table.loc["reference", "all"] / table["all"]
    return table.round(3)
