"""Types of arguments that several commands share.

Chapters: A first mix, Data, Training at scale.
"""

from __future__ import annotations

import argparse
import math
import unicodedata


def count(text: str, least: int = 1) -> int:
    """Read a whole number.

    Args:
        text: Text of the argument.
        least: Lowest number that is allowed.

    Returns:
        Number that the text says.

    Raises:
        argparse.ArgumentTypeError: For anything else.
    """
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text}")
    return int(text)


def count_from_zero(text: str) -> int:
    """Read a whole number of at least 0."""
    return count(text, least=0)


def number(text: str) -> float:
    """Read a number; NaN for anything else."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def number_from_zero(text: str) -> float:
    """Read a number of at least 0."""
    value = number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of at least 0, not {text}")
    return value


def seconds(text: str) -> float:
    """Read a length of audio, 0.1 to 3600 s."""
    value = number(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"must be a number between 0.1 and 3600, not {text}")
    return value


def amount(text: str) -> float | dict[str, float]:
    """Read a number, or numbers by name as in "balance=0,tone=1"; which of them make sense, `check_amount` says.

    Example:
        >>> amount("0.5"), amount("balance=0, tone=1")
        (0.5, {'balance': 0.0, 'tone': 1.0})
    """
    if not math.isnan(value := number(text)):
        return value
    pairs = [part.split("=") for part in text.split(",")]
    if any(len(pair) != 2 or math.isnan(number(pair[1])) for pair in pairs):
        raise argparse.ArgumentTypeError(f"must be a number or aspects, as in balance=0,tone=1, not {text}")
    by_name = {name.strip(): number(value) for name, value in pairs}
    if len(by_name) < len(pairs):
        raise argparse.ArgumentTypeError(f"names an aspect twice: {text}")
    return by_name


def stem_names(text: str) -> str:
    """Read names of stems or knobs, which only the song can tell apart. They are empty like a folder's."""
    if not text.strip(" ,"):
        raise argparse.ArgumentTypeError("is empty: name stems or knobs")
    return unicodedata.normalize("NFC", text)


def folder(text: str) -> str:
    """Read the name of a folder. It is empty where a variable of the shell is empty."""
    return _named(text, "a folder")


def file(text: str) -> str:
    """Read the name of a file, as `folder` does."""
    return _named(text, "a file")


def _named(text: str, what: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError(f"is empty: name {what}")
    return text
