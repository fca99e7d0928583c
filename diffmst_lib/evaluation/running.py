"""Comparison of systems: songs, records and systems in, a folder with tables out. Chapter: Results."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from .. import __version__
from ..audio.remarks import few
from ..data.songs import Song
from ..disk import output_folder, why, write_together, write_whole
from ..inputs import InputError, note
from ..network.musicnn import embed
from ..plots.evaluation import plot_evaluation
from ..training.checkpoint import differences
from ..training.lock import locked
from .excerpts import HUMAN, human_mixes
from .pairs import Pair, all_pairs, moments
from .pool import do_jobs
from .store import PAIRS, Embeddings, Rows, read_pairs
from .summary import summary_table, summary_text
from .system_kind import System
from .working import COLUMNS, PROTOCOLS, Embedding, Job, Outcome, Setup, find_system

if TYPE_CHECKING:
    import pandas as pd

RUN, MIXES, FIGURE = "run.json", "mixes", "evaluation.png"
FORMAT, VERSION = "diffmst-evaluation", 1
SET_MOMENTS = 3  # of a record in the set of all records


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation.

    Attributes:
        pairs: A row a pair and system; `error` says in one line why a system failed.
        summary: A row a system, see `summary_table`.
        failed: Number of rows with an error.
    """

    pairs: pd.DataFrame
    summary: pd.DataFrame
    failed: int


def evaluate(
    songs: Sequence[Song],
    records: Sequence[Song],
    systems: Sequence[str],
    output: str | Path,
    *,
    pairs: Sequence[Pair] | None = None,
    record_set: Sequence[Song] = (),
    fits: int | None = None,
    seconds: float = 10.0,
    protocol: str = "default",
    steps: int = 50,
    max_stems: int | None = None,
    seed: int = 0,
    wrong: bool = False,
    programs: Mapping[str, str] | None = None,
    embedding: Embedding | None = embed,
    keep_audio: bool = False,
    workers: int = 0,
    list_name: str = "",
    progress: bool = False,
) -> Evaluation:
    """Let systems mix songs after records, and measure what they make.

    Every mix is a row of `pairs.csv` as soon as it is there. The same call goes on where an earlier one stopped, and
    tries again what failed; more systems and more pairs may be asked for.

    Args:
        songs: Songs of an index, with stems.
        records: Finished songs of an index.
        systems: Names of systems, see `system`, and of `programs`.
        output: Folder for pairs.csv, summary.csv, summary.md, evaluation.png, run.json and embeddings.npz.
        pairs: The pairs, by `random_pairs` or `read_list`; None: all songs after all records.
        record_set: Finished songs beside `records`: with them, what real records are like, for FAD and KAD.
        fits: Systems that take many steps get the first pairs alone, so many; None: all.
        seconds: Length of a moment in seconds, at least 1.
        protocol: "default": mix and record at -16 LUFS; "paper": the mix at -22 LUFS.
        steps: Steps of the systems that fit.
        max_stems: Most stems of a moment, the loudest; None: all that sound.
        seed: Seed of the systems that draw.
        wrong: Whether systems that listen are shown a wrong record as well, measured against the right one.
        programs: Command lines by the name of their system, see `program`.
        embedding: Function (audio, sample_rate) -> (patches, features), named by its `__name__`; None: no FAD
            and no KAD.
        keep_audio: Whether to keep records and mixes in `mixes/NUMBER`, as FLAC at -23 LUFS.
        workers: Number of processes of one thread; 0: everything in this one. Systems that were registered here
            and functions of a notebook are known in this one only.
        list_name: Name of the list that `pairs` is, for the record.
        progress: Whether to show a progress bar.

    Returns:
        The tables.

    Raises:
        InputError: In one line, for unknown systems and those that lack weights, a package or a program, before
            any work; for nothing to evaluate; and for a folder with another evaluation, or one that runs.

    Example:
        >>> import tempfile
        >>> import diffmst_lib as dm
        >>> index = dm.data.SongIndex.load(dm.data_dir())
        >>> songs, records = index.multitracks("test"), index.references("validation")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = evaluate(songs, records, ["sum"], folder, seconds=2.0, embedding=None)
        >>> found.pairs[["song", "record", "system"]].values.tolist(), found.failed
        ([['caesium', 'hungarian_dance', 'sum']], 0)
    """
    programs = dict(programs or {})
    systems = list(dict.fromkeys(systems))
    known = prepare(systems, programs, steps=steps)
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol must be one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    humans = human_mixes({song.name: song for song in songs}, {one.name: one for one in records})
    records = [record for record in records if not record.name.startswith(HUMAN)]
    pairs = list(pairs) if pairs is not None else all_pairs(songs, records, seconds=seconds)
    names = {record.name for record in records}
    records += [one for one in record_set if not one.name.startswith(HUMAN) and one.name not in names]
    with output_folder(output) as folder, locked(folder, "evaluation"):
        setup = Setup(
            {song.name: song for song in songs},
            {record.name: record for record in records},
            humans,
            seconds=seconds,
            protocol=protocol,
            steps=steps,
            max_stems=max_stems,
            seed=seed,
            wrong=wrong,
            programs=programs,
            embedding=embedding,
            audio_folder=folder.resolve() / MIXES if keep_audio else None,
        )
        run = _about(setup, systems, len(pairs), list_name)
        _settle(folder, run)
        rows, embeddings = Rows(folder / PAIRS, COLUMNS), Embeddings(folder)
        _check_rows(rows, pairs, systems, folder)
        order = {name: number for number, name in enumerate(systems)}
        rows.write(order)
        jobs = _jobs(pairs, known, rows, humans, fits)
        if keep_audio:
            _write_abouts(folder / MIXES, jobs)
        jobs += _set_jobs(setup, embeddings)
        _work(setup, jobs, workers, rows, embeddings, progress)
        rows.write(order)
        embeddings.write()
        table = read_pairs(folder)
        run["date"] = datetime.date.today().isoformat()
        summary = summary_table(table, systems, embeddings.vectors)
        _write(folder, run, table, summary)
    return Evaluation(table, summary, int((table["error"] != "").sum()))


