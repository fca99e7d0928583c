"""What effects and models accept: sound, one value an item, one a band. Each check raises ValueError with the name it is about.

Values on a GPU are not checked: reading them back would make the device wait.
"""

from __future__ import annotations

import math
from numbers import Real

import torch

# What the functions accept, by name; the console's knobs (`params.param_table`) move inside of it.
RANGES = {
    "gain_db": (-200.0, 200.0), "eq gain_db": (-60.0, 60.0), "q": (0.01, 100.0), "threshold_db": (-120.0, 24.0),
    "ratio": (1.0, 1000.0), "attack_ms": (0.0, 10_000.0), "release_ms": (0.0, 10_000.0), "knee_db": (0.0, 60.0),
    "makeup_gain_db": (-60.0, 60.0), "pan": (0.0, 1.0), "band_gains": (0.0, 1.0), "band_decays": (0.0, 1.0),
    "mix": (0.0, 1.0),
}


def check_dtype(x: torch.Tensor) -> None:
    """Audio is a tensor of float32 or float64."""
    if not isinstance(x, torch.Tensor):
        raise ValueError(f"audio must be a torch tensor, got {type(x).__name__}")
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"audio must be float32 or float64, got {str(x.dtype).removeprefix('torch.')}")


def as_channels(x: torch.Tensor) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Audio (B, T) or (B, C, T) as (B, C, T), and the shape that it had."""
    check_dtype(x)
    if x.ndim not in (2, 3) or x.shape[-1] < 1:
        raise ValueError(f"audio must be (batch, samples) or (batch, channels, samples), got {tuple(x.shape)}")
    return (x.unsqueeze(1) if x.ndim == 2 else x), x.shape


def check_rate(sample_rate: float) -> None:
    """A sample rate is a number above 0."""
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, Real) or not 0 < sample_rate < math.inf:
        raise ValueError(f"sample_rate must be a number above 0 Hz, got {sample_rate!r}")


def in_range(value: torch.Tensor, name: str, low: float, high: float) -> None:
    """All of `value` between low and high; float32 may put a range end just outside."""
    if value.device.type != "cpu":
        return
    inside = (value >= low - 1e-5 * abs(low)) & (value <= high + 1e-5 * abs(high))  # NaN is outside
    if not bool(inside.all()):
        raise ValueError(f"{name.split()[-1]} = {value.detach()[~inside][0].item():g} is outside {low:g} to {high:g}")


def per_item(value: torch.Tensor | float, x: torch.Tensor, name: str) -> torch.Tensor:
    """A number or (B,) as (B,), like the audio `x`."""
    value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    if value.shape not in ((), (x.shape[0],)):
        raise ValueError(f"{name} must be a number or ({x.shape[0]},), one an item, got {tuple(value.shape)}")
    in_range(value, name, *RANGES[name])
    return value.expand(x.shape[0])


def per_band(value: torch.Tensor, x: torch.Tensor, name: str, bands: int) -> torch.Tensor:
    """(B, bands), like the audio `x`."""
    if not isinstance(value, torch.Tensor) or value.shape != (x.shape[0], bands):
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"{name} must be ({x.shape[0]}, {bands}), {bands} bands an item, got {got}")
    return value.to(x)


class NotFinite(ValueError):
    """A network whose answers are NaN or infinite."""


def check_heard(tracks, reference, mask) -> None:
    """What a network hears is float32, its mask boolean."""
    given = {"tracks": (tracks, torch.float32), "the reference": (reference, torch.float32), "mask": (mask, torch.bool)}
    for name, (x, dtype) in given.items():
        if x is None and name == "mask":
            continue
        if not isinstance(x, torch.Tensor) or x.dtype != dtype:
            kind = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"{name} must be a tensor of {dtype}, got {kind}")


def check_batch(tracks, reference, sides, mask) -> None:
    """Tracks, reference, sides and mask of a batch fit each other."""
    if tracks.ndim != 3 or 0 in tracks.shape:
        raise ValueError(
            f"tracks must be (batch, num_tracks, samples) or (num_tracks, samples), got {tuple(tracks.shape)}"
        )
    if reference.ndim != 3 or reference.shape[:2] != (len(tracks), 2) or reference.shape[-1] == 0:
        raise ValueError(f"the reference must be ({len(tracks)}, 2, samples), got {tuple(reference.shape)}")
    for name, values in (("sides", sides), ("mask", mask)):
        if values is not None and values.shape != tracks.shape[:2]:
            raise ValueError(f"{name} must be {tuple(tracks.shape[:2])}, one a track, got {tuple(values.shape)}")
