"""Calibrate every metric on songs of an index: `python data/calibrate.py --tracks INDEX`.

Who hears what: good mixes of every song, the plain sums of its stems, are damaged by known amounts and
measured against another moment of the same song; finished records are measured against themselves. The table
goes to evaluation/calibration.csv beside this file, which the book reads.

Every song is kept as soon as it is measured: the same command again goes on where it stopped.
"""

import argparse
import json
import shutil
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

import diffmst_lib as dm
from diffmst_lib.audio.roles import is_lead_voice
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.segments import find_windows, read_segment
from diffmst_lib.data.songs import Song
from diffmst_lib.disk import write_whole
from diffmst_lib.evaluation.calibration import (
    Measured,
    calibrate_record,
    calibrate_song,
    together,
    write_calibration,
)
from diffmst_lib.evaluation.hearing import who_hears_what

OUTPUT = Path(__file__).parent / "evaluation" / "calibration.csv"
SPLITS = ("train", "validation", "test")
SILENCE_LUFS = -60.0


def moments(song: Song, count: int, seconds: float) -> list[float]:
    """Return where moments of a song begin, in seconds: apart, and with the lead voice if it sings."""
    windows = find_windows(song, seconds, min_tracks=min(4, len(song.stems)))
    starts = [float(start) for start in windows.starts]
    voices = np.array([is_lead_voice(stem.name) for stem in song.stems], dtype=bool)
    sung = windows.sounding[voices].any(axis=0) if voices.any() else np.zeros(len(starts), dtype=bool)
    chosen = spread(
        apart([start for start, sings in zip(starts, sung, strict=True) if sings], seconds), count
    )
    others = [start for start in starts if all(abs(start - one) >= seconds for one in chosen)]
    return sorted(chosen + spread(apart(others, seconds), count - len(chosen)))


def apart(starts: list[float], seconds: float) -> list[float]:
    """Keep those starts that begin after the last kept one has ended."""
    kept: list[float] = []
    for start in starts:
        if not kept or start >= kept[-1] + seconds:
            kept.append(start)
    return kept


def spread(starts: list[float], count: int) -> list[float]:
    """Choose at most `count` of some starts, evenly over all of them."""
    count = min(count, len(starts))
    return [starts[int((i + 0.5) * len(starts) / count)] for i in range(count)]


def excerpt(song: Song, start_s: float, seconds: float) -> dm.Multitrack:
    """Read the stems of a song that sound at a moment."""
    stems = {stem.name: read_segment(stem, start_s, seconds).expand(2, -1) for stem in song.stems}
    heard = {name: stem for name, stem in stems.items() if dm.loudness(stem) > SILENCE_LUFS}
    return dm.Multitrack(list(heard), torch.stack(list(heard.values())), 44100, title=song.name)


class Parts:
    """What is measured so far, a song a pair of files, in a folder that is removed in the end."""

    def __init__(self, folder: Path, settings: dict):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "settings.json"
        if path.is_file() and json.loads(path.read_text("utf-8")) != settings:
            raise dm.InputError(
                f"{folder}: holds parts of a calibration with other settings; remove it first"
            )
        write_whole(path, lambda part: part.write_text(json.dumps(settings), encoding="utf-8"))

    def get(self, name: str, measure: Callable[[], Measured]) -> Measured:
        """Read what was measured of a song, or measure it and keep it."""
        path = self.folder / f"{zlib.crc32(name.encode()):08x}.npz"
        if not path.is_file():
            self._keep(path, measure())
        with np.load(path, allow_pickle=False) as file:
            rows = json.loads(str(file["rows"]))
            keys = [tuple(key) for key in json.loads(str(file["keys"]))]
            embeddings = {key: file[f"embeddings_{number}"] for number, key in enumerate(keys)}
            return Measured(name, rows, embeddings)

    def _keep(self, path: Path, measured: Measured) -> None:
        arrays = {f"embeddings_{i}": one for i, one in enumerate(measured.embeddings.values())}
        texts = {"rows": json.dumps(measured.rows), "keys": json.dumps(list(measured.embeddings))}

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez_compressed(file, **arrays, **texts)

        write_whole(path, write)


def measure_all(options: argparse.Namespace) -> pd.DataFrame:
    """Measure all songs and records of some splits, and return the table."""
    index, splits = SongIndex.load(options.tracks), options.split.split(",")
    if unknown := set(splits) - set(SPLITS):
        raise dm.InputError(f"no split {', '.join(sorted(unknown))}: there are {', '.join(SPLITS)}")
    songs = [song for split in splits for song in index.multitracks(split) if len(song.stems) > 1]
    records = [song for split in splits for song in index.references(split)]
    count, seconds = options.moments, options.seconds
    starts = {song.name: moments(song, count, seconds) for song in [*songs, *records]}
    songs, records = ([one for one in some if len(starts[one.name]) > 1] for some in (songs, records))
    if not songs:
        raise dm.InputError(
            f"{options.tracks}: no song of these splits has stems and two moments of {seconds:g} s"
        )
    parts = Parts(
        options.output.with_suffix(".parts"),
        {"songs": [song.name for song in songs], "records": [record.name for record in records]}
        | {"moments": count, "seconds": seconds, "seed": options.seed},
    )
    measured = []
    for song in tqdm(songs, unit="song"):

        def of_song(song: Song = song) -> Measured:
            parts = [excerpt(song, start_s, seconds) for start_s in starts[song.name]]
            return calibrate_song(song.name, parts, seed=options.seed, progress=True)

        measured.append(parts.get(song.name, of_song))
    of_records = []
    for record in tqdm(records, unit="record"):

        def of_record(record: Song = record) -> Measured:
            parts = [
                read_segment(record.mix, start_s, seconds).expand(2, -1) for start_s in starts[record.name]
            ]
            return calibrate_record(record.name, parts)

        of_records.append(parts.get(f"record {record.name}", of_record))
    table = together(measured)
    if of_records:
        table = pd.concat([table, together(of_records)], ignore_index=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_calibration(table, options.output)
    shutil.rmtree(parts.folder)
    return table


def main(arguments: list[str] | None = None) -> None:
    """Calibrate, write the table, and print who hears what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", required=True, help="an index, or the folder that holds it")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the table (default: %(default)s)")
    parser.add_argument("--split", default="validation,test", help="splits (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a moment (default: 10)")
    parser.add_argument("--moments", type=int, default=4, help="moments of a song (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the disturbed balance (default: 0)")
    options = parser.parse_args(arguments)
    if options.moments < 2 or not options.seconds >= 1.0:
        parser.error("at least two moments of at least 1 s are needed")
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", dm.InputNote)
            table = measure_all(options)
    except dm.InputError as error:
        sys.exit(f"calibrate: error: {error}")
    print(who_hears_what(table).round(2).to_string(na_rep=""))


if __name__ == "__main__":
    main()
