"""Shards of three songs of noise, for the tests of writing and of streaming."""

import numpy as np
import pytest
import soundfile
from shard_helpers import NAMES, RATE, write

from diffmst_lib.data.building import build_index
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.layouts.finding import find_songs


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def written(index, tmp_path_factory):
    """Multitracks and references in pieces of 4 s, two of them or so in a shard."""
    folder = tmp_path_factory.mktemp("shards")
    return [write(index, folder, shard_bytes=5e5), write(index, folder, kind="references", shard_bytes=8e4)]
