"""What a model is made of: one dataclass, and its three presets side by side.

Chapters: The encoder, The controller.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ..console.reading import RATES_HZ
from ..console.specs import CONSOLES, takes_stems
from ..inputs import check_limits, limited, one_of
from ..style.own_features import own_features
from .encoder import PAPER_CHANNELS, PAPER_POOLS
from .own_networks import CONTROLLERS, ENCODERS

# The highest sizes allowed, since a configuration may come from a stranger.
MOST, MOST_BLOCKS, MOST_FRAMES = 1_000_000, 100, 1_000_000


def _size() -> Any:
    return limited(1, MOST, whole=True)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and choices of a `DiffMST`. `dataclasses.replace` makes variants of a preset.

    Args:
        width: Width of every token of the transformer, a multiple of `heads`.
        layers: Layers of the transformer, 1 to 1,000.
        heads: Attention heads of the transformer.
        feedforward: Width of the transformer's hidden layers.
        norm_first: Whether layer norm comes before attention and feed-forward, which trains at higher
            learning rates.
        encoder: "cnn" (section 2.4 of the paper), "statistics" of the log-mel spectrum, or the name of an encoder
            of your own (`register_encoder`).
        channels: Channels of each block of a CNN, of at most 100 blocks.
        pools: Pooling of each block of a CNN, (frequency, time).
        hop: Hop of a CNN's spectrogram, in samples; a window has at most a million frames.
        chunk: How many signals pass through a CNN at a time; None for all.
        bands: Bands of the log-mel spectrum.
        views: Whether the reference is encoded as "left/right" or as "mid/side".
        style: Whether the controller gets the audio features of the reference.
        passes: How often the controller listens to a mix of the tracks, 0 to 8, that is gets the gap between
            the features of that mix and those of the reference. 0: never. 1: to the plain sum of the tracks.
            2: then to the mix of its first console, which it corrects; and so on.
        start_pans: Whether the controller is told where each pan starts, and starts there.
        neutral_start: Whether the controller's heads have a hidden layer and start at a console that does
            nothing.
        console: Preset of the console, "default" (the tracks are stereo stems) or "reference" (mono channels),
            or the name of a console made by `register_console`.
        track_lufs: Level of each mono channel when it is encoded and mixed, -100 to 0 LUFS. None for stems:
            they keep their balance, and their plain sum is at -20 LUFS.
        window_seconds: Length of the windows that the network gets, 0.1 to 600 s.
        sample_rate: Sample rate, 4,000 to 768,000 Hz.
        evidence: Whether each stem's token gets what it can read about its own setting
            (`network/evidence.py`).
        controller: "transformer" (section 2.5 of the paper), or the name of a controller of your own
            (`register_controller`).
        features: Names of registered features (`register_feature`) that the controller gets besides those of
            the paper.
        name: Name for people, at most 100 letters of one line. `dataclasses.replace` keeps it unless given another
            one.

    Raises:
        ValueError: For values out of these limits, or that do not fit each other; its subclass InputError for
            the name of a part that nobody registered.

    Example:
        >>> ModelConfig.preset("paper").layers, ModelConfig.preset("tiny").layers
        (12, 2)
    """

    width: int = _size()
    layers: int = limited(1, 1000, whole=True)
    heads: int = _size()
    feedforward: int = _size()
    norm_first: bool = one_of((False, True))
    encoder: str
    channels: tuple[int, ...]
    pools: tuple[tuple[int, int], ...]
    hop: int = limited(0, MOST, whole=True)
    chunk: int | None = limited(1, MOST, whole=True, optional=True)
    bands: int = limited(0, MOST, whole=True)
    views: str = one_of(("left/right", "mid/side"))
    style: bool = one_of((False, True))
    passes: int = limited(0, 8, whole=True)
    start_pans: bool = one_of((False, True))
    neutral_start: bool = one_of((False, True))
    console: str
    track_lufs: float | None = limited(-100, 0, optional=True)
    window_seconds: float = limited(0.1, 600)
    sample_rate: int = limited(*RATES_HZ, whole=True, default=44100)
    evidence: bool = one_of((False, True), default=False)
    controller: str = "transformer"
    features: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        where = " in a model's configuration"
        check_limits(self, where)
        for parts, name in (
            (ENCODERS, self.encoder),
            (CONTROLLERS, self.controller),
            (CONSOLES, self.console),
        ):
            parts.get(name)
        self._check_encoder(where)
        self._check_features(where)
        if not isinstance(self.name, str) or len(self.name) > 100 or not self.name.isprintable():
            raise ValueError(f"name cannot be {self.name!r}{where}")
        if (self.track_lufs is None) != self.stems:
            wanted = "None, since stems keep their balance" if self.stems else "a level for each channel"
            raise ValueError(f"track_lufs must be {wanted}, with the console {self.console!r}{where}")
        if self.evidence and not (self.passes and self.stems):
            raise ValueError(
                f"evidence compares a mix of stems with the record: it needs passes and stems{where}"
            )
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")

    def _check_encoder(self, where: str) -> None:
        """Check the sizes of the encoder; lists, which JSON has, become tuples."""
        try:
            object.__setattr__(self, "channels", tuple(self.channels))
            object.__setattr__(self, "pools", tuple(tuple(pool) for pool in self.pools))
        except TypeError:
            raise ValueError("channels must be a list of numbers and pools one of pairs") from None
        sizes = {"cnn": ("channels", "pools", "hop"), "statistics": ("bands",)}.get(self.encoder, ())
        for size in sizes:
            if not getattr(self, size):
                raise ValueError(
                    f"{size} cannot be {getattr(self, size)!r} with the encoder {self.encoder!r}"
                )
        counts = [*self.channels, *(size for pool in self.pools for size in pool)]
        if not all(type(count) is int and 1 <= count <= MOST for count in counts):
            raise ValueError(f"channels and pools must be whole numbers from 1 on{where}")
        if len(self.channels) != len(self.pools) or any(len(pool) != 2 for pool in self.pools):
            raise ValueError(f"channels and pools must name the same number of blocks, a pair a pool{where}")
        if len(self.channels) > MOST_BLOCKS:
            raise ValueError(
                f"channels cannot be of {len(self.channels)} blocks, at most {MOST_BLOCKS}{where}"
            )
        if self.encoder == "cnn" and self.window_seconds * self.sample_rate / self.hop > MOST_FRAMES:
            raise ValueError(
                f"hop cannot be {self.hop}{where}: windows would have more than {MOST_FRAMES:,} frames"
            )

    def _check_features(self, where: str) -> None:
        """Check what the controller is told about the reference; a list becomes a tuple."""
        given = self.features
        if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
            raise ValueError(f"features cannot be {self.features!r}{where}")
        object.__setattr__(self, "features", tuple(own_features(self.features)))
        if self.features and not self.style:
            raise ValueError(
                f"features={list(self.features)} are features of the style: they need style{where}"
            )
        if self.passes and not self.style:
            raise ValueError(f"passes={self.passes} compares audio features: it needs style")

    @property
    def stems(self) -> bool:
        """Whether the tracks are stereo stems; otherwise they are mono channels."""
        return takes_stems(self.console)

    @classmethod
    def preset(cls, name: str) -> ModelConfig:
        """Return the configuration of "tiny", "small" or "paper"; ValueError for another name."""
        if not isinstance(name, str) or name not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
        return PRESETS[name]


_PAPER = ModelConfig(
    name="paper",
    width=512,
    layers=12,
    heads=8,
    feedforward=2048,
    norm_first=False,
    encoder="cnn",
    channels=PAPER_CHANNELS,
    pools=PAPER_POOLS,
    hop=512,
    chunk=4,
    bands=0,
    views="left/right",
    style=False,
    passes=0,
    start_pans=False,
    neutral_start=False,
    console="reference",
    track_lufs=-48.0,
    window_seconds=10.0,
)
_SMALL = ModelConfig(
    name="small",
    width=128,
    layers=4,
    heads=8,
    feedforward=512,
    norm_first=True,
    encoder="statistics",
    channels=(),
    pools=(),
    hop=0,
    chunk=None,
    bands=64,
    views="mid/side",
    style=True,
    passes=2,
    start_pans=True,
    neutral_start=True,
    console="default",
    track_lufs=None,
    window_seconds=10.0,
    evidence=True,
)
_TINY = replace(_SMALL, name="tiny", width=32, layers=2, heads=4, feedforward=64, bands=32)

PRESETS = {"tiny": _TINY, "small": _SMALL, "paper": _PAPER}
FIELDS = {field.name for field in fields(ModelConfig)}
