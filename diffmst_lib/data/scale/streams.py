"""Examples streamed from shards, for sets where seeking is slow and workers are many. Chapter: Data."""

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
from typing import Any
from urllib.parse import urlparse

import numpy as np
from torch.utils.data import IterableDataset

from ...disk import why
from ...inputs import InputError
from ..batches import Example
from ..sampling import Sampling, SongWindows, draw
from ..song_json import parse_json, song_from_json
from ..songs import Song, Source, Track
from .shards import KINDS, VERSION, piece_windows, webdataset_package


class ShardedMethod1(IterableDataset):
    """`Method1` from shards: an endless stream of examples, drawn from pieces of songs in memory.

    Every node and every worker of a DataLoader reads shards of its own, in a new order each time round. Long
    songs have more pieces and come more often. With `mixed_songs`, stems come from anywhere in the pieces in
    memory. A worker's memory holds `buffer` encoded pieces (some 8 MB of stems, 0.8 MB of a reference) and one
    decoded example, however large the set is.

    The same seed, shards, nodes and number of workers give the same stream. Unlike `Method1`, another number
    of workers gives another stream, which starts anew with every iteration and cannot be entered in the
    middle: training that goes on takes another seed. `Example.item` counts the examples; with several
    workers, each of them counts numbers of its own.

    Args:
        shards: The .json file that `write_shards` returned, a pattern with braces such as
            "https://host/train-multitracks-{000000..000120}.tar" or
            "pipe:aws s3 cp s3://bucket/train-multitracks-{000000..000120}.tar -", or a list of files and
            URLs.
        sampling: How segments are drawn.
        seed: Another seed gives another stream.
        draws: Examples after which the oldest piece makes room for the next.
        buffer: Pieces in memory.

    Raises:
        InputError: For shards that are missing, broken, fewer than the workers, or hold no segment that fits.
        ValueError: For `draws` or `buffer` below 1.

    Example:
        >>> import diffmst_lib as dm, tempfile
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> sampling = dm.data.Sampling(track_lufs=-30, seconds=2)
        >>> pieces = {"split": "train", "kind": "multitracks", "piece_seconds": 5}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     shards = dm.data.write_shards(index, folder, sampling, **pieces)
        ...     stream = dm.data.ShardedMethod1(shards, sampling)
        ...     [batch.songs for batch in dm.data.loader(stream, batch_size=2, steps=1)]
        [['potassium', 'potassium']]
    """

    def __init__(
        self,
        shards: str | Path | list[str | Path],
        sampling: Sampling,
        *,
        seed: int = 0,
        draws: int = 4,
        buffer: int = 32,
    ) -> None:
        if draws < 1 or buffer < 1:
            raise ValueError(f"draws and buffer must be at least 1, not {draws} and {buffer}")
        self.sampling, self.seed, self.draws, self.buffer = sampling, seed, draws, buffer
        self._shards = _urls(shards)

    def __iter__(self) -> Iterator[Example]:
        rank, nodes, worker, workers = webdataset_package().utils.pytorch_worker_info()
        rng = np.random.default_rng([self.seed, rank, worker])
        numbers = itertools.count(rank * workers + worker, nodes * workers)  # no number comes twice
        for item, (pieces, references) in zip(numbers, self._pieces(), strict=False):
            yield replace(draw(pieces, self.sampling, rng, references), item=item)

    def _pieces(self) -> Iterator[tuple[list[SongWindows], list[SongWindows] | None]]:
        """The pieces in memory, and references for Method 2, for each example."""
        return ((pieces, None) for pieces in self._buffers(self._shards, "multitracks"))

    def _buffers(self, shards: list[str], kind: str) -> Iterator[list[SongWindows]]:
        """The pieces of one kind in memory, for each example."""
        stream = stream_pieces(shards, kind, self.sampling, self.seed)
        buffer = deque(itertools.islice(stream, self.buffer), maxlen=self.buffer)
        while True:
            for _ in range(self.draws):
                yield list(buffer)
            buffer.append(next(stream))


