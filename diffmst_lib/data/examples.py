"""Examples to learn from: Method 1 and Method 2 of section 3, collated into batches. Chapter: Data."""

from __future__ import annotations

import itertools
import re
import signal
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ..audio.loudness import MIX_LUFS, SAMPLE_RATE, normalize_tracks, quick_loudness
from ..audio.multitrack import Multitrack
from ..inputs import InputError, InputNote
from .index import letters
from .segments import ENERGY, GRID, SILENCE_LUFS, Windows, find_windows, read_segment
from .songs import Song, Track

DRAWS = 50  # segments tried before a data set is called empty

Places = tuple[Song, Windows]  # a song, and where segments of it may lie


@dataclass(frozen=True)
class Sampling:
    """How segments are drawn.

    Args:
        track_lufs: level of every track, that of the model's config: -48 in the paper, -30 in `small` and `tiny`.
        seconds: length of a segment and of a reference, at least 1.
        min_tracks, max_tracks: the number of tracks is drawn between them; a stereo stem is two.
        mixed_songs: how often (0 to 1) stems of one example come from anywhere in the set and not from one song.
        energy: mean square that the mix of a segment must reach, 0.001 in the paper.
        silence_lufs: stems below it in a segment are skipped.
        reference_lufs: level of references; the paper's "-16 dBFS" are LUFS.
        sample_rate: Hz.

    >>> Sampling(track_lufs=-30).max_tracks
    16
    """

    track_lufs: float
    seconds: float = 10.0
    min_tracks: int = 4
    max_tracks: int = 16
    mixed_songs: float = 0.0
    energy: float = ENERGY
    silence_lufs: float = SILENCE_LUFS
    reference_lufs: float = MIX_LUFS
    sample_rate: int = SAMPLE_RATE

    def __post_init__(self):
        good = {
            "seconds": self.seconds >= 1,
            "min_tracks": 1 <= self.min_tracks <= self.max_tracks,
            "energy": self.energy > 0,
            "mixed_songs": 0 <= self.mixed_songs <= 1,
            "sample_rate": self.sample_rate > 0,
            "track_lufs": -100 <= self.track_lufs <= 0,
            "reference_lufs": -100 <= self.reference_lufs <= 0,
        }
        for name, fine in good.items():
            if not fine:
                most = f" with max_tracks {self.max_tracks}" if name == "min_tracks" else ""
                raise ValueError(f"{name} cannot be {getattr(self, name)}{most}")


@dataclass
class Example:
    """Tracks (num_tracks, num_samples) at their level, `sides` (num_tracks,) and a reference.

    `sides` are -1 left, 1 right, 0 mono, as in `Multitrack.sides`. `names` are those of the tracks; `song` and `start_s`
    tell where they come from. `reference` (2, num_samples), its `reference_song` and `reference_start_s` are None in
    Method 1.
    """

    tracks: torch.Tensor
    sides: torch.Tensor
    names: list[str]
    song: str
    start_s: float
    reference: torch.Tensor | None = None
    reference_song: str | None = None
    reference_start_s: float | None = None

    def sum(self) -> torch.Tensor:
        """The tracks without a console, (2, num_samples): each on its side, mono ones half on both."""
        return torch.stack([1 - self.sides, 1 + self.sides]) / 2 @ self.tracks


