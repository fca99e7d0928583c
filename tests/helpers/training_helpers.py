"""A miniature data set, short recipes, and models that misbehave, for the tests of training."""

import dataclasses
import signal

import torch
from safetensors.torch import load_file
from sound_files import music, write_sound

import diffmst_lib as dm
from diffmst_lib.data.building import build_index
from diffmst_lib.data.songs import FoundSong, Source
from diffmst_lib.training.recipes import Recipe, recipe

OPTIONS = {"validation_examples": 2}
FAST = {"steps": 6, "batch_size": 2, "seconds": 1.0, "max_tracks": 5, "validate_every": 3, "first_look": 4}


def miniature(folder, seconds=4):
    """An index: two songs of five tracks and two records to train on, one song and two records to validate."""
    found = []
    for song, split in {"one": "train", "two": "train", "three": "validation"}.items():
        stems = {}
        for i, name in enumerate(["kick", "bass", "vox", "keys"]):
            sound = music(
                seconds, channels=2 if name == "keys" else 1, level=0.05 * (i + 1), seed=10 * len(song) + i
            )
            stems[name] = Source(write_sound(folder / song / f"{name}.wav", sound))
        found.append(FoundSong(song, song, "folders", artist=song, stems=stems, split=split))
    for i, split in enumerate(["train", "train", "validation", "validation"]):
        sound = music(seconds, seed=100 + i)
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


def small_cnn(**changes):
    """The paper's kind of network, with batch norm, at a size for tests; our console and its stems."""
    sizes = {"width": 8, "layers": 1, "heads": 2, "feedforward": 8, "channels": (2, 4), "chunk": 2}
    pools = ((4, 4), (8, 4))
    return dataclasses.replace(
        dm.ModelConfig.preset("paper"),
        name="tiny",
        pools=pools,
        **{"console": "default", "track_lufs": None} | sizes | changes,
    )


def interrupted(recipe, step, number=signal.SIGINT):
    """The same recipe, but that a signal arrives while a step, counted from 1, is under way."""

    class Interrupted(Recipe):
        def rate(self, at):
            if at == step - 1:
                signal.raise_signal(number)
            return super().rate(at)

    return Interrupted(**vars(recipe))


class Unsteady(dm.DiffMST):
    """A model of which some updates get another gradient: multiplied by `factors`, by the number of the update from 1."""

    def __init__(self, factors):
        super().__init__("tiny")
        self.factors, self.updates = factors, 0

    def forward(self, *arguments, **options):
        mix, params = super().forward(*arguments, **options)
        if self.training:
            self.updates += 1
            factor = self.factors(self.updates)
            mix.register_hook(lambda gradient: gradient * factor)
        return mix, params


class Broken(dm.DiffMST):
    """A model that raises an error of torch while it is trained, maybe after a signal."""

    def __init__(self, number=None):
        super().__init__("tiny")
        self.number = number

    def forward(self, *arguments, **options):
        if self.training:
            if self.number:
                signal.raise_signal(self.number)
            raise RuntimeError("DataLoader worker is killed by signal: Terminated.")
        return super().forward(*arguments, **options)


def weights(run):
    return load_file(run.folder / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def untrained():
    """`tiny` as a training with seed 0 begins, but for its constants."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return dm.DiffMST("tiny")


def moved(model):
    """Names of the weights and constants that training has changed."""
    before = untrained().state_dict()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def way_apart(one, other):
    """How far two trained models are from each other, as a share of the way from their first weights."""
    start = {name: value.detach() for name, value in untrained().named_parameters()}
    way, between = (
        sum((one[name] - to[name]).square().sum() for name in start) ** 0.5 for to in (start, other)
    )
    return float(between / way)
