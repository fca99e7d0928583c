"""Execute the chapters, each once, into the cache that the site is built from; print the CPU seconds of each.

Safe when several processes do it at the same time: a chapter that another one is executing is waited for.
"""

import importlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from layout import BOOK, ROOT, chapters, results_digest
from myst_nb.core.read import myst_nb_reader_plugin
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode

STATE = ROOT / ".cache"
CACHE = STATE / "chapters"
AT_A_TIME = 2
CELL_LIMIT_S = 1800  # only ends a cell that hangs: what a chapter may cost is counted in CPU seconds


class ChapterError(Exception):
    """A chapter that did not run through; its text is for the reader of a terminal."""


@dataclass
class Executed:
    """A chapter with its outputs.

    Attributes:
        notebook: The chapter's cells.
        cpu_seconds: CPU time of the kernel and its children, user and system.
        seconds: How long it took by the clock.
        fresh: Whether it ran just now.
    """

    notebook: NotebookNode
    cpu_seconds: float
    seconds: float
    fresh: bool

    @property
    def cells(self) -> list[NotebookNode]:
        """The code cells."""
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    def stderr(self) -> str:
        """Return what the cells wrote to standard error."""
        return "".join(
            output.text for cell in self.cells for output in cell.outputs if output.get("name") == "stderr"
        )


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a lock that all processes of this checkout share."""
    STATE.mkdir(exist_ok=True)
    with FileLock(STATE / f"{name}.lock"):
        yield


@contextmanager
def turn() -> Iterator[None]:
    """Wait until fewer than `AT_A_TIME` chapters run on this machine."""
    STATE.mkdir(exist_ok=True)
    places = [FileLock(STATE / f"turn-{place}.lock") for place in range(AT_A_TIME)]
    while True:
        for place in places:
            try:
                place.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield
            finally:
                place.release()
            return
        time.sleep(0.1)


def open_cache():
    """Return the cache, emptied if the library or the data changed. Call with the lock "cache" held."""
    filled_with = CACHE / "results-digest"
    if not filled_with.exists() or filled_with.read_text() != results_digest():
        shutil.rmtree(CACHE, ignore_errors=True)
        CACHE.mkdir(parents=True)
        filled_with.write_text(results_digest())
    return get_cache(CACHE)


def find(chapter: Path) -> Executed | None:
    """Return what the cache holds of a chapter, None if nothing."""
    with lock("cache"):
        cache = open_cache()
        try:
            record = cache.match_cache_notebook(myst_nb_reader_plugin(str(chapter)))
            cpu_seconds, seconds = record.data["cpu_seconds"], record.data["execution_seconds"]
            return Executed(cache.get_cache_bundle(record.pk).nb, cpu_seconds, seconds, fresh=False)
        except KeyError:
            return None


def store(chapter: Path, executed: Executed, depends_on: str) -> None:
    """Put an executed chapter in the cache, and its seconds where the next run can order by them."""
    with lock("cache"):
        if results_digest() != depends_on:
            raise ChapterError("the library or the data changed while the chapter ran; run it again")
        took = {"cpu_seconds": executed.cpu_seconds, "execution_seconds": executed.seconds}
        bundle = CacheBundleIn(executed.notebook, chapter.name, data=took)
        open_cache().cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        (STATE / "seconds.json").write_text(
            json.dumps(known_seconds() | {chapter.stem: executed.seconds}, indent=1)
        )


def known_seconds() -> dict[str, float]:
    """Return how long each chapter took when it last ran."""
    path = STATE / "seconds.json"
    return json.loads(path.read_text()) if path.exists() else {}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process and its children have used so far."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                # A process is told the times of its children when they have ended.
                total += times.user + times.system + times.children_user + times.children_system
    return total


@cache
def prepare() -> None:
    """Do what is done once on a new machine, so that no chapter is charged for it."""
    from compiling import compile_loops  # torch, which a site that is up to date needs not

    importlib.import_module("matplotlib.font_manager")  # builds a font cache, and says so on standard error
    compile_loops()


def run(chapter: Path) -> Executed:
    """Execute a chapter in a fresh kernel."""
    prepare()
    notebook = myst_nb_reader_plugin(str(chapter))
    # Cell timings would become part of the cache's key, which the build could then not find.
    client = NotebookClient(
        notebook,
        timeout=CELL_LIMIT_S,
        kernel_name=notebook.metadata.kernelspec.name,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(BOOK)}},
    )
    used = 0.0

    def measure(**_: object) -> None:
        """Note what the kernel has used so far: after the last cell it is no longer there to be asked."""
        nonlocal used
        used = max(used, cpu_seconds(client.km.provisioner.pid))

    client.on_cell_executed = measure
    start = time.perf_counter()
    try:
        client.execute(env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"})
    except (CellControlSignal, DeadKernelError) as error:
        raise ChapterError(re.sub(r"\x1b\[[0-9;]*m", "", str(error))) from None
    executed = Executed(notebook, round(used, 1), round(time.perf_counter() - start, 1), fresh=True)
    if executed.stderr():
        raise ChapterError(f"a cell wrote to standard error:\n{executed.stderr()}")
    return executed


def execute(chapter: Path) -> Executed:
    """Return a chapter's results, from the cache or else by executing it."""
    with lock(f"chapter-{chapter.stem}"):
        executed = find(chapter)
        if executed is None:
            depends_on = results_digest()
            with turn():
                executed = run(chapter)
            store(chapter, executed, depends_on)
        return executed


def execute_all() -> list[str]:
    """Execute every chapter that needs it, say so line by line, and return the names of those that failed."""
    with lock("cache"):
        seconds = known_seconds()
    order = sorted(chapters(), key=lambda chapter: -seconds.get(chapter.stem, float("inf")))
    failed = []
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        running = {pool.submit(execute, chapter): chapter.stem for chapter in order}
        for future in as_completed(running):
            name = running[future]
            try:
                executed = future.result()
            except ChapterError as error:
                failed.append(name)
                print(f"{name:32} FAILED\n{error}", flush=True)
            else:
                again = "" if executed.fresh else " (cached)"
                print(
                    f"{name:32} {executed.cpu_seconds:5.1f} s of CPU, {executed.seconds:5.1f} s{again}",
                    flush=True,
                )
    return sorted(failed)


if __name__ == "__main__":
    sys.exit(bool(execute_all()))
