"""Judge a model on a split of a data set: `python data/judge_weights.py INDEX --output FOLDER`.

Excerpts of 10 s of every song, all stems that sound, mixed by `DiffMST.mix`; song, record and mix at -16 LUFS, the
audio-feature loss with the exact 20 kHz Bark edge. pairs.csv: after every record, and what was done to the stems
(`pair_test`). strips.csv: does it mix, or does it only master (`strip_test`)? balance.csv: does it hear the balance
(`balance_test`)? summary.md: what was wanted, and what came out.

Every row is written as soon as it is there. The same command again goes on where it stopped, also with more draws,
and with refine steps, which take minutes a mix.
"""

import argparse
import csv
import hashlib
import json
import warnings
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.names import same_song
from diffmst_lib.data.segments import find_windows, read_segment
from diffmst_lib.data.songs import Song
from diffmst_lib.disk import write_whole
from diffmst_lib.training.exam import balance_task, pair_task, remains
from diffmst_lib.training.strip_exam import kept, strip_task

APART_S = (5.0, 30.0)  # how far the two moments of the balance test begin from each other
SILENCE_LUFS = -60.0


class Rows:
    """A table in a CSV file that grows row by row; `keys` name the columns that tell its rows apart."""

    def __init__(self, path: Path, keys: tuple[str, ...]):
        self.path, self.keys = path, keys
        self.rows: list[dict] = []
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                self.rows = [
                    {name: value(name, text) for name, text in row.items()} for row in csv.DictReader(file)
                ]

    def missing(self, tasks: list[tuple]) -> list[tuple]:
        """Return the tasks, which begin with the keys of their rows, that have no row yet."""
        done = {tuple(row[key] for key in self.keys) for row in self.rows}
        return [task for task in tasks if task[: len(self.keys)] not in done]

    def add(self, key: tuple, row: dict) -> None:
        """Add a row, and write the file."""
        self.rows.append(dict(zip(self.keys, key, strict=True)) | row)
        write_whole(self.path, lambda part: self.table().to_csv(part, index=False))

    def table(self) -> pd.DataFrame:
        """Return all rows."""
        return pd.DataFrame(self.rows)


def value(name: str, text: str) -> str | int | float:
    """Read a cell as it was written, to the last digit."""
    if name in ("song", "record"):
        return text
    return int(text) if text.isdigit() else float(text or "nan")


def moments(song: Song, count: int, seconds: float) -> list[float]:
    """Return the seconds at which `count` excerpts begin, spread over those that have energy."""
    starts = find_windows(song, seconds, min_tracks=min(4, len(song.stems))).starts
    if not len(starts):
        return []
    return [float(starts[i]) for i in np.linspace(0, len(starts) - 1, count + 2).round().astype(int)[1:-1]]


def excerpt(song: Song, starts_s: list[float], seconds: float) -> dm.Multitrack | None:
    """Return all stems of a song that sound at its moments, one moment after another; None if fewer than two."""
    stems = {}
    for stem in song.stems:
        parts = [read_segment(stem, start_s, seconds).expand(2, -1) for start_s in starts_s]
        if all(dm.loudness(part) > SILENCE_LUFS for part in parts):
            stems[stem.name] = torch.cat(parts, dim=-1)
    if len(stems) < 2:
        return None
    return dm.Multitrack(list(stems), torch.stack(list(stems.values())), 44100, title=song.name)


def two_moments(
    song: Song, seconds: float, rng: np.random.Generator, apart_s: tuple[float, float] | None
) -> list[float] | None:
    """Draw where two moments of a song begin, those of a record and of a mix; None where there are none.

    Args:
        song: The song.
        seconds: Length of a moment.
        rng: Source of the choice.
        apart_s: The least and the most that they begin apart; None: the second follows the first.
    """
    if apart_s is None:
        starts = find_windows(song, 2 * seconds, min_tracks=3).starts
        start_s = float(rng.choice(starts)) if len(starts) else None
        return None if start_s is None else [start_s, start_s + seconds]
    starts = find_windows(song, seconds, min_tracks=3).starts
    least, most = max(seconds, apart_s[0]), apart_s[1]
    apart = np.abs(starts[:, None] - starts[None])
    pairs = np.argwhere((apart >= least) & (apart <= most))
    return [float(starts[i]) for i in rng.choice(pairs)] if len(pairs) else None


