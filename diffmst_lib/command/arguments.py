"""Types of arguments that several commands share.

Chapters: A first mix, Data, Training at scale.
"""

from __future__ import annotations

import argparse


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


def seconds(text: str) -> float:
    """Read a length of audio, 0.1 to 3600 s."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"must be a number between 0.1 and 3600, not {text}")
    return value


def folder(text: str) -> str:
    """Read the name of an output folder. It is empty where a variable of the shell is empty."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: name a folder")
    return text
