"""Processes that mix: who gets which job, what is left when one ends. Threads play them."""

import os
import threading
from multiprocessing import Pipe

import pytest
from audio_helpers import one_line

from diffmst_lib.evaluation import pool
from diffmst_lib.evaluation.pairs import Pair
from diffmst_lib.evaluation.pool import READY, THREADS, do_jobs
from diffmst_lib.evaluation.working import Job, Outcome, Setup
from diffmst_lib.inputs import InputError

CODES = {"exits": 3, "killed": -9, "starts badly": 1}


class Played:
    """A process that is a thread: it answers jobs, and ends at the systems named "exits" and "killed"."""

    def __init__(self, connection, bad_start=False):
        self.connection, self.bad_start = connection, bad_start
        self.exitcode, self.was_killed, self.jobs = 0, False, []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with self.connection as connection:
            if self.bad_start:
                self.exitcode = CODES["starts badly"]
                return
            connection.send(READY)
            try:
                while (job := connection.recv()) is not None:
                    self.jobs.append(job)
                    for name in job.systems:
                        if name in CODES:
                            self.exitcode = CODES[name]
                            return
                        connection.send(Outcome(job.pair.number, {"system": name, "error": ""}))
                    connection.send(READY)
            except (EOFError, OSError):  # the other end is closed
                return

    def join(self):
        self.thread.join(10)
        assert not self.thread.is_alive()

    def kill(self):
        self.was_killed = True


@pytest.fixture
def played(monkeypatch):
    """The processes that were started."""
    started = []

    def start(setup):
        ours, theirs = Pipe()
        started.append(Played(theirs))
        return pool._Hand(started[-1], ours)

    monkeypatch.setattr(pool, "_start", start)
    return started


SETUP = Setup({}, {}, {})


def job(number, *systems):
    return Job(Pair(number, "song", 0.0, "record", 0.0), systems)


def found(jobs, workers):
    return [
        (one.number, one.row["system"], one.row["error"]) if one.row else (one.number,)
        for one in do_jobs(SETUP, jobs, workers)
    ]


def test_every_system_of_every_job_once(played):
    jobs = [job(number, "a", "b") for number in range(1, 8)]
    outcomes = found(jobs, 3)
    assert sorted(outcomes) == [(number, name, "") for number in range(1, 8) for name in "ab"]
    assert len(played) == 3 and sum(len(one.jobs) for one in played) == 7
    assert not any(one.was_killed or one.thread.is_alive() for one in played)


def test_one_process_works_in_order(played):
    assert found([job(2, "a", "b"), job(1, "c")], 1) == [(2, "a", ""), (2, "b", ""), (1, "c", "")]


def test_no_more_processes_than_jobs(played):
    found([job(1, "a"), job(2, "a")], 8)
    assert len(played) == 2
    assert found([], 8) == [] and len(played) == 2


@pytest.mark.parametrize(("name", "why"), [("exits", "exit code 3"), ("killed", "signal 9")])
def test_who_ends_fails_and_the_rest_of_the_job_goes_on(played, name, why):
    lost = f"the process that mixed ended ({why})"
    outcomes = found([job(1, "a", name, "b", "c"), job(2, "a")], 1)
    assert outcomes == [(1, "a", ""), (1, name, lost), (1, "b", ""), (1, "c", ""), (2, "a", "")]
    assert len(played) == 2


def test_after_a_last_mix_that_ends_nobody_is_started(played):
    assert [one[:2] for one in found([job(1, "a", "exits")], 1)] == [(1, "a"), (1, "exits")]
    assert len(played) == 1


def test_a_process_that_ends_at_every_mix(played):
    outcomes = found([job(1, "exits", "killed"), job(2, "exits")], 2)
    assert sorted(one[:2] for one in outcomes) == [(1, "exits"), (1, "killed"), (2, "exits")]
    assert len(played) in (3, 4)  # the fourth, where both end before the third asks for its job


def test_a_process_that_cannot_start(monkeypatch, played):
    def start(setup):
        ours, theirs = Pipe()
        played.append(Played(theirs, bad_start=True))
        return pool._Hand(played[-1], ours)

    monkeypatch.setattr(pool, "_start", start)
    with pytest.raises(InputError) as caught:
        found([job(1, "a"), job(2, "a")], 1)
    assert one_line(caught, "a worker process could not start (exit code 1)") and len(played) == 1


def test_who_stops_asking_ends_the_processes(played):
    outcomes = do_jobs(SETUP, [job(number, "a") for number in range(9)], 2)
    next(outcomes)
    outcomes.close()
    assert [one.was_killed for one in played] == [True, True]
    for one in played:
        one.join()


def test_without_processes_none_is_started(played, monkeypatch):
    class Here:
        def __init__(self, setup):
            assert setup is SETUP

        def do(self, job):
            yield from (Outcome(job.pair.number, {"system": name, "error": ""}) for name in job.systems)

    monkeypatch.setattr(pool, "Worker", Here)
    assert found([job(2, "a", "b"), job(1, "a")], 0) == [(2, "a", ""), (2, "b", ""), (1, "a", "")]
    assert played == []


def test_one_thread_for_processes_alone(monkeypatch):
    monkeypatch.setenv(THREADS[0], "7")
    for name in THREADS[1:]:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with pytest.raises(ZeroDivisionError), pool._one_thread():
        assert [os.environ[name] for name in THREADS] == ["1"] * len(THREADS)
        raise ZeroDivisionError
    assert dict(os.environ) == before


def test_what_cannot_go_to_another_process_is_said():
    setup = Setup({}, {}, {}, embedding=lambda audio, rate: audio)
    with pytest.raises(InputError) as caught:
        list(do_jobs(setup, [job(1, "sum")], 1))
    assert one_line(caught, "use workers=0")
