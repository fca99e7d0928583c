"""A miniature data set and short recipes for the tests of training."""

import torch
from safetensors.torch import load_file
from sound_files import music, write_sound

from diffmst_lib.data.index import build_index
from diffmst_lib.data.songs import FoundSong, Source
from diffmst_lib.training.recipes import recipe

OPTIONS = {"validation_examples": 2}
FAST = {"steps": 6, "batch_size": 2, "seconds": 1.0, "max_tracks": 5, "validate_every": 3, "first_look": 4}


def miniature(folder):
    """An index: two songs of five tracks and two records to train on, one song and two records to validate."""
    found = []
    for song, split in {"one": "train", "two": "train", "three": "validation"}.items():
        stems = {}
        for i, name in enumerate(["kick", "bass", "vox", "keys"]):
            sound = music(
                4, channels=2 if name == "keys" else 1, level=0.05 * (i + 1), seed=10 * len(song) + i
            )
            stems[name] = Source(write_sound(folder / song / f"{name}.wav", sound))
        found.append(FoundSong(song, song, "folders", artist=song, stems=stems, split=split))
    for i, split in enumerate(["train", "train", "validation", "validation"]):
        sound = music(4, seed=100 + i)
        sound[1] = (0.2 + 0.3 * i) * sound[1] + 0.3 * sound[0]
        found.append(
            FoundSong(
                f"record {i}",
                f"record {i}",
                "songs",
                artist=f"band {i}",
                split=split,
                mix=Source(write_sound(folder / f"record {i}.wav", sound)),
            )
        )
    return build_index(found, folder)


def short(name="af-16", model="tiny", **changes):
    """A recipe for `tiny` that takes a second or two."""
    return recipe(name, model, **FAST | changes)


def weights(run):
    return load_file(run.folder / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
