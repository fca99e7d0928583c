"""Keeping blocks changes when memory is returned, nothing else."""

import subprocess
import sys

import pytest
import torch

from diffmst_lib.console.engines import memory

PROGRAM = """
import torch
from diffmst_lib import memory

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

before = resident_mb()
with memory.keep_large_blocks():
    block = torch.ones(50_000_000)
    del block
    inside = resident_mb()
print(inside - before, resident_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_inside_and_returns_afterwards():
    """In a process of its own: what other tests have left free would count."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    inside, afterwards = map(float, run.stdout.split())
    assert inside > 150 and afterwards < 50


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    with memory.keep_large_blocks():
        assert torch.ones(3).sum() == 3
