"""`tests/gpu_check.py`: in miniature on the CPU it finds everything as it should be; without a GPU it says so."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

PARTS = """device tests, equalizer, compressor, smooth, reverb, features, losses, console, effects bus on, forward and
backward, training step of small, training step of paper, training tiny, all as it should be"""


@pytest.fixture(scope="module")
def gpu_check():
    spec = importlib.util.spec_from_file_location("gpu_check", Path(__file__).with_name("gpu_check.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their types
    spec.loader.exec_module(module)
    return module


def test_miniature_on_the_cpu_is_as_it_should_be(gpu_check, capsys):
    status = gpu_check.main(["--cpu"])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert all(" ".join(part.split()) in printed for part in PARTS.split(", ")), printed


def test_a_part_that_is_wrong_is_named(gpu_check, capsys, monkeypatch):
    """With limits that nothing can keep, the exit status is 1."""
    monkeypatch.setattr(gpu_check, "CLOSE_DB", -1000.0)
    size = gpu_check.miniature()
    rows = list(gpu_check.compare(size))
    assert all(row[""].startswith("NOT") for row in rows)
    assert gpu_check.summary(rows, 1.0).startswith("1 s; wrong: equalizer, compressor")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(gpu_check, capsys):
    assert gpu_check.main([]) == 2
    printed = capsys.readouterr().out
    assert printed.startswith("no GPU") and printed.count("\n") == 1
