"""Which songs are mixed after which records, and from which moments: all, at random, or a published list.

Chapter: Results
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..audio.remarks import few
from ..data.names import same_song
from ..data.segments import ENERGY, find_windows
from ..data.songs import Song
from ..disk import why, write_whole
from ..inputs import InputError, note

TRACKS = 4  # stems that sound at a moment, where a song has as many
FAINT = 1e-9  # mean square of a moment that is more than silence, where nothing reaches the usual energy
CHORUS_DB = 20.0  # how far below the loudest second a verse may lie
NOT_A_LIST = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Pair:
    """A moment of a song and one of a record.

    Attributes:
        number: Number of the pair, from 1.
        song: Name of the song in its index.
        start_s: Where its moment begins, in seconds.
        record: Name of the record in its index.
        record_start_s: Where the record's moment begins, in seconds.
        wrong: Another record, "" where there is none, which shows whether a system listens.
        wrong_start_s: Where that one's moment begins, in seconds.
    """

    number: int
    song: str
    start_s: float
    record: str
    record_start_s: float
    wrong: str = ""
    wrong_start_s: float = 0.0


def moments(song: Song, seconds: float) -> np.ndarray:
    """Find where moments of a song can begin.

    Args:
        song: Song of an index.
        seconds: Length of a moment, at least 1 s.

    Returns:
        Whole seconds from which on it has the energy of a training segment (paper, section 3.1), and at least four
        stems that sound, or all that it has. Where nothing is so loud, the moments that are not silent; 0 for a
        song shorter than that. Nothing for a silent one.

    Example:
        >>> import diffmst_lib as dm
        >>> moments(dm.data.SongIndex.load(dm.data_dir())["potassium"], 10.0).tolist()
        [0, 1, 2, 3]
    """
    if song.duration_s < seconds:
        return np.zeros(int(np.isfinite(song.power_db).any()), dtype=np.int32)
    wanted = min(TRACKS, len(song.stems))
    for energy, tracks in ((ENERGY, wanted), (ENERGY, min(1, wanted)), (FAINT, min(1, wanted))):
        starts = find_windows(song, seconds, energy=energy, min_tracks=tracks).starts
        if len(starts):
            return starts
    return np.zeros(0, dtype=np.int32)


def verse_to_chorus(song: Song, seconds: float = 10.0) -> float | None:
    """Guess where a chorus begins: in the middle of the moment whose second half is louder by the most.

    Args:
        song: Song of an index.
        seconds: Length of a moment, at least 2 s.

    Returns:
        Where the moment begins, in seconds; None for a song without one.

    Source: Diff-MST, section 4 (from the middle of the first verse to that of the first chorus, found by ear).
    """
    starts, half = moments(song, seconds), round(seconds / 2)
    powers = 10 ** (np.asarray(song.power_db, dtype=np.float64) / 10)
    before = np.array([powers[start : start + half].mean() for start in starts])
    after = np.array([powers[start + half : start + 2 * half].sum() / half for start in starts])
    loud = before >= powers.max(initial=0.0) * 10 ** (-CHORUS_DB / 10)
    if not loud.any():
        return float(starts[0]) if len(starts) else None
    return float(starts[loud][np.argmax(after[loud] / before[loud])])


def all_pairs(songs: Sequence[Song], records: Sequence[Song], *, seconds: float = 10.0) -> list[Pair]:
    """Pair every song with every record, each at the moment in the middle of those that can be heard.

    Args:
        songs: Songs with stems.
        records: Finished songs. The same song is never its own record.
        seconds: Length of a moment.

    Returns:
        The pairs, a song's one after another.

    Raises:
        InputError: When no song and no record fit.

    Example:
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> pairs = all_pairs(index.multitracks("test"), index.references("validation"))
        >>> [(pair.song, pair.start_s, pair.record) for pair in pairs]
        [('caesium', 2.0, 'hungarian_dance')]
    """
    songs, records = _heard(songs, seconds), _heard(records, seconds)
    found = [
        (song, _middle(song, seconds), record, _middle(record, seconds))
        for song in songs
        for record in records
        if not same_song(song, record)
    ]
    return _numbered(found, records, seconds)


def random_pairs(
    songs: Sequence[Song], records: Sequence[Song], count: int, *, seconds: float = 10.0, seed: int = 0
) -> list[Pair]:
    """Draw pairs of songs and records, and their moments.

    A pair depends on the seed and its number alone: of more pairs, the first stay the same.

    Args:
        songs: Songs with stems.
        records: Finished songs. The same song is never its own record.
        count: Number of pairs.
        seconds: Length of a moment.
        seed: Seed of the draws.

    Returns:
        The pairs.

    Raises:
        InputError: When no song and no record fit.
    """
    songs, records = _heard(songs, seconds), _heard(records, seconds)
    songs = [song for song in songs if not all(same_song(song, record) for record in records)]
    found = []
    for number in range(count if songs else 0):
        rng = np.random.default_rng([seed, number])
        song = songs[rng.integers(len(songs))]
        others = [record for record in records if not same_song(song, record)]
        record = others[rng.integers(len(others))]
        start_s, record_start_s = (float(rng.choice(moments(one, seconds))) for one in (song, record))
        found.append((song, start_s, record, record_start_s))
    return _numbered(found, records, seconds)


def chorus_pairs(
    songs: Sequence[Song], records: Sequence[Song], *, seconds: float = 10.0, seed: int = 0, count: int = 3
) -> list[Pair]:
    """Choose songs for a table like the paper's second: verse to chorus, a record each.

    Args:
        songs: Songs with stems: those with the most stems are taken, of different artists while there are.
        records: Finished songs. The same song is never its own record.
        seconds: Length of a moment.
        seed: Seed of the choice of the records.
        count: Number of songs.

    Returns:
        The pairs.

    Raises:
        InputError: When no song and no record fit.
    """
    songs, records = _heard(songs, seconds), _heard(records, seconds)
    artists: dict[str, int] = {}
    turns = []
    for song in sorted(songs, key=lambda song: (-len(song.stems), song.name)):
        artist = song.artist or song.name
        artists[artist] = artists.get(artist, -1) + 1
        turns.append((artists[artist], song))
    found, rng = [], np.random.default_rng(seed)
    for _, song in sorted(turns, key=lambda turn: turn[0])[:count]:
        others = [record for record in records if not same_song(song, record)]
        start_s = verse_to_chorus(song, seconds)
        if others and start_s is not None:
            taken = {record.name for _, _, record, _ in found}
            others = [record for record in others if record.name not in taken] or others
            record = others[rng.integers(len(others))]
            found.append((song, start_s, record, verse_to_chorus(record, seconds) or 0.0))
    return _numbered(found, records, seconds)


def read_list(
    path: str | Path, name: str, songs: Sequence[Song], records: Sequence[Song]
) -> tuple[list[Pair], float, str]:
    """Read a published list of pairs.

    Args:
        path: Its file, as `save_list` writes it.
        name: Name of the list in it; "": the first whose songs and records are all there.
        songs: Songs with stems.
        records: Finished songs.

    Returns:
        The pairs, the length of their moments in seconds, and the list's name.

    Raises:
        InputError: In one line, for a file that is no such list, for a name that it does not have, and for songs
            and records that are not there.

    Example:
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> file = dm.data_dir() / "test_list.json"
        >>> pairs, seconds, name = read_list(file, "tiny", index.multitracks(), index.references())
        >>> len(pairs), seconds
        (8, 10.0)
    """
    lists = _load(Path(path))
    if name and name not in lists:
        raise InputError(f"{path}: no list {name} in it, there are {', '.join(lists)}")
    here = {song.name: song for song in songs}, {record.name: record for record in records}
    missing: dict[str, list[str]] = {}
    for one in [name] if name else lists:
        try:
            seconds = float(lists[one]["seconds"])
            rows = [
                (str(row["song"]), float(row["start_s"]), str(row["record"]), float(row["record_start_s"]))
                for row in lists[one]["pairs"]
            ]
            if (
                not rows
                or not seconds >= 1
                or not all(0 <= row[1] < 1e6 and 0 <= row[3] < 1e6 for row in rows)
            ):
                raise ValueError
        except NOT_A_LIST:
            raise InputError(
                f"{path}: {one} is not a list of pairs with song, start_s, record, record_start_s"
            ) from None
        wanted = ((row[0], here[0]) for row in rows), ((row[2], here[1]) for row in rows)
        missing[one] = list(dict.fromkeys(of for part in wanted for of, there in part if of not in there))
        if not missing[one]:
            found = [(here[0][a], at, here[1][b], at_b) for a, at, b, at_b in rows]
            used = {record.name: record for _, _, record, _ in found}
            return _numbered(found, [used[name] for name in sorted(used)], seconds), seconds, one
    name = name or next(iter(missing), "")
    raise InputError(f"{path}: of the list {name} these are not there: {few(missing.get(name, []))}")


def save_list(path: str | Path, name: str, pairs: Sequence[Pair], *, seconds: float, about: str) -> None:
    """Write pairs as a list to be published; other lists of the file stay.

    Args:
        path: The file.
        name: Name of the list.
        pairs: The pairs. Their wrong records follow from the list, and are not written.
        seconds: Length of a moment.
        about: What the list is, in a line.

    Raises:
        InputError: When the file cannot be written, or is another kind of file.
    """
    path = Path(path)
    lists = _load(path) if path.exists() else {}
    keys = ("song", "start_s", "record", "record_start_s")
    rows = [{key: getattr(pair, key) for key in keys} for pair in pairs]
    lists[name] = {"about": about, "seconds": seconds, "pairs": rows}
    parts = []
    for called, one in lists.items():
        head = json.dumps({key: value for key, value in one.items() if key != "pairs"}, ensure_ascii=False)
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in one["pairs"])
        parts.append(f'{json.dumps(called)}: {head[:-1]}, "pairs": [\n{lines}\n]}}')
    text = '{"version": 1, "lists": {\n' + ",\n".join(parts) + "\n}}\n"
    try:
        write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: not written ({why(error)})") from None


def _load(path: Path) -> dict[str, Any]:
    """Read the lists of a file by name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        lists = content["lists"]
        if content["version"] != 1 or not all(isinstance(one, Mapping) for one in lists.values()):
            raise ValueError("another version")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({why(error)})") from None
    except NOT_A_LIST:
        raise InputError(f"{path}: not a list of pairs, as diffmst evaluate reads it") from None
    return dict(lists)


