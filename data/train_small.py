"""Train the weights in data/weights/small: `python data/train_small.py ORIGINALS CACHE OUTPUT`.

ORIGINALS holds `multitracks/<song>/<stem>.m4a`, the full songs named below, and `references/<record>`. Method 2: stems of
three songs drawn at random, also across songs, and real records as references, varied in equalizer, width and balance,
so that the few become many. Caesium and three records are never trained on; on them the model is judged. Decoded audio
is kept in CACHE. The weights that ship were made on one thread, `OMP_NUM_THREADS=1`.
"""

import argparse
import math
import sys
import time
import warnings
from pathlib import Path

import av
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

import diffmst_lib as dm
from diffmst_lib.audio import AUDIO_SUFFIXES
from diffmst_lib.controller import PAN_START, start_logits
from diffmst_lib.losses import feature_distance
from diffmst_lib.memory import keep_large_blocks
from diffmst_lib.model import Heard

RATE, SEED = 44100, 0
STEPS, BATCH, SECONDS, LEARNING_RATE = 2000, 4, 4.0, 1e-3
PULL = 0.01       # towards the neutral console: the loss does not know the level, and all faders would drift up together
LOUD_PART_S = {"caesium": 150, "francium": 180, "potassium": 140, "rubidium": 60}   # where most stems sound, for 100 s
HELD_OUT_SONG = "caesium"
HELD_OUT_RECORDS = ("vibe_ace", "its_simple", "lets_go_fishin")
LEFT_OUT = ("sek_caesium_master", "chopin")                         # the held-out song's own mix; a mono file
SCALE = 20_000                                                     # the cache holds int16 with room for peaks of 1.6

rng = np.random.default_rng(SEED)


def check(originals: Path, output: Path) -> str | None:
    """What is missing, in one line."""
    for folder in (*(originals / "multitracks" / song for song in LOUD_PART_S), originals / "references"):
        if not folder.is_dir() or not sound_files(folder):
            return f"{folder}: no such folder with sounds"
    missing = [name for name in HELD_OUT_RECORDS if not any(name in f.stem for f in sound_files(originals / "references"))]
    if missing:
        return f"{originals / 'references'}: no record named {missing[0]}"
    with dm.result.output_folder(output):   # raises in one line when nothing can be written there
        return None


def sound_files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in AUDIO_SUFFIXES)


def decode(path: Path, cache: Path) -> np.ndarray:
    """A whole file as int16 (2, samples), memory-mapped from the cache."""
    kept = cache / f"{path.parent.name}__{path.stem}.npy"
    if not kept.exists():
        resampler, parts = av.AudioResampler(format="fltp", layout="stereo", rate=RATE), []
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                parts += [out.to_ndarray() for out in resampler.resample(frame)]
        np.save(kept, (np.concatenate(parts, axis=1).clip(-1.6, 1.6) * SCALE).astype(np.int16))
    return np.load(kept, mmap_mode="r")


def cut(audio: np.ndarray, start: int, length: int) -> torch.Tensor:
    return torch.from_numpy(audio[:, start : start + length].astype(np.float32) / SCALE)


