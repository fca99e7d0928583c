"""Examples streamed from shards: the samplers of chapter "Data" where seeking is slow and workers are many."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
from torch.utils.data import IterableDataset

from ...inputs import InputError
from ..examples import Example, Places, Sampling, draw
from ..index import parse, song_from_json
from ..songs import Song, Source, Track
from .shards import KINDS, VERSION, piece_windows, webdataset_package


class ShardedMethod1(IterableDataset):
    """`Method1` from shards: an endless stream of examples, drawn from `buffer` pieces in memory.

    `shards` is the .json file that `write_shards` returned, a pattern with braces such as
    "https://host/train-multitracks-{000000..000120}.tar" or "pipe:aws s3 cp s3://bucket/train-multitracks-{..}.tar -",
    or a list of files and URLs. Every node and every worker of a DataLoader reads shards of its own, in a new order
    each time round; after `draws` examples the oldest piece makes room for the next. Long songs have more pieces and
    come more often. With `mixed_songs`, stems come from anywhere in these pieces. Memory of a worker: `buffer` encoded
    pieces (some 8 MB of stems, 0.8 MB of a reference) and one decoded example, however large the set is.

    The same seed, shards, nodes and number of workers give the same stream. Unlike `Method1`, another number of workers
    gives another stream, which starts anew with every iteration and cannot be entered in the middle: training that goes
    on takes another seed.

    Raises InputError for shards that are missing, broken, fewer than the workers, or hold no segment that fits.

    >>> import diffmst_lib as dm, tempfile
    >>> index, sampling = dm.data.SongIndex.load(dm.data_dir()), dm.data.Sampling(track_lufs=-30, seconds=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shards = dm.data.write_shards(index, folder, sampling, split="train", kind="multitracks", piece_seconds=5)
    ...     stream = dm.data.ShardedMethod1(shards, sampling)
    ...     [batch.songs for batch in dm.data.loader(stream, batch_size=2, steps=1)]
    [['potassium', 'potassium']]
    """

    def __init__(
        self,
        shards: str | Path | list,
        sampling: Sampling,
        *,
        seed: int = 0,
        draws: int = 4,
        buffer: int = 32,
    ):
        if draws < 1 or buffer < 1:
            raise ValueError(f"draws and buffer must be at least 1, not {draws} and {buffer}")
        self.sampling, self.seed, self.draws, self.buffer = sampling, seed, draws, buffer
        self._shards = _urls(shards)

    def __iter__(self) -> Iterator[Example]:
        rng = self._generator()
        return (draw(list(pieces), self.sampling, rng) for pieces in self._held(self._shards, "multitracks"))

    def _generator(self) -> np.random.Generator:
        rank, _, worker, _ = webdataset_package().utils.pytorch_worker_info()
        return np.random.default_rng([self.seed, rank, worker])

    def _held(self, shards: list[str], kind: str) -> Iterator[deque[Places]]:
        """The pieces in memory, for each example."""
        stream = _stream(shards, kind, self.sampling, self.seed)
        held = deque(itertools.islice(stream, self.buffer), maxlen=self.buffer)
        while True:
            for _ in range(self.draws):
                yield held
            held.append(next(stream))


class ShardedMethod2(ShardedMethod1):
    """`Method2` from shards: as `ShardedMethod1`, with references from shards of their own.

    >>> import diffmst_lib as dm, tempfile
    >>> index, sampling = dm.data.SongIndex.load(dm.data_dir()), dm.data.Sampling(track_lufs=-30, seconds=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stems = dm.data.write_shards(index, folder, sampling, split="train", kind="multitracks")
    ...     songs = dm.data.write_shards(index, folder, sampling, split="train", kind="references")
    ...     next(iter(dm.data.ShardedMethod2(stems, songs, sampling))).reference.shape
    torch.Size([2, 88200])
    """

    def __init__(
        self,
        shards: str | Path | list,
        references: str | Path | list,
        sampling: Sampling,
        *,
        seed: int = 0,
        draws: int = 4,
        buffer: int = 32,
    ):
        super().__init__(shards, sampling, seed=seed, draws=draws, buffer=buffer)
        self._references = _urls(references)

    def __iter__(self) -> Iterator[Example]:
        rng = self._generator()
        both = zip(self._held(self._shards, "multitracks"), self._held(self._references, "references"))
        return (draw(list(pieces), self.sampling, rng, list(references)) for pieces, references in both)


def _stream(shards: list[str], kind: str, sampling: Sampling, seed: int) -> Iterator[Places]:
    """Pieces of this worker's shards that hold a segment, without an end."""
    webdataset = webdataset_package()
    _, nodes, _, workers = webdataset.utils.pytorch_worker_info()
    if len(shards) < nodes * workers:
        raise InputError(
            f"{len(shards)} shards cannot feed {nodes} x {workers} workers, each with shards of its own: "
            "take fewer workers, or write smaller shards"
        )
    for epoch in itertools.count():
        order = np.random.default_rng([seed, epoch]).permutation(len(shards))
        found = False
        for i in webdataset.split_by_worker(webdataset.split_by_node(iter(order))):
            for piece in _read_shard(shards[i]):
                if bool(piece.stems) != (kind == "multitracks"):
                    raise InputError(f"{shards[i]}: {kind} are needed, not {KINDS[kind == 'multitracks']}")
                windows = piece_windows(piece, sampling)
                if windows:
                    found = True
                    yield piece, windows
        if not found:
            raise InputError(
                f"{shards[0]}: no piece in it and its like has {sampling.seconds:g} s to learn from"
            )


def _read_shard(url: str) -> Iterator[Song]:
    webdataset, stream = webdataset_package(), None
    try:
        stream = webdataset.gopen(url)
        files = webdataset.tariterators.tar_file_expander([{"url": url, "stream": stream}])
        for sample in webdataset.tariterators.group_by_keys(files):
            yield _unpack(sample, url)
        stream.close()  # fails when the command of a pipe has failed
    except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
        reason = (
            getattr(error, "strerror", None)
            or str(next(iter(error.args), type(error).__name__)).split(" @ ")[0]
        )
        raise InputError(f"{url}: not read as a shard ({reason})") from None
    finally:
        with suppress(OSError):
            if stream:
                stream.close()


def _unpack(sample: dict, url: str) -> Song:
    """The song of a piece, its files in memory."""
    content = parse(sample["json"])
    if content["version"] != VERSION:
        raise ValueError(f"pieces of version {content['version']}, this library reads {VERSION}")

    def inside(track: Track) -> Track:
        name = str(track.source.path)
        return replace(track, source=Source(_Packed(sample[name], f"{url}/{sample['__key__']}.{name}")))

    song = song_from_json(content["song"], Path())
    return replace(song, stems=[inside(s) for s in song.stems], mix=song.mix and inside(song.mix))


class _Packed(io.BytesIO):
    """A file inside a shard; as text, where it is."""

    def __init__(self, data: bytes, place: str):
        super().__init__(data)
        self._place = place

    def __str__(self) -> str:
        return self._place


def _urls(shards: str | Path | list) -> list[str]:
    """Files and URLs one by one."""
    try:
        if str(shards).endswith(".json"):
            names = json.loads(Path(shards).read_text(encoding="utf-8"))["shards"]
            urls = [str(Path(shards).resolve().parent / name) for name in names]
        elif isinstance(shards, (str, Path)):
            urls = webdataset_package().shardlists.expand_urls(str(shards))
        else:
            urls = [str(shard) for shard in shards]
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise InputError(
            f"{shards}: no list of shards ({getattr(error, 'strerror', None) or error})"
        ) from None
    for url in urls:
        if not urlparse(url).scheme and not Path(url).is_file():
            raise InputError(f"{url}: no such shard")
    return urls