@dataclass
class Batch:
    """Examples side by side: `tracks` (B, N, T) and `sides` (B, N), padded with zeros, `mask` (B, N), references.

    The mask is True for real tracks. `reference` (B, 2, T) or None; `names`, `songs` and `reference_songs` by example.
    """

    tracks: torch.Tensor
    sides: torch.Tensor
    mask: torch.Tensor
    reference: torch.Tensor | None
    names: list[list[str]]
    songs: list[str]
    reference_songs: list[str | None]

    def halves(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Tracks of the first half (A) and of the second (B), (B, N, T // 2) each: Method 1."""
        half = self.tracks.shape[-1] // 2
        return self.tracks[..., :half], self.tracks[..., half : 2 * half]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """In memory that a GPU can copy from while it computes."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{k: change(v) for k, v in values.items() if isinstance(v, torch.Tensor)})


def collate(examples: list[Example]) -> Batch:
    """Examples of different numbers of tracks as one batch: padded, with a mask.

    >>> few = Example(torch.ones(2, 8), torch.zeros(2), ["a", "b"], "first song", 0.0)
    >>> many = Example(torch.ones(3, 8), torch.zeros(3), ["a", "b", "c"], "second song", 0.0)
    >>> collate([few, many]).mask.tolist()
    [[True, True, False], [True, True, True]]
    """
    most = max(len(example.names) for example in examples)
    tracks = torch.zeros(len(examples), most, examples[0].tracks.shape[-1])
    sides, mask = torch.zeros(len(examples), most), torch.zeros(len(examples), most, dtype=torch.bool)
    for i, example in enumerate(examples):
        count = len(example.names)
        tracks[i, :count], sides[i, :count], mask[i, :count] = example.tracks, example.sides, True
    references = [example.reference for example in examples]
    return Batch(
        tracks,
        sides,
        mask,
        None if references[0] is None else torch.stack(references),
        [example.names for example in examples],
        [example.song for example in examples],
        [example.reference_song for example in examples],
    )


class Method1(Dataset):
    """Segments of songs, tracks only: half A becomes a reference by a random mix, half B is mixed like it.

    Item i is a function of `seed` and i alone, for any i from 0 on: the same with any number of workers, and where
    training goes on after a stop. To validate, take the first items of another split each time. Songs without a segment
    that fits are left out, told in an `InputNote`; InputError
    when none is left.

    >>> import diffmst_lib as dm
    >>> index = dm.data.SongIndex.load(dm.data_dir())
    >>> examples = Method1(index.multitracks("train"), Sampling(track_lufs=-30))
    >>> examples[0].tracks.shape[-1], examples[0].song
    (441000, 'potassium')
    """

    def __init__(self, songs: list[Song], sampling: Sampling, *, seed: int = 0):
        self.sampling, self.seed = sampling, seed
        self._songs = _usable(songs, sampling, min_tracks=sampling.min_tracks)

    def __getitem__(self, item: int) -> Example:
        return draw(self._songs, self.sampling, np.random.default_rng([self.seed, item]))


class Method2(Method1):
    """Segments of songs with real songs as references, cut at random, without their offset, at `reference_lufs`.

    As in the paper the two have nothing to do with each other, except that a song is never its own reference, nor is its
    master: a finished song of the same artist and title, whatever stands in brackets behind it.

    >>> import diffmst_lib as dm
    >>> index = dm.data.SongIndex.load(dm.data_dir())
    >>> examples = Method2(index.multitracks("train"), index.references("train"), Sampling(track_lufs=-30))
    >>> examples[0].reference.shape
    torch.Size([2, 441000])
    """

    def __init__(self, songs: list[Song], references: list[Song], sampling: Sampling, *, seed: int = 0):
        self.sampling, self.seed = sampling, seed
        self._songs = _usable(songs, sampling, min_tracks=sampling.min_tracks)
        self._references = _usable([replace(song, stems=[]) for song in references if song.mix], sampling)

    def __getitem__(self, item: int) -> Example:
        return draw(self._songs, self.sampling, np.random.default_rng([self.seed, item]), self._references)


def draw(
    songs: list[Places], sampling: Sampling, rng: np.random.Generator, references: list[Places] | None = None
) -> Example:
    """One example from songs and, for Method 2, references, each with its windows.

    Raises InputError when `DRAWS` in a row were no use.
    """
    for _ in range(DRAWS):
        others, reference = songs, None
        if references is not None:
            reference, where = references[rng.integers(len(references))]
            others = [place for place in songs if not _same_song(place[0], reference)]
            if not others:
                continue
        song, windows = others[rng.integers(len(others))]
        mixed = rng.random() < sampling.mixed_songs
        example = draw_example(song, windows, sampling, rng, others if mixed else None)
        if len(example.names) < sampling.min_tracks:
            continue
        if reference is None:
            return example
        audio, start_s = draw_reference(reference, where, sampling, rng)
        if audio is not None:
            return replace(example, reference=audio, reference_song=reference.name, reference_start_s=start_s)
    what = " or a reference of another song that is not silent" if references is not None else ""
    raise InputError(f"{DRAWS} draws in a row without {sampling.min_tracks} tracks that sound{what}")


def _same_song(one: Song, other: Song) -> bool:
    """One of them may be the other's master: the same artist, the same title before any brackets."""
    works = {_work(song.artist, song.title, song.name) for song in (one, other)}
    return one.name == other.name or len(works) == 1


@lru_cache(maxsize=None)
def _work(artist: str, title: str, name: str) -> tuple[str, str]:
    """What is the same for all versions of a song; its name where nobody knows the artist."""
    return (letters(artist), letters(re.split(r"(?<=.)[(\[]", title)[0])) if artist else ("", name)


def draw_example(
    song: Song,
    windows: Windows,
    sampling: Sampling,
    rng: np.random.Generator,
    others: list[Places] | None = None,
) -> Example:
    """One segment of a song with its tracks chosen at random; with `others`, every stem from a song and place of its own.

    There may be fewer than `min_tracks` tracks: a channel can be silent although its stem sounds.
    """
    at, start_s = _cut(song, windows, sampling.seconds, rng)
    if others:
        places = [_place_anywhere(others, sampling.seconds, rng) for _ in range(2 * sampling.max_tracks)]
    else:
        places = [
            (song, stem, start_s) for stem, sounds in zip(song.stems, windows.sounding[:, at]) if sounds
        ]
        rng.shuffle(places)
    wanted = int(rng.integers(sampling.min_tracks, sampling.max_tracks + 1))
    tracks: dict[str, tuple[torch.Tensor, str]] = {}  # name -> audio, channel
    for name, stem, stem_start_s in _chosen(places, wanted, sampling, bool(others)):
        channels = {name: "mono"} if stem.mono else {f"{name}.L": "left", f"{name}.R": "right"}
        audio = read_segment(stem, stem_start_s, sampling.seconds, sample_rate=sampling.sample_rate)
        tracks |= {key: (track, channels[key]) for key, track in zip(channels, audio)}
    names = list(tracks)
    if not names:
        nothing = torch.zeros(0, round(sampling.seconds * sampling.sample_rate))
        return Example(nothing, torch.zeros(0), [], song.name, song.offset_s + start_s)
    audio, gains_db = normalize_tracks(
        torch.stack([track for track, _ in tracks.values()]),
        sampling.track_lufs,
        sample_rate=sampling.sample_rate,
    )
    heard = sampling.track_lufs - gains_db >= sampling.silence_lufs  # False for NaN, silence
    names = [name for name, sounds in zip(names, heard) if sounds]
    sides = Multitrack(names, audio[heard], sampling.sample_rate, [tracks[name][1] for name in names]).sides()
    return Example(audio[heard], torch.tensor(sides), names, song.name, song.offset_s + start_s)


def _chosen(
    places: list[tuple[Song, Track, float]], wanted: int, sampling: Sampling, mixed: bool
) -> list[tuple[str, Track, float]]:
    """Stems by name that make `wanted` tracks, or one less where a stereo stem does not fit; none if too few fit."""
    chosen, count = {}, 0
    for limit, enough in ((wanted, wanted), (sampling.max_tracks, sampling.min_tracks)):
        for song, stem, start_s in places:
            name, size = f"{song.name}/{stem.name}" if mixed else stem.name, 1 if stem.mono else 2
            if name not in chosen and count < enough and count + size <= limit:
                chosen[name] = (name, stem, start_s)
                count += size
    return list(chosen.values()) if count >= sampling.min_tracks else []


def draw_reference(
    song: Song, windows: Windows, sampling: Sampling, rng: np.random.Generator
) -> tuple[torch.Tensor | None, float]:
    """A segment of a finished song, (2, num_samples) without its offset at `reference_lufs`, and where it starts.

    None where the segment is silent.
    """
    _, start_s = _cut(song, windows, sampling.seconds, rng)
    audio = read_segment(song.mix, start_s, sampling.seconds, sample_rate=sampling.sample_rate)
    audio = audio - audio.mean(dim=-1, keepdim=True)
    (level,) = quick_loudness(audio[None], sampling.sample_rate)
    scaled = audio * 10.0 ** ((sampling.reference_lufs - level) / 20.0) if np.isfinite(level) else None
    return scaled, song.offset_s + start_s


def _place_anywhere(
    others: list[Places], seconds: float, rng: np.random.Generator
) -> tuple[Song, Track, float]:
    song, windows = others[rng.integers(len(others))]
    at, start_s = _cut(song, windows, seconds, rng)
    return song, song.stems[rng.choice(np.flatnonzero(windows.sounding[:, at]))], start_s


def _cut(song: Song, windows: Windows, seconds: float, rng: np.random.Generator) -> tuple[int, float]:
    """A window and a start in it, any place as likely as any other, on a grid that is whole samples at any rate."""
    while True:
        at, late = int(rng.integers(len(windows.starts))), int(rng.integers(GRID))
        start_s = float(windows.starts[at]) + late / GRID
        if late == 0 or late / GRID <= windows.slack_s[at] + 1e-6:
            return at, start_s


def _usable(songs: list[Song], sampling: Sampling, min_tracks: int = 0) -> list[Places]:
    """Songs with their windows; those without any are told."""
    if not songs:
        raise InputError(
            "no songs with stems are given" if min_tracks else "no references are given; mono ones are none"
        )
    usable = [
        (
            song,
            find_windows(
                song,
                sampling.seconds,
                energy=sampling.energy,
                silence_lufs=sampling.silence_lufs,
                min_tracks=min_tracks,
            ),
        )
        for song in songs
    ]
    without = [song.name for song, windows in usable if not len(windows.starts)]
    if len(without) == len(songs):
        needs = f" with {min_tracks} tracks that sound" if min_tracks else ""
        raise InputError(
            f"none of {len(songs)} songs has {sampling.seconds:g} s of energy {sampling.energy:g}{needs}"
        )
    if without:
        names = ", ".join(without[:5]) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
        warnings.warn(
            f"left out, no segment of {sampling.seconds:g} s fits: {names}", InputNote, stacklevel=3
        )
    return [(song, windows) for song, windows in usable if len(windows.starts)]


def loader(
    examples: Method1 | IterableDataset,
    batch_size: int,
    *,
    steps: int,
    first_step: int = 0,
    workers: int = 0,
    rank: int = 0,
    ranks: int = 1,
    pin_memory: bool = False,
) -> Iterable[Batch]:
    """Batches `first_step` to `steps - 1`, read ahead by `workers` processes; the same ones for any number of workers.

    Step k holds the items from k * batch_size on, so training that was stopped goes on with the batch it would have had.
    With `ranks` GPUs, each of them, by its `rank`, takes its share of ranks * batch_size items.
    Streams from shards depend on the number of workers, and begin with the first step: ValueError for another.

    >>> import diffmst_lib as dm
    >>> index = dm.data.SongIndex.load(dm.data_dir())
    >>> examples = Method1(index.multitracks("train"), Sampling(track_lufs=-30, seconds=2))
    >>> [batch.tracks.shape[0] for batch in loader(examples, batch_size=2, steps=3)]
    [2, 2, 2]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    options = {
        "collate_fn": collate,
        "num_workers": workers,
        "pin_memory": pin_memory,
        "worker_init_fn": _ignore_ctrl_c,
        "generator": torch.Generator(),
    }  # its own: nobody else's random numbers change
    if isinstance(examples, IterableDataset):
        if first_step:
            raise ValueError(
                "a stream from shards cannot be entered in the middle: begin anew with another seed"
            )
        return itertools.islice(DataLoader(examples, batch_size=batch_size, **options), steps)
    return DataLoader(
        examples, batch_sampler=_Items(range(first_step, steps), batch_size, rank, ranks), **options
    )


@dataclass
class _Items:
    """The items of each batch; a million steps need no list."""

    steps: range
    batch_size: int
    rank: int
    ranks: int

    def __iter__(self):
        for step in self.steps:
            first = (step * self.ranks + self.rank) * self.batch_size
            yield range(first, first + self.batch_size)

    def __len__(self) -> int:
        return len(self.steps)


def _ignore_ctrl_c(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the one that trains decides when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