def load(originals: Path, cache: Path) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Songs, {song: {stem: audio}}, their loud 100 s; and records, {name: audio}."""
    cache.mkdir(parents=True, exist_ok=True)
    songs = {}
    for song, start in LOUD_PART_S.items():
        files = sound_files(originals / "multitracks" / song)
        stems = {f.stem: decode(f, cache) for f in tqdm(files, desc=song, unit="stem")}
        songs[song] = {name: stem[:, start * RATE : (start + 100) * RATE] for name, stem in stems.items()}
    files = [f for f in sound_files(originals / "references") if not any(name in f.stem for name in LEFT_OUT)]
    return songs, {f.stem: decode(f, cache) for f in tqdm(files, desc="records", unit="file")}


def draw_tracks(songs: dict, length: int) -> tuple[torch.Tensor, list[float]]:
    """3 to 12 tracks and their sides: half of the time from one moment of one song, otherwise from anywhere."""
    count, one_song = int(rng.integers(3, 12)), rng.random() < 0.5
    names = [rng.choice(sorted(songs))] if one_song else sorted(songs)
    pool = [stem for name in names for stem in songs[name].values()]
    moment = int(rng.integers(0, min(stem.shape[1] for stem in pool) - length))
    tracks, sides = [], []
    for i in rng.permutation(len(pool)):
        start = moment if one_song else int(rng.integers(0, pool[i].shape[1] - length))
        stem = cut(pool[i], start, length)
        if stem.square().mean(dim=-1).min() < 1e-6:
            continue
        if torch.equal(stem[0], stem[1]) or rng.random() < 0.15:     # some stems as mono
            tracks, sides = [*tracks, stem.mean(dim=0)], [*sides, 0.0]
        else:
            tracks, sides = [*tracks, *stem], [*sides, -1.0, 1.0]
        if len(tracks) >= count:
            break
    if len(tracks) < 2:
        return draw_tracks(songs, length)
    if not any(sides):
        sides = [-1.0 if i % 2 else 1.0 for i in range(len(sides))]
    return torch.stack(tracks), sides


def vary(record: torch.Tensor) -> torch.Tensor:
    """Another master of a record: equalizer, width and balance at random."""
    if rng.random() < 0.7:
        cutoff_hz = np.array([60, 150, 600, 2500, 6000, 8000]) * 2 ** rng.uniform(-0.7, 0.7, 6)
        knobs = {"gain_db": rng.normal(0, 3, 6).clip(-9, 9), "cutoff_hz": cutoff_hz, "q": np.full(6, 0.7)}
        knobs = {name: torch.tensor(value, dtype=torch.float32)[None] for name, value in knobs.items()}
        record = dm.effects.parametric_eq(record[None], sample_rate=RATE, **knobs)[0]
    mid, side = (record[0] + record[1]) / 2, (record[0] - record[1]) / 2
    side, balance = side * 10 ** (rng.normal(0, 4) / 20), 10 ** (rng.normal(0, 1) / 20)
    return torch.stack([(mid + side) * balance, (mid - side) / balance])


def draw_record(records: dict[str, np.ndarray]) -> torch.Tensor:
    """4 to 10 s of a record at -16 LUFS, without its offset, mostly varied."""
    while True:
        audio, length = records[rng.choice(sorted(records))], int(rng.uniform(SECONDS, 10) * RATE)
        record = cut(audio, int(rng.integers(0, max(1, audio.shape[1] - length))), length)
        record = record - record.mean(dim=-1, keepdim=True)
        if record.square().mean() > 1e-5:
            return dm.normalize_loudness(vary(record) if rng.random() < 0.85 else record)


def draw_batch(songs: dict, records: dict, lufs: float):
    """Tracks (B, N, T), sides and mask (B, N), and a list of records."""
    length = int(SECONDS * RATE)
    drawn = [draw_tracks(songs, length) for _ in range(BATCH)]
    most = max(len(sides) for _, sides in drawn)
    tracks, sides = torch.zeros(BATCH, most, length), torch.zeros(BATCH, most)
    mask = torch.zeros(BATCH, most, dtype=torch.bool)
    for i, (audio, its_sides) in enumerate(drawn):
        level, _ = dm.normalize_tracks(audio, lufs)
        if rng.random() < 0.5:                                       # not every track is measured exactly
            level = level * 10 ** (torch.tensor(rng.normal(0, 2, (len(level), 1)), dtype=torch.float32) / 20)
        tracks[i, : len(audio)], sides[i, : len(audio)], mask[i, : len(audio)] = level, torch.tensor(its_sides), True
    return tracks, sides, mask, [draw_record(records) for _ in range(BATCH)]


def far_from_neutral(strips: torch.Tensor, master_bus: torch.Tensor, sides: torch.Tensor) -> torch.Tensor:
    """Squared distance from the neutral console in the unit interval, of tracks (K, 27) and masters (B, 26), summed."""
    start = start_logits("track").repeat(len(strips), 1)
    start[:, [spec.name for spec in dm.param_table("track")].index("pan")] = PAN_START * sides
    master_start = torch.sigmoid(start_logits("master_bus"))
    return ((strips - torch.sigmoid(start)).square().sum(dim=-1).mean()
            + (master_bus - master_start).square().sum(dim=-1).mean())


def step_loss(model: dm.DiffMST, tracks, sides, mask, records) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean audio-feature loss of a batch, mixes and records at -16 LUFS, and the distance from the neutral console."""
    heard = [model.encode_reference(record[None]) for record in records]     # their lengths differ
    heard = Heard(*(torch.cat([getattr(h, part) for h in heard]) for part in ("mix", "style", "mirrored")))
    strips, fx_bus, master_bus = model.control(model.encode_tracks(tracks), heard, sides=sides, mask=mask)
    losses = []
    for i, record in enumerate(records):
        params = dm.ConsoleParams.from_unit(strips[i, mask[i]], fx_bus[i], master_bus[i])
        mix = dm.normalize_loudness(model.console(tracks[i, mask[i]], params, fx_bus=False).mix)
        losses.append(feature_distance(dm.audio_features(mix), dm.audio_features(record))["total"])
    return torch.stack(losses).mean(), far_from_neutral(strips[mask], master_bus, sides[mask])


