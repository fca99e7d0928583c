"""Shared parts of the measurements: noise, one thread, medians, peak memory, the machine.

Chapter: Training at scale.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..inputs import InputError

SAMPLE_RATE = 44100

Job = Callable[[], object]


def machine() -> str:
    """Describe the machine in one line: processor, cores, versions.

    Example:
        >>> "torch" in machine()
        True
    """
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{model}, cores: {os.cpu_count()}; {platform.system()}, {versions}"


def noise(*shape: int, seconds: float) -> torch.Tensor:
    """Make white noise (*shape, T) at -20 dB, the same at each call."""
    noise = torch.randn(*shape, int(seconds * SAMPLE_RATE), generator=torch.Generator().manual_seed(0))
    return noise.mul_(0.1)  # in place: a copy would count as peak memory


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside the block, and restore the number of threads afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def seconds_of(job: Job, clock: Callable[[], float] = time.perf_counter) -> float:
    """Measure how long a job takes, in seconds."""
    started = clock()
    job()
    return clock() - started


def median_seconds(
    jobs: dict[str, Job], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Measure jobs in turn on one thread, after one warm-up run each, which compiles and fills caches.

    Args:
        jobs: Jobs by name.
        repeats: Number of measured runs per job.
        clock: Function that returns the time in seconds.

    Returns:
        Median time of each job in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    with one_thread():
        for job in jobs.values():
            job()
        for _ in range(repeats):
            for name, job in jobs.items():
                times[name].append(seconds_of(job, clock))
    return {name: statistics.median(values) for name, values in times.items()}


def peak_memory_gb(
    maker: Callable[..., Job],
    systems: Iterable[str],
    num_tracks: int,
    seconds: float,
    *,
    first: str | None = None,
) -> dict[str, float]:
    """Measure the peak memory of one run of each system, without that of its inputs.

    Each system runs in a process of its own. Memory that a first, short run takes does not count. The first
    run is of the same system, or of the system `first` where the same one takes much memory.

    Args:
        maker: Function of a module that makes a job, `maker(system, num_tracks, seconds)`.
        systems: Names of the systems.
        num_tracks: Number of tracks.
        seconds: Length of the tracks in seconds.
        first: System of the first run; None: the same.

    Returns:
        Peak memory of each system in GB.

    Raises:
        InputError: When a signal ends a measuring process, most likely because memory ran out.
        RuntimeError: When a measuring process fails for another reason. Its traceback is on stderr.
    """
    processes = {}
    for system in systems:  # in parallel, since most of the time goes into imports
        code = (
            "import torch; torch.set_num_threads(1)\n"
            f"from {maker.__module__} import {maker.__name__} as maker\n"
            f"from {__name__} import maximum_rss_gb\n"
            f"maker({first or system!r}, 1, 0.1)()\n"
            f"job = maker({system!r}, {num_tracks}, {seconds})\n"
            "before = maximum_rss_gb(); job(); print(maximum_rss_gb() - before)\n"
        )
        processes[system] = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    peaks = {}
    try:
        for system, process in processes.items():
            out, _ = process.communicate()
            if process.returncode < 0:
                raise InputError(
                    f"measuring the memory of {system} was ended by signal {-process.returncode}, "
                    "most likely for want of memory: take fewer tracks, or shorter ones"
                )
            if process.returncode:
                raise RuntimeError(f"measuring the memory of {system} failed, exit code {process.returncode}")
            peaks[system] = float(out.split()[-1])
    finally:
        for process in processes.values():
            process.kill()
    return peaks


def maximum_rss_gb() -> float:
    """Return the peak memory of this process in GB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where ru_maxrss starts at the peak of the process that started this one
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e9
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