def prepare(systems: Sequence[str], programs: Mapping[str, str], *, steps: int = 50) -> dict[str, System]:
    """Find systems, and see whether what they need is there, before anything is loaded.

    Args:
        systems: Their names.
        programs: Command lines by the name of their system.
        steps: Steps of the systems that fit.

    Returns:
        The systems by name.

    Raises:
        InputError: In one line, for no or unknown systems, and those that lack weights, a package or a program.
    """
    if not systems:
        raise InputError("no systems to evaluate: name some")
    unused = [name for name in programs if name not in systems]
    if unused:
        raise InputError(f"the program {unused[0]} is not among the systems: {', '.join(systems)}")
    known = {name: find_system(name, programs, steps) for name in systems}
    for one in known.values():
        if one.ready is not None:
            one.ready()
    return known


def _about(setup: Setup, systems: Sequence[str], count: int, list_name: str) -> dict[str, Any]:
    """Tell what an evaluation is, for run.json."""
    songs = sorted(
        f"{song.name} {song.signature}" for song in (*setup.songs.values(), *setup.records.values())
    )
    digest = hashlib.sha256("\n".join(songs).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    settings = {
        "data": f"{len(setup.songs)} songs, {len(setup.records)} records, names and files {digest}",
        "seconds": setup.seconds,
        "protocol": setup.protocol,
        "steps": setup.steps,
        "max_stems": setup.max_stems,
        "seed": setup.seed,
        "wrong": setup.wrong,
        "keep_audio": setup.audio_folder is not None,
        "embedding": embedding_name(setup.embedding),
        "list": list_name,
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "settings": settings,
        "systems": list(systems),
        "programs": dict(setup.programs),
        "pairs": count,
        "compared": PROTOCOLS[setup.protocol],
        "device": device(),
        "versions": versions(),
        "date": datetime.date.today().isoformat(),
    }


def embedding_name(embedding: Embedding | None) -> str:
    """Name an embedding: "musicnn" for ours, else the name of its function; "" for none."""
    if embedding is None:
        return ""
    return "musicnn" if embedding is embed else getattr(embedding, "__name__", type(embedding).__name__)


def device() -> str:
    """Describe the processor in one line: everything is computed on it."""
    names = []
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return (
        f"CPU: {names[0] if names else platform.processor() or platform.machine()}, cores: {os.cpu_count()}"
    )


def versions() -> dict[str, str]:
    """The versions that numbers may depend on."""
    own = {"diffmst_lib": __version__, "python": platform.python_version()}
    return own | {"torch": torch.__version__, "numpy": np.__version__, "system": platform.system()}


def read_run(folder: str | Path) -> dict[str, Any]:
    """Read what an evaluation was like: settings, systems, device, versions, date.

    Args:
        folder: Its folder.

    Raises:
        InputError: In one line, when there is no evaluation.
    """
    path = Path(folder) / RUN
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        if run["format"] != FORMAT or run["version"] != VERSION or not isinstance(run["settings"], dict):
            raise ValueError
        return run
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({why(error)})") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InputError(f"{path}: not written by an evaluation of this version") from None


def _settle(folder: Path, run: dict[str, Any]) -> None:
    """Refuse a folder with another evaluation, else write what this one is."""
    if (folder / RUN).is_file():
        before = read_run(folder)
        programs = {
            name: line for name, line in before.get("programs", {}).items() if name in run["programs"]
        }
        changed = differences(
            before["settings"] | {"programs": programs},
            run["settings"] | {"programs": {name: run["programs"][name] for name in programs}},
        )
        if changed:
            raise InputError(
                f"{folder}: another evaluation is there: {few(changed)}: go on as it began, or name another folder"
            )
    elif (folder / PAIRS).exists():
        raise InputError(f"{folder}: has a {PAIRS} but no {RUN}: name another folder")
    text = json.dumps(run, indent=2, ensure_ascii=False) + "\n"
    _written(folder / RUN, lambda part: part.write_text(text, encoding="utf-8"))


def _written(path: Path, write: Any) -> None:
    try:
        write_whole(path, write)
    except OSError as error:
        raise InputError(f"{path}: not written ({why(error)})") from None


def _check_rows(rows: Rows, pairs: Sequence[Pair], systems: Sequence[str], folder: Path) -> None:
    """Refuse rows of other pairs or systems than those asked for."""
    others = sorted({name for name, _ in rows.rows} - set(systems))
    if others:
        raise InputError(
            f"{folder}: holds mixes of {few(others)} too: name these systems as well, or another folder"
        )
    by_number = {pair.number: pair for pair in pairs}
    for row in rows.rows.values():
        pair = by_number.get(row["pair"])
        there = (row["song"], row["start_s"], row["record"], row["record_start_s"])
        if pair is None:
            raise InputError(
                f"{folder}: holds {row['pair']} pairs or more, not {len(pairs)}: ask for as many"
            )
        if there != (pair.song, pair.start_s, pair.record, pair.record_start_s):
            raise InputError(
                f"{folder}: another evaluation is there: pair {pair.number} is {row['song']} after {row['record']}, "
                f"now {pair.song} after {pair.record}: go on as it began, or name another folder"
            )


def _jobs(
    pairs: Sequence[Pair],
    known: Mapping[str, System],
    rows: Rows,
    humans: Mapping[str, Any],
    fits: int | None,
) -> list[Job]:
    """List what is still to be mixed, pair by pair. Where there is no human mix, there is nothing to measure."""
    done, jobs = rows.done(), []
    for number, pair in enumerate(pairs):
        names = [name for name in known if (name, pair.number) not in done]
        if fits is not None and number >= fits:
            names = [name for name in names if not known[name].fits]
        if pair.song not in humans:
            names = [name for name in names if name != "human"]
        if names:
            jobs.append(Job(pair, tuple(names)))
    without = {pair.song for pair in pairs} - humans.keys()
    if "human" in known and without:
        note(f"no human mix, left out there: {few(sorted(without))}")
    return jobs


def _set_jobs(setup: Setup, embeddings: Embeddings) -> list[Job]:
    """List the moments of all records that are still to be embedded; their numbers are below 0."""
    if setup.embedding is None:
        return []
    jobs = []
    for record in setup.records.values():
        starts = moments(record, setup.seconds)
        for i in (
            np.unique(np.linspace(0, len(starts) - 1, SET_MOMENTS).round().astype(int)) if len(starts) else ()
        ):
            number = -1 - len(jobs)
            jobs.append(Job(Pair(number, "", 0.0, record.name, float(starts[i]))))
    return [job for job in jobs if ("record", job.pair.number) not in embeddings.vectors]


def _work(
    setup: Setup, jobs: Sequence[Job], workers: int, rows: Rows, embeddings: Embeddings, progress: bool
) -> None:
    """Do the jobs; every outcome is written at once."""
    total, done = sum(len(job.systems) for job in jobs), 0
    with tqdm(total=total, desc="mixing", unit="mix", disable=not progress) as bar:
        try:
            for outcome in do_jobs(setup, jobs, workers):
                _add(outcome, rows, embeddings)
                done += outcome.row is not None
                bar.update(outcome.row is not None)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped after {done} of {total} mixes: the same command goes on"
            ) from None