def _heard(songs: Sequence[Song], seconds: float) -> list[Song]:
    """Leave out songs without any moment, with a note."""
    there = [song for song in songs if len(moments(song, seconds))]
    silent = sorted({song.name for song in songs} - {song.name for song in there})
    if silent:
        note(f"left out, nothing sounds in them: {few(silent)}")
    return there


def _middle(song: Song, seconds: float) -> float:
    starts = moments(song, seconds)
    return float(starts[len(starts) // 2])


def _numbered(
    found: Sequence[tuple[Song, float, Song, float]], records: Sequence[Song], seconds: float
) -> list[Pair]:
    """Number the pairs; the wrong record of each is the next one that is another song."""
    pairs = []
    for number, (song, start_s, record, record_start_s) in enumerate(found, 1):
        first = next(i for i, other in enumerate(records) if other.name == record.name)
        turn = [*records[first + 1 :], *records[:first]]
        wrong = next((o for o in turn if not same_song(song, o) and not same_song(record, o)), None)
        pair = Pair(number, song.name, start_s, record.name, record_start_s)
        if wrong is not None and len(moments(wrong, seconds)):
            pair = replace(pair, wrong=wrong.name, wrong_start_s=_middle(wrong, seconds))
        pairs.append(pair)
    if not pairs:
        raise InputError("no pair of a song with stems and another song as its record: nothing to evaluate")
    return pairs
