"""Time and memory of console, loss and model: `diffmst bench`. Ratios within one run count. Chapters: The console, Losses, The controller."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..console.engines.memory import keep_large_blocks
from ..console.mixing_console import MixingConsole
from ..console.params import EQ_BANDS, ConsoleParams, Strip, param_table
from ..model import DiffMST
from ..style import features
from ..style.losses import feature_distance

SAMPLE_RATE = 44100


def machine() -> str:
    """One line on the machine that the numbers come from: processor, cores, versions.

    >>> "torch" in machine()
    True
    """
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, cores: {os.cpu_count()}; {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}"


def _tracks(num_tracks: int, seconds: float) -> torch.Tensor:
    noise = torch.randn(num_tracks, int(seconds * SAMPLE_RATE), generator=torch.Generator().manual_seed(0))
    return noise.mul_(0.1)  # in place: a copy would count as peak memory


def _unit(num_tracks: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    widths = [
        (num_tracks, len(param_table("track"))),
        (len(param_table("fx_bus")),),
        (len(param_table("master_bus")),),
    ]
    return [0.1 + 0.8 * torch.rand(width, generator=generator) for width in widths]


def training_step(preset: str, num_tracks: int, seconds: float) -> Callable[[], None]:
    """A function that runs the console of a preset forward and backward once, without the effects bus."""
    tracks, unit = _tracks(num_tracks, seconds), [u.requires_grad_() for u in _unit(num_tracks)]
    console = MixingConsole(SAMPLE_RATE, preset=preset)

    def step() -> None:
        mix = console(tracks, ConsoleParams.from_unit(*unit, preset=preset), fx_bus=False).mix
        mix.square().mean().backward()

    return step


def rendering(system: str, num_tracks: int, seconds: float) -> Callable[[], None]:
    """A function that renders a mix once, without gradients: "default", "reference" or "pedalboard".

    Both presets go track by track. Pedalboard, a library of compiled effects without gradients, gets the chain
    nearest to ours: gain, six filters, compressor, pan; it has no knee and no look-ahead.
    """
    tracks = _tracks(num_tracks, seconds)
    if system == "pedalboard":
        params = ConsoleParams.from_unit(*_unit(num_tracks))
        return lambda: _pedalboard_mix(tracks.numpy(), params)
    console = MixingConsole(SAMPLE_RATE, preset=system)
    params = ConsoleParams.from_unit(*_unit(num_tracks), preset=system)
    return lambda: console.render(tracks, params, fx_bus=False)


def _pedalboard_mix(tracks: np.ndarray, params: ConsoleParams) -> np.ndarray:
    import pedalboard as pb

    def chain(strip: Strip) -> pb.Pedalboard:
        filters = [pb.LowShelfFilter, *[pb.PeakFilter] * 4, pb.HighShelfFilter]
        bands = [
            filter_(strip[f"{band}_frequency_hz"], strip[f"{band}_gain_db"], strip[f"{band}_q"])
            for filter_, band in zip(filters, EQ_BANDS)
        ]
        dynamics = pb.Compressor(*(strip[k] for k in ("threshold_db", "ratio", "attack_ms", "release_ms")))
        return pb.Pedalboard(
            [pb.Gain(strip["input_gain_db"]), *bands, dynamics, pb.Gain(strip["makeup_gain_db"])]
        )

    mix = np.zeros((2, tracks.shape[1]), dtype=np.float32)
    for name, track in zip(params.names, tracks):
        strip = params.track(name)
        y = chain(strip)(track, SAMPLE_RATE)
        mix[0] += np.float32(1.0 - strip["pan"]) * y
        mix[1] += np.float32(strip["pan"]) * y
    mix = chain(params.master_bus)(mix, SAMPLE_RATE)
    return mix * np.float32(10 ** (params.master_bus["output_gain_db"] / 20))


@contextmanager
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _median_seconds(jobs: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median time of each job, the jobs taking turns, after one run each that compiles and fills caches."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    with _one_thread():
        for job in jobs.values():
            job()
        for _ in range(repeats):
            for name, job in jobs.items():
                start = time.perf_counter()
                job()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def _peak_memory_gb(
    kind: Callable, systems: Iterable[str], num_tracks: int, seconds: float, *, first: str | None = None
) -> dict[str, float]:
    """Peak memory of one run of each system, each in a process of its own, above that with the tracks loaded.

    What a first, short run loads does not count; it is of the same system, or of `first` where that is a large one.
    """
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from diffmst_lib import bench\nbench.{kind}({first!r}, 1, 0.1)()\n"
        "job = bench.{kind}({system!r}, {num_tracks}, {seconds})\n"
        "before = bench._maximum_rss_gb(); job(); print(bench._maximum_rss_gb() - before)\n"
    )
    processes = {}
    for system in systems:  # side by side: they wait for imports most of the time
        job = code.format(
            kind=kind.__name__, first=first or system, system=system, num_tracks=num_tracks, seconds=seconds
        )
        processes[system] = subprocess.Popen([sys.executable, "-c", job], stdout=subprocess.PIPE, text=True)
    peaks = {}
    try:
        for system, process in processes.items():
            out, _ = process.communicate()
            if process.returncode:  # most likely for want of memory
                raise RuntimeError(f"measuring the memory of {system} failed, exit code {process.returncode}")
            peaks[system] = float(out.split()[-1])
    finally:
        for process in processes.values():
            process.kill()
    return peaks


def _maximum_rss_gb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where ru_maxrss starts at the peak of the process that started this one
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e9
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def console_table(num_tracks: list[int], *, seconds: float = 10.0, repeats: int = 3) -> pd.DataFrame:
    """Forward+backward of the console: median seconds of alternating runs on one thread, and peak memory in GB.

    One row a number of tracks of `seconds` s. Columns: seconds and memory of "reference" and "default", and how many
    times faster the default is. Raises RuntimeError when a measuring process fails.
    """
    rows = {}
    for n in num_tracks:
        jobs = {preset: training_step(preset, n, seconds) for preset in ("reference", "default")}
        with keep_large_blocks():
            took = _median_seconds(jobs, repeats)
        rows[n] = {
            "reference (s)": took["reference"],
            "default (s)": took["default"],
            "times faster": took["reference"] / took["default"],
            **{
                f"{preset} (GB)": gb
                for preset, gb in _peak_memory_gb(training_step, jobs, n, seconds).items()
            },
        }
    return pd.DataFrame(rows).T.round(3).rename_axis(f"tracks x {seconds:g} s")


def render_table(
    *,
    num_tracks: int = 16,
    seconds: float = 60.0,
    repeats: int = 3,
    systems: tuple[str, ...] = ("default", "pedalboard"),
) -> pd.DataFrame:
    """Rendering without gradients: one row a system, median seconds on one thread, times real time, peak GB.

    Systems: "default", "reference", "pedalboard"; the last is left out where it is not installed.
    """
    systems = tuple(s for s in systems if s != "pedalboard" or find_spec("pedalboard"))
    with keep_large_blocks():
        took = _median_seconds(
            {system: rendering(system, num_tracks, seconds) for system in systems}, repeats
        )
    table = pd.DataFrame(
        {
            "seconds": took,
            "times real time": {system: seconds / s for system, s in took.items()},
            "peak (GB)": _peak_memory_gb(rendering, systems, num_tracks, seconds),
        }
    )
    return table.round(3).rename_axis(f"{num_tracks} tracks x {seconds:g} s")


def loss_step(preset: str, seconds: float, *, rebuild: bool = False) -> Callable[[], None]:
    """A function that runs the audio-feature loss of a stereo pair forward and backward once.

    `rebuild` makes the Bark filterbank anew for each of the two sounds, as the released code does.
    """
    mix, target = _tracks(4, seconds).view(2, 2, -1)
    mix = mix.clone().requires_grad_()

    def measured(x: torch.Tensor) -> dict[str, torch.Tensor]:
        if rebuild:
            features._bark_filterbank.cache_clear()
        return features.audio_features(x, preset=preset)

    def step() -> None:
        mix.grad = None
        feature_distance(measured(mix), measured(target))["total"].backward()

    return step


def loss_times(*, seconds: float = 10.0, repeats: int = 9) -> pd.DataFrame:
    """Forward+backward of the audio-feature loss of a stereo pair: median seconds of alternating runs on one thread.

    Rows: the reference with its filterbank built at each call, as in the released code; the reference; the default.
    """
    jobs = {
        "reference, filterbank built anew": loss_step("reference", seconds, rebuild=True),
        "reference": loss_step("reference", seconds),
        "default": loss_step("default", seconds),
    }
    table = pd.DataFrame({"seconds": _median_seconds(jobs, repeats)})
    table["times faster"] = table["seconds"].iloc[0] / table["seconds"]
    return table.round(4).rename_axis(f"stereo pair x {seconds:g} s")


def training_step_of_model(preset: str, num_tracks: int, seconds: float) -> Callable[[], None]:
    """A function that builds the model of a preset and trains it for one step at batch 1, Adam included."""
    tracks, reference = _tracks(num_tracks, seconds), _tracks(2, seconds)

    def step() -> None:
        model = DiffMST(preset)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
        mix, _ = model(tracks[None], reference[None])
        feature_distance(features.audio_features(mix), features.audio_features(reference[None]))[
            "total"
        ].backward()
        optimizer.step()

    return step


def model_table(
    presets: Iterable[str] = ("small",), *, num_tracks: int = 8, seconds: float = 10.0, repeats: int = 3
) -> pd.DataFrame:
    """What a model takes: one row a preset.

    Columns: parameters; median seconds of the network (`DiffMST.predict`) and of its console on one thread, without
    gradients, and their ratio; peak memory in GB of a training step at batch 1 on clips of half the length, as the
    paper's method 1 has them, weights, gradients and Adam's state included. Raises RuntimeError when a measuring
    process fails.
    """
    rows, presets = {}, list(presets)
    tracks, reference = _tracks(num_tracks, seconds), _tracks(2, seconds)
    for preset in presets:
        model = DiffMST(preset).eval()
        with torch.no_grad(), keep_large_blocks():
            params = model.predict(tracks, reference)
            took = _median_seconds(
                {
                    "network": partial(model.predict, tracks, reference),
                    "console": partial(model.console, tracks, params, fx_bus=False),
                },
                repeats,
            )
        rows[preset] = {
            "parameters": model.parameter_counts()["all"],
            "network (s)": round(took["network"], 3),
            "console (s)": round(took["console"], 3),
            "network / console": round(took["network"] / took["console"], 2),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(f"{num_tracks} tracks x {seconds:g} s")
    peaks = _peak_memory_gb(training_step_of_model, presets, num_tracks, seconds / 2, first="tiny")
    return table.assign(**{f"training step, {seconds / 2:g} s (GB)": pd.Series(peaks).round(3)})
