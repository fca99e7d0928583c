"""Songs as JSON, in an index and in shards. Chapter: Data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .songs import SPLITS, Song, Source, Track

SILENCE_DB = -120.0  # stands for silence in the file


def song_to_json(song: Song, root: Path) -> dict[str, Any]:
    """Describe a song as an index writes it.

    Args:
        song: The song.
        root: The folder of the index: files below it get their relative path.

    Returns:
        What `json.dumps` takes and `song_from_json` reads.
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
    """A decimal, and nothing below -120 dB: that is silence, or what a filter left of it."""
    return np.maximum(levels_db, SILENCE_DB).astype(np.float64).round(1).tolist()


def parse_json(text: str) -> dict[str, Any]:
    """Parse JSON with its levels as arrays."""

    def levels_as_arrays(content: dict[str, Any]) -> dict[str, Any]:
        for key in content.keys() & {"loudness_lufs", "power_db"}:
            values = np.array(content[key], np.float32)
            content[key] = np.where(values <= SILENCE_DB, -np.inf, values)
        return content

    # One song at a time: the lists of a large index would take gigabytes.
    return json.loads(text, object_hook=levels_as_arrays)


def song_from_json(content: dict[str, Any], root: Path) -> Song:
    """Make the song again that `song_to_json` described.

    Args:
        content: The song, from `parse_json`.
        root: The folder of the index.

    Returns:
        The song.

    Raises:
        ValueError: For what is no song, as KeyError and TypeError do.
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
    """Name a file by its POSIX path below `root`, or by the absolute one where it lies elsewhere."""
    path, root = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
