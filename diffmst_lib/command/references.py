"""Options that say whose style to take: records, their weights, and parts of them. Chapter: Mix your own song."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..inputs import InputError, note
from .arguments import file, number

if TYPE_CHECKING:
    import torch

MOST_FIELDS = 3  # of a time: hours, minutes, seconds


@dataclass(frozen=True)
class AskedReference:
    """A record that a command's options name.

    Attributes:
        path: Its file.
        weight: Its weight, above 0.
        from_s: Where the part that counts begins, in seconds.
        to_s: Where it ends; infinity: at the record's end.
    """

    path: str
    weight: float = 1.0
    from_s: float = 0.0
    to_s: float = math.inf


def add_reference_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--reference`, `--reference-from` and `--reference-to`; `asked_references` reads them."""
    parser.add_argument(
        "--reference",
        type=file,
        action="append",
        metavar="FILE[:WEIGHT]",
        help="stereo mix whose style to take; several, each with its own --reference, are averaged by their "
        "weights, as in a.wav:0.7 (default: 1 each)",
    )
    for which, what in (("from", "begins"), ("to", "ends")):
        parser.add_argument(
            f"--reference-{which}",
            type=clock_time,
            action="append",
            metavar="TIME",
            help=f"where the part of the reference {what} that counts, as in 0:45, 1:02:03 or 45.5; given once it "
            "holds for every --reference, otherwise the first for the first and so on",
        )


def clock_time(text: str) -> float:
    """Read a time: seconds, or hours, minutes and seconds with colons.

    Args:
        text: Text of the argument.

    Returns:
        Seconds, 0 or more.

    Raises:
        argparse.ArgumentTypeError: For anything else.

    Example:
        >>> clock_time("0:45"), clock_time("1:02:03.5"), clock_time("90")
        (45.0, 3723.5, 90.0)
    """
    parts = text.strip().split(":")
    whole = all(part.isascii() and part.isdecimal() for part in parts[:-1])
    last = number(parts[-1])
    fits = 0.0 <= last < (60.0 if len(parts) > 1 else math.inf)
    fits = fits and all(int(part) < 60 for part in parts[1:-1] if part.isdecimal())
    if not whole or not fits or len(parts) > MOST_FIELDS:
        raise argparse.ArgumentTypeError(f"must be a time such as 0:45, 1:02:03 or 45.5, not {text}")
    total = 0.0
    for part in parts:
        total = 60.0 * total + float(part)
    return total


def asked_references(options: argparse.Namespace) -> list[AskedReference]:
    """Read the options of `add_reference_arguments`. No file is opened.

    Args:
        options: Options of a command.

    Returns:
        The records, in their order; none where none is named.

    Raises:
        InputError: For a weight that is not a number above 0, for a part that ends before it begins, and for
            times without a record, or for more or fewer records than there are.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_reference_arguments(parser)
        >>> arguments = "--reference a.wav:0.7 --reference b.wav:0.3 --reference-from 0:45".split()
        >>> asked_references(parser.parse_args(arguments))[0]
        AskedReference(path='a.wav', weight=0.7, from_s=45.0, to_s=inf)
    """
    texts = options.reference or []
    starts = _for_each("--reference-from", options.reference_from, len(texts), 0.0)
    ends = _for_each("--reference-to", options.reference_to, len(texts), math.inf)
    asked = []
    for text, start, end in zip(texts, starts, ends, strict=True):
        path, weight = _path_and_weight(text)
        if start >= end:
            raise InputError(f"{path}: the part from {_clock(start)} to {_clock(end)} ends before it begins")
        asked.append(AskedReference(path, weight, start, end))
    return asked


def _for_each(option: str, given: Sequence[float] | None, count: int, default: float) -> list[float]:
    """Spread the times of an option over the records."""
    if not given:
        return [default] * count
    if not count:
        raise InputError(f"{option} needs a --reference")
    if len(given) not in (1, count):
        raise InputError(
            f"{option} is given {len(given)} times for {count} reference{'s' * (count > 1)}: "
            "give it once, or once for each"
        )
    return list(given) * (count if len(given) == 1 else 1)


def _path_and_weight(text: str) -> tuple[str, float]:
    """Split FILE:WEIGHT. What is a file as a whole has no weight, and a drive letter is not one."""
    path, colon, tail = text.rpartition(":")
    if not colon or not path or os.path.exists(text):
        return text, 1.0
    try:
        weight = float(tail)
    except ValueError:
        if not os.path.isfile(path):
            return text, 1.0
        weight = math.nan
    if not 0.0 < weight < math.inf:
        raise InputError(f"{path}: the weight of a reference must be a number above 0, not {tail!r}")
    return path, weight


def _clock(seconds: float) -> str:
    """Write a time as m:ss, with a fraction where there is one."""
    minutes, rest = divmod(seconds, 60.0)
    whole, part = divmod(round(1000 * rest), 1000)
    return f"{minutes:.0f}:{whole:02d}" + (f".{part:03d}".rstrip("0") if part else "")


def load_references(
    asked: Sequence[AskedReference], *, sample_rate: int
) -> torch.Tensor | list[tuple[torch.Tensor, float]] | None:
    """Read records, and cut the parts that count.

    Args:
        asked: What `asked_references` read.
        sample_rate: Sample rate in Hz; files of another rate are resampled.

    Returns:
        What `optimize_mix` takes: a record, a list of records with their weights, or None where none is asked
        for.

    Raises:
        InputError: For a file that cannot be read, and for a part that begins after the record's end.
    """
    records = [(_load_part(one, sample_rate), one.weight) for one in asked]
    return records if len(records) > 1 else records[0][0] if records else None


def _load_part(asked: AskedReference, sample_rate: int) -> torch.Tensor:
    from ..audio.loading import load_audio

    audio = load_audio(asked.path, sample_rate=sample_rate)
    length_s = audio.shape[-1] / sample_rate
    if asked.from_s >= length_s:
        raise InputError(
            f"{asked.path}: the part from {_clock(asked.from_s)} on begins after the record's end at "
            f"{_clock(length_s)}"
        )
    if length_s < asked.to_s < math.inf:
        note(f"{asked.path}: ends at {_clock(length_s)}, before {_clock(asked.to_s)}: its part ends there")
    end = len(audio[0]) if asked.to_s >= length_s else round(asked.to_s * sample_rate)
    part = audio[:, round(asked.from_s * sample_rate) : end]
    return part.clone() if part.shape != audio.shape else audio  # so that the rest can be freed


def reference_paths(asked: Sequence[AskedReference]) -> dict[str, str]:
    """Name the files by what an `InputError` is about: "reference", or of several "reference 1" and so on.

    Example:
        >>> reference_paths([AskedReference("a.wav"), AskedReference("b.wav")])
        {'reference 1': 'a.wav', 'reference 2': 'b.wav'}
    """
    if len(asked) == 1:
        return {"reference": asked[0].path}
    return {f"reference {number}": one.path for number, one in enumerate(asked, 1)}
