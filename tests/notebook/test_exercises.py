"""The checker of the exercises: right, wrong, and whatever else a reader may hand in."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from diffmst_lib import check, checker
from diffmst_lib.notebook.exercises import Verdict


class Awkward:
    def __array__(self, *_, **__):
        raise OSError("no")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (3, 3.0),
        (3.0005, 3.0),
        (True, 1),
        (np.float32(0.1), 0.1),
        ([1, 2], torch.tensor([1.0, 2.0])),
        ((1, 2), np.array([1, 2])),
        (torch.ones(2, 3, requires_grad=True), np.ones((2, 3))),
        (torch.ones(2, dtype=torch.bfloat16), [1, 1]),
        ([torch.tensor(1.0), torch.tensor(2.0)], [1, 2]),
        (pd.Series([1.0, 2.0]), [1, 2]),
        (torch.tensor(1 + 2j), 1 + 2j),
        (-math.inf, -math.inf),
        (np.zeros(0), torch.zeros(0)),
    ],
    ids=lambda value: type(value).__name__,  # the same in every test process
)
def test_right(answer, expected):
    verdict = check(answer, expected, hint="think")
    assert verdict and isinstance(verdict, Verdict)
    assert repr(verdict).startswith("Correct. Largest difference ") and "think" not in repr(verdict)


@pytest.mark.parametrize(
    ("answer", "expected", "message"),
    [
        (3.002, 3.0, "Largest difference 0.002, allowed 0.001."),
        ([1, 5], [1, 2], "Largest difference 3, allowed"),
        (1 + 2j, 1, "Largest difference 2, allowed"),
        (0, -math.inf, "Largest difference inf, allowed"),
        (None, 3.0, "it is None"),
        (..., 3.0, "A ellipsis is no number, array or tensor"),
        ("3", 3.0, "A str is no number"),
        ({"a": 1}, 1, "A dict is no number"),
        ([1, [2, 3]], [1, 2], "A list is no number"),
        ([None, 1], [1, 2], "A list is no number"),
        (Awkward(), 1, "A Awkward is no number"),
        (10**400, 1, "A int is no number"),
        ([1, 2, 3], [1, 2], "The shape is (3,), wanted (2,)"),
        ([1.0], 1.0, "The shape is (1,), wanted ()"),
        (math.nan, 1, "NaN or infinite"),
        (math.inf, -math.inf, "NaN or infinite"),
        (torch.tensor([1.0, math.nan]), [1, 2], "NaN or infinite"),
    ],
    ids=lambda value: type(value).__name__,  # the same in every test process
)
def test_wrong(answer, expected, message):
    verdict = check(answer, expected, hint="think")
    assert not verdict
    assert repr(verdict).startswith(f"Not yet. {verdict.message}") and message in verdict.message
    assert repr(verdict).endswith(" Hint: think") and "\n" not in repr(verdict)
    assert "Hint" not in repr(check(answer, expected))


def test_tolerance():
    assert check(1.1, 1.0, tolerance=0.2) and not check(1.1, 1.0, tolerance=0.05)


def test_answer_is_not_changed():
    answer, expected = torch.tensor([1.0, 5.0]), np.array([1.0, 2.0])
    check(answer, expected)
    assert answer.tolist() == [1, 5] and expected.tolist() == [1, 2]


@pytest.mark.parametrize("answer", [lambda x: 1 / 0, lambda: 3, "text", None, lambda x: [] + 1], ids=range(5))
def test_a_checker_never_raises(answer):
    @checker
    def check_double(function):
        return check(function(2.0), 4.0)

    verdict = check_double(answer)
    assert not verdict and "raised" in repr(verdict)
    assert check_double(lambda x: 2 * x)
