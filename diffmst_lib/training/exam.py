"""Two exams of a model. Does it hear the balance? What does it reach with a record, and what does that cost?

The balance test turns every stem up or down, and shows the undisturbed mix of another moment of the song. The
right faders are known, so that what remains can be counted stem by stem. Pairs of a song and a record have no right
answer: there the audio-feature loss is measured, and how far the stems were moved for it. All mixes come from
`DiffMST.mix`.

Chapter: Method 2.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from ..audio.loudness import level_stems, loudness, loudness_each, normalize_loudness
from ..audio.multitrack import Multitrack
from ..inputs import InputError, InputNote
from ..mixing.costs import balance_cost, moved_db
from ..mixing.result import MixResult
from ..model import DiffMST
from ..style.losses import audio_feature_loss
from .known import AUDIBLE_DB

if TYPE_CHECKING:
    import pandas as pd

DISTURBED_DB = 5.0  # rms of what is done to the stems, so that all draws are equally hard


def balance_test(
    model: DiffMST,
    songs: Sequence[Multitrack],
    *,
    draws: int = 4,
    refine_steps: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Find out whether a model hears the balance: it is shown what the stems were like before.

    Args:
        model: A model of stems.
        songs: Songs or parts of songs of two moments: the first half is the record, the second is mixed.
        draws: Disturbances for each song.
        refine_steps: Steps of a fit after the model, as in `DiffMST.mix`, at its default `keep`.
        seed: Seed of all random choices.
        progress: Whether to show a progress bar.

    Returns:
        A row per draw: song, draw, stems (their number), and what remains of the disturbance, in dB as rms
        over the stems without what they share: disturbed (5 dB), equal (all stems equally loud), found.

    Raises:
        InputError: For a model of channels, and for a song without two stems that sound in both halves.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").excerpt(2, 4)
        >>> table = balance_test(DiffMST("tiny"), [song], draws=1)    # untrained, it finds nothing
        >>> table[["disturbed", "found"]].round(0).values.tolist()
        [[5.0, 5.0]]
    """

    def task(song: Multitrack, rng: np.random.Generator) -> dict[str, float]:
        return remains(balance_task(model, song, rng, refine_steps=refine_steps))

    return table_of_tasks(songs, draws, seed, progress, task)


def balance_task(
    model: DiffMST, song: Multitrack, rng: np.random.Generator, *, refine_steps: int = 0
) -> pd.DataFrame:
    """Disturb the balance of one song, and let a model restore it.

    Each stem's gain is off by a normal, scaled to exactly 5 dB rms without what the stems share. Levels are
    the LUFS of the stems as they leave the strips.

    Args:
        model: A model of stems.
        song: As in `balance_test`.
        rng: Source of the disturbance.
        refine_steps: As in `balance_test`.

    Returns:
        A row per stem: how far it is from where it belongs, in dB: disturbed, equal and found.

    Raises:
        InputError: As in `balance_test`.
    """
    import pandas as pd

    check_model(model)
    there, here = sounding_halves(song)
    gains_db = rng.normal(0, 1, len(here.names))
    gains_db -= gains_db.mean()
    gains_db *= DISTURBED_DB / np.sqrt(np.mean(gains_db**2))
    factors = torch.tensor(10.0 ** (gains_db / 20.0), dtype=here.audio.dtype)
    stems, _ = level_stems(here.audio * factors[:, None, None], sample_rate=here.sample_rate)
    disturbed = Multitrack(here.names, stems, here.sample_rate, here.title)
    result = mix(model, disturbed, there.audio.sum(dim=0), refine_steps=refine_steps)
    equal = -np.array(loudness_each(here.audio, here.sample_rate))
    columns = {"disturbed": gains_db, "equal": equal, "found": gains_db + moved_db(result)}
    table = pd.DataFrame(columns, index=pd.Index(here.names, name="stem"))
    return table - table.mean()


def remains(table: pd.DataFrame) -> dict[str, float]:
    """Sum up one task of the balance test, the table of `balance_task`: a row of `balance_test`."""
    return {"stems": len(table)} | table.pow(2).mean().pow(0.5).to_dict()


