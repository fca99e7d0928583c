"""Shards of three songs of noise, for the tests of writing and of streaming."""

import itertools
import json

import numpy as np
import pytest
import soundfile
import torch
import webdataset

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex, build_index
from diffmst_lib.data.layouts.finding import find_songs
from diffmst_lib.data.scale.shards import write_shards
from diffmst_lib.data.scale.streams import _read_shard

RATE = 16000
SAMPLING = dm.data.Sampling(track_lufs=-30, seconds=2, min_tracks=2, sample_rate=RATE)
NAMES = ["kick.v2 close", 'Gitarre "süß"', "bass"]


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> SongIndex:
    """Three songs of 12 s with three stems (mono, stereo, mono in two channels), three finished songs: all noise."""
    root, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)

    def write(name, channels, scale, silent_from_s=12, file_channels=1):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = scale * rng.standard_normal((12 * RATE, channels)) * np.ones(max(channels, file_channels))
        samples[round(silent_from_s * RATE) :] *= 1e-3
        soundfile.write(path, samples, RATE, subtype="FLOAT")

    for song in ("one", "two", "three"):
        write(f"stems/{song}/{NAMES[0]}.wav", 1, 0.4)  # peaks above full scale
        write(f"stems/{song}/{NAMES[1]}.wav", 2, 0.1)
        write(f"stems/{song}/{NAMES[2]}.wav", 1, 0.005, silent_from_s=7.5, file_channels=2)
        write(f"songs/{song} alone.wav", 2, 0.1)
    found = find_songs(root / "stems")[0] + find_songs(root / "songs", "songs")[0]
    for song in found:
        song.split, song.license, song.attribution = "train", "CC0 1.0", f"{song.name} by nobody"
    return build_index(found, root)


@pytest.fixture(scope="module")
def written(index, tmp_path_factory):
    """Multitracks and references in pieces of 4 s, two of them or so in a shard."""
    folder = tmp_path_factory.mktemp("shards")
    return [write(index, folder, shard_bytes=5e5), write(index, folder, kind="references", shard_bytes=8e4)]


def write(index, folder, sampling=SAMPLING, **options):
    usual = {"split": "train", "kind": "multitracks", "piece_seconds": 4, "workers": 2}
    return write_shards(index, folder, sampling, **usual | options)


def summary(path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def samples(path) -> list[dict]:
    """What the package itself makes of the shards."""
    urls = [str(path.parent / name) for name in summary(path)["shards"]]
    return list(webdataset.WebDataset(urls, shardshuffle=False).decode())


def pieces(path) -> list:
    urls = [str(path.parent / name) for name in summary(path)["shards"]]
    return [(piece, piece.offset_s) for url in urls for piece in _read_shard(url)]


def take(examples, count) -> list:
    return list(itertools.islice(examples, count))


def same(first, second) -> bool:
    return all(
        a.names == b.names and a.start_s == b.start_s and torch.equal(a.tracks, b.tracks)
        for a, b in zip(first, second, strict=True)
    )
