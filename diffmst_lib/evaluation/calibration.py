"""Who hears what: every metric on ladders of known damage.

A metric is calibrated as it is used. The record is the same song's good mix of another moment, so that the
undamaged mix scores what perfect style scores, the floor, and not zero. Then the mix is damaged, rung by
rung. A metric hears the damage when it ranks the rungs, in every song, and when it rises above what songs
and moments differ by anyway.

Chapter: How good is a mix?
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..audio.loudness import normalize_loudness
from ..audio.multitrack import Multitrack
from ..disk import write_whole
from ..inputs import InputError, InputNote, note
from ..mixing.baselines import unity
from ..mixing.result import MixResult
from ..network.musicnn import embed
from .damage import LADDERS
from .distances import frechet_distance, kernel_distance
from .metrics import Metric, measure
from .task import Task

if TYPE_CHECKING:
    import pandas as pd

Embedding = Callable[
    [torch.Tensor, int], torch.Tensor | np.ndarray
]  # (2, num_samples), Hz -> (patches, features)

NONE, RECORDS = "none", "records"  # as the ladder: an undamaged mix, and a record beside itself
UNDAMAGED = (NONE, RECORDS)
KEYS = ["ladder", "song", "moment", "amount", "stem"]
TYPES = dict(zip(KEYS, (str, str, int, float, str), strict=True))
ALL = -1  # as the moment: of all songs together, or of all but the one that is named
DIGITS = 5  # of what is kept, so that a table that was written and read says the same
OF_EMBEDDINGS = {
    "embedding_distance": Metric(
        "embedding distance",
        "",
        "low",
        0.0,
        "distance of the mean embedding of a mix from that of its record",
    ),
    "fad": Metric(
        "FAD", "", "low", 0.0, "Fréchet distance of all mixes from all records, by their embeddings"
    ),
    "kad": Metric(
        "KAD", "", "low", 0.0, "kernel distance of all mixes from all records, by their embeddings"
    ),
}


@dataclass
class Measured:
    """What was measured of one song, or record.

    Attributes:
        song: Its name.
        rows: A row per damaged mix: the keys, and a column per metric.
        embeddings: By ladder, amount and moment, the embeddings of a mix, (patches, features). Those of
            undamaged mixes are those of the records as well.
    """

    song: str
    rows: list[dict] = field(default_factory=list)
    embeddings: dict[tuple[str, float, int], np.ndarray] = field(default_factory=dict)


def calibrate(
    songs: Mapping[str, Sequence[Multitrack]],
    *,
    ladders: Sequence[str] = tuple(LADDERS),
    embedding: Embedding | None = embed,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure damaged mixes with every metric.

    Args:
        songs: By the name of a song, moments of it with the same stems, at least two. The record of each is
            the plain sum of the next one.
        ladders: Names of `LADDERS`. One that a song has no use for, such as a narrower image of a mono song,
            is left out there, told in an `InputNote`.
        embedding: Function (audio, sample_rate) -> (patches, features); None: no metrics of embeddings.
        seed: Seed of all random choices.
        progress: Whether to show a progress bar.

    Returns:
        A row per metric and damaged mix: ladder ("none" for the undamaged mix), song, moment, amount, stem
        (what was damaged, "" for the whole mix), metric, value. FAD and KAD are of all songs: their moment
        is -1, and their song "", or the name of the one song that was left out. They compare mixes at even
        moments with records at odd ones, and the other way round.

    Raises:
        InputError: For no song, for a song of one moment, and for unknown ladders.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").select("kick", "bgvox_main")
        >>> moments = [song.excerpt(8, 1), song.excerpt(9, 1)]
        >>> table = calibrate({"caesium": moments}, ladders=["clipping"], embedding=None)
        >>> table.query("metric == 'af_sum' and moment == 0")["amount"].tolist()
        [0.0, 3.0, 6.0, 12.0]
    """
    if not songs:
        raise InputError("no songs to calibrate with")
    if unknown := [name for name in ladders if name not in LADDERS]:
        raise InputError(f"no ladder {', '.join(unknown)}: there are {', '.join(LADDERS)}")
    options: dict[str, Any] = {"ladders": ladders, "embedding": embedding, "seed": seed, "progress": progress}
    return together([calibrate_song(name, moments, **options) for name, moments in songs.items()])


