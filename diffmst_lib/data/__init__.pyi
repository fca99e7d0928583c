from .examples import Batch as Batch, Example as Example, Method1 as Method1, Method2 as Method2, Sampling as Sampling, collate as collate, loader as loader
from .index import SongIndex as SongIndex, build_index as build_index, split_of as split_of
from .layouts.finding import find_songs as find_songs
from .open_set.gathering import build_open_set as build_open_set, published_list as published_list
from .scale.cache import build_cache as build_cache, cache_size as cache_size
from .scale.shards import shard_arithmetic as shard_arithmetic, write_shards as write_shards
from .scale.streams import ShardedMethod1 as ShardedMethod1, ShardedMethod2 as ShardedMethod2
from .segments import find_windows as find_windows, read_segment as read_segment
from .songs import FoundSong as FoundSong, Problem as Problem, Song as Song, Source as Source, Track as Track
