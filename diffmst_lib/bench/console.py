"""Time and memory of the console, of the released console and of pedalboard. Chapter: The console."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams, Strip
from ..console.table import EQ_BANDS, param_table
from .measuring import SAMPLE_RATE, Job, median_seconds, noise, peak_memory_gb

if TYPE_CHECKING:
    import pedalboard


def training_step(preset: str, num_tracks: int, seconds: float) -> Job:
    """Make a job that runs the console of a preset forward and backward once, without the effects bus.

    Args:
        preset: "default" or "reference".
        num_tracks: Number of tracks.
        seconds: Length of the tracks in seconds.

    Returns:
        Job to measure.
    """
    tracks, unit = noise(num_tracks, seconds), [u.requires_grad_() for u in _unit(num_tracks)]
    console = MixingConsole(SAMPLE_RATE, preset=preset)

    def step() -> None:
        mix = console(tracks, ConsoleParams.from_unit(*unit, preset=preset), fx_bus=False).mix
        mix.square().mean().backward()

    return step


def rendering(system: str, num_tracks: int, seconds: float) -> Job:
    """Make a job that renders a mix once, without gradients. Both presets render track by track.

    Pedalboard, a library of compiled effects without gradients, runs the chain most similar to ours.

    Args:
        system: "default", "reference" or "pedalboard".
        num_tracks: Number of tracks.
        seconds: Length of the tracks in seconds.

    Returns:
        Job to measure.
    """
    tracks = noise(num_tracks, seconds)
    if system == "pedalboard":
        params = ConsoleParams.from_unit(*_unit(num_tracks))
        return lambda: pedalboard_mix(tracks.numpy(), params)
    console = MixingConsole(SAMPLE_RATE, preset=system)
    params = ConsoleParams.from_unit(*_unit(num_tracks), preset=system)
    return lambda: console.render(tracks, params, fx_bus=False)


def pedalboard_mix(tracks: np.ndarray, params: ConsoleParams) -> np.ndarray:
    """Mix with pedalboard: gain, six filters, compressor without knee and look-ahead, pan.

    Args:
        tracks: Tracks (N, T).
        params: Parameters of the console. The effects bus is left out.

    Returns:
        Mix (2, T).
    """
    mix = np.zeros((2, tracks.shape[1]), dtype=np.float32)
    for name, track in zip(params.names, tracks, strict=True):
        strip = params.track(name)
        y = _pedalboard_chain(strip)(track, SAMPLE_RATE)
        mix[0] += np.float32(1.0 - strip["pan"]) * y
        mix[1] += np.float32(strip["pan"]) * y
    mix = _pedalboard_chain(params.master_bus)(mix, SAMPLE_RATE)
    return mix * np.float32(10 ** (params.master_bus["output_gain_db"] / 20))


def _pedalboard_chain(strip: Strip) -> pedalboard.Pedalboard:
    import pedalboard as pb

    filters = [pb.LowShelfFilter, *[pb.PeakFilter] * 4, pb.HighShelfFilter]
    bands = [
        kind(strip[f"{band}_frequency_hz"], strip[f"{band}_gain_db"], strip[f"{band}_q"])
        for kind, band in zip(filters, EQ_BANDS, strict=True)
    ]
    dynamics = pb.Compressor(*(strip[k] for k in ("threshold_db", "ratio", "attack_ms", "release_ms")))
    return pb.Pedalboard(
        [pb.Gain(strip["input_gain_db"]), *bands, dynamics, pb.Gain(strip["makeup_gain_db"])]
    )


def _unit(num_tracks: int) -> list[torch.Tensor]:
    """Draw random knobs in the unit interval, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    shapes = [
        (num_tracks, len(param_table("track"))),
        (len(param_table("fx_bus")),),
        (len(param_table("master_bus")),),
    ]
    return [0.1 + 0.8 * torch.rand(shape, generator=generator) for shape in shapes]


def console_table(num_tracks: list[int], *, seconds: float = 10.0, repeats: int = 3) -> pd.DataFrame:
    """Measure the console, forward and backward: median seconds on one thread, and peak memory in GB.

    Args:
        num_tracks: Numbers of tracks.
        seconds: Length of the tracks in seconds.
        repeats: Number of alternating runs, after one warm-up run.

    Returns:
        Table with one row per number of tracks. Columns: seconds and memory of "reference" and "default", and
        how many times faster the default is.

    Raises:
        InputError: When there is too little memory for a measuring process.
    """
    rows = {}
    for n in num_tracks:
        jobs = {preset: training_step(preset, n, seconds) for preset in ("reference", "default")}
        median_s = median_seconds(jobs, repeats)
        peaks = peak_memory_gb(training_step, jobs, n, seconds)
        rows[n] = {
            "reference (s)": median_s["reference"],
            "default (s)": median_s["default"],
            "times faster": median_s["reference"] / median_s["default"],
            **{f"{preset} (GB)": gb for preset, gb in peaks.items()},
        }
    return pd.DataFrame(rows).T.round(3).rename_axis(f"tracks x {seconds:g} s")


def render_table(
    *,
    num_tracks: int = 16,
    seconds: float = 60.0,
    repeats: int = 3,
    systems: tuple[str, ...] = ("default", "pedalboard"),
) -> pd.DataFrame:
    """Measure rendering without gradients: median seconds on one thread, times real time, peak memory in GB.

    Args:
        num_tracks: Number of tracks.
        seconds: Length of the tracks in seconds.
        repeats: Number of alternating runs, after one warm-up run.
        systems: Some of "default", "reference" and "pedalboard". Pedalboard is left out where it is not
            installed.

    Returns:
        Table with one row per system.

    Raises:
        InputError: When there is too little memory for a measuring process.
    """
    systems = tuple(s for s in systems if s != "pedalboard" or find_spec("pedalboard"))
    median_s = median_seconds({system: rendering(system, num_tracks, seconds) for system in systems}, repeats)
    table = pd.DataFrame(
        {
            "seconds": median_s,
            "times real time": {system: seconds / s for system, s in median_s.items()},
            "peak (GB)": peak_memory_gb(rendering, systems, num_tracks, seconds),
        }
    )
    return table.round(3).rename_axis(f"{num_tracks} tracks x {seconds:g} s")
