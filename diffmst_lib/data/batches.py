"""Examples, batches of examples, and their loader. Chapter: Data."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset


@dataclass
class Example:
    """Tracks to mix, and the reference for their mix.

    Attributes:
        tracks: Stems (num_tracks, 2, num_samples), whose sum is at `BUS_LUFS`. For a model that takes mono
            channels, as the paper's does: (num_tracks, num_samples), all at the same loudness.
        pans: Pan of each track where a console starts (num_tracks,), 0 to 1. It is 0.5, as delivered, but
            where all stems are mono.
        names: Names of the tracks.
        song: Name of the song that the tracks come from.
        start_s: Start of the segment in the song, in seconds.
        reference: Reference (2, num_samples), None in Method 1.
        reference_song: Name of the song that the reference comes from, None in Method 1.
        reference_start_s: Start of the reference in that song, in seconds, None in Method 1.
        item: Number of the example in its data set or stream.
    """

    tracks: torch.Tensor
    pans: torch.Tensor
    names: list[str]
    song: str
    start_s: float
    reference: torch.Tensor | None = None
    reference_song: str | None = None
    reference_start_s: float | None = None
    item: int = 0


@dataclass
class Batch:
    """Batch of examples, padded with silent tracks to the largest number of tracks.

    Attributes:
        tracks: Stems (B, N, 2, T), or mono channels (B, N, T).
        pans: Pans of the tracks (B, N), 0 to 1, 0.5 for padding.
        mask: True for real tracks and False for padding, (B, N).
        reference: References (B, 2, T), None in Method 1.
        names: Names of the tracks of each example.
        songs: Name of the song of each example.
        reference_songs: Name of the reference's song of each example.
        items: Number of each example in its data set or stream. Training draws its random values from it.
    """

    tracks: torch.Tensor
    pans: torch.Tensor
    mask: torch.Tensor
    reference: torch.Tensor | None
    names: list[list[str]]
    songs: list[str]
    reference_songs: list[str | None]
    items: list[int]

    def halves(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut the tracks into the first half (A) and the second (B), (..., T // 2) each: Method 1."""
        half = self.tracks.shape[-1] // 2
        return self.tracks[..., :half], self.tracks[..., half : 2 * half]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Copy the batch to another device."""
        return self._change_tensors(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Copy the batch to pinned memory, from which a GPU can copy while it computes."""
        return self._change_tensors(torch.Tensor.pin_memory)

    def _change_tensors(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{k: change(v) for k, v in values.items() if isinstance(v, torch.Tensor)})


def collate(examples: list[Example]) -> Batch:
    """Put examples with different numbers of tracks into one batch, with padding and a mask.

    Args:
        examples: Examples of equal length, all with a reference or all without.

    Returns:
        Batch of the examples.

    Example:
        >>> few = Example(torch.ones(2, 2, 8), torch.full((2,), 0.5), ["a", "b"], "first song", 0.0)
        >>> many = Example(torch.ones(3, 2, 8), torch.rand(3), ["a", "b", "c"], "second song", 0.0, item=1)
        >>> collate([few, many]).mask.tolist()
        [[True, True, False], [True, True, True]]
        >>> collate([few, many]).items
        [0, 1]
    """
    most = max(len(example.names) for example in examples)
    tracks = torch.zeros(len(examples), most, *examples[0].tracks.shape[1:])
    pans, mask = torch.full((len(examples), most), 0.5), torch.zeros(len(examples), most, dtype=torch.bool)
    for i, example in enumerate(examples):
        count = len(example.names)
        tracks[i, :count], pans[i, :count], mask[i, :count] = example.tracks, example.pans, True
    references = [example.reference for example in examples]
    return Batch(
        tracks,
        pans,
        mask,
        None if references[0] is None else torch.stack(references),
        [example.names for example in examples],
        [example.song for example in examples],
        [example.reference_song for example in examples],
        [example.item for example in examples],
    )


def loader(
    examples: Dataset,
    batch_size: int,
    *,
    steps: int,
    first_step: int = 0,
    workers: int = 0,
    rank: int = 0,
    ranks: int = 1,
    pin_memory: bool = False,
) -> Iterable[Batch]:
    """Load batches `first_step` to `steps - 1`. They do not depend on the number of workers.

    On one GPU, step k has the items from k * batch_size on. So training that was stopped continues with the
    same batches. A stream from shards depends on the number of workers, and it can only start at step 0.

    Each worker reads and decodes its own examples. MP3, Ogg and other compressed files are decoded from their
    first sample to the end of the segment. For a compressed set, build a cache first, with `build_cache` or
    the command `diffmst data cache`.

    Args:
        examples: `Method1`, `Method2`, or a stream of them from shards.
        batch_size: Number of examples per batch, at least 1.
        steps: Number of the last step plus 1.
        first_step: Number of the first step.
        workers: Number of processes that read ahead. With 0, a batch is read when it is requested.
        rank: Number of this GPU, from 0.
        ranks: Number of GPUs. Each takes its share of ranks * batch_size items.
        pin_memory: Whether to put batches into pinned memory, from which a GPU can copy while it computes.

    Returns:
        Iterable of batches.

    Raises:
        ValueError: For a `batch_size` below 1, and for a stream with a `first_step` above 0.

    Example:
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> sampling = dm.data.Sampling(seconds=2)
        >>> examples = dm.data.Method1(index.multitracks("train"), sampling)
        >>> [batch.items for batch in loader(examples, batch_size=2, steps=3)]
        [[0, 1], [2, 3], [4, 5]]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    options = {
        "collate_fn": collate,
        "num_workers": workers,
        "pin_memory": pin_memory,
        "worker_init_fn": _ignore_ctrl_c,
        "generator": torch.Generator(),  # its own, so that other random numbers do not change
    }
    if isinstance(examples, IterableDataset):
        if first_step:
            raise ValueError(
                "a stream from shards cannot be entered in the middle: begin anew with another seed"
            )
        return itertools.islice(DataLoader(examples, batch_size=batch_size, **options), steps)
    items = _BatchItems(range(first_step, steps), batch_size, rank, ranks)
    return DataLoader(examples, batch_sampler=items, **options)


@dataclass
class _BatchItems:
    """Numbers of the items of each batch, computed one batch at a time."""

    steps: range
    batch_size: int
    rank: int
    ranks: int

    def __iter__(self) -> Iterator[range]:
        for step in self.steps:
            first = (step * self.ranks + self.rank) * self.batch_size
            yield range(first, first + self.batch_size)

    def __len__(self) -> int:
        return len(self.steps)


def _ignore_ctrl_c(worker: int) -> None:
    """Ignore Ctrl-C, which reaches every process of a terminal: the one that trains decides when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
