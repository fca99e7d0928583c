"""Checks of the answers to the book's exercises. Every chapter uses them.

Chapter: A first mix.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """Result of a check. It prints as one line, and it is true when the answer is right.

    Attributes:
        right: Whether the answer is right.
        message: Explanation in one line.
    """

    right: bool
    message: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return ("Correct. " if self.right else "Not yet. ") + self.message


def check(answer: Any, expected: Any, *, tolerance: float = 1e-3, hint: str = "") -> Verdict:
    """Compare an answer with the expected one. No answer raises an error.

    Complex numbers and -inf can be compared, too.

    Args:
        answer: Answer of the reader: a number, an array, a tensor, or any other object.
        expected: Right answer: a number, an array or a tensor.
        tolerance: Largest absolute difference that is allowed.
        hint: Hint that the message shows for a wrong answer.

    Returns:
        Verdict with the largest difference, or with the reason why the answer cannot be compared.

    Example:
        >>> check(3.01, 3.0, tolerance=0.1)
        Correct. Largest difference 0.01, allowed 0.1.
        >>> check(None, 3.0, hint="10 log10(2)")
        Not yet. There is no answer to compare: it is None. Hint: 10 log10(2)
    """
    tail = f" Hint: {hint}" if hint else ""
    if answer is None:
        return Verdict(False, f"There is no answer to compare: it is None.{tail}")
    want = _numbers(expected)
    try:
        got = _numbers(answer)
    except Exception:  # an answer can be any object, and its conversion can fail in any way
        return Verdict(False, f"A {type(answer).__name__} is no number, array or tensor.{tail}")
    if got.shape != want.shape:
        return Verdict(False, f"The shape is {got.shape}, wanted {want.shape}.{tail}")
    differ = got != want
    got, want = got[differ], want[differ]
    if not np.isfinite(got).all():
        return Verdict(False, f"It holds NaN or infinite values.{tail}")
    worst = float(np.abs(got - want).max(initial=0.0))
    line = f"Largest difference {worst:.3g}, allowed {tolerance:g}."
    return Verdict(worst <= tolerance, line if worst <= tolerance else line + tail)


def checker(function: Callable[[Any], Verdict]) -> Callable[[Any], Verdict]:
    """Decorate a function that checks a reader's answer. An error in the answer becomes a verdict.

    Args:
        function: Function that takes an answer and returns a verdict.

    Returns:
        Function that does the same and never raises.

    Example:
        >>> @checker
        ... def check_half(answer):
        ...     return check(answer(3.0), 1.5)
        >>> check_half(lambda x: x / 0)
        Not yet. The answer raised ZeroDivisionError: float division by zero
    """

    @functools.wraps(function)
    def guarded(answer: Any) -> Verdict:
        try:
            return function(answer)
        except Exception as error:  # an answer can fail in any way, and the notebook must not stop
            return Verdict(False, f"The answer raised {type(error).__name__}: {error}")

    return guarded


def _numbers(value: Any) -> np.ndarray:
    array = np.asarray(value.detach().tolist() if hasattr(value, "detach") else value)  # of any torch dtype
    if array.dtype.kind not in "biufc":
        raise TypeError(f"no numbers: {array.dtype}")
    return array.astype(complex)
