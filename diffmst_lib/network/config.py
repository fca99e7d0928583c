"""What a model is made of: one dataclass, its three presets side by side. Chapters: The encoder, The controller."""

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

    Args:
        width, layers, heads, feedforward: of the transformer; `width` is that of every token.
        norm_first: layer norm before attention and feed-forward, which trains at higher learning rates.
        encoder: "cnn" (section 2.4), with `channels` and `pools` of its blocks, `hop` of its spectrogram in samples and
            `chunk` signals at a time; or "statistics" of the log-mel spectrum in `bands` bands.
        views: whether the reference is heard as "left/right" or as "mid/side".
        style: whether the controller is given the reference's own audio features.
        listens: how often it also hears a mix of the tracks, and is given how far its features are from them: 0 never, 1
            to their plain sum, 2 then to the mix of its own first console, which it corrects, and so on up to 8.
        sides: whether tracks tell their side; pans then start there, and the model is mirror-symmetric.
        neutral_start: whether heads have a hidden layer and start at the neutral console.
        console: preset of the console, "default" or "reference".
        track_lufs: level at which tracks are heard and enter the console, -100 to 0.
        window_seconds: how much is heard at a time, 0.1 to 600.
        sample_rate: Hz.
        name: for people; a variant keeps it unless told otherwise.

    Raises ValueError for values that make no model.

    >>> ModelConfig.preset("paper").layers, ModelConfig.preset("tiny").layers
    (12, 2)
    """

    width: int
    layers: int
    heads: int
    feedforward: int
    norm_first: bool
    encoder: str
    channels: tuple[int, ...]
    pools: tuple[tuple[int, int], ...]
    hop: int
    chunk: int | None
    bands: int
    views: str
    style: bool
    listens: int
    sides: bool
    neutral_start: bool
    console: str
    track_lufs: float
    window_seconds: float
    sample_rate: int = 44100
    name: str = ""

    def __post_init__(self):
        try:  # JSON has lists
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
            "listens": self.listens == 0 or _count(self.listens) and self.listens <= 8,
            "layers": _count(self.layers) and self.layers <= 1000,
            "hop": _count(self.hop) or not cnn,
            "bands": _count(self.bands) or cnn,
            "chunk": self.chunk is None or _count(self.chunk),
            "channels": all(map(_count, self.channels))
            and (len(self.channels) == len(self.pools) > 0 or not cnn),
            "pools": all(len(pool) == 2 and all(map(_count, pool)) for pool in self.pools),
            "track_lufs": _number(self.track_lufs) and -100 <= self.track_lufs <= 0,
            "window_seconds": _number(self.window_seconds) and 0.1 <= self.window_seconds <= 600,
        }
        allowed |= {
            field: _count(getattr(self, field)) for field in ("width", "heads", "feedforward", "sample_rate")
        }
        allowed |= {
            field: isinstance(getattr(self, field), bool)
            for field in ("norm_first", "style", "sides", "neutral_start")
        }
        wrong = next((field for field, good in allowed.items() if not good), None)
        if wrong:
            raise ValueError(f"{wrong} cannot be {getattr(self, wrong)!r} in a model's configuration")
        if self.listens and not self.style:
            raise ValueError(f"listens={self.listens} compares audio features: it needs style")
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")

    @classmethod
    def preset(cls, name: str) -> ModelConfig:
        """ "tiny", "small" or "paper". ValueError for another name."""
        if name not in PRESETS:
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
    listens=0,
    sides=False,
    neutral_start=False,
    console="reference",
    track_lufs=-48.0,
    window_seconds=10.0,
)
# Tracks at -30 LUFS: the middle of the thresholds' range. At the paper's -48 most thresholds are never reached.
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
    listens=2,
    sides=True,
    neutral_start=True,
    console="default",
    track_lufs=-30.0,
    window_seconds=10.0,
)
_TINY = replace(_SMALL, name="tiny", width=32, layers=2, heads=4, feedforward=64, bands=32)

PRESETS = {"tiny": _TINY, "small": _SMALL, "paper": _PAPER}
FIELDS = {field.name for field in fields(ModelConfig)}
