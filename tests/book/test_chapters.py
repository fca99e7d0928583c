"""Every chapter runs through, in time; the results are those that the site is built from."""

import re

import pytest
from execute import execute
from layout import chapters, setup_cell

LIMIT_S = 60
LIMIT_ALL_S = 600
NOISE = (
    2  # machines that others use as well take longer; a chapter that is twice over is not the machine's fault
)


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.stem)
def test_runs_through(chapter):
    executed = execute(chapter)
    cells = executed.cells
    assert cells[0].source == setup_cell()
    # Solutions are cells like all others, so this says that they ran, too.
    assert all(cell.execution_count for cell in cells), "a cell was not executed"
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert executed.stderr() == ""
    assert executed.seconds <= NOISE * LIMIT_S, (
        f"{chapter.name} took {executed.seconds} s, more than {LIMIT_S} s"
    )


def test_all_together():
    seconds = {chapter.stem: execute(chapter).seconds for chapter in chapters()}
    assert sum(seconds.values()) <= NOISE * LIMIT_ALL_S, f"all chapters together take too long: {seconds}"


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.stem)
def test_exercises_have_solutions(chapter):
    text = chapter.read_text(encoding="utf-8")
    exercises = re.findall(r"^[`:]{3,}\{exercise(?:-start)?\}.*\n:label: *(\S+)", text, re.MULTILINE)
    solutions = re.findall(r"^[`:]{3,}\{solution(?:-start)?\} *(\S+)\n:class: *dropdown", text, re.MULTILINE)
    assert len(re.findall(r"\{exercise(?:-start)?\}", text)) == len(exercises)
    assert exercises == solutions, "each exercise is followed by its solution, hidden by `:class: dropdown`"
