"""Time and memory of the console, of the released console and of pedalboard. Chapter: The console.

All get the same stereo stems. A strip of the released console takes a mono channel, so it has two for a stem.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from ..console.gain_and_pan import db_to_gain, fader_gain, pan_law, width_matrix
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams, Strip
from ..console.table import EQ_BANDS, OFF_DB, SECTIONS, param_table
from .measuring import SAMPLE_RATE, Job, median_seconds, noise, peak_memory_gb

if TYPE_CHECKING:
    import pedalboard


def training_step(preset: str, num_tracks: int, seconds: float) -> Job:
    """Make a job that runs the console of a preset forward and backward once, without the effects bus.

    Args:
        preset: "default" or "reference".
        num_tracks: Number of stereo stems.
        seconds: Length of the stems in seconds.

    Returns:
        Job to measure.
    """
    tracks = _tracks(preset, num_tracks, seconds)
    unit = [u.requires_grad_() for u in _unit(len(tracks), preset)]
    console = MixingConsole(SAMPLE_RATE, preset=preset)

    def step() -> None:
        mix = console(tracks, ConsoleParams.from_unit(*unit, preset=preset), fx_bus=False).mix
        mix.square().mean().backward()

    return step


def rendering(system: str, num_tracks: int, seconds: float) -> Job:
    """Make a job that renders a mix once, without gradients. Both presets render a few tracks at a time.

    Pedalboard, a library of compiled effects without gradients, runs the chain most similar to ours.

    Args:
        system: "default", "reference" or "pedalboard".
        num_tracks: Number of stereo stems.
        seconds: Length of the stems in seconds.

    Returns:
        Job to measure.
    """
    preset = "default" if system == "pedalboard" else system
    tracks = _tracks(preset, num_tracks, seconds)
    params = ConsoleParams.from_unit(*_unit(len(tracks), preset), preset=preset)
    if system == "pedalboard":
        return lambda: pedalboard_mix(tracks.numpy(), params)
    console = MixingConsole(SAMPLE_RATE, preset=preset)
    return lambda: console.render(tracks, params, fx_bus=False)


def pedalboard_mix(stems: np.ndarray, params: ConsoleParams) -> np.ndarray:
    """Mix with pedalboard: gain, six filters, compressor, and with NumPy width, pan and fader.

    Its compressor has no knee and no look-ahead, and compresses each channel for itself.

    Args:
        stems: Stems (N, 2, T).
        params: Parameters of a console of stems. The effects bus is left out.

    Returns:
        Mix (2, T).
    """
    mix = np.zeros(stems.shape[1:], dtype=np.float32)
    for name, stem in zip(params.names, stems, strict=True):
        strip = params.track(name)
        width, pan, fader_db = (torch.tensor(strip[knob]) for knob in ("width", "pan", "fader_db"))
        image = fader_gain(fader_db, OFF_DB) * pan_law(pan)[:, None] * width_matrix(width)
        mix += image.numpy() @ _pedalboard_chain(strip, strip["input_gain_db"])(stem, SAMPLE_RATE)
    bus = params.master_bus
    width, output_gain_db = torch.tensor(bus["width"]), torch.tensor(bus["output_gain_db"])
    image = db_to_gain(output_gain_db) * width_matrix(width)
    return image.numpy() @ _pedalboard_chain(bus)(mix, SAMPLE_RATE)


def _pedalboard_chain(strip: Strip, gain_db: float = 0.0) -> pedalboard.Pedalboard:
    import pedalboard as pb

    filters = [pb.LowShelfFilter, *[pb.PeakFilter] * 4, pb.HighShelfFilter]
    bands = [
        kind(strip[f"{band}_frequency_hz"], strip[f"{band}_gain_db"], strip[f"{band}_q"])
        for kind, band in zip(filters, EQ_BANDS, strict=True)
    ]
    dynamics = pb.Compressor(*(strip[k] for k in ("threshold_db", "ratio", "attack_ms", "release_ms")))
    return pb.Pedalboard([pb.Gain(gain_db), *bands, dynamics, pb.Gain(strip["makeup_gain_db"])])


def _tracks(preset: str, num_stems: int, seconds: float) -> torch.Tensor:
    """Make stems (N, 2, T) as a console of a preset takes them: for "reference" their channels (2 N, T)."""
    stems = noise(num_stems, 2, seconds=seconds)
    return stems.flatten(0, 1) if preset == "reference" else stems


def _unit(num_tracks: int, preset: str) -> list[torch.Tensor]:
    """Draw random knobs in the unit interval, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    shapes = [
        (*rows, len(param_table(section, preset)))
        for section, rows in zip(SECTIONS, ((num_tracks,), (), ()), strict=True)
    ]
    return [0.1 + 0.8 * torch.rand(shape, generator=generator) for shape in shapes]


def console_table(num_tracks: list[int], *, seconds: float = 10.0, repeats: int = 3) -> pd.DataFrame:
    """Measure the console, forward and backward: median seconds on one thread, and peak memory in GB.

    Args:
        num_tracks: Numbers of stereo stems. "reference" has a strip for each of their channels.
        seconds: Length of the stems in seconds.
        repeats: Number of alternating runs, after one warm-up run.

    Returns:
        Table with one row per number of stems. Columns: seconds and memory of "reference" and "default", and
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
    return pd.DataFrame(rows).T.round(3).rename_axis(f"stereo stems x {seconds:g} s")


def render_table(
    *,
    num_tracks: int = 16,
    seconds: float = 60.0,
    repeats: int = 3,
    systems: tuple[str, ...] = ("default", "pedalboard"),
) -> pd.DataFrame:
    """Measure rendering without gradients: median seconds on one thread, times real time, peak memory in GB.

    Args:
        num_tracks: Number of stereo stems. "reference" has a strip for each of their channels.
        seconds: Length of the stems in seconds.
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
    return table.round(3).rename_axis(f"{num_tracks} stereo stems x {seconds:g} s")
