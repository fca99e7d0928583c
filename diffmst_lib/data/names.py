"""What names tell: spellings of one artist, versions of one song, an artist's split. Chapter: Data."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import cache

from .songs import Song


def letters(name: str) -> str:
    """What two spellings of one name share: no case, accents, spaces, punctuation or guests.

    Args:
        name: The name of an artist or of a song.

    Returns:
        Lower-case letters and digits; the name itself where it has none.

    Example:
        >>> letters("Triviul feat. The Fiend")
        'triviul'
    """
    name = re.split(r"[\s_(]+(?:feat|ft|featuring)\b", name.casefold())[0] or name
    return "".join(c for c in unicodedata.normalize("NFKD", name) if c.isalnum()) or name


def split_of(name: str) -> str:
    """Compute the split of an artist: 80 % train, 10 % validation, 10 % test.

    It depends on the `letters` of the name alone: not on the data set, its order or its size. So "A Classic
    Education" of one data set and "AClassicEducation" of another share a split, and an artist and the same
    one "feat." a guest.

    Args:
        name: The artist, or the song where nobody knows the artist.

    Returns:
        "train", "validation" or "test".

    Example:
        >>> split_of("A Classic Education") == split_of("AClassicEducation")
        True
    """
    digest = hashlib.sha256(letters(name).encode("utf-8", "surrogateescape")).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "train" if share < 0.8 else "validation" if share < 0.9 else "test"


def same_song(one: Song, other: Song) -> bool:
    """Whether one song may be the other, or its master.

    Args:
        one: A song.
        other: Another one.

    Returns:
        True for one name, and for one artist with one title, whatever stands in brackets behind the title.
    """
    return one.name == other.name or _version_key(one.artist, one.title, one.name) == _version_key(
        other.artist, other.title, other.name
    )


@cache
def _version_key(artist: str, title: str, name: str) -> tuple[str, str]:
    """What is the same for all versions of a song: its name where nobody knows the artist."""
    return (letters(artist), letters(re.split(r"(?<=.)[(\[]", title)[0])) if artist else ("", name)


def few(names: list[str], count: int = 5) -> str:
    """Join the first names for a message: "a, b, c and 4 more"."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
