"""Songs and records as they are heard, once and for all: what a rehearsal is made of.

Hearing takes most of the time of a training step of a small model, and does not depend on the weights.

Chapter: Method 1.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from tqdm.auto import tqdm

from ..data.examples import songs_that_fit
from ..data.index import SongIndex
from ..data.sampling import SongWindows, draw_example, draw_reference
from ..data.threads import in_order, thread_pool
from ..inputs import InputError
from ..model import DiffMST
from ..options import MOMENTS
from .examples import records_of, songs_of
from .recipes import Recipe

RECORD_MOMENTS = 6  # of each record, for 40 of a song
LONGER = 3  # a moment lasts that many times as long as the segments of the training to come
ALL = 100_000  # more stems than any song has

Heard = TypeVar("Heard")


@dataclass
class HeardSong:
    """Two moments of a song, near by, and the N stems that sound in both.

    Attributes:
        statistics: What the track encoder hears of each stem in both, (2, N, S).
        power: Power of each stem in both, (2, N, 3, bands), as `band_power` measures it.
    """

    statistics: torch.Tensor
    power: torch.Tensor


@dataclass
class HeardRecord:
    """A moment of a record at -16 LUFS.

    Attributes:
        statistics: What the mix encoder hears of its two views, (2, S').
        features: Its audio features, (K,), not standardized.
        power: Its power, (3, bands).
    """

    statistics: torch.Tensor
    features: torch.Tensor
    power: torch.Tensor


def hear(
    model: DiffMST,
    recipe: Recipe,
    index: SongIndex,
    references: SongIndex | None = None,
    *,
    seed: int = 0,
    moments: int = MOMENTS,
    progress: bool = False,
) -> tuple[list[HeardSong], list[HeardRecord]]:
    """Hear moments of all songs and records of the "train" split.

    A moment of a song that has fewer than two stems there, or no second moment near by with the same stems, is
    left out, and so is a silent moment of a record.

    Args:
        model: The model, whose encoders hear.
        recipe: The recipe of the training to come. Moments last three times as long as its segments.
        index: Songs with stems, and finished songs as references.
        references: A separate index of the references; None: those of `index`.
        seed: Seed of all random choices.
        moments: Pairs of moments of each song, 1 or more. Of a record there are 6 for 40 of a song.
        progress: Whether to show progress bars.

    Returns:
        What was heard of songs and of records.

    Raises:
        InputError: In one line, when no song or fewer than two moments of records are heard.

    Example:
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> like = dm.training.recipe("af-16", "tiny", seconds=1.0)
        >>> songs, records = hear(dm.DiffMST("tiny"), like, index, moments=8)
        >>> songs[0].power.shape[2:], records[0].power.shape, records[0].features.shape
        (torch.Size([3, 40]), torch.Size([3, 40]), torch.Size([54]))
    """
    recipe = replace(recipe, seconds=LONGER * recipe.seconds, min_tracks=2, max_tracks=ALL, mixed_songs=0.0)
    songs = songs_that_fit(songs_of(index, "train"), recipe.known_sampling, min_tracks=2)
    finished = [replace(song, stems=[]) for song in records_of(index, references, "train")]
    records = songs_that_fit(finished, recipe.sampling)

    def hear_record(record: SongWindows, rng: np.random.Generator) -> HeardRecord | None:
        return _hear_record(model, recipe, record, rng)

    def hear_song(song: SongWindows, rng: np.random.Generator) -> HeardSong | None:
        return _hear_song(model, recipe, song, rng)

    of_record = max(1, moments * RECORD_MOMENTS // MOMENTS)
    heard_records = _hear_each("hear records", hear_record, records, of_record, [seed, 12], progress)
    heard_songs = _hear_each("hear songs", hear_song, songs, moments, [seed, 11], progress)
    if not heard_songs:
        raise InputError(_no_moments(songs, recipe))
    if len(heard_records) < 2:
        raise InputError(
            f"heard {len(heard_records)} moments of records ({len(records)}), a rehearsal needs two: give more records, "
            "or hear more moments (--moments, moments)"
        )
    return heard_songs, heard_records


def _no_moments(songs: list[SongWindows], recipe: Recipe) -> str:
    needs = (
        f"no song has two moments of {recipe.seconds:g} s, at most {recipe.nearby_s:g} s apart, in which the same "
        "two stems sound"
    )
    if recipe.seconds > LONGER and any(song.duration_s >= 2 * LONGER for song, _ in songs):
        return f"{needs}; shorter segments (--seconds, a recipe's seconds) make shorter moments"
    return f"{needs}: longer songs are needed, or more stems"


def _hear_each(
    name: str,
    hear_one: Callable[[SongWindows, np.random.Generator], Heard | None],
    songs: list[SongWindows],
    times: int,
    seed: list[int],
    progress: bool,
) -> list[Heard]:
    """Hear every song some times, on threads; moments in which nothing is heard are left out."""

    def run(song: SongWindows, seed: list[int]) -> Heard | None:
        return hear_one(song, np.random.default_rng(seed))

    jobs = [(song, [*seed, number, time]) for time in range(times) for number, song in enumerate(songs)]
    with thread_pool() as pool:
        results = in_order(pool, run, jobs, ahead=2 * (os.cpu_count() or 1))
        heard = list(tqdm(results, name, len(jobs), unit="moment", disable=not progress))
    return [one for one in heard if one is not None]


@torch.no_grad()
def _hear_song(
    model: DiffMST, recipe: Recipe, song: SongWindows, rng: np.random.Generator
) -> HeardSong | None:
    example = draw_example(*song, recipe.known_sampling, rng)
    if len(example.names) < 2:
        return None
    half = example.tracks.shape[-1] // 2
    moments = torch.stack([example.tracks[..., :half], example.tracks[..., half : 2 * half]])
    statistics = [model.track_encoder.statistics(model.split_stems(stems)) for stems in moments]
    return HeardSong(torch.stack(statistics), model.stem_power(moments))


@torch.no_grad()
def _hear_record(
    model: DiffMST, recipe: Recipe, record: SongWindows, rng: np.random.Generator
) -> HeardRecord | None:
    audio, _ = draw_reference(*record, recipe.sampling, rng)
    if audio is None:
        return None
    statistics = model.mix_encoder.statistics(model.split_views(audio[None]))
    features = model.style.features(audio[None])[0]
    return HeardRecord(statistics, features, model.stem_power(audio[None, None])[0, 0])