def held_out(songs: dict, records: dict) -> tuple[list[dm.Multitrack], dict[str, torch.Tensor]]:
    """Four times 10 s of the held-out song, and 10 s of each held-out record."""
    excerpts = []
    for start in (14, 30, 50, 70):
        stems = {name: cut(stem, start * RATE, 10 * RATE) for name, stem in songs[HELD_OUT_SONG].items()}
        stems = {name: stem for name, stem in stems.items() if stem.shape[1] == 10 * RATE and stem.square().mean() > 1e-7}
        names = [f"{name}{side}" for name in stems for side in (".L", ".R")]
        excerpts.append(dm.Multitrack(names, torch.cat(list(stems.values())), title=f"{HELD_OUT_SONG} {start} s"))
    judged = {name: cut(audio, 20 * RATE, 10 * RATE) for name, audio in records.items()}
    return excerpts, {name: dm.normalize_loudness(x - x.mean(dim=-1, keepdim=True)) for name, x in judged.items()}


def judge(model: dm.DiffMST, excerpts, references: dict[str, torch.Tensor], refine_steps: int = 0) -> pd.DataFrame:
    """Audio-feature loss of each pair, for the reference that the model was shown and for the next one."""
    rows, names = [], list(references)
    for excerpt in excerpts:
        mixes = {name: model.mix(excerpt, references[name], refine_steps=refine_steps).audio for name in names}
        for i, name in enumerate(names):
            right, wrong = (dm.audio_feature_loss(mixes[shown], references[name])["total"].item()
                            for shown in (name, names[(i + 1) % len(names)]))
            rows.append({"song": excerpt.title, "reference": name, "right": right, "wrong": wrong})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("originals", type=Path, help="folder with multitracks/<song>/<stem>.m4a and references/<record>")
    parser.add_argument("cache", type=Path, help="folder for decoded audio, about 4 GB")
    parser.add_argument("output", type=Path, help="folder for the model, written every 200 steps")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default: {STEPS}")
    options = parser.parse_args()
    try:
        missing = "steps must be at least 1" if options.steps < 1 else check(options.originals, options.output)
    except dm.InputError as error:
        missing = str(error)
    if missing:
        parser.error(missing)
    warnings.simplefilter("ignore", dm.InputNote)
    torch.manual_seed(SEED)
    songs, records = load(options.originals, options.cache)
    trained_songs = {name: stems for name, stems in songs.items() if name != HELD_OUT_SONG}
    held = {name for name in records if any(part in name for part in HELD_OUT_RECORDS)}
    trained_records = {name: audio for name, audio in records.items() if name not in held}
    excerpts, references = held_out(songs, {name: records[name] for name in sorted(held)})

    model = dm.DiffMST("small")
    first = [draw_batch(trained_songs, trained_records, model.config.track_lufs) for _ in range(40)]
    shortest = int(SECONDS * RATE)
    model.standardize(torch.cat([tracks[mask] for tracks, _, mask, _ in first]),
                      torch.stack([record[:, :shortest] for *_, batch in first for record in batch]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    started, losses, skipped = time.time(), [], 0
    with keep_large_blocks():
        for step in range(options.steps):
            rate = LEARNING_RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / options.steps))
            optimizer.param_groups[0]["lr"] = rate
            loss, far = step_loss(model, *draw_batch(trained_songs, trained_records, model.config.track_lufs))
            optimizer.zero_grad()
            (loss + PULL * far).backward()
            if math.isfinite(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)):
                optimizer.step()
            else:
                skipped += 1
            losses.append(loss.item())
            if (step + 1) % 50 == 0:
                recent = np.array(losses[-50:])
                print(f"{step + 1} {time.time() - started:.0f} s: mean {recent.mean():.4f}, median {np.median(recent):.4f}, "
                      f"from neutral {far.item():.2f}, skipped {skipped}", flush=True)
            if (step + 1) % 200 == 0 or step + 1 == options.steps:
                table = judge(model, excerpts, references)
                print("held out: right {right:.4f}, wrong {wrong:.4f}".format(**table[["right", "wrong"]].mean()),
                      f"median {table['right'].median():.4f}", flush=True)
                model.save_pretrained(options.output)
    print(table.to_string())
    print("after 50 refine steps:", judge(model, excerpts[:1], references, refine_steps=50)["right"].round(4).tolist())


if __name__ == "__main__":
    sys.exit(main())