def in_two_parts(
    song: Song, seconds: float, rng: np.random.Generator, apart_s: tuple[float, float] | None
) -> dm.Multitrack | None:
    """Return an excerpt of two moments with at least three stems that sound in both; None where there is none."""
    for _ in range(20):
        starts_s = two_moments(song, seconds, rng, apart_s)
        stems = excerpt(song, starts_s, seconds) if starts_s else None
        if stems and len(stems.names) >= 3:
            return stems
    return None


class Exam:
    """A model, the songs and records that it is judged by, and the tables of the folder."""

    def __init__(
        self, model: dm.DiffMST, songs: list[Song], records: list[Song], folder: Path, seconds: float
    ):
        self.model, self.songs, self.records, self.seconds = model, songs, records, seconds
        self.by_name = {song.name: song for song in songs}
        self.record = cache(self._record)
        self.pairs = Rows(folder / "pairs.csv", ("song", "moment", "record", "refine_steps"))
        self.strips = Rows(folder / "strips.csv", ("song", "draw"))
        self.balance = Rows(folder / "balance.csv", ("song", "draw", "refine_steps"))

    def _record(self, name: str) -> torch.Tensor:
        """Read an excerpt from the middle of a record, without offset."""
        song = next(song for song in self.records if song.name == name)
        audio = read_segment(song.mix, moments(song, 1, self.seconds)[0], self.seconds)
        return dm.normalize_loudness(audio - audio.mean(dim=-1, keepdim=True))

    def do_pairs(self, count: int, every: int, refine_steps: int) -> None:
        """Mix `count` moments of every song after every record, or every n-th such pair."""
        tasks = [
            (song.name, moment, shown.name, refine_steps)
            for song in self.songs
            for moment in range(count)
            for shown in self.records
            if not same_song(song, shown)
        ][::every]
        spread = {song.name: moments(song, count, self.seconds) for song in self.songs}
        read = cache(lambda name, moment: excerpt(self.by_name[name], [spread[name][moment]], self.seconds))
        for task in tqdm(self.pairs.missing(tasks), desc=_named("pairs", refine_steps), unit="mix"):
            name, moment, shown, _ = task
            stems = read(name, moment) if spread[name] else None
            if stems is None:
                continue
            others = [other.name for other in self.records if not same_song(self.by_name[name], other)]
            wrong = others[(others.index(shown) + 1) % len(others)]
            show_wrong = wrong != shown and not refine_steps
            measured = pair_task(
                self.model,
                stems,
                self.record(shown),
                self.record(wrong) if show_wrong else None,
                refine_steps=refine_steps,
            )
            self.pairs.add(task, {"start (s)": spread[name][moment]} | measured)

    def do_strips(self, count: int) -> None:
        """Do `count` tasks of the mean-strip test, the songs by turns."""
        tasks = [(self.songs[i % len(self.songs)].name, i // len(self.songs)) for i in range(count)]
        for task in tqdm(self.strips.missing(tasks), desc="strips", unit="mix"):
            rng = generator("strips", *task)
            stems = in_two_parts(self.by_name[task[0]], self.seconds, rng, None)
            if stems is not None:
                self.strips.add(task, strip_task(self.model, stems, rng))

    def do_balance(self, draws: int, refine_steps: int) -> None:
        """Disturb the balance of every song `draws` times."""
        tasks = [(song.name, draw, refine_steps) for song in self.songs for draw in range(draws)]
        for task in tqdm(self.balance.missing(tasks), desc=_named("balance", refine_steps), unit="mix"):
            rng = generator("balance", *task[:2])  # the same task with and without refining
            stems = in_two_parts(self.by_name[task[0]], self.seconds, rng, APART_S)
            if stems is not None:
                table = balance_task(self.model, stems, rng, refine_steps=refine_steps)
                self.balance.add(task, remains(table))


def _named(what: str, refine_steps: int) -> str:
    return f"{what}, {refine_steps} steps" if refine_steps else what


def generator(*key: object) -> np.random.Generator:
    """Make the random generator of a task, which depends on the task alone."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def by_song(table: pd.DataFrame) -> pd.Series:
    """Return the means of a table's numbers, every song counting the same."""
    return table.groupby("song").mean(numeric_only=True).mean()


def bars(exam: Exam) -> list[tuple[str, float, float]]:
    """Return what was wanted at most and what came out, as far as it was measured: (what, wanted, got)."""
    rows = []
    pairs, strips, balance = exam.pairs.table(), exam.strips.table(), exam.balance.table()
    for steps, of_steps in pairs.groupby("refine_steps") if len(pairs) else ():
        by = f" after {steps} steps" if steps else ""
        rows.append((f"audio-feature loss{by}, mean", 0.02 if steps else 0.06, of_steps["right"].mean()))
        if not steps:
            rows.append(("audio-feature loss, median", 0.045, of_steps["right"].median()))
            rows.append(
                ("right over wrong record", 0.25, of_steps["right"].mean() / of_steps["wrong"].mean())
            )
            rows.append(
                ("pairs farther than the plain sum", 0, (of_steps["right"] > of_steps["plain"]).sum())
            )
        rows.append((f"balance moved{by}, mean (dB)", 4.0, of_steps["moved_db"].mean()))
        rows.append((f"stereo stems leaned{by}, mean (dB)", 1.0, of_steps["leaned_db"].mean()))
    if len(strips):
        rows.append(("kept by one mean strip", 0.7, kept(strips)))
    for steps, of_steps in balance.groupby("refine_steps") if len(balance) else ():
        by = f" after {steps} steps" if steps else ""
        found = by_song(of_steps)["found"]
        rows.append((f"disturbed balance, what remains{by} (dB)", 1.9 if steps else 2.4, found))
    return rows


def summary(exam: Exam) -> str:
    """Write the tables of the exam as Markdown."""
    parts = ["| bar | at most | got | |", "| --- | --- | --- | --- |"]
    parts += [
        f"| {what} | {wanted:g} | {got:.3g} | {'' if got <= wanted else 'missed'} |"
        for what, wanted, got in bars(exam)
    ]
    pairs = exam.pairs.table()
    for what in ("song", "record"):
        if len(pairs):
            parts += [f"\nPairs by {what}, means:\n", markdown(pairs, [what, "refine_steps"], "moment")]
    if len(exam.strips.rows):
        strips = exam.strips.table()
        parts += ["\nMean-strip test, audio-feature loss:\n", markdown(strips, ["song"], "draw")]
        of_all = ", ".join(
            f"{name} {strips[name].mean():.4f}"
            for name in ("neutral", "master", "mean_strip", "network", "true_mean")
        )
        of_true = kept(strips, true=True)
        parts.append(
            f"\n{len(strips)} tasks: {of_all}. Of the true consoles one mean strip keeps {of_true:.0%}."
        )
    if len(exam.balance.rows):
        parts += ["\nBalance, what remains in dB:\n"]
        parts.append(markdown(exam.balance.table(), ["song", "refine_steps"], "draw"))
    return "\n".join(parts) + "\n"


def markdown(table: pd.DataFrame, by: list[str], counted: str) -> str:
    """Write the means of a table as Markdown, with the number of rows in each."""
    groups = table.groupby(by)
    means = groups.mean(numeric_only=True).drop(
        columns=[counted, "moment", "refine_steps", "start (s)"], errors="ignore"
    )
    means.insert(0, "count", groups.size())
    lines = [[*by, *means.columns], ["---"] * (len(by) + len(means.columns))]
    for names, row in means.iterrows():
        lines.append([*map(str, names if isinstance(names, tuple) else (names,))])
        lines[-1] += [f"{value:.0f}" if name == "count" else f"{value:.4g}" for name, value in row.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def chosen(songs: list[Song], names: str | None, what: str) -> list[Song]:
    """Return the songs that are named, or all. SystemExit in one line for a name that is not there, and for none."""
    known = {song.name: song for song in songs}
    unknown = sorted({*names.split(",")} - {*known}) if names else []
    if unknown or not songs:
        raise SystemExit(
            f"no {what} {', '.join(unknown)} in this split: there are {', '.join(known) or 'none'}"
        )
    return [known[name] for name in names.split(",")] if names else songs


def settle(folder: Path, identity: dict) -> None:
    """Note whose exam a folder holds. SystemExit in one line when it holds another."""
    path = folder / "exam.json"
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        others = [k for k, v in json.loads(path.read_text("utf-8")).items() if identity.get(k) != v]
        if others:
            raise SystemExit(
                f"{folder}: holds an exam with other {', '.join(others)}; choose another --output"
            )
    write_whole(path, lambda part: part.write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8"))


def digest(model: dm.DiffMST) -> str:
    """Compute a hash of a model's configuration and weights."""
    sha = hashlib.sha256(repr(model.config).encode())
    for name, value in sorted(model.state_dict().items()):
        sha.update(name.encode() + value.numpy().tobytes())
    return sha.hexdigest()[:16]


def main(arguments: list[str] | None = None) -> None:
    """Judge a model, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index", help="an index, or the folder that holds it")
    parser.add_argument("--model", default="small", help="a name or a folder (default: small)")
    parser.add_argument("--split", default="test", choices=["train", "validation", "test"])
    parser.add_argument("--songs", help="names, separated by commas (default: all of the split)")
    parser.add_argument("--records", help="names, separated by commas (default: all of the split)")
    parser.add_argument("--output", required=True, help="folder for the tables")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of an excerpt (default: 10)")
    parser.add_argument("--moments", type=int, default=3, help="excerpts of a song in pairs (default: 3)")
    parser.add_argument("--draws", type=int, default=4, help="disturbances of a song's balance (default: 4)")
    parser.add_argument("--tasks", type=int, default=20, help="tasks of the mean-strip test (default: 20)")
    parser.add_argument("--refine", type=int, default=0, metavar="N", help="judge N refine steps as well")
    parser.add_argument("--every", type=int, default=1, help="refine every n-th pair only (default: all)")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", dm.InputNote)
    torch.set_num_threads(1)
    index, model = SongIndex.load(options.index), dm.DiffMST.from_pretrained(options.model)
    songs = chosen(index.multitracks(options.split), options.songs, "song")
    records = chosen(index.references(options.split), options.records, "record")
    folder = Path(options.output)
    identity = {"model": digest(model), "split": options.split, "seconds": options.seconds}
    identity |= {"moments": options.moments, "songs": [song.name for song in songs]}
    settle(folder, identity | {"records": [record.name for record in records]})
    exam = Exam(model, songs, records, folder, options.seconds)
    exam.do_pairs(options.moments, 1, 0)
    exam.do_strips(options.tasks)
    exam.do_balance(options.draws, 0)
    if options.refine:
        exam.do_balance(options.draws, options.refine)
        exam.do_pairs(options.moments, options.every, options.refine)
    text = summary(exam)
    write_whole(folder / "summary.md", lambda part: part.write_text(text, encoding="utf-8"))
    print(text)


if __name__ == "__main__":
    main()
