"""What the tests of segments, sampling, examples and batches share."""

import numpy as np
import pytest
from data_miniatures import found_song
from sound_files import music, write_sound

from diffmst_lib.data.building import build_index
from diffmst_lib.data.songs import FoundSong, Source


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    """Three songs of 12 s: stereo, mono and mixed stems, gaps, other rates; three finished songs, one of them mono."""
    folder = tmp_path_factory.mktemp("set")
    stems = {
        "stereo": {
            "drums.wav": music(12, seed=1),
            "keys.flac": music(12, seed=2, gap_s=(0, 8)),
            "pad.ogg": music(12, seed=3),
        },
        "mono": {
            f"{name}.wav": music(12, channels=1, seed=i)
            for i, name in enumerate(["bass", "vox", "guitar", "hat"])
        },
        "both": {
            "drums.m4a": music(12, 48000, seed=4),
            "vox.wav": music(12, 48000, 1, seed=5),
            "silent.wav": np.zeros((2, 48000 * 12)),
            "left.wav": music(12, 48000, seed=6) * [[1], [0]],
        },
    }
    found = []
    for song, files in stems.items():
        for name, sound in files.items():
            write_sound(folder / song / name, sound, 48000 if song == "both" else 44100)
        found.append(
            FoundSong(
                song, song, "folders", stems={f.split(".")[0]: Source(folder / song / f) for f in files}
            )
        )
    for i, name in enumerate(["record a", "record b", "mono record"]):
        sound = music(9, channels=1 if "mono" in name else 2, seed=10 + i) + 0.05  # an offset
        found.append(FoundSong(name, name, "songs", mix=Source(write_sound(folder / f"{name}.wav", sound))))
    return build_index(found, folder)


@pytest.fixture
def three(tmp_path):
    """A folder with three songs of one stem, and the songs."""
    for name in ("one", "two", "three"):
        write_sound(tmp_path / name / "a.wav", music(2, seed=len(name)))
    return tmp_path, [found_song(tmp_path / name, "a.wav") for name in ("one", "two", "three")]
