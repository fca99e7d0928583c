"""The text of a Reaper project: lines, and blocks of lines, with names that may need quotes.

Chapter: Mix your own song.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

QUOTES = ('"', "'", "`")
_CONTROLS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+")  # ends of lines among them
DIGITS = 9  # after the point: finer than float32 where it matters


@dataclass
class Block:
    """A block of lines: "<HEAD", its lines and blocks, ">".

    Attributes:
        head: What stands on its first line.
        inside: Lines and blocks.

    Example:
        >>> print(Block("TRACK", [line("NAME", "lead vox"), Block("FXCHAIN")]).text(), end="")
        <TRACK
          NAME "lead vox"
          <FXCHAIN
          >
        >
    """

    head: str
    inside: list[str | Block] = field(default_factory=list)

    def text(self) -> str:
        """Return the block as text, two spaces deeper at each level."""
        return "".join(f"{text}\n" for text in self._lines(""))

    def _lines(self, indent: str) -> Iterator[str]:
        yield f"{indent}<{self.head}"
        for item in self.inside:
            if isinstance(item, Block):
                yield from item._lines(f"{indent}  ")
            else:
                yield f"{indent}  {item}"
        yield f"{indent}>"


def line(*words: str | float) -> str:
    """Write a line: its first word as it is, texts in quotes, numbers as numbers.

    Example:
        >>> line("POSITION", 1.5), line("NAME", "kick")
        ('POSITION 1.5', 'NAME "kick"')
    """
    first, *rest = words
    return " ".join([str(first), *(quoted(w) if isinstance(w, str) else number(w) for w in rest)])


def quoted(text: str) -> str:
    r"""Put a text between quotes that it does not hold; see `can_be_quoted` for texts that hold all of them.

    Example:
        >>> print(quoted('7" kick'), quoted("it's 7\""), quoted("two\nlines"))
        '7" kick' `it's 7"` "two lines"
    """
    text = _CONTROLS.sub(" ", text)
    for quote in QUOTES:
        if quote not in text:
            return f"{quote}{text}{quote}"
    return "`{}`".format(text.replace("`", "'"))  # as Reaper does itself


def can_be_quoted(text: str) -> bool:
    r"""Tell whether a text stands in a project unchanged: on one line, and without one of the three quotes.

    Example:
        >>> can_be_quoted("it's"), can_be_quoted("two\nlines")
        (True, False)
    """
    return not _CONTROLS.search(text) and any(quote not in text for quote in QUOTES)


def number(value: float) -> str:
    """Write a number without an exponent and without zeros at its end.

    Example:
        >>> number(0.1), number(-0.0), number(44100), number(1e-12)
        ('0.1', '0', '44100', '0')
    """
    text = f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def envelope(head: str, points: Iterable[tuple[float, float]], *, shown: bool) -> Block:
    """Write an automation envelope, straight from point to point.

    Args:
        head: The kind of envelope, with what it needs.
        points: (time in seconds, value).
        shown: Whether it gets a lane of its own on the screen.
    """
    lines: list[str | Block] = [f"PT {number(time)} {number(value)} 0" for time, value in points]
    return Block(
        head, ["ACT 1 -1", f"VIS {int(shown)} 1 1", "LANEHEIGHT 0 0", "ARM 0", "DEFSHAPE 0 -1 -1", *lines]
    )
