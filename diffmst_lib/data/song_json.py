"""Songs as JSON, in an index and in shards. Chapter: Data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .songs import SPLITS, Song, Source, Track

SILENCE_DB = -120.0  # what the file has for silence


def song_to_json(song: Song, root: Path) -> dict[str, Any]:
    """Convert a song into a dictionary for JSON.

    Args:
        song: Song of an index.
        root: Folder of the index. Files below it are named by their relative path.

    Returns:
        Dictionary for `json.dumps`, which `song_from_json` reads.
    """

    def track_to_json(track: Track) -> dict[str, Any]:
        return {
            "name": track.name,
            "path": relative_path(track.source.path, root),
            "stream": track.source.stream,
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
    """

    def track_from_json(facts: dict[str, Any]) -> Track:
        facts = dict(facts)
        source = Source(root / facts.pop("path"), facts.pop("stream"))
        return Track(source=source, **facts)

    stems = [track_from_json(stem) for stem in content["stems"]]
    mix = content["mix"] and track_from_json(content["mix"])
    song = Song(**content | {"stems": stems, "mix": mix})
    texts = (song.name, song.title, song.artist, song.layout, song.license, song.attribution)
    if song.split not in SPLITS or not all(isinstance(text, str) for text in texts) or not song.tracks:
        raise ValueError(f"song {song.name!r} of split {song.split!r} with {len(song.tracks)} tracks")
    for track in song.tracks:
        sizes = (track.sample_rate, track.num_samples, track.channels)
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError(
                f"track {track.name!r} of {song.name!r} has {track.num_samples!r} samples "
                f"at {track.sample_rate!r} Hz"
            )
    return song


def relative_path(path: Any, root: Path) -> str:
    """Return the POSIX path of a file: relative for a file below `root`, absolute for any other."""
    path, root = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
