"""Do more tracks make a mix worse? `python data/more_tracks.py --tracks INDEX --song NAME`.

Few moments of our songs have more than a dozen stems that sound. So every stem is split into equal copies, each as much lower as
there are more of them: the tracks are many, their sum is the same, and so should the mix be. The table goes to
evaluation/more_tracks.csv beside this file, which the book reads.
"""

import argparse
import sys
import warnings
from pathlib import Path

import pandas as pd
from tqdm import tqdm

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.disk import write_whole
from diffmst_lib.evaluation.excerpts import Sounds
from diffmst_lib.evaluation.metrics import measure
from diffmst_lib.evaluation.pairs import random_pairs
from diffmst_lib.evaluation.task import Task

OUTPUT = Path(__file__).parent / "evaluation" / "more_tracks.csv"
COPIES = (1, 2, 4)
COLUMNS = ["af_mean", "octave_db", "moved_db", "leaned_db"]


def split(song: dm.Multitrack, copies: int) -> dm.Multitrack:
    """Split every stem into equal copies that add up to it."""
    names = [f"{name} {number + 1}" for name in song.names for number in range(copies)]
    return dm.Multitrack(names, song.audio.repeat_interleave(copies, dim=0) / copies, title=song.title)


def main() -> None:
    """Read the options, mix, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", required=True, help="folder of an index: songs with stems, and records")
    parser.add_argument("--song", required=True, help="name of the song")
    parser.add_argument(
        "--split", default="test", help="of the records: train, validation or test (default: test)"
    )
    parser.add_argument("--pairs", type=int, default=10, help="random pairs (default: 10)")
    parser.add_argument("--models", default="small,af-16", help="names of networks (default: small,af-16)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a moment (default: 10)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"the table (default: {OUTPUT})")
    options = parser.parse_args()
    index = SongIndex.load(options.tracks)
    by_name = {song.name: song for song in index}
    if options.song not in by_name:
        raise dm.InputError(f"{options.tracks}: no song {options.song}")
    records = index.references(options.split)
    pairs = random_pairs([by_name[options.song]], records, options.pairs, seconds=options.seconds)
    sounds = Sounds(by_name, by_name, {}, seconds=options.seconds)
    models = {name: dm.DiffMST.from_pretrained(name) for name in options.models.split(",")}
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dm.InputNote)
        for pair in tqdm(pairs, unit="pair"):
            task = sounds.task(pair)
            for copies in COPIES:
                song = split(task.song, copies)
                for name, model in models.items():
                    found = measure(model.mix(song, task.record), Task(song, task.record))
                    rows.append(
                        {"pair": pair.number, "song": pair.song, "record": pair.record, "system": name}
                        | {"copies": copies, "tracks": len(song.names)}
                        | {column: found[column] for column in COLUMNS}
                    )
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6g")
    write_whole(options.output, lambda part: part.write_text(text, encoding="utf-8"))
    print(f"written: {options.output}")


if __name__ == "__main__":
    try:
        main()
    except dm.InputError as error:
        sys.exit(f"more_tracks.py: error: {error}")
