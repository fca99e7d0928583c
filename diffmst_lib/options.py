"""What options can be, and what they are when left out: words and numbers that the command shares with functions.

They stand apart, so that `diffmst train --help` and a misspelled option need neither torch nor a decoder.

Chapters: A first mix, Data, Training at scale.
"""

from __future__ import annotations

# Songs
SAMPLE_RATE = 44100  # Hz
BALANCES = ("delivered", "equal")  # of the stems that a network or a fit gets
LAYOUTS = (  # of folders of songs
    "auto",
    "folders",
    "instruments",
    "medleydb",
    "cambridge",
    "musdb18hq",
    "musdb18",
    "songs",
)
SPLITS = ("train", "validation", "test")
KINDS = ("multitracks", "references")  # of songs in shards

# Models, by the names of `ModelConfig.preset`
MODELS = ("tiny", "small", "paper")

# Training
RECIPES = ("mrstft-8", "mrstft-16", "mrstft+af-8", "mrstft+af-16", "af-16")  # the paper's variants
SCHEDULES = ("constant", "cosine")  # of the learning rate
ACCELERATORS = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bf16", "fp16")
REHEARSAL_STEPS = 1500  # updates of the weights
MOMENTS = 40  # pairs of moments of each song that a rehearsal hears