class ShardedMethod2(ShardedMethod1):
    """`Method2` from shards: as `ShardedMethod1`, with references from shards of their own.

    Args:
        shards: Shards of multitracks, as for `ShardedMethod1`.
        references: Shards of references.
        sampling: How segments are drawn.
        seed: Another seed gives another stream.
        draws: Examples after which the oldest piece makes room for the next, and the oldest reference.
        buffer: Pieces in memory, and references.

    Raises:
        InputError: As `ShardedMethod1`.
        ValueError: For `draws` or `buffer` below 1.

    Example:
        >>> import diffmst_lib as dm, tempfile
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> sampling = dm.data.Sampling(track_lufs=-30, seconds=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stems = dm.data.write_shards(index, folder, sampling, split="train", kind="multitracks")
        ...     songs = dm.data.write_shards(index, folder, sampling, split="train", kind="references")
        ...     next(iter(dm.data.ShardedMethod2(stems, songs, sampling))).reference.shape
        torch.Size([2, 88200])
    """

    def __init__(
        self,
        shards: str | Path | list[str | Path],
        references: str | Path | list[str | Path],
        sampling: Sampling,
        *,
        seed: int = 0,
        draws: int = 4,
        buffer: int = 32,
    ) -> None:
        super().__init__(shards, sampling, seed=seed, draws=draws, buffer=buffer)
        self._references = _urls(references)

    def _pieces(self) -> Iterator[tuple[list[SongWindows], list[SongWindows] | None]]:
        pieces = self._buffers(self._shards, "multitracks")
        return zip(pieces, self._buffers(self._references, "references"), strict=False)  # both have no end


def stream_pieces(shards: list[str], kind: str, sampling: Sampling, seed: int) -> Iterator[SongWindows]:
    """Read the pieces of this worker's shards that hold a segment, without an end.

    Args:
        shards: Files and URLs.
        kind: "multitracks" or "references".
        sampling: What a segment needs.
        seed: The order of the shards depends on it.

    Yields:
        Pieces with their windows.

    Raises:
        InputError: For shards that are broken, of the other kind, fewer than the workers, or without a
        segment.
    """
    webdataset = webdataset_package()
    _, nodes, _, workers = webdataset.utils.pytorch_worker_info()
    if len(shards) < nodes * workers:
        raise InputError(
            f"{len(shards)} shards cannot feed {nodes} x {workers} workers, each with shards of its own: "
            "take fewer workers, or write smaller shards"
        )
    for epoch in itertools.count():
        order = np.random.default_rng([seed, epoch]).permutation(len(shards))
        any_fits = False
        for i in webdataset.split_by_worker(webdataset.split_by_node(iter(order))):
            for piece in read_shard(shards[i]):
                if bool(piece.stems) != (kind == "multitracks"):
                    raise InputError(f"{shards[i]}: {kind} are needed, not {KINDS[kind == 'multitracks']}")
                windows = piece_windows(piece, sampling)
                if windows:
                    any_fits = True
                    yield piece, windows
        if not any_fits:
            raise InputError(
                f"{shards[0]}: no piece in it and its like has {sampling.seconds:g} s to learn from"
            )


def read_shard(url: str) -> Iterator[Song]:
    """Read the pieces of a shard one by one.

    Args:
        url: A file, a URL, or "pipe:" with a command.

    Yields:
        Pieces as songs, their files in memory.

    Raises:
        InputError: When it cannot be read.
    """
    webdataset, stream = webdataset_package(), None
    try:
        stream = webdataset.gopen(url)
        files = webdataset.tariterators.tar_file_expander([{"url": url, "stream": stream}])
        for sample in webdataset.tariterators.group_by_keys(files):
            yield _unpack(sample, url)
        stream.close()  # fails when the command of a pipe has failed
    except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
        # The package adds all that it knows to the first argument, behind an @.
        first = str(next(iter(error.args), type(error).__name__)).split(" @ ")[0]
        reason = getattr(error, "strerror", None) or first
        raise InputError(f"{url}: not read as a shard ({reason})") from None
    finally:
        with suppress(OSError):
            if stream:
                stream.close()


def _unpack(sample: dict[str, Any], url: str) -> Song:
    """The song of a piece, its files in memory."""
    content = parse_json(sample["json"])
    if content["version"] != VERSION:
        raise ValueError(f"pieces of version {content['version']}, this library reads {VERSION}")

    def in_memory(track: Track) -> Track:
        name = str(track.source.path)
        return replace(track, source=Source(PackedFile(sample[name], f"{url}/{sample['__key__']}.{name}")))

    song = song_from_json(content["song"], Path())
    return replace(song, stems=[in_memory(s) for s in song.stems], mix=song.mix and in_memory(song.mix))


class PackedFile(io.BytesIO):
    """A file inside a shard, in memory; as text, the path of the shard and its own name."""

    def __init__(self, data: bytes, path: str) -> None:
        super().__init__(data)
        self._path = path

    def __str__(self) -> str:
        return self._path


def _urls(shards: str | Path | list[str | Path]) -> list[str]:
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
        raise InputError(f"{shards}: no list of shards ({why(error)})") from None
    for url in urls:
        if not urlparse(url).scheme and not Path(url).is_file():
            raise InputError(f"{url}: no such shard")
    return urls
