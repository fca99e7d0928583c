"""Judge a model on the test split of a data set: `python data/judge_weights.py INDEX [--model small]`.

Every song with stems, at moments spread over it, all stems that sound, mixed by `DiffMST.mix` after 10 s of
every record; song, record and mix at -16 LUFS. `right` is the audio-feature loss (exact 20 kHz Bark edge)
with the record that was shown, `wrong` the loss with it when the next one was shown, `neutral` that of the
plain sum of the stems. `moved` and `leaned` say what was done to the song: the mean change of the stems'
level (less its median) and of the side that stereo stems lean to, both in dB and without sign.
"""

import argparse
import warnings

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.names import same_song
from diffmst_lib.data.segments import find_windows, read_segment
from diffmst_lib.data.songs import Song

SECONDS = 10


def moments(song: Song, count: int) -> list[float]:
    """Return the seconds at which `count` segments begin, spread over those that have energy."""
    starts = find_windows(song, SECONDS, min_tracks=4 if song.stems else 0).starts
    if not len(starts):
        return []
    return [float(starts[i]) for i in np.linspace(0, len(starts) - 1, count + 2).round().astype(int)[1:-1]]


def excerpt(song: Song, start_s: float) -> dm.Multitrack:
    """Return all stems of a song that sound at a moment."""
    stems = {stem.name: read_segment(stem, start_s, SECONDS).expand(2, -1) for stem in song.stems}
    stems = {name: audio for name, audio in stems.items() if dm.loudness(audio) > -60}
    return dm.Multitrack(list(stems), torch.stack(list(stems.values())), 44100, title=song.name)


def record(song: Song) -> torch.Tensor:
    """Return 10 s from the middle of a record, without offset, at -16 LUFS."""
    audio = read_segment(song.mix, moments(song, 1)[0], SECONDS)
    return dm.normalize_loudness(audio - audio.mean(dim=-1, keepdim=True))


def changes(result: dm.MixResult) -> dict[str, float]:
    """Return how far a mix moved the balance of its stems and leaned those that are stereo, in dB."""
    song, mixed = result.song, result.stems()
    levels = np.array([dm.loudness(mixed[name]) - dm.loudness(stem) for name, stem in song.stems.items()])
    levels = levels[np.isfinite(levels)]
    stereo = [name for name, mono in zip(song.names, song.is_mono(), strict=True) if not mono]
    leaned = [abs(lean_db(mixed[name]) - lean_db(song.stems[name])) for name in stereo]
    return {
        "moved": float(np.abs(levels - np.median(levels)).mean()),
        "leaned": float(np.mean(leaned)) if leaned else float("nan"),
    }


def lean_db(audio: torch.Tensor) -> float:
    """Return how far the right channel is above the left, in dB."""
    left, right = audio.double().square().sum(dim=-1).clamp(min=1e-12)
    return float(10 * torch.log10(right / left))


def main() -> None:
    """Mix all pairs and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index", help="an index, or the folder that holds it")
    parser.add_argument("--model", default="small")
    parser.add_argument("--split", default="test")
    parser.add_argument("--moments", type=int, default=3, help="excerpts of each song (default: 3)")
    parser.add_argument(
        "--refine", type=int, default=0, help="refine steps before judging; takes minutes a pair"
    )
    parser.add_argument("--every", type=int, default=1, help="judge every n-th pair only (default: all)")
    parser.add_argument("--output", help="CSV file for the table")
    options = parser.parse_args()
    warnings.simplefilter("ignore", dm.InputNote)
    torch.set_num_threads(1)
    index, model = SongIndex.load(options.index), dm.DiffMST.from_pretrained(options.model)
    songs, records = index.multitracks(options.split), index.references(options.split)
    sounds, rows = {song.name: record(song) for song in records}, []

    def loss(mix: torch.Tensor, name: str) -> float:
        return dm.audio_feature_loss(mix, sounds[name])["total"].item()

    excerpts = [
        (song, excerpt(song, start_s), start_s)
        for song in songs
        for start_s in moments(song, options.moments)
    ]
    pairs = [
        (song, stems, start_s, shown)
        for song, stems, start_s in excerpts
        for shown in records
        if not same_song(song, shown)
    ][:: options.every]
    for song, stems, start_s, shown in tqdm(pairs, unit="pair"):
        others = [other.name for other in records if not same_song(song, other)]
        wrong = others[(others.index(shown.name) + 1) % len(others)]
        row = {"song": song.name, "start (s)": start_s, "stems": len(stems.names), "record": shown.name}
        right = model.mix(stems, sounds[shown.name], refine_steps=options.refine)
        row["right"] = loss(right.audio, shown.name)
        if not options.refine:
            row["wrong"] = loss(model.mix(stems, sounds[wrong]).audio, shown.name)
            row["neutral"] = loss(dm.unity(stems).audio, shown.name)
        rows.append(row | changes(right))
    table = pd.DataFrame(rows)
    print(table.round(4).to_string(index=False))
    numbers = table.drop(columns=["song", "start (s)", "stems", "record"])
    print(pd.DataFrame({"mean": numbers.mean(), "median": numbers.median()}).round(4).to_string())
    for what in ("record", "song"):
        print(table.groupby(what)[list(numbers)].mean().round(4).to_string())
    if options.output:
        table.to_csv(options.output, index=False)


if __name__ == "__main__":
    main()
