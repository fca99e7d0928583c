"""One console for the whole song, or one for each section? `python data/whole_or_section.py --tracks INDEX`.

A network mixes the verse and the chorus of a song after the same parts of a record: once with a console from these
ten seconds alone, and once with the one console that it finds for the whole song and the whole record. Both are measured
on the same ten seconds. The table goes to evaluation/whole_or_section.csv beside this file, which the book reads.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.segments import read_segment
from diffmst_lib.data.songs import Song
from diffmst_lib.disk import write_whole
from diffmst_lib.evaluation.metrics import measure
from diffmst_lib.evaluation.pairs import moments
from diffmst_lib.evaluation.task import Task
from diffmst_lib.mixing.result import render_mix

OUTPUT = Path(__file__).parent / "evaluation" / "whole_or_section.csv"
COLUMNS = ["af_mean", "octave_db", "plr_error_db", "moved_db", "leaned_db"]
QUIET = 0.25  # a verse: the quantile of the moments' power, so that no intro is taken


def parts(song: Song, seconds: float) -> dict[str, float]:
    """Guess where verse and chorus are: a rather quiet moment and the loudest one, apart; none in even songs."""
    starts = moments(song, seconds)
    powers = 10 ** (np.asarray(song.power_db, dtype=np.float64) / 10)
    levels = np.array([powers[start : start + round(seconds)].mean() for start in starts])
    if len(starts) < 2:
        return {}
    loudest = int(np.argmax(levels))
    apart = np.abs(starts - starts[loudest]) >= seconds
    if not apart.any():
        return {}
    quiet = np.flatnonzero(apart)[np.argmin(np.abs(levels[apart] - np.quantile(levels, QUIET)))]
    return {"verse": float(starts[quiet]), "chorus": float(starts[loudest])}


def whole(song: Song) -> dm.Multitrack:
    """Read all stems of a song."""
    stems = {stem.name: read_segment(stem, 0.0, song.duration_s).expand(2, -1) for stem in song.stems}
    return dm.Multitrack(list(stems), torch.stack(list(stems.values())), 44100, title=song.name)


def sounding(song: dm.Multitrack, start_s: float, seconds: float) -> dm.Multitrack:
    """Cut a section out of a song, with the stems that sound in it."""
    section = song.excerpt(start_s, seconds)
    return section.select(*(name for name, stem in section.stems.items() if dm.loudness(stem) > -60.0))


def rows_of(model: dm.DiffMST, song: Song, record: Song, seconds: float) -> list[dict]:
    """Mix verse and chorus of a song after those of a record, both ways."""
    stems = whole(song)
    sound = read_segment(record.mix, 0.0, record.duration_s).expand(2, -1)
    whole_console = model.mix(stems, sound).params
    at, at_record, rows = parts(song, seconds), parts(record, seconds), []
    for part in at:
        section = sounding(stems, at[part], seconds)
        first = round(at_record[part] * 44100)
        task = Task(section, sound[:, first : first + round(seconds * 44100)])
        strips = [whole_console.names.index(name) for name in section.names]
        of_section = dm.ConsoleParams(
            whole_console.tracks[strips],
            whole_console.fx_bus_values,
            whole_console.master_bus_values,
            names=section.names,
        )
        mixes = {
            "section": model.mix(section, task.record),
            "whole song": render_mix(section, of_section),
            "plain sum": dm.unity(section),
        }
        for console, mix in mixes.items():
            found = measure(mix, task)
            rows.append(
                {"song": song.name, "record": record.name, "part": part, "console": console}
                | {"start_s": at[part], "record_start_s": at_record[part]}
                | {column: found[column] for column in COLUMNS}
            )
    return rows


def main() -> None:
    """Read the options, mix, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", required=True, help="folder of an index: songs with stems, and records")
    parser.add_argument("--split", default="test", help="train, validation or test (default: test)")
    parser.add_argument("--records", type=int, default=2, help="records a song (default: 2)")
    parser.add_argument("--model", default="small", help="name or folder of the network (default: small)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a section (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of records (default: 0)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"the table (default: {OUTPUT})")
    options = parser.parse_args()
    index, seconds = SongIndex.load(options.tracks), options.seconds
    songs = [song for song in index.multitracks(options.split) if parts(song, seconds)]
    records = [song for song in index.references(options.split) if parts(song, seconds)]
    if not songs or not records:
        raise dm.InputError(f"{options.tracks}: no songs and records with two moments of {seconds:g} s")
    model, rng, rows = dm.DiffMST.from_pretrained(options.model), np.random.default_rng(options.seed), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dm.InputNote)
        for song in tqdm(songs, unit="song"):
            others = [record for record in records if not record.name.startswith(song.name)]
            for i in rng.permutation(len(others))[: options.records]:
                rows += rows_of(model, song, others[i], seconds)
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g")
    write_whole(options.output, lambda part: part.write_text(text, encoding="utf-8"))
    print(f"written: {options.output}")


if __name__ == "__main__":
    try:
        main()
    except dm.InputError as error:
        sys.exit(f"whole_or_section.py: error: {error}")
