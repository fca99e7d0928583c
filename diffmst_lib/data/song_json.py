"""Songs as JSON, in an index and in shards. Chapter: Data."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..disk import composed
from ..options import SPLITS
from .songs import Song, Source, Track

SILENCE_DB = -120.0  # what the file has for silence
# What the functions here raise for a text that is no song: wrong keys, types and numbers, deep brackets.
NOT_A_SONG = (ValueError, KeyError, TypeError, OverflowError, RecursionError)


def song_to_json(song: Song, root: Path) -> dict[str, Any]:
    """Convert a song into a dictionary for JSON.

    Args:
        song: Song of an index.
        root: Folder of the index. Files below it are named by their relative path.

    Returns:
        Dictionary for `json.dumps`, which `song_from_json` reads.
    """

    def track_to_json(track: Track) -> dict[str, Any]:
        source = track.source
        pair = {"right": relative_path(source.right, root)} if source.right else {}
        placed = {"delay_s": source.delay_s} if source.delay_s else {}
        return {
            "name": track.name,
            "path": relative_path(source.path, root),
            **pair,
            "stream": source.stream,
            **placed,
            "sample_rate": track.sample_rate,
            "num_samples": track.num_samples,
            "channels": track.channels,
            "mono": track.mono,
            "peak": round(track.peak, 6),
            "gain": track.gain,
            "loudness_lufs": _rounded(track.loudness_lufs),
        }

    return vars(song) | {
        "stems": [track_to_json(stem) for stem in song.stems],
        "mix": song.mix and track_to_json(song.mix),
        "power_db": _rounded(song.power_db),
    }


def _rounded(levels_db: np.ndarray) -> list[float]:
    """Round levels to one decimal. Levels below -120 dB, silence or what a filter left of it, become -120."""
    return np.maximum(levels_db, SILENCE_DB).astype(np.float64).round(1).tolist()


def _as_array(levels_db: list[float]) -> np.ndarray:
    values = np.array(levels_db, np.float32)
    return np.where(values <= SILENCE_DB, np.float32(-np.inf), values)


def as_saved(levels_db: np.ndarray) -> np.ndarray:
    """Return levels as they are after saving and loading, so that an index is the same before and after."""
    return _as_array(_rounded(levels_db))


def parse_json(text: str) -> dict[str, Any]:
    """Parse JSON and convert its levels to arrays."""

    def levels_as_arrays(content: dict[str, Any]) -> dict[str, Any]:
        for key in content.keys() & {"loudness_lufs", "power_db"}:
            content[key] = _as_array(content[key])
        return content

    # One song at a time: the lists of a large index would take gigabytes.
    return json.loads(text, object_hook=levels_as_arrays)


def song_from_json(content: dict[str, Any], root: Path) -> Song:
    """Make a song from the dictionary of `song_to_json`.

    Args:
        content: Dictionary of a song, from `parse_json`.
        root: Folder of the index.

    Returns:
        Song with the same values.

    Raises:
        KeyError: For a dictionary that lacks a key.
        TypeError: For a dictionary with a key that is unknown.
        ValueError: For values that a song cannot have.
        OverflowError: For numbers that a computer cannot have.
    """

    def track_from_json(facts: dict[str, Any]) -> Track:
        facts = dict(facts)
        right, delay_s = facts.pop("right", None), facts.pop("delay_s", 0.0)
        path, stream = root / facts.pop("path"), facts.pop("stream")
        source = Source(path, stream, root / right if right is not None else None, delay_s)
        return Track(source=source, **facts | {"name": composed(facts["name"])})

    stems = [track_from_json(stem) for stem in content["stems"]]
    mix = content["mix"] and track_from_json(content["mix"])
    names = {key: composed(content[key]) for key in ("name", "title", "artist")}
    song = Song(**content | names | {"stems": stems, "mix": mix})
    texts = (song.layout, song.license, song.attribution, song.signature)
    if song.split not in SPLITS or not all(isinstance(text, str) for text in texts) or not song.tracks:
        raise ValueError(f"song {song.name!r} of split {song.split!r} with {len(song.tracks)} tracks")
    if not _is_number(song.offset_s) or not _are_levels(song.power_db):
        raise ValueError(f"song {song.name!r} has levels or a start that are no numbers")
    for track in song.tracks:
        _check_track(track, song.name)
    return song


def _check_track(track: Track, song: str) -> None:
    """Raise ValueError for values that a measured track cannot have."""
    called = f"track {track.name!r} of {song!r}"
    sizes = (track.sample_rate, track.num_samples, track.channels)
    if not all(type(size) is int and size > 0 for size in sizes) or track.channels > 2:
        raise ValueError(
            f"{called} has {track.num_samples!r} samples of {track.channels!r} channels "
            f"at {track.sample_rate!r} Hz"
        )
    numbers = (track.peak, track.gain, track.source.delay_s)
    kinds = (type(track.mono), type(track.source.stream))
    if not all(map(_is_number, numbers)) or kinds != (bool, int):
        raise ValueError(f"{called} has a peak, gain, delay or stream that is no number, or mono is no bool")
    if not _are_levels(track.loudness_lufs):
        raise ValueError(f"{called} has levels that are no numbers")
    if track.num_samples > (len(track.loudness_lufs) + 1) * track.sample_rate:
        seconds = len(track.loudness_lufs)
        raise ValueError(f"{called} has {track.num_samples} samples, but levels of {seconds} s")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _are_levels(values: Any) -> bool:
    """Tell whether these are levels in dB, -inf for silence."""
    return isinstance(values, np.ndarray) and values.ndim == 1 and bool((values < np.inf).all())


def relative_path(path: Any, root: Path) -> str:
    """Return the POSIX path of a file: relative for a file below `root`, absolute for any other."""
    path, root = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
