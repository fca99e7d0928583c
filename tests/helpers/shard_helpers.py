"""Writing shards, and reading what they hold."""

import itertools
import json

import torch
import webdataset

import diffmst_lib as dm
from diffmst_lib.data.scale.shards import write_shards
from diffmst_lib.data.scale.streams import read_shard

RATE = 16000
SAMPLING = dm.data.Sampling(seconds=2, min_tracks=2, sample_rate=RATE)
NAMES = ["kick.v2 close", 'Gitarre "süß"', "bass"]


def write(index, folder, sampling=SAMPLING, **options):
    usual = {"split": "train", "kind": "multitracks", "piece_seconds": 4, "workers": 2}
    return write_shards(index, folder, sampling, **usual | options)


def summary(path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def files(path) -> list[str]:
    return [str(path.parent / name) for name in summary(path)["shards"]]


def samples(path) -> list[dict]:
    """What the package itself makes of the shards."""
    return list(webdataset.WebDataset(files(path), shardshuffle=False).decode())


def pieces(path) -> list:
    return [(piece, piece.offset_s) for shard in files(path) for piece in read_shard(shard)]


def take(examples, count) -> list:
    return list(itertools.islice(examples, count))


def same(first, second) -> bool:
    return all(
        a.names == b.names and a.start_s == b.start_s and torch.equal(a.tracks, b.tracks)
        for a, b in zip(first, second, strict=True)
    )
