"""What a model is made of: one dataclass, its three presets side by side. Chapters 9 and 10."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from numbers import Real

from .encoder import PAPER_CHANNELS, PAPER_POOLS


def _count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000


def _number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of a `DiffMST`. `dataclasses.replace` makes variants of a preset.

    Raises ValueError for values that make no model.

    >>> ModelConfig.preset("paper").layers, ModelConfig.preset("tiny").layers
    (12, 2)
    """

    width: int                    # of every token
    layers: int
    heads: int
    feedforward: int
    norm_first: bool              # layer norm before attention and feed-forward, which trains at higher learning rates
    encoder: str                  # "cnn" (section 2.4) or "statistics" (of the log-mel spectrum)
    channels: tuple[int, ...]     # of the CNN's blocks
    pools: tuple[tuple[int, int], ...]
    hop: int                      # of the CNN's spectrogram, samples
    chunk: int | None             # signals that pass the CNN at a time
    bands: int                    # mel bands of the statistics
    views: str                    # the reference is heard as "left/right" or as "mid/side"
    style: bool                   # the controller is given the reference's own audio features
    sides: bool                   # tracks tell whether they are left or right, pans start there, mirror symmetry
    neutral_start: bool           # heads have a hidden layer and start at the neutral console
    console: str                  # preset of the console
    track_lufs: float             # level at which tracks are heard and enter the console
    window_seconds: float         # how much is heard at a time
    sample_rate: int = 44100
    name: str = ""

    def __post_init__(self):
        try:                      # JSON has lists
            object.__setattr__(self, "channels", tuple(self.channels))
            object.__setattr__(self, "pools", tuple(tuple(pool) for pool in self.pools))
        except TypeError:
            raise ValueError("channels must be a list of numbers and pools one of pairs") from None
        cnn = self.encoder == "cnn"
        allowed = {
            "encoder": self.encoder in ("cnn", "statistics"),
            "views": self.views in ("left/right", "mid/side"),
            "console": self.console in ("default", "reference"),
            "name": isinstance(self.name, str),
            "layers": _count(self.layers) and self.layers <= 1000,
            "hop": _count(self.hop) or not cnn,
            "bands": _count(self.bands) or cnn,
            "chunk": self.chunk is None or _count(self.chunk),
            "channels": all(map(_count, self.channels)) and (len(self.channels) == len(self.pools) > 0 or not cnn),
            "pools": all(len(pool) == 2 and all(map(_count, pool)) for pool in self.pools),
            "track_lufs": _number(self.track_lufs) and -100 <= self.track_lufs <= 0,
            "window_seconds": _number(self.window_seconds) and 0.1 <= self.window_seconds <= 600,
        }
        allowed |= {field: _count(getattr(self, field)) for field in ("width", "heads", "feedforward", "sample_rate")}
        allowed |= {field: isinstance(getattr(self, field), bool)
                    for field in ("norm_first", "style", "sides", "neutral_start")}
        wrong = next((field for field, good in allowed.items() if not good), None)
        if wrong:
            raise ValueError(f"{wrong} cannot be {getattr(self, wrong)!r} in a model's configuration")
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")

    @classmethod
    def preset(cls, name: str) -> ModelConfig:
        """"tiny", "small" or "paper". ValueError for another name."""
        if name not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
        return PRESETS[name]


_PAPER = ModelConfig(
    name="paper", width=512, layers=12, heads=8, feedforward=2048, norm_first=False,
    encoder="cnn", channels=PAPER_CHANNELS, pools=PAPER_POOLS, hop=512, chunk=4, bands=0,
    views="left/right", style=False, sides=False, neutral_start=False, console="reference",
    track_lufs=-48.0, window_seconds=10.0,
)
# Tracks at -30 LUFS: the middle of the thresholds' range. At the paper's -48 most thresholds are never reached.
_SMALL = ModelConfig(
    name="small", width=128, layers=4, heads=8, feedforward=512, norm_first=True,
    encoder="statistics", channels=(), pools=(), hop=0, chunk=None, bands=64,
    views="mid/side", style=True, sides=True, neutral_start=True, console="default",
    track_lufs=-30.0, window_seconds=10.0,
)
_TINY = replace(_SMALL, name="tiny", width=32, layers=2, heads=4, feedforward=64, bands=32)

PRESETS = {"tiny": _TINY, "small": _SMALL, "paper": _PAPER}
FIELDS = {field.name for field in fields(ModelConfig)}
