"""Recipes: the settings in which trainings differ. Section 3.2 of the paper.

Chapters: Method 1, Method 2, Training at scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..data.sampling import Sampling
from ..inputs import PRESETS, check_limits, limited, note, one_of
from ..network.config import ModelConfig
from ..options import BALANCES, SCHEDULES
from ..style.losses import term_weights
from ..style.own_features import OwnFeatures
from .own_loss import Loss, qualified_name

# The five variants of the paper: method, loss, maximum of tracks, the variant whose weights are the start.
VARIANTS = {
    "mrstft-8": (1, "mrstft", 8, None),
    "mrstft-16": (1, "mrstft", 16, None),
    "mrstft+af-8": (1, "af", 8, "mrstft-8"),
    "mrstft+af-16": (1, "af", 16, "mrstft-16"),
    "af-16": (2, "af", 16, None),
}
LOSSES = ("mrstft", "af")
GAIN_DB = 12.0  # the faders of our random mixes move within +-12 dB
# 80 steps of `tiny` with a pull of 0, 0.0003, 0.001: loss 0.083, 0.088, 0.095 with the right record, 0.091,
# 0.094, 0.095 with a wrong one, and a squared distance of 89, 5.5, 2.0 moves.
PULL = 0.0003


@dataclass(frozen=True)
class Recipe:
    """One way to train. `recipe` gives the paper's five by name; `dataclasses.replace` makes variants.

    Args:
        name: Name for people and for files.
        model: A preset, "tiny", "small" or "paper", or a `ModelConfig`.
        method: 1, the reference is a random mix of the same tracks; 2, it is a real song.
        loss: "mrstft" (method 1 only), "af", or an own one: a function(mix, target, sample_rate) -> scalar of
            sounds (B, 2, T), at -16 LUFS with `normalize`. A checkpoint knows it by the name of its module
            and its own. It takes the place of "af" and no more: `pull` and `keep` are added to it, and tasks
            with a known answer, a quarter of the batches of "small", have a loss of their own. With
            `known=0, pull=0, keep=0` a model is trained on the own loss alone.
        max_tracks: Maximum of tracks in an example: of stems, or of channels for a model of mono channels.
        steps: Number of updates of the weights. Each takes `accumulate` batches of `batch_size` examples on
            every device.
        learning_rate: Highest learning rate of AdamW.
        batch_size: Number of examples that pass through the network together.
        accumulate: Number of batches per update.
        seconds: Length of a segment in seconds. Method 1 cuts it into two halves.
        min_tracks: Minimum of tracks in an example.
        schedule: "constant", or "cosine": a warm-up of at most 50 steps, then down to 0.
        balance: "delivered" or "equal", the balance of the stems that the model gets. It has no meaning for a
            model of mono channels.
        clip_norm: Largest norm of a gradient; larger ones are scaled down. None: no limit.
        weight_decay: Weight decay of AdamW, which is Adam when it is 0.
        pull: Weight of the squared distance from the console where training starts, in moves, see
            `distance_from_neutral`. The loss hears only the sum: without it, strips move where nothing asks
            for it, and all faders drift together.
        keep: Weight of what holds the balance and the places of stems, see `keep_song`. It has no meaning for
            a model of mono channels.
        soft_limit: Audio-feature losses L count as L / (1 + L / soft_limit), so that a few hopeless examples
            do not dominate every step; None: as L.
        features: Own features in the audio-feature loss: names that `register_feature` knows, or
            {name: (function, weight)}, as in `audio_feature_loss`.
        loss_preset: Preset of `audio_feature_loss` or `mrstft_loss`: "default", or "reference", as in the
            released code: audio features without bounds, or the spectral convergence.
        normalize: Whether random mixes and the model's mixes are brought to -16 LUFS, as the paper says. If
            not, as in the released code, a random mix has a peak of 1, a real reference a random level of -32
            to -4 LUFS, and the model's mix the level that it has.
        random_gain_db: How far the faders of random mixes move up and down, 0 to 48 dB, see `random_params`.
            At 0, as in the released code, method 1 cannot teach balance.
        mixed_songs: Probability (0 to 1) that the stems of an example come from several songs.
        varied: Probability (0 to 1) that a real reference is replaced by another master of it, see `vary`.
        known: Share (0 to 1) of the batches of method 2 that are tasks with a known answer (`known_task`) and
            not real records, for a model of stems.
        nearby_s: How far the two moments of such a task may be apart, in seconds.
        starts_from: Name of the recipe whose weights are the start; None: random weights.
        validate_every: Number of steps between two validations, each of which also saves a checkpoint.
        first_look: Number of examples from which the input constants of the encoders are computed.

    Raises:
        ValueError: For values out of range, or that do not fit each other.

    Example:
        >>> recipe("af-16", "paper").learning_rate
        1e-05
    """

    name: str
    model: str | ModelConfig
    method: int = one_of((1, 2))
    loss: str | Loss = field(metadata={"allows": lambda loss: callable(loss) or loss in LOSSES})
    max_tracks: int
    steps: int = limited(1, whole=True)
    learning_rate: float = limited(0, above=True)
    batch_size: int = limited(1, whole=True)
    accumulate: int = limited(1, whole=True)
    seconds: float
    min_tracks: int = 4
    balance: str = one_of(BALANCES, default="delivered")
    schedule: str = one_of(SCHEDULES, default="cosine")
    clip_norm: float | None = limited(0, above=True, optional=True, default=1.0)
    weight_decay: float = limited(0, default=1e-4)
    pull: float = limited(0, default=PULL)
    keep: float = limited(0, default=1.0)
    soft_limit: float | None = limited(0, above=True, optional=True, default=0.3)
    features: OwnFeatures = ()
    loss_preset: str = one_of(PRESETS, default="default")
    normalize: bool = one_of((True, False), default=True)
    random_gain_db: float = limited(0, 48, default=GAIN_DB)
    mixed_songs: float = 0.0
    varied: float = limited(0, 1, default=0.0)
    known: float = limited(0, 1, default=0.0)
    nearby_s: float = limited(0, default=30.0)
    starts_from: str | None = None
    validate_every: int = limited(1, whole=True, default=200)
    first_look: int = limited(1, whole=True, default=160)

    def __post_init__(self) -> None:
        check_limits(self)
        if self.loss == "mrstft" and self.method == 2:
            raise ValueError(
                "loss cannot be 'mrstft' with method 2, which has no mix to be compared with sample by sample"
            )
        if self.features and self.loss != "af":
            raise ValueError("features belong to the audio-feature loss: they need loss='af'")
        if self.known and not self.config.stems:
            raise ValueError("known tasks disturb stems: they need a model of stems")
        term_weights(self.features)
        _ = self.sampling  # its own checks, and those of the configuration, cover the other fields

    @property
    def config(self) -> ModelConfig:
        """The model's configuration."""
        return ModelConfig.preset(self.model) if isinstance(self.model, str) else self.model

    @property
    def loss_name(self) -> str:
        """The name of the loss: by it a checkpoint knows an own one."""
        return self.loss if isinstance(self.loss, str) else qualified_name(self.loss)

    @property
    def is_own(self) -> bool:
        """Whether the loss is a user's, in whole or in some of its features."""
        return not isinstance(self.loss, str) or bool(self.features)

    @property
    def sampling(self) -> Sampling:
        """How examples are drawn, at the level and sample rate that the model expects."""
        return Sampling(
            track_lufs=self.config.track_lufs,
            balance=self.balance,
            seconds=self.seconds,
            min_tracks=self.min_tracks,
            max_tracks=self.max_tracks,
            mixed_songs=self.mixed_songs,
            sample_rate=self.config.sample_rate,
        )

    @property
    def known_sampling(self) -> Sampling:
        """How the examples of tasks with a known answer are drawn: two moments of a song."""
        return replace(self.sampling, seconds=2 * self.seconds, nearby_s=self.nearby_s)

    def rate(self, step: int) -> float:
        """Compute the learning rate of a step, counted from 0.

        Example:
            >>> recipe("af-16", "small", steps=1000).rate(1000)
            0.0
        """
        if self.schedule == "constant":
            return self.learning_rate
        warm = min(1.0, (step + 1) / min(50, max(1, self.steps // 10)))
        return self.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))


def recipe(
    name: str = "af-16", model: str | ModelConfig = "small", *, released: bool = False, **changes: Any
) -> Recipe:
    """Make one of the paper's five variants, with changes: `recipe("mrstft-8", "tiny", steps=100)`.

    With "paper" the settings are those of section 3: Adam at 1e-5, batches of 2, gradients accumulated over 4
    batches, 1.16 million steps, or 20,000 for fine-tuning with the audio-feature loss; references and mixes at
    -16 LUFS; the linear and the logarithmic spectral distance, or audio features with an epsilon of 1e-8 and
    no bounds. Nothing holds the console, and no gradient is clipped. "small" and "tiny" have learning rates a
    hundred times as high or more, fewer steps, shorter segments, and the losses that we argue for.

    With `released` a training differs from that as the released code differs from the text:

        loss        spectral convergence and log magnitude, or the same audio features    naive.yaml:55
        levels      a random mix has a peak of 1, the model's mix is left as it is    system.py:176, 249, 295
        reference   a real song at -16 LUFS - 16 to + 12 dB    ...jamendo-16.yaml, dataloader.py:412
        faders      of random mixes: those of tracks off, the output fader on    mixing.py:44
        segment     262,144 samples, 5.94 s; method 1 halves it    length in the configurations
        batch       4 (mrstft), 1 (fine-tuning), 2 (af-16), not accumulated    config.yaml:46
        rate        1e-5, constant    config.yaml, whose optimizer overrides the class

    Segment, batch and rate are taken over for "paper"; the other sizes keep theirs, at a constant rate. Tracks
    are drawn as the paper says. The released configuration for fine-tuning does not run; here it trains like
    the others, with the audio features.

    Source: the paper, section 3; the released code at 3b90ef8.

    Args:
        name: A key of `VARIANTS`.
        model: A preset, or a `ModelConfig`. One that has not the name of a preset is trained with the settings
            of "paper" when it is a CNN of mono channels, otherwise with those of "small", with an `InputNote`.
        released: Whether to train as the released code does.
        **changes: Fields of `Recipe` with other values.

    Returns:
        The recipe.

    Raises:
        ValueError: For another name or field, and as in `Recipe`.

    Example:
        >>> for name in VARIANTS:
        ...     one = recipe(name, "paper")
        ...     print(name, one.method, one.loss, one.max_tracks, one.steps, one.starts_from)
        mrstft-8 1 mrstft 8 1160000 None
        mrstft-16 1 mrstft 16 1160000 None
        mrstft+af-8 1 af 8 20000 mrstft-8
        mrstft+af-16 1 af 16 20000 mrstft-16
        af-16 2 af 16 1160000 None
        >>> one = recipe("mrstft-16", "paper", released=True)
        >>> one.name, one.loss_preset, one.normalize, one.batch_size, round(one.seconds, 2)
        ('mrstft-16-released', 'reference', False, 4, 5.94)
    """
    if name not in VARIANTS:
        raise ValueError(f"recipe must be one of {', '.join(VARIANTS)}, not {name!r}")
    config = model if isinstance(model, ModelConfig) else ModelConfig.preset(model)
    size = config.name
    if size not in SETTINGS:
        size = "paper" if config.encoder == "cnn" and not config.stems else "small"
        note(f"{config.name or 'a model without a name'}: trained with the settings of {size}")
    unknown = changes.keys() - {one.name for one in fields(Recipe)}
    if unknown:
        raise ValueError(f"a recipe has no {sorted(unknown)[0]}")
    method, loss, max_tracks, starts_from = VARIANTS[name]
    stage = "fine" if starts_from else method
    settings = SETTINGS[size] | {"steps": SETTINGS[size]["steps"][stage]}
    if method == 1 and size != "paper":
        settings["seconds"] *= 2  # the model gets half of it
    if size == "paper" and changes.get("loss", loss) == "af":
        settings["loss_preset"] = "reference"  # the default of "mrstft" is the paper's
    if method == 1 or not config.stems:
        settings["known"] = 0.0
    if released:
        settings |= RELEASED
        name, starts_from = f"{name}-released", starts_from and f"{starts_from}-released"
        if size == "paper":
            settings |= {"batch_size": RELEASED_BATCH[stage], "accumulate": 1, "seconds": RELEASED_SECONDS}
    settings |= {
        "name": name,
        "model": model,
        "method": method,
        "loss": loss,
        "max_tracks": max_tracks,
        "starts_from": starts_from,
    }
    return Recipe(**settings | changes)


RELEASED_SECONDS = 262_144 / 44_100
RELEASED_BATCH = {1: 4, "fine": 1, 2: 2}  # in the order of the released configurations
FREE = {"clip_norm": None, "weight_decay": 0.0, "pull": 0.0, "keep": 0.0, "soft_limit": None}
RELEASED = {
    **FREE,
    "loss_preset": "reference",
    "normalize": False,
    "random_gain_db": 0.0,
    "schedule": "constant",
    "mixed_songs": 0.0,
    "varied": 0.0,
    "known": 0.0,
}
SETTINGS = {
    "paper": {
        **FREE,
        "steps": {1: 1_160_000, 2: 1_160_000, "fine": 20_000},
        "learning_rate": 1e-5,
        "batch_size": 2,
        "accumulate": 4,
        "seconds": 10.0,
        "schedule": "constant",
        "validate_every": 2000,
    },
    "small": {
        "steps": {1: 6500, 2: 6500, "fine": 1000},
        "learning_rate": 1e-3,
        "batch_size": 4,
        "accumulate": 1,
        "seconds": 3.0,
        "mixed_songs": 0.5,
        "varied": 0.3,
        "known": 0.25,
        "validate_every": 250,
    },
    "tiny": {
        "steps": {1: 200, 2: 200, "fine": 50},
        "learning_rate": 3e-3,
        "batch_size": 2,
        "accumulate": 1,
        "seconds": 2.0,
        "mixed_songs": 0.5,
        "validate_every": 25,
        "first_look": 24,
    },
}
