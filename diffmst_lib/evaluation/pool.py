"""Processes that do the jobs of an evaluation: one that dies is a failed mix, not the end.

Chapter: Results
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ..inputs import InputError
from .working import Job, Outcome, Setup, Worker, failed

READY = "ready"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def do_jobs(setup: Setup, jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
    """Do jobs in several processes of one thread each, or in this one.

    Args:
        setup: What the evaluation is like.
        jobs: The jobs.
        workers: Number of processes; 0: none beside this one, on as many threads as torch has.

    Yields:
        An outcome for each system of each job, in the order in which they are done.

    Raises:
        InputError: When a process cannot start.
    """
    jobs = deque(jobs)
    if not workers:
        worker = Worker(setup)
        for job in jobs:
            yield from worker.do(job)
        return
    hands: list[_Hand] = []
    try:
        hands += [_start(setup) for _ in range(min(workers, len(jobs)))]
        while hands:
            for connection in wait([hand.connection for hand in hands]):
                hand = next(hand for hand in hands if hand.connection is connection)
                try:
                    said = hand.connection.recv()
                except (EOFError, OSError):  # the process has ended
                    hands.remove(hand)
                    job, why = hand.end()
                    if job is None:
                        raise InputError(f"a worker process could not start ({why})") from None
                    yield _lost(setup, job, why)
                    if job.systems[1:]:
                        jobs.appendleft(Job(job.pair, job.systems[1:]))
                    if jobs:
                        hands.append(_start(setup))
                    continue
                if isinstance(said, Outcome):
                    assert hand.job is not None
                    hand.job = Job(hand.job.pair, hand.job.systems[1:])
                    yield said
                elif jobs:  # it is ready for a job
                    hand.give(jobs.popleft())
                else:
                    hands.remove(hand)
                    hand.dismiss()
    finally:
        for hand in hands:
            hand.process.kill()
            hand.connection.close()


@dataclass
class _Hand:
    """A process, the connection to it, and what is still to be done of its job."""

    process: BaseProcess
    connection: Connection
    job: Job | None = None

    def give(self, job: Job) -> None:
        self.job = job
        with suppress(OSError):  # it has ended: reading from it will tell
            self.connection.send(job)

    def dismiss(self) -> None:
        with suppress(OSError):
            self.connection.send(None)
        self.connection.close()
        self.process.join()

    def end(self) -> tuple[Job | None, str]:
        self.process.join()
        self.connection.close()
        code = self.process.exitcode or 0
        return self.job, f"signal {-code}" if code < 0 else f"exit code {code}"


def _lost(setup: Setup, job: Job, why: str) -> Outcome:
    if not job.systems:
        return Outcome(job.pair.number)
    why = f"the process that mixed ended ({why})"
    return Outcome(job.pair.number, failed(setup, job.pair, job.systems[0], why))


def _start(setup: Setup) -> _Hand:
    """Start a process, anew and not as a copy of this one, whose threads a copy would miss."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, setup), daemon=True)
    try:
        with _one_thread():
            process.start()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(f"cannot be given to another process ({error}): use workers=0") from None
    theirs.close()
    return _Hand(process, ours)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that start inside have one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, setup: Setup) -> None:
    """Do jobs that come through the connection until None comes, or the other end is gone."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    torch.set_num_threads(1)
    worker = Worker(setup)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(READY)
        while (job := connection.recv()) is not None:
            for outcome in worker.do(job):
                connection.send(outcome)
            connection.send(READY)