def pair_test(
    model: DiffMST,
    songs: Sequence[Multitrack],
    records: Mapping[str, torch.Tensor],
    *,
    refine_steps: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Mix songs in the style of records, and measure what was reached and what it cost.

    Args:
        model: A model.
        songs: Songs, or parts of songs.
        records: Records (2, num_samples) by name. The wrong record of a pair is the next one.
        refine_steps: Steps of a fit after the model, as in `DiffMST.mix`; then no wrong record is shown.
        progress: Whether to show a progress bar.

    Returns:
        A row per song and record: song, record, and what `pair_task` measures.

    Raises:
        InputError: In one line, as in `DiffMST.mix`.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").excerpt(2, 2)
        >>> records = {"one": torch.randn(2, 44100), "other": 0.1 * torch.randn(2, 44100)}
        >>> list(pair_test(DiffMST("tiny"), [song], records).columns)
        ['song', 'record', 'stems', 'plain', 'right', 'wrong', 'moved_db', 'worst_moved_db', 'leaned_db', 'worst_leaned_db']
    """
    import pandas as pd

    names, rows = list(records), []
    pairs = [(number, name) for number in range(len(songs)) for name in names]
    for number, name in tqdm(pairs, unit="pair", disable=not progress):
        other = names[(names.index(name) + 1) % len(names)]
        wrong = records[other] if other != name and not refine_steps else None
        measured = pair_task(model, songs[number], records[name], wrong, refine_steps=refine_steps)
        rows.append({"song": _called(songs[number], number), "record": name} | measured)
    return pd.DataFrame(rows)


def pair_task(
    model: DiffMST,
    song: Multitrack,
    record: torch.Tensor,
    wrong: torch.Tensor | None = None,
    *,
    refine_steps: int = 0,
) -> dict[str, float]:
    """Mix a song in the style of a record, and measure what was reached and what it cost.

    Args:
        model: A model.
        song: The stems.
        record: The record (2, num_samples).
        wrong: Another record, whose mix is compared with `record` as well.
        refine_steps: As in `pair_test`.

    Returns:
        The number of stems; the audio-feature loss, both at -16 LUFS, of the plain sum, with the right record
        and with the wrong one (NaN without one); how far the levels of the stems moved less their median,
        without sign, mean and worst; and how far stereo stems leaned to a side, mean and worst (NaN without
        stereo stems), in dB.
    """
    rate = song.sample_rate
    result = mix(model, song, record, refine_steps=refine_steps)
    return {
        "stems": len(song.names),
        "plain": distance(song.audio.sum(dim=0), record, rate),
        "right": distance(result.audio, record, rate),
        "wrong": math.nan if wrong is None else distance(mix(model, song, wrong).audio, record, rate),
    } | balance_cost(result)


def mix(model: DiffMST, song: Multitrack, record: torch.Tensor, *, refine_steps: int = 0) -> MixResult:
    """Mix as a user does. Notes are left out: the table says what they would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        return model.mix(song, record, refine_steps=refine_steps)


def distance(audio: torch.Tensor, record: torch.Tensor, sample_rate: int) -> float:
    """Compute the audio-feature loss of a mix and a record (2, num_samples), both brought to -16 LUFS."""
    both = (normalize_loudness(x, sample_rate=sample_rate) for x in (audio, record))
    return audio_feature_loss(*both, sample_rate=sample_rate)["total"].item()


def sounding_halves(song: Multitrack) -> tuple[Multitrack, Multitrack]:
    """Cut a song into halves, with those stems that can be heard in both, at most 45 dB below the sum.

    Args:
        song: The stems.

    Returns:
        The first half and the second.

    Raises:
        InputError: When there are fewer than two such stems.
    """
    half = song.audio.shape[-1] // 2
    parts = song.audio[..., :half], song.audio[..., half : 2 * half]
    heard = np.ones(len(song.names), dtype=bool)
    for part in parts:
        levels = np.array(loudness_each(part, song.sample_rate))
        heard &= levels > loudness(part.sum(dim=0), sample_rate=song.sample_rate) + AUDIBLE_DB
    names = [name for name, counts in zip(song.names, heard, strict=True) if counts]
    if len(names) < 2:
        raise InputError(f"{_called(song)}: needs two stems that sound in both halves", about="song")
    first, second = (
        Multitrack(list(names), part[torch.from_numpy(heard)], song.sample_rate, song.title) for part in parts
    )
    return first, second


def check_model(model: DiffMST) -> None:
    """Raise InputError for a model of mono channels."""
    if not model.config.stems:
        raise InputError(f"{model.config.name}: a model of mono channels has no strips of stems to look at")


def table_of_tasks(
    songs: Sequence[Multitrack],
    draws: int,
    seed: int,
    progress: bool,
    task: Callable[[Multitrack, np.random.Generator], dict[str, float]],
) -> pd.DataFrame:
    """Do a task `draws` times with each song, and make a table: song, draw, and what the task measures."""
    import pandas as pd

    rows = []
    tasks = [(number, draw) for number in range(len(songs)) for draw in range(draws)]
    for number, draw in tqdm(tasks, unit="task", disable=not progress):
        measured = task(songs[number], np.random.default_rng([seed, number, draw]))
        rows.append({"song": _called(songs[number], number), "draw": draw} | measured)
    return pd.DataFrame(rows)


def _called(song: Multitrack, number: int | None = None) -> str:
    return song.title or ("the song" if number is None else f"song {number + 1}")
