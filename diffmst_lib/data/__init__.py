"""Data sets: from folders of audio to batches. Chapter 11."""

from .cache import build_cache, cache_size
from .examples import Batch, Example, Method1, Method2, Sampling, collate, loader
from .index import SongIndex, build_index, split_of
from .layouts import find_songs
from .open_set import build_open_set, published_list
from .segments import find_windows, read_segment
from .shards import shard_arithmetic, write_shards
from .songs import FoundSong, Problem, Song, Source, Track
from .streams import ShardedMethod1, ShardedMethod2

__all__ = [
    "Batch", "Example", "FoundSong", "Method1", "Method2", "Problem", "Sampling", "ShardedMethod1", "ShardedMethod2", "Song",
    "SongIndex", "Source", "Track", "build_cache", "build_index", "build_open_set", "cache_size", "collate", "find_songs",
    "find_windows", "loader", "published_list", "read_segment", "shard_arithmetic", "split_of", "write_shards",
]
