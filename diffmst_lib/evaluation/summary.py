"""The summary of an evaluation: means with intervals over songs, FAD and KAD, as a table and in words.

Chapter: Results
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..inputs import InputNote
from .distances import set_distances
from .intervals import song_interval
from .metrics import METRICS, wrong_ratio
from .tables import CAPTION_1, CAPTION_2, markdown, table_1, table_2
from .working import RECORD

if TYPE_CHECKING:
    import pandas as pd

    from .store import Key

ROUNDING = 1e-7  # what is nearer to 0 is no result
FEW_SONGS = 12  # up to so many, every song is printed
COLUMNS = 6  # metrics side by side in the text
ARROWS = {"low": " ↓", "high": " ↑"}
DISTANCES = {"FAD": "fad", "FAD-infinity": "fad_infinity", "KAD": "kad"}
ENDS = {"value": "", "low": "_low", "high": "_high"}
SETS = {"": "the records of the pairs", "_set": "all records"}


def summary_table(
    pairs: pd.DataFrame,
    systems: Sequence[str],
    embeddings: Mapping[Key, np.ndarray] | None = None,
    *,
    draws: int = 10_000,
) -> pd.DataFrame:
    """Sum up the rows of an evaluation.

    Args:
        pairs: The rows, see `read_pairs`. Those that failed are only counted.
        systems: Names of the systems, in the order wanted.
        embeddings: Embeddings of mixes and records, see `read_embeddings`.
        draws: Draws of the bootstrap.

    Returns:
        A row a system: system, pairs, songs, failed; of every metric its mean over pairs, and as `_low` and `_high`
        the 95 % bootstrap interval over songs; wrong_ratio, how many times farther from
        the record mixes are that were made after a wrong one; fad, fad_infinity and kad from the records of the pairs, and with `_set` from all
        records, the first with the interval of the jackknife over songs; medians of seconds_used and memory_mb.
    """
    import pandas as pd

    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)  # of one song there is no interval: the table shows it
        for name in systems:
            of_system = pairs[pairs["system"] == name]
            good = of_system[of_system["error"] == ""]
            row: dict[str, Any] = {"system": name, "pairs": len(good), "songs": good["song"].nunique()}
            row["failed"] = len(of_system) - len(good)
            for metric in (*METRICS, "af_wrong"):
                ends = song_interval(good, metric, draws=draws)
                row |= dict(zip((metric, f"{metric}_low", f"{metric}_high"), ends, strict=True))
            means = good.loc[np.isfinite(good["af_wrong"]), ["af_mean", "af_wrong"]].mean()
            right, wrong = ({"af_mean": means[column]} for column in ("af_mean", "af_wrong"))
            row["wrong_ratio"] = wrong_ratio(right, wrong, "af_mean")
            row |= _distances(name, good, embeddings or {})
            row["seconds_used"] = good["seconds_used"].median()
            row["memory_mb"] = good["memory_mb"].median()
            rows.append(row)
    return pd.DataFrame(rows)


def _distances(name: str, rows: pd.DataFrame, embeddings: Mapping[Key, np.ndarray]) -> dict[str, float]:
    """Compute how far the mixes of a system are from the records, by their embeddings."""
    found = {
        f"{column}{of}{end}": math.nan
        for of in SETS
        for column in DISTANCES.values()
        for end in ENDS.values()
    }
    rows = rows[[(name, pair) in embeddings for pair in rows["pair"]]]
    if rows.empty:
        return found
    mixes = [embeddings[name, pair] for pair in rows["pair"]]
    songs = np.repeat(rows["song"].to_numpy(dtype=str), [len(vectors) for vectors in mixes])
    once = rows.drop_duplicates(["record", "record_start_s"])["pair"]
    records = [embeddings[RECORD, pair] for pair in once if (RECORD, pair) in embeddings]
    of_all = [vectors for (kind, number), vectors in embeddings.items() if kind == RECORD and number < 0]
    for suffix, of, by in (("", records, songs), ("_set", of_all, None)):
        if of:
            table = set_distances(np.concatenate(mixes), np.concatenate(of), songs=by)
            for row in table.to_dict("records"):
                found |= {f"{DISTANCES[row['distance']]}{suffix}{end}": row[key] for key, end in ENDS.items()}
    return found


def summary_text(pairs: pd.DataFrame, summary: pd.DataFrame, run: Mapping[str, Any]) -> str:
    """Write the summary in Markdown.

    Args:
        pairs: The rows, see `read_pairs`.
        summary: The table of `summary_table`.
        run: What the evaluation was like, see `read_run`.

    Returns:
        The text.
    """
    settings, levels = run["settings"], run["compared"]
    songs, records = pairs["song"].nunique(), pairs["record"].nunique()
    stems = pairs["stems"].dropna().astype(int)
    from_to = f"{stems.min()} to {stems.max()}" if len(stems) else "no"
    failed = int((pairs["error"] != "").sum())
    lines = [
        "# Evaluation",
        "",
        f"{pairs['pair'].nunique()} pairs of {songs} songs ({from_to} stems) and {records} records, moments of "
        f"{settings['seconds']:g} s; mixes at {levels['mix_lufs']:g} LUFS, records at {levels['record_lufs']:g}; "
        f"seed {settings['seed']}; fits of {settings['steps']} steps. {_caption(run)}",
        "",
        "Means over pairs, in brackets the 95 % bootstrap interval over songs. ↓: lower is better, ↑: higher is "
        "better. Seconds and memory are medians; each process has one thread.",
    ]
    if failed:
        lines += ["", f"{failed} mixes failed:", "", *_failures(pairs)]
    shown = [name for name in METRICS if np.isfinite(summary[name]).any()]
    groups = [shown[i : i + COLUMNS] for i in range(0, len(shown), COLUMNS)]
    for group in groups:
        table = summary[["system", "pairs", "songs"]].astype(str)
        for name in group:
            metric = METRICS[name]
            unit = f" ({metric.unit})" if metric.unit else ""
            table[f"{metric.label}{unit}{ARROWS.get(metric.better, '')}"] = _with_interval(summary, name)
        lines += ["", markdown(table)]
    lines += ["", "## Does it listen, what does it cost", "", markdown(_cost(summary))]
    if settings["embedding"]:
        lines += [
            "",
            "## Embeddings",
            "",
            _about_embeddings(settings["embedding"]),
            "",
            markdown(_far(summary)),
        ]
    if songs <= FEW_SONGS:
        lines += ["", f"## Every song: {METRICS['af_mean'].label}", "", markdown(_by_song(pairs, summary))]
    wanted, caption = (table_2, CAPTION_2) if settings["list"] == "table-2" else (table_1, CAPTION_1)
    lines += ["", "## As the paper has it", "", caption, "", markdown(wanted(pairs, summary))]
    return "\n".join(lines) + "\n"


def _caption(run: Mapping[str, Any]) -> str:
    data, versions = run["settings"]["data"], run["versions"]
    return (
        f"Data: {data}. {run['device']}; diffmst_lib {versions['diffmst_lib']}, torch {versions['torch']}; "
        f"{run['date']}."
    )


def _failures(pairs: pd.DataFrame) -> list[str]:
    wrong = pairs[pairs["error"] != ""]
    counts = wrong.groupby(["system", "error"], sort=False).size()
    return [f"- {name}: {error} ({count})" for (name, error), count in counts.items()]


def _with_interval(summary: pd.DataFrame, name: str) -> list[str]:
    """Write a column of the summary with its interval."""
    ends = (summary[column] for column in (name, f"{name}_low", f"{name}_high"))
    return [
        _number(mean) + ("" if math.isnan(low) else f" [{_number(low)}, {_number(high)}]")
        for mean, low, high in zip(*ends, strict=True)
    ]


def _cost(summary: pd.DataFrame) -> pd.DataFrame:
    table = summary[["system", "pairs", "failed"]].astype(str)
    table["wrong over right record ↑"] = [_number(value) for value in summary["wrong_ratio"]]
    table["seconds"] = [_number(value) for value in summary["seconds_used"]]
    table["memory (MB)"] = [_number(value) for value in summary["memory_mb"]]
    return table


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{0.0 if abs(value) < ROUNDING else value:.3g}"


def _about_embeddings(name: str) -> str:
    about = f"Embedding: {name}, of sounds at -16 LUFS."
    if name == "musicnn":
        about += " It hears mono at 16 kHz: neither the image nor the air."
    return (
        f"{about} FAD falls with the number of samples, FAD-infinity is extrapolated to endlessly many; KAD has no such bias, "
        "and can be negative. In brackets the 95 % interval of the jackknife over songs."
    )


def _far(summary: pd.DataFrame) -> pd.DataFrame:
    table = summary[["system", "pairs"]].astype(str)
    for suffix, of in SETS.items():
        for label, name in DISTANCES.items():
            table[f"{label}, {of} ↓"] = _with_interval(summary, name + suffix)
    return table


def _by_song(pairs: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    good = pairs[pairs["error"] == ""]
    means = good.pivot_table(index="song", columns="system", values="af_mean", sort=False)
    columns = [name for name in summary["system"] if name in means.columns]
    text = means[columns].map(_number).reset_index()
    stems = good.groupby("song")["stems"].max()
    text.insert(1, "stems", [str(int(stems[song])) for song in text["song"]])
    return text