def calibrate_records(
    records: Mapping[str, Sequence[torch.Tensor]],
    *,
    sample_rate: int = 44100,
    embedding: Embedding | None = embed,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure finished mixes against themselves at another moment: what a human mix scores in its own style.

    Args:
        records: By the name of a record, moments of it (2, num_samples), at least two.
        sample_rate: Sample rate in Hz.
        embedding: As in `calibrate`.
        progress: Whether to show a progress bar.

    Returns:
        A table as of `calibrate`, with the ladder "records" and the amount 0.

    Raises:
        InputError: For no record, and for a record of one moment.
    """
    if not records:
        raise InputError("no records to calibrate with")
    names = tqdm(records, unit="record", disable=not progress)
    return together(
        [calibrate_record(name, records[name], sample_rate, embedding=embedding) for name in names]
    )


def calibrate_song(
    name: str,
    moments: Sequence[Multitrack],
    *,
    ladders: Sequence[str] = tuple(LADDERS),
    embedding: Embedding | None = embed,
    seed: int = 0,
    progress: bool = False,
) -> Measured:
    """Measure the damaged mixes of one song: `calibrate` without what needs all songs.

    Args:
        name: What tables call the song.
        moments: Moments of it with the same stems, at least two.
        ladders: As in `calibrate`.
        embedding: As in `calibrate`.
        seed: Seed of all random choices.
        progress: Whether to show a progress bar.

    Returns:
        What was measured. `together` makes the table.

    Raises:
        InputError: About the "song", when it has one moment, or is silent.
    """
    _check_moments(name, moments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        good = [unity(moment) for moment in moments]
    scorer = _Scorer(name, [mix.audio for mix in good], good[0].sample_rate, embedding)
    rungs = [(number, ladder) for number in range(len(moments)) for ladder in ladders]
    for number, mix in enumerate(good):
        scorer.add(NONE, number, 0.0, "", mix, moments[number])
    left_out: dict[str, str] = {}
    for number, ladder in tqdm(rungs, desc=name, unit="ladder", disable=not progress):
        song, damage = moments[number], LADDERS[ladder]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InputNote)
                stems = ", ".join(damage.turned(song)) if damage.turned else ""
                mixes = [damage.mix(song, amount, seed=seed + number) for amount in damage.amounts[1:]]
        except InputError as error:
            left_out[damage.label] = str(error)
            continue
        for amount, damaged in zip(damage.amounts[1:], mixes, strict=True):
            scorer.add(ladder, number, amount, stems, damaged, song)
    for label, why in left_out.items():
        note(f"{name}: {label} is left out: {why}")
    return scorer.measured


def calibrate_record(
    name: str,
    moments: Sequence[torch.Tensor],
    sample_rate: int = 44100,
    *,
    embedding: Embedding | None = embed,
) -> Measured:
    """Measure one finished mix against itself at another moment: `calibrate_records` of one.

    Args:
        name: What tables call the record.
        moments: Moments of it (2, num_samples), at least two.
        sample_rate: Sample rate in Hz.
        embedding: As in `calibrate`.

    Returns:
        What was measured.

    Raises:
        InputError: When it has one moment.
    """
    _check_moments(name, moments)
    moments = [normalize_loudness(audio, sample_rate=sample_rate) for audio in moments]
    scorer = _Scorer(name, moments, sample_rate, embedding)
    for number, audio in enumerate(moments):
        scorer.add(RECORDS, number, 0.0, "", audio, Multitrack([name], audio[None], sample_rate, name))
    return scorer.measured


def _check_moments(name: str, moments: Sequence[object]) -> None:
    if len(moments) < 2:
        raise InputError(f"{name}: two moments are needed, one is the record of the other", about="song")


class _Scorer:
    """Measures mixes of one song, each against the record of the next moment."""

    def __init__(
        self, name: str, records: Sequence[torch.Tensor], sample_rate: int, embedding: Embedding | None
    ):
        self.records, self.rate, self.embedding = records, sample_rate, embedding
        self.measured = Measured(name)
        self.centers = [self._embed(record).mean(axis=0) for record in records] if embedding else []

    def add(
        self,
        ladder: str,
        number: int,
        amount: float,
        stem: str,
        mix: MixResult | torch.Tensor,
        song: Multitrack,
    ) -> None:
        other = (number + 1) % len(self.records)
        values = measure(mix, Task(song, self.records[other]))
        if self.embedding:
            embedded = self._embed(mix.audio if isinstance(mix, MixResult) else mix)
            self.measured.embeddings[ladder, amount, number] = embedded
            apart = embedded.mean(axis=0) - self.centers[other]
            values["embedding_distance"] = float(np.linalg.norm(apart))
        keys = dict(zip(KEYS, (ladder, self.measured.song, number, amount, stem), strict=True))
        self.measured.rows.append(keys | values)

    def _embed(self, audio: torch.Tensor) -> np.ndarray:
        assert self.embedding
        return np.asarray(self.embedding(audio, self.rate), dtype=np.float64)


def together(measured: Sequence[Measured]) -> pd.DataFrame:
    """Make the table of `calibrate` of several songs, with the distances between all mixes and all records.

    Args:
        measured: What was measured of each song.

    Returns:
        The table.
    """
    import pandas as pd

    rows = [row for one in measured for row in one.rows] + list(_distances(measured))
    return _long(pd.DataFrame(rows))


def _distances(measured: Sequence[Measured]) -> Iterator[dict]:
    """Yield a row per ladder and amount: FAD and KAD of all songs on it, and of all but each of them.

    Every ladder begins with the undamaged mixes of its own songs, which may be fewer than all.
    """
    keys = dict.fromkeys((ladder, amount) for one in measured for ladder, amount, _ in one.embeddings)
    ladders = dict.fromkeys(ladder for ladder, _ in keys if ladder not in UNDAMAGED)
    for ladder, amount in [*keys, *((ladder, 0.0) for ladder in ladders)]:
        there = [one for one in measured if any(of == ladder for of, *_ in one.embeddings)]
        mixes_of = ladder if amount or ladder in UNDAMAGED else NONE
        for left_out in [None, *there] if len(there) > 1 else [None]:
            rest = [one for one in there if one is not left_out]
            name = left_out.song if left_out else ""
            values = _halves_apart(rest, mixes_of, amount)
            yield dict(zip(KEYS, (ladder, name, ALL, amount, ""), strict=True)) | values


def _halves_apart(songs: Sequence[Measured], ladder: str, amount: float) -> dict[str, float]:
    """Compute FAD and KAD of mixes from records of other moments: even moments from odd ones.

    The mean of both ways: no moment is in both sets, or the undamaged mixes would be the records.
    """
    apart = []
    for half in (0, 1):
        mixes, records = [], []
        for song in songs:
            for (of, much, moment), embedded in song.embeddings.items():
                if (of, much) == (ladder, amount) and moment % 2 == half:
                    mixes.append(embedded)
                if of in UNDAMAGED and moment % 2 != half:
                    records.append(embedded)
        if not mixes or not records:  # on this ladder at one moment only
            continue
        pair = np.concatenate(mixes), np.concatenate(records)
        apart.append((frechet_distance(*pair), kernel_distance(*pair)))
    return dict(zip(("fad", "kad"), np.mean(apart, axis=0).tolist(), strict=True))


def _long(wide: pd.DataFrame) -> pd.DataFrame:
    """Bring a table with a column per metric into the form of a row per metric."""
    table = wide.melt(id_vars=KEYS, var_name="metric", value_name="value").dropna(subset=["value"])
    table["value"] = [float(f"{value:.{DIGITS}g}") for value in table["value"]]
    return table.reset_index(drop=True)


def write_calibration(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table of `calibrate` as CSV, with a column per metric, whole or not at all.

    Args:
        table: The table.
        path: The file.
    """
    wide = table.pivot(index=KEYS, columns="metric", values="value")
    wide = wide[list(dict.fromkeys(table["metric"]))].reset_index()
    write_whole(Path(path), lambda part: wide.to_csv(part, index=False, float_format=f"%.{DIGITS}g"))


def read_calibration(path: str | Path) -> pd.DataFrame:
    """Read what `write_calibration` wrote.

    Args:
        path: The file.

    Returns:
        The table, as of `calibrate`.

    Raises:
        InputError: When it is missing, or is no such table.
    """
    import pandas as pd

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        wide = pd.read_csv(path, keep_default_na=False, dtype=TYPES)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no table of a calibration") from error
    if list(wide.columns[: len(KEYS)]) != KEYS or len(wide.columns) == len(KEYS):
        raise InputError(f"{path}: no table of a calibration")
    metrics = wide.columns[len(KEYS) :]
    return _long(wide.assign(**{name: pd.to_numeric(wide[name], errors="coerce") for name in metrics}))