def _add(outcome: Outcome, rows: Rows, embeddings: Embeddings) -> None:
    for name, vectors in outcome.embeddings.items():
        embeddings.add((name, outcome.number), vectors)
    if outcome.row is not None:
        rows.add(outcome.row)


def _write_abouts(folder: Path, jobs: Sequence[Job]) -> None:
    """Write beside the sounds of each pair what they are."""
    for job in jobs:
        place = folder / f"{job.pair.number:03d}"
        place.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(job.pair), ensure_ascii=False) + "\n"
        _written(place / "pair.json", lambda part, text=text: part.write_text(text, encoding="utf-8"))


def _write(folder: Path, run: dict[str, Any], table: pd.DataFrame, summary: pd.DataFrame) -> None:
    about = json.dumps(run, indent=2, ensure_ascii=False) + "\n"
    text = summary_text(table, summary, run)
    writers = {
        "summary.csv": lambda part: summary.to_csv(part, index=False),
        "summary.md": lambda part: part.write_text(text, encoding="utf-8"),
        RUN: lambda part: part.write_text(about, encoding="utf-8"),
    }
    if np.isfinite(summary["af_mean"]).any():
        writers[FIGURE] = lambda part: plot_evaluation(table, summary).savefig(part, dpi=150)
    write_together(folder, writers)
