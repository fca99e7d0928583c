"""What listeners rate: four scales, and the roles that a mix can have in the test. Chapter: Results."""

from __future__ import annotations

from dataclasses import asdict, dataclass

ANCHOR, HUMAN = "equal-loudness", "human"  # hidden in the test: a mix without a mixer, and a mixer's
MOST_STIMULI = 10  # mixes on a page: with more, nobody remembers the first
LUFS = -23.0  # of everything that is heard, with room for peaks
FORMATS = ("opus", "flac")  # of the sounds in the page


@dataclass(frozen=True)
class Scale:
    """One question about a mix, answered from 0 to 100.

    Args:
        name: Name of the scale, as in the ratings.
        question: What the listener is asked.
        low: What 0 means.
        middle: What 50 means.
        high: What 100 means.

    Example:
        >>> SCALES["balance"].high
        'every part where it belongs'
    """

    name: str
    question: str
    low: str
    middle: str
    high: str


# Attributes in the spirit of ITU-R BS.2132, which rates without a perfect original; the words are our own.
SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            "like the record",
            "How near does the sound come to the record's: tone, width, punch? The record is another song.",
            "nothing like it",
            "in part like it",
            "as if by the same hand",
        ),
        Scale(
            "balance",
            "Are the parts as loud as the song needs them, and do they stand where they should?",
            "parts drown or stick out",
            "some parts are off",
            "every part where it belongs",
        ),
        Scale(
            "clarity",
            "Can the parts be told apart, without mud, harshness or distortion?",
            "blurred or harsh",
            "clear in part",
            "clear throughout",
        ),
        Scale("overall", "All in all: how good is this as a mix of this song?", "bad", "fair", "excellent"),
    )
}


def role(system: str) -> str:
    """Tell what a mix is in the test.

    Args:
        system: Name of the system that made it.

    Returns:
        "anchor" for equal loudness in mono, "human" for a mixer's own mix, else "system".

    Example:
        >>> role("human"), role("rules")
        ('human', 'system')
    """
    return {ANCHOR: "anchor", HUMAN: "human"}.get(system, "system")


def as_data() -> list[dict[str, str]]:
    """Return the scales for the page."""
    return [asdict(scale) for scale in SCALES.values()]
