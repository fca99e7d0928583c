"""What the systems are given: the moments of songs, records and human mixes, read from their files.

Chapter: Results
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch

from ..audio.loudness import loudness_each
from ..audio.multitrack import Multitrack
from ..audio.remarks import seconds as in_seconds
from ..data.segments import SILENCE_LUFS, read_segment
from ..data.songs import Song, Track
from ..inputs import InputError
from ..options import SAMPLE_RATE
from .pairs import Pair
from .task import Task

HUMAN = "human_mixes/"  # how songs are named in an index that are the human mix of another one


class Sounds:
    """Songs and records by name, whose moments are read; the last ones are kept.

    Args:
        songs: Songs with stems.
        records: Finished songs.
        humans: The human mixes of songs, by the song's name.
        seconds: Length of a moment.
        max_stems: Most stems of a moment: the loudest; None: all that sound.
        seed: Seed of the systems that draw.

    Example:
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> by_name = {song.name: song for song in index}
        >>> sounds = Sounds(by_name, by_name, human_mixes(by_name, by_name), seconds=2.0, max_stems=4)
        >>> task = sounds.task(Pair(1, "caesium", 4.0, "vibe_ace", 3.0))
        >>> len(task.song.names), task.record.shape, task.human.shape
        (4, torch.Size([2, 88200]), torch.Size([2, 88200]))
    """

    def __init__(
        self,
        songs: Mapping[str, Song],
        records: Mapping[str, Song],
        humans: Mapping[str, Track],
        *,
        seconds: float = 10.0,
        max_stems: int | None = None,
        seed: int = 0,
    ):
        self.songs, self.records, self.humans = songs, records, humans
        self.seconds, self.max_stems, self.seed = seconds, max_stems, seed
        self.song = lru_cache(maxsize=2)(self._song)
        self.record = lru_cache(maxsize=64)(self._record)

    def task(self, pair: Pair, *, wrong: bool = False) -> Task:
        """Read what the systems get for a pair.

        Args:
            pair: The pair.
            wrong: Whether the wrong record is given instead of the right one.

        Returns:
            The task, at 44.1 kHz. The seed depends on that of the evaluation and on the pair's number.

        Raises:
            InputError: In one line, when a file cannot be read, and when no stem sounds.
        """
        name, start_s = (pair.wrong, pair.wrong_start_s) if wrong else (pair.record, pair.record_start_s)
        return Task(
            self.song(pair.song, pair.start_s),
            self.record(name, start_s),
            seed=int(np.random.SeedSequence([self.seed, pair.number]).generate_state(1)[0]),
            human=self.human(pair.song, pair.start_s),
        )

    def human(self, name: str, start_s: float) -> torch.Tensor | None:
        """Read the same moment of a song's human mix; None where there is none."""
        if name not in self.humans:
            return None
        length_s = min(self.seconds, self.songs[name].duration_s - start_s)
        return read_segment(self.humans[name], start_s, length_s).expand(2, -1)

    def _song(self, name: str, start_s: float) -> Multitrack:
        """Read the stems that sound at a moment of a song."""
        song = self.songs[name]
        length_s = _length_s(name, song.duration_s, start_s, self.seconds)
        audio = torch.stack([read_segment(stem, start_s, length_s).expand(2, -1) for stem in song.stems])
        levels = loudness_each(audio, SAMPLE_RATE)
        kept = [i for i, level in enumerate(levels) if level > SILENCE_LUFS]
        if not kept:
            raise InputError(f"{name}: no stem sounds at {in_seconds(start_s)}")
        kept = sorted(sorted(kept, key=lambda i: -levels[i])[: self.max_stems])
        return Multitrack([song.stems[i].name for i in kept], audio[kept], SAMPLE_RATE, name)

    def _record(self, name: str, start_s: float) -> torch.Tensor:
        """Read a moment of a record, (2, num_samples); less, where it is shorter."""
        record = self.records[name].mix
        assert record is not None
        length_s = _length_s(name, record.duration_s, start_s, self.seconds)
        audio = read_segment(record, start_s, length_s).expand(2, -1)
        return audio - audio.mean(dim=-1, keepdim=True)  # an offset is no style


def human_mixes(songs: Mapping[str, Song], records: Mapping[str, Song]) -> dict[str, Track]:
    """Find the human mixes of songs: their own finished mix, or the song `human_mixes/NAME` of an index.

    Args:
        songs: Songs with stems by name.
        records: Finished songs by name.

    Returns:
        The mixes, which begin with their song's stems, by the song's name.
    """
    mixes = {name: song.mix for name, song in songs.items() if song.mix}
    for name in songs.keys() - mixes.keys():
        human = records.get(f"{HUMAN}{name}")
        if human and human.mix:
            mixes[name] = human.mix
    return mixes


def _length_s(name: str, duration_s: float, start_s: float, seconds: float) -> float:
    if start_s >= duration_s:
        raise InputError(f"{name}: ends after {in_seconds(duration_s)}, nothing at {in_seconds(start_s)}")
    return min(seconds, duration_s - start_s)
