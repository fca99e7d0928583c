"""Names of artists and songs: their spellings, versions and splits. Chapter: Data."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import cache

from .songs import Song


def letters(name: str) -> str:
    """Reduce a name to what its spellings share: no case, accents, spaces, punctuation or guests.

    Args:
        name: Name of an artist or of a song.

    Returns:
        Lower-case letters and digits, or the name itself where it has none.

    Example:
        >>> letters("Triviul feat. The Fiend")
        'triviul'
    """
    name = re.split(r"[\s_(]+(?:feat|ft|featuring)\b", name.casefold())[0] or name
    return "".join(c for c in unicodedata.normalize("NFKD", name) if c.isalnum()) or name


def split_of(name: str) -> str:
    """Compute the split of an artist: 80 % train, 10 % validation, 10 % test.

    The split depends on the `letters` of the name only, not on the data set, its order or its size. So "A
    Classic Education" of one data set and "AClassicEducation" of another have the same split. An artist has
    the same split with and without a guest ("feat.").

    Args:
        name: Name of the artist, or of the song where the artist is unknown.

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
    """Tell whether two songs may be the same song, or one the master of the other.

    Args:
        one: First song.
        other: Second song.

    Returns:
        True for the same name, and for the same artist and title, whatever follows the title in brackets.
    """
    return one.name == other.name or _version_key(one.artist, one.title, one.name) == _version_key(
        other.artist, other.title, other.name
    )


@cache
def _version_key(artist: str, title: str, name: str) -> tuple[str, str]:
    """Return a key that all versions of a song share; where the artist is unknown, it is the song's name."""
    return (letters(artist), letters(re.split(r"(?<=.)[(\[]", title)[0])) if artist else ("", name)
