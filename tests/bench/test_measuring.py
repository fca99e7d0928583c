"""What measurements share: medians of runs that take turns, peak memory in processes of their own, their failures."""

import sys

import pytest
import torch
from measured_jobs import ended_by_the_system

from diffmst_lib.bench.console import training_step
from diffmst_lib.bench.measuring import median_seconds, one_thread, peak_memory_gb
from diffmst_lib.inputs import InputError


def test_times_are_medians_of_runs_that_take_turns():
    calls, clock = [], iter([0, 9, 9, 10, 10, 11, 11, 15, 15, 21, 21, 22])  # seconds: 9, 1; 1, 4; 6, 1
    jobs = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    assert median_seconds(jobs, 3, clock=lambda: next(clock)) == {"a": 6, "b": 1}
    assert calls == list("abababab")  # one of each to warm up


def test_one_thread_gives_the_others_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), one_thread():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_failed_measurement_names_the_system(capfd):
    """What fails for another reason than memory is no user's error, and its traceback is there."""
    with pytest.raises(RuntimeError, match="memory of nonsense failed, exit code 1"):
        peak_memory_gb(training_step, ["nonsense"], 1, 0.1)
    assert "no console is registered" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_measurement_that_the_system_ends_is_the_users_error(monkeypatch, request):
    monkeypatch.setenv("PYTHONPATH", str(request.path.parent.parent / "helpers"))
    with pytest.raises(InputError, match=r"memory of large was ended by signal 9.*want of memory"):
        peak_memory_gb(ended_by_the_system, ["large"], 1, 0.1)
