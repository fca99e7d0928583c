"""Time and memory of a network, compared with its console. Chapter: The controller."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pandas as pd
import torch

from ..model import DiffMST
from ..network.config import ModelConfig
from ..style.features import audio_features
from ..style.losses import feature_distance
from .measuring import Job, median_seconds, noise, peak_memory_gb


def training_step_of_model(preset: str, num_tracks: int, seconds: float) -> Job:
    """Make a job that builds the model of a preset and trains it for one step at batch 1, Adam included.

    Args:
        preset: "tiny", "small" or "paper".
        num_tracks: Number of tracks, as the model takes them: stereo stems, or mono channels of "paper".
        seconds: Length of the tracks and of the reference in seconds.

    Returns:
        Job to measure.
    """
    tracks, reference = _sounds(preset, num_tracks, seconds)

    def step() -> None:
        model = DiffMST(preset)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
        mix, _ = model(tracks[None], reference[None])
        feature_distance(audio_features(mix), audio_features(reference[None]))["total"].backward()
        optimizer.step()

    return step


def model_table(
    presets: Iterable[str] = ("small",), *, num_tracks: int = 8, seconds: float = 10.0, repeats: int = 3
) -> pd.DataFrame:
    """Measure the time and memory of models.

    Args:
        presets: Some of "tiny", "small" and "paper".
        num_tracks: Number of tracks, as a model takes them: stereo stems, or mono channels of "paper".
        seconds: Length of the tracks and of the reference in seconds.
        repeats: Number of alternating runs, after one warm-up run.

    Returns:
        Table with one row per preset. Columns: the number of parameters; median seconds of the network
        (`DiffMST.predict`) and of its console on one thread, without gradients, and their ratio; peak memory
        in GB of a training step at batch size 1, with weights, gradients and Adam's state, on clips of half
        the length, as in the paper's method 1.

    Raises:
        InputError: When there is too little memory for a measuring process.
    """
    rows, presets = {}, list(presets)
    for preset in presets:
        tracks, reference = _sounds(preset, num_tracks, seconds)
        model = DiffMST(preset).eval()
        with torch.no_grad():
            params = model.predict(tracks, reference)
            jobs = {
                "network": partial(model.predict, tracks, reference),
                "console": partial(model.console, tracks, params, fx_bus=False),
            }
            median_s = median_seconds(jobs, repeats)
        rows[preset] = {
            "parameters": model.parameter_counts()["all"],
            "network (s)": round(median_s["network"], 3),
            "console (s)": round(median_s["console"], 3),
            "network / console": round(median_s["network"] / median_s["console"], 2),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(f"{num_tracks} tracks x {seconds:g} s")
    peaks = peak_memory_gb(training_step_of_model, presets, num_tracks, seconds / 2, first="tiny")
    return table.assign(**{f"training step, {seconds / 2:g} s (GB)": pd.Series(peaks).round(3)})


def _sounds(preset: str, num_tracks: int, seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Make tracks as the model of a preset takes them, (N, 2, T) or (N, T), and a reference (2, T)."""
    channels = (2,) if ModelConfig.preset(preset).stems else ()
    return noise(num_tracks, *channels, seconds=seconds), noise(2, seconds=seconds)
