"""The same sound under two names: stems among the records, and songs that are learned and judged on.

Copies and links of a file, in other folders, under other names and in a cache, are the same; another encoding is
not.

Chapter: Training at scale.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..audio.remarks import few
from ..data.index import SongIndex
from ..data.segments import read_segment
from ..data.songs import Song, Track
from ..inputs import InputError, note

SAME = 1e-3  # energy that may be left of their difference: a cache holds 16 bits, maybe at another rate

Measured = tuple[str, bytes]
Named = tuple[str, Track]


def refuse_stems_among(records: Iterable[Song], songs: Iterable[Song]) -> None:
    """Raise InputError in one line when the sound of a record is that of a stem."""
    stems = [(f"{stem.name} of {song.name}", stem) for song in songs for stem in song.stems]
    same = _twice([(record.name, record.mix) for record in records if record.mix], stems)
    if same:
        names = few((f"{record} is {stem}" for record, stem in same.items()), 3)
        raise InputError(f"stems of the songs cannot be references: {names}")


def note_judged_on_learned(index: SongIndex, references: SongIndex | None) -> None:
    """Name with an `InputNote` what "validation" has in common with "train", whatever it is called there.

    Args:
        index: Songs with stems.
        references: The index of the references; None: there are none.
    """

    def stems(split: str) -> list[Named]:
        return [(song.name, stem) for song in index.multitracks(split) for stem in song.stems]

    def records(split: str) -> list[Named]:
        found = references.references(split) if references else []
        return [(song.name, song.mix) for song in found if song.mix]

    for what, tracks in (("songs", stems), ("references", records)):
        same = _twice(tracks("validation"), tracks("train"))
        if same:
            names = few((f"{judged} (as {learned})" for judged, learned in same.items()), 3)
            note(f"judged on {what} that it is trained on under other names: {names}")


def _twice(tracks: list[Named], others: list[Named]) -> dict[str, str]:
    """Find the names of tracks whose sound is among the others, each with a name that it has there."""
    known = {measured: (name, track) for name, track in others if (measured := _measured(track))}
    found: dict[str, str] = {}
    for name, track in tracks:
        other = known.get(measured) if name not in found and (measured := _measured(track)) else None
        if other and _is_same(track, other[1]):
            found[name] = other[0]
    return found


def _measured(track: Track) -> Measured | None:
    """What the index knows of a sound, by which most are told apart; None for silence."""
    return (f"{track.peak:.6f}", track.loudness_lufs.tobytes()) if track.peak > 0 else None


def _is_same(one: Track, other: Track) -> bool:
    """Compare the loudest second of two sounds that are measured alike."""
    start_s = float(one.loudness_lufs.argmax())
    try:
        first, second = (read_segment(track, start_s, 1.0).mean(dim=0) for track in (one, other))
    except InputError:  # a file that is gone; who needs it will say so
        return False
    return bool((first - second).square().sum() <= SAME * torch.dot(first, first))
