"""How long the console takes, and how much memory: `diffmst bench`. Ratios within one run are what counts."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import torch

from .console import MixingConsole
from .memory import keep_large_blocks
from .params import ConsoleParams, param_table


def _step(preset: str, num_tracks: int, seconds: float):
    """A function that runs the console forward and backward once and returns the seconds it took."""
    generator = torch.Generator().manual_seed(0)
    tracks = 0.1 * torch.randn(num_tracks, int(seconds * 44100), generator=generator)
    widths = [(num_tracks, len(param_table("track"))), (len(param_table("fx_bus")),), (len(param_table("master_bus")),)]
    unit = [(0.1 + 0.8 * torch.rand(width, generator=generator)).requires_grad_() for width in widths]
    console = MixingConsole(44100, preset=preset)

    def step() -> float:
        start = time.perf_counter()
        mix = console(tracks, ConsoleParams.from_unit(*unit, preset=preset)).mix
        mix.square().mean().backward()
        return time.perf_counter() - start

    return step


def _peak_memory_gb(preset: str, num_tracks: int, seconds: float) -> float:
    """Peak memory of one forward+backward above that of the bare process, in a process of its own."""
    code = (
        "import resource, torch; torch.set_num_threads(1)\n"
        "from diffmst_lib import bench\n"
        f"bench._step('default', 1, 0.1)(); step = bench._step({preset!r}, {num_tracks}, {seconds})\n"
        "before = bench._maximum_rss_gb(); step(); print(bench._maximum_rss_gb() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def _maximum_rss_gb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where ru_maxrss starts at the peak of the process that started this one
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def console_table(num_tracks: list[int], *, seconds: float = 10.0, repeats: int = 3) -> pd.DataFrame:
    """Forward+backward of the console: median seconds of alternating runs on one thread, and peak memory in GB.

    Columns: seconds and memory of "reference" and "default", and how many times faster the default is.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = {}
        for n in num_tracks:
            steps = {preset: _step(preset, n, seconds) for preset in ("reference", "default")}
            for step in steps.values():
                step()  # compile, allocate, fill caches
            times: dict[str, list[float]] = {preset: [] for preset in steps}
            with keep_large_blocks():
                for _ in range(repeats):
                    for preset, step in steps.items():
                        times[preset].append(step())
            seconds_of = {preset: statistics.median(values) for preset, values in times.items()}
            rows[n] = {
                "reference (s)": seconds_of["reference"],
                "default (s)": seconds_of["default"],
                "times faster": seconds_of["reference"] / seconds_of["default"],
                "reference (GB)": _peak_memory_gb("reference", n, seconds),
                "default (GB)": _peak_memory_gb("default", n, seconds),
            }
        return pd.DataFrame(rows).T.round(3).rename_axis(f"tracks x {seconds:g} s")
    finally:
        torch.set_num_threads(threads)
