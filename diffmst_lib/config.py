"""What a model is made of: one dataclass, its three presets side by side. Chapters 9 and 10."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from numbers import Real

from .encoder import PAPER_CHANNELS, PAPER_POOLS


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of a `DiffMST`. `dataclasses.replace` makes variants of a preset.

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
        for field in ("width", "layers", "heads", "feedforward", "sample_rate"):
            value = getattr(self, field)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{field} must be a whole number of at least 1, not {value!r}")
        if not isinstance(self.track_lufs, Real) or not isinstance(self.window_seconds, Real) or self.window_seconds <= 0:
            raise ValueError(f"track_lufs and window_seconds must be numbers, the second above 0, "
                             f"not {self.track_lufs!r} and {self.window_seconds!r}")
        allowed = {"encoder": ("cnn", "statistics"), "views": ("left/right", "mid/side"),
                   "console": ("default", "reference")}
        for field, values in allowed.items():
            if getattr(self, field) not in values:
                raise ValueError(f"{field} must be one of {', '.join(values)}, not {getattr(self, field)!r}")
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")
        try:                      # JSON has lists
            object.__setattr__(self, "channels", tuple(self.channels))
            object.__setattr__(self, "pools", tuple(tuple(pool) for pool in self.pools))
        except TypeError:
            raise ValueError("channels must be a list of numbers and pools one of pairs") from None

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
