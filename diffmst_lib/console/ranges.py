"""What effects and models accept: sound, one value an item, one a band. Each check raises ValueError with the name it is about.

Values on a GPU are not checked: reading them back would make the device wait.
"""

from __future__ import annotations

import torch

from ..inputs import check_dtype

# What the functions accept, by name; the console's knobs (`params.param_table`) move inside of it.
RANGES = {
    "gain_db": (-200.0, 200.0),
    "eq gain_db": (-60.0, 60.0),
    "q": (0.01, 100.0),
    "threshold_db": (-120.0, 24.0),
    "ratio": (1.0, 1000.0),
    "attack_ms": (0.0, 10_000.0),
    "release_ms": (0.0, 10_000.0),
    "knee_db": (0.0, 60.0),
    "makeup_gain_db": (-60.0, 60.0),
    "pan": (0.0, 1.0),
    "band_gains": (0.0, 1.0),
    "band_decays": (0.0, 1.0),
    "mix": (0.0, 1.0),
}


def as_channels(x: torch.Tensor) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Audio (B, T) or (B, C, T) as (B, C, T), and the shape that it had."""
    check_dtype(x)
    if x.ndim not in (2, 3) or x.shape[-1] < 1:
        raise ValueError(
            f"audio must be (batch, samples) or (batch, channels, samples), got {tuple(x.shape)}"
        )
    return (x.unsqueeze(1) if x.ndim == 2 else x), x.shape


def in_range(value: torch.Tensor, name: str, low: float, high: float) -> None:
    """All of `value` between low and high; float32 may put a range end just outside."""
    if value.device.type != "cpu":
        return
    inside = (value >= low - 1e-5 * abs(low)) & (value <= high + 1e-5 * abs(high))  # NaN is outside
    if not bool(inside.all()):
        raise ValueError(
            f"{name.split()[-1]} = {value.detach()[~inside][0].item():g} is outside {low:g} to {high:g}"
        )


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
