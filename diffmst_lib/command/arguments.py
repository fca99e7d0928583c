"""Types of arguments that several verbs share."""

from __future__ import annotations

import argparse


def count(text: str, least: int = 1) -> int:
    """Read a whole number.

    Args:
        text: What was typed.
        least: The lowest number that is allowed.

    Returns:
        The number.

    Raises:
        argparse.ArgumentTypeError: For anything else.
    """
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text}")
    return int(text)


def count_from_zero(text: str) -> int:
    """Read a whole number that may be 0."""
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
    """Read the name of a folder to write in, which a shell's empty variable is not."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: name a folder")
    return text
