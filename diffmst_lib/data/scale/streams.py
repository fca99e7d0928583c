"""Examples streamed from shards, for large data sets and many workers. Chapter: Data."""

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
from ...options import KINDS
from ..batches import Example
from ..sampling import Sampling, SongWindows, draw
from ..song_json import parse_json, song_from_json
from ..songs import Song, Source, Track
from .shards import VERSION, piece_windows, webdataset_package


class ShardedMethod1(IterableDataset):
    """Endless stream of examples as in `Method1`, drawn from pieces of songs in shards.

    Every node and every worker of a DataLoader reads its own shards, in a new order in each pass. Long songs
    have more pieces and are drawn more often. With `mixed_songs`, stems come from all pieces in memory.
    Whatever the size of the data set, a worker has in memory `buffer` encoded pieces (about 8 MB each for
    stems, 0.8 MB for a reference) and one decoded example.

    The stream depends on the seed, the shards, the nodes and, unlike `Method1`, the number of workers. It
    starts anew with every iteration and cannot start in the middle. To continue training, use another seed.
    `Example.item` numbers the examples. With several workers, each has numbers of its own.

    Args:
        shards: The .json file that `write_shards` returned, a list of files and URLs, or a pattern with
            braces such as "https://host/train-multitracks-{000000..000120}.tar" or
            "pipe:aws s3 cp s3://bucket/train-multitracks-{000000..000120}.tar -".
        sampling: Settings with which segments are drawn.
        seed: Random seed.
        draws: Number of examples after which the next piece replaces the oldest.
        buffer: Number of pieces in memory.

    Raises:
        InputError: For shards that are missing or broken, for fewer shards than workers, and where no segment
            fits.
        ValueError: For `draws` or `buffer` below 1.

    Example:
        >>> import diffmst_lib as dm, tempfile
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> sampling = dm.data.Sampling(seconds=2)
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
        """Yield the pieces in memory, and references for Method 2, for each example."""
        return ((pieces, None) for pieces in self._buffers(self._shards, "multitracks"))

    def _buffers(self, shards: list[str], kind: str) -> Iterator[list[SongWindows]]:
        """Yield the pieces of one kind in memory, for each example."""
        stream = stream_pieces(shards, kind, self.sampling, self.seed)
        buffer = deque(itertools.islice(stream, self.buffer), maxlen=self.buffer)
        while True:
            for _ in range(self.draws):
                yield list(buffer)
            buffer.append(next(stream))


class ShardedMethod2(ShardedMethod1):
    """Endless stream of examples as in `Method2`, with tracks and references from shards.

    Args:
        shards: Shards of multitracks, as for `ShardedMethod1`.
        references: Shards of references, in the same form.
        sampling: Settings with which segments are drawn.
        seed: Random seed.
        draws: Number of examples after which the next piece replaces the oldest, and the next reference.
        buffer: Number of pieces, and of references, in memory.

    Raises:
        InputError: For shards that are missing or broken, for fewer shards than workers, and where no segment
            fits.
        ValueError: For `draws` or `buffer` below 1.

    Example:
        >>> import diffmst_lib as dm, tempfile
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> sampling = dm.data.Sampling(seconds=2)
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
    """Read the pieces of this worker's shards again and again, and yield those in which a segment fits.

    Args:
        shards: Files and URLs of shards.
        kind: "multitracks" or "references".
        sampling: Settings with which segments are drawn.
        seed: Random seed of the order of the shards.

    Yields:
        Pieces with their windows.

    Raises:
        InputError: For shards that are broken or of the other kind, for fewer shards than workers, and where
            no segment fits.
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
                f"{shards[0]}: no piece of these shards has {sampling.seconds:g} s to learn from"
            )


def read_shard(url: str) -> Iterator[Song]:
    """Read the pieces of a shard one by one.

    Args:
        url: Path of a file, a URL, or "pipe:" with a command.

    Yields:
        Pieces as songs with their files in memory.

    Raises:
        InputError: When the shard cannot be read.
    """
    webdataset, stream = webdataset_package(), None
    try:
        stream = webdataset.gopen(url)
        files = webdataset.tariterators.tar_file_expander([{"url": url, "stream": stream}])
        for sample in webdataset.tariterators.group_by_keys(files):
            yield _unpack(sample, url)
        stream.close()  # fails when the command of a pipe has failed
    except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
        # The package adds details to the first argument, after an @.
        first = str(next(iter(error.args), type(error).__name__)).split(" @ ")[0]
        reason = getattr(error, "strerror", None) or first
        raise InputError(f"{url}: not read as a shard ({reason})") from None
    finally:
        with suppress(OSError):
            if stream:
                stream.close()


def _unpack(sample: dict[str, Any], url: str) -> Song:
    """Make the song of a piece with its files in memory."""
    content = parse_json(sample["json"])
    if content["version"] != VERSION:
        raise ValueError(f"pieces of version {content['version']}, this library reads {VERSION}")

    def in_memory(track: Track) -> Track:
        name = str(track.source.path)
        return replace(track, source=Source(PackedFile(sample[name], f"{url}/{sample['__key__']}.{name}")))

    song = song_from_json(content["song"], Path())
    return replace(song, stems=[in_memory(s) for s in song.stems], mix=song.mix and in_memory(song.mix))


class PackedFile(io.BytesIO):
    """File of a shard, in memory. Converted to text, it is the path of the shard and the file's name."""

    def __init__(self, data: bytes, path: str) -> None:
        super().__init__(data)
        self._path = path

    def __str__(self) -> str:
        return self._path


def _urls(shards: str | Path | list[str | Path]) -> list[str]:
    """List the files and URLs of shards."""
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
