"""Data sets: from folders of audio to batches. Chapter 11."""

from .cache import build_cache, cache_size
from .examples import Batch, Example, Method1, Method2, Sampling, collate, loader
from .index import SongIndex, build_index, split_of
from .layouts import find_songs
from .open_set import build_open_set
from .segments import find_windows, read_segment
from .songs import FoundSong, Problem, Song, Source, Track

__all__ = [
    "Batch", "Example", "FoundSong", "Method1", "Method2", "Problem", "Sampling", "Song", "SongIndex", "Source", "Track",
    "build_cache", "build_index", "build_open_set", "cache_size", "collate", "find_songs", "find_windows", "loader",
    "read_segment", "split_of",
]
