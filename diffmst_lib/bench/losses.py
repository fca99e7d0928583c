"""Time of the audio-feature loss, compared with that of the released code. Chapter: Losses."""

from __future__ import annotations

import pandas as pd
import torch

from ..style import features
from ..style.losses import feature_distance
from .measuring import Job, median_seconds, noise


def loss_step(preset: str, seconds: float, *, rebuild: bool = False) -> Job:
    """Make a job that runs the audio-feature loss of a stereo pair forward and backward once.

    Args:
        preset: "default" or "reference".
        seconds: Length of the pair in seconds.
        rebuild: Whether to build the Bark filterbank again for each of the two sounds, as the released code
            does.

    Returns:
        Job to measure.
    """
    mix, target = noise(2, 2, seconds=seconds)
    mix = mix.clone().requires_grad_()

    def measured(x: torch.Tensor) -> dict[str, torch.Tensor]:
        if rebuild:
            features.kept_filterbank.cache_clear()
        return features.audio_features(x, preset=preset)

    def step() -> None:
        mix.grad = None
        feature_distance(measured(mix), measured(target))["total"].backward()

    return step


def loss_times(*, seconds: float = 10.0, repeats: int = 9) -> pd.DataFrame:
    """Measure the audio-feature loss of a stereo pair, forward and backward: median seconds on one thread.

    Args:
        seconds: Length of the pair in seconds.
        repeats: Number of alternating runs, after one warm-up run.

    Returns:
        Table with three rows: the preset "reference" with its filterbank built at each call, as in the
        released code; "reference"; "default". Columns: seconds, and how many times faster than the first row.
    """
    jobs = {
        "reference, filterbank built anew": loss_step("reference", seconds, rebuild=True),
        "reference": loss_step("reference", seconds),
        "default": loss_step("default", seconds),
    }
    table = pd.DataFrame({"seconds": median_seconds(jobs, repeats)})
    table["times faster"] = table["seconds"].iloc[0] / table["seconds"]
    return table.round(4).rename_axis(f"stereo pair x {seconds:g} s")
