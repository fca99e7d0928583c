"""The mean-strip test: does a model mix, or does it only master?

All strips of a console are replaced by one, their mean. What a model that only masters has gained over the plain
sum survives that; what one that mixes has gained does not:

    kept = (L(plain sum) - L(mean strip)) / (L(plain sum) - L(network))

L is the audio-feature loss. Even of the console that made the record one mean strip keeps a part, which is measured
as well: no model can be far below it. The tasks are those of Method 1, in which every stem was treated apart. All mixes come
from `DiffMST.mix`.

Chapter: Method 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..audio.loudness import level_stems
from ..audio.multitrack import Multitrack
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.table import OFF_DB, knob_index, param_table
from ..mixing.bus import run_console
from ..mixing.start import neutral_params
from ..model import DiffMST
from .exam import check_model, distance, mix, sounding_halves, table_of_tasks

if TYPE_CHECKING:
    import pandas as pd

FADER_DB, LOGIT = 6.0, 0.7  # deviations of random strips
STILL = ("input_gain_db", "send_db")  # knobs that random strips leave alone


def random_strips(
    num_tracks: int, rng: np.random.Generator, *, preset: str = "default", sample_rate: int = 44100
) -> ConsoleParams:
    """Draw a console that treats every stem apart, and leaves the master alone.

    Faders are normal with 6 dB; the other knobs but trim and send are normal with 0.7 in logits about neutral.

    Args:
        num_tracks: Number of strips.
        rng: Source of all random choices.
        preset: The console's preset, of stems.
        sample_rate: Sample rate in Hz.

    Returns:
        The console.

    Example:
        >>> params = random_strips(4, np.random.default_rng(0))
        >>> params.tracks.shape, params.master_bus["width"]
        (torch.Size([4, 29]), 1.0)
    """
    names = [f"track{i + 1}" for i in range(num_tracks)]
    neutral = ConsoleParams.neutral(names, preset=preset, sample_rate=sample_rate)
    logits, *_ = neutral.to_logits()
    logits = logits + torch.tensor(rng.normal(0, LOGIT, tuple(logits.shape)), dtype=torch.float32)
    params = ConsoleParams.from_unit(
        torch.sigmoid(logits), *neutral.to_unit()[1:], preset=preset, sample_rate=sample_rate
    )
    fader = knob_index("fader_db", preset=preset)
    highest = param_table("track", preset, sample_rate)[fader].high
    faders = rng.normal(0, FADER_DB, num_tracks).clip(OFF_DB / 2, highest)
    params.tracks[:, fader] = torch.tensor(faders, dtype=torch.float32)
    for name in STILL:
        column = knob_index(name, preset=preset)
        params.tracks[:, column] = neutral.tracks[:, column]
    return params


def mean_strip(params: ConsoleParams) -> ConsoleParams:
    """Replace every strip by the mean of all, in the unit interval; pans and buses stay.

    Stems in their delivered balance share the levelling in their trims, so the mean has it as well.

    Args:
        params: A console.

    Returns:
        Another console.

    Example:
        >>> params = ConsoleParams.neutral(["kick", "pad"], pans=[0.5, 0.2])
        >>> params.track("pad")["fader_db"] = 6.0
        >>> [mean_strip(params).track("kick")[knob] for knob in ("fader_db", "pan")]
        [3.0, 0.5]
    """
    strips, *buses = params.to_unit()
    means = strips.mean(dim=-2, keepdim=True).expand_as(strips).clone()
    pan = knob_index("pan", preset=params.preset)
    means[..., pan] = strips[..., pan]
    return ConsoleParams.from_unit(
        means, *buses, names=params.names, preset=params.preset, sample_rate=params.sample_rate
    )


def strip_test(
    model: DiffMST, songs: Sequence[Multitrack], *, draws: int = 1, seed: int = 0, progress: bool = False
) -> pd.DataFrame:
    """Find out whether a model mixes or only masters, on tasks of Method 1.

    A random console mixes a song. The model hears the first half of that mix and gets the second half of the
    stems, whose mix is to sound like the second half.

    Args:
        model: A model of stems.
        songs: Songs or parts of songs, each twice as long as what is mixed.
        draws: Random consoles for each song.
        seed: Seed of all random choices.
        progress: Whether to show a progress bar.

    Returns:
        A row per task: song, draw, stems (their number), and the audio-feature loss with neutral (the plain
        sum), master (the model's master alone), mean_strip, network, and true_mean (the mean strip of the
        console that made the record).

    Raises:
        InputError: For a model of channels, and for a song without two stems that sound in both halves.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").excerpt(2, 4)
        >>> table = strip_test(DiffMST("tiny"), [song])        # untrained, it leaves everything as it is
        >>> bool(abs(table.loc[0, "network"] - table.loc[0, "neutral"]) < 0.01)
        True
    """
    return table_of_tasks(songs, draws, seed, progress, lambda song, rng: strip_task(model, song, rng))


def strip_task(model: DiffMST, song: Multitrack, rng: np.random.Generator) -> dict[str, float]:
    """Do one task of the mean-strip test: the numbers of a row of `strip_test`."""
    check_model(model)
    there, here = sounding_halves(song)
    preset, rate = model.config.console, model.config.sample_rate
    random = random_strips(len(here.names), rng, preset=preset, sample_rate=rate)
    engineer = MixingConsole(rate, preset=preset)
    levelled, _ = level_stems(torch.cat([there.audio, here.audio], dim=-1), sample_rate=rate)
    with torch.no_grad():
        first, second = levelled.chunk(2, dim=-1)
        record, target = (run_console(engineer, half, random) for half in (first, second))
        true_mean = run_console(engineer, second, mean_strip(random))
    result = mix(model, here, record)
    neutral = neutral_params(here, preset=preset)
    master = ConsoleParams(
        neutral.tracks,
        result.params.fx_bus_values,
        result.params.master_bus_values,
        names=here.names,
        preset=preset,
        sample_rate=rate,
    )

    def after(params: ConsoleParams) -> float:
        with torch.no_grad():
            return distance(run_console(model.console, here.audio, params), target, rate)

    return {
        "stems": len(here.names),
        "neutral": distance(here.audio.sum(dim=0), target, rate),
        "master": after(master),
        "mean_strip": after(mean_strip(result.params)),
        "network": distance(result.audio, target, rate),
        "true_mean": distance(true_mean, target, rate),
    }


def kept(table: pd.DataFrame, *, true: bool = False) -> float:
    """Compute how much of what a model gains over the plain sum one mean strip keeps, from the means.

    Args:
        table: The table of `strip_test`.
        true: Whether to compute it for the console that made the record, which gains everything.

    Returns:
        A share: near 1 the model masters, near 0 it mixes; NaN where it gains nothing.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"neutral": [0.5], "mean_strip": [0.4], "network": [0.25], "true_mean": [0.3]})
        >>> round(kept(table), 2), round(kept(table, true=True), 2)
        (0.4, 0.4)
    """
    neutral = float(table["neutral"].mean())
    mean = float(table["true_mean" if true else "mean_strip"].mean())
    network = 0.0 if true else float(table["network"].mean())
    return (neutral - mean) / (neutral - network) if network < neutral else math.nan
