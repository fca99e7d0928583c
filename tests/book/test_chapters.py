"""Every chapter runs through, in time; the results are those that the site is built from.

The limits are on CPU seconds, which other work on the machine does not stretch; the clock is only reported.
"""

import os
import re
import subprocess
import sys

import pytest
from execute import cpu_seconds, execute
from layout import chapters, setup_cell

LIMIT_CPU_S = 60
LIMIT_ALL_CPU_S = 600


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.stem)
def test_runs_through(chapter):
    executed = execute(chapter)
    cells = executed.cells
    assert cells[0].source == setup_cell()
    # Solutions are cells like all others, so this says that they ran, too.
    assert all(cell.execution_count for cell in cells), "a cell was not executed"
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert executed.stderr() == ""
    assert executed.cpu_seconds <= LIMIT_CPU_S, f"and {executed.seconds} s by the clock"


def test_all_together():
    took = {chapter.stem: execute(chapter) for chapter in chapters()}
    seconds = {name: (executed.cpu_seconds, executed.seconds) for name, executed in took.items()}
    assert sum(cpu for cpu, _ in seconds.values()) <= LIMIT_ALL_CPU_S, f"CPU and clock: {seconds}"


def test_time_of_children_counts():
    before = cpu_seconds(os.getpid())
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    assert cpu_seconds(os.getpid()) - before >= 0.4


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.stem)
def test_exercises_have_solutions(chapter):
    text = chapter.read_text(encoding="utf-8")
    exercises = re.findall(r"^[`:]{3,}\{exercise(?:-start)?\}.*\n:label: *(\S+)", text, re.MULTILINE)
    solutions = re.findall(r"^[`:]{3,}\{solution(?:-start)?\} *(\S+)\n:class: *dropdown", text, re.MULTILINE)
    assert len(re.findall(r"\{exercise(?:-start)?\}", text)) == len(exercises)
    assert exercises == solutions, "each exercise is followed by its solution, hidden by `:class: dropdown`"
