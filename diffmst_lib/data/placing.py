"""Where the stems of a song begin: time stamps in a data set. Chapter: Data."""

from __future__ import annotations

from dataclasses import replace

from ..audio.remarks import few
from ..audio.stem_sound import SAME_S, delays
from ..audio.timestamps import time_stamp
from ..inputs import InputError, note
from .songs import FoundSong, Source


def place_stems(songs: list[FoundSong], *, timestamps: bool) -> list[FoundSong]:
    """Place the files of songs where their time stamps say, or tell that they have some.

    Args:
        songs: Songs from `find_songs`.
        timestamps: Whether the files are placed; if not, all of them begin at 0, and an `InputNote` names the
            songs whose time stamps differ.

    Returns:
        The songs, whose files begin later than the first by their `Source.delay_s`.

    Raises:
        InputError: When no file has a time stamp, and when those of a song are hours apart.

    Example:
        >>> from diffmst_lib import data_dir
        >>> from diffmst_lib.data import find_songs
        >>> songs, _ = find_songs(data_dir() / "multitracks")
        >>> place_stems(songs, timestamps=False) == songs
        True
    """
    placed, differ, partly, stamped = [], [], [], False
    for song in songs:
        sources = [*song.stems.values(), *([song.mix] if song.mix else [])]
        stamps = [_stamp(source) for source in sources]
        known = [stamp for stamp in stamps if stamp is not None]
        stamped = stamped or bool(known)
        if known and max(known) - min(known) > SAME_S:
            differ.append(song.name)
            if len(known) < len(stamps):
                partly.append(song.name)
        if timestamps:
            try:
                begins = delays(stamps)
            except ValueError as error:
                raise InputError(f"{song.name}: {error}") from None
            moved = [replace(source, delay_s=s) for source, s in zip(sources, begins, strict=True)]
            stems = dict(zip(song.stems, moved, strict=False))
            song = replace(song, stems=stems, mix=moved[-1] if song.mix else None)
        placed.append(song)
    if timestamps and not stamped:
        raise InputError("no file has a time stamp")
    if timestamps and partly:
        note(f"files without a time stamp are put at the beginning: {few(partly)}")
    if differ and not timestamps:
        note(
            "time stamps say that files begin at different times; all are put at 0, "
            f"timestamps places them: {few(differ)} (`diffmst data index --timestamps`)"
        )
    return placed


def _stamp(source: Source) -> float | None:
    """Read a time stamp; files that cannot be opened are told later, when they are measured."""
    try:
        return time_stamp(source.path)
    except OSError:
        return None
