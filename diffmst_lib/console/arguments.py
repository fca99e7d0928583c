"""What the effects accept: the shapes of sounds and settings, and the range of every setting.

Each check raises ValueError with the name of the argument. Values on a GPU are not checked: reading them back
would make the device wait.

Chapters: Gain and pan, The equalizer, The compressor, The console.
"""

from __future__ import annotations

import torch

from ..inputs import check_dtype, check_rate

# What the functions accept, by name; the ranges of the knobs (`table.param_table`) lie inside these.
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
    "width": (0.0, 10.0),
    "pan": (0.0, 1.0),
    "band_gains": (0.0, 1.0),
    "band_decays": (0.0, 1.0),
    "mix": (0.0, 1.0),
}


def as_channels(x: torch.Tensor) -> torch.Tensor:
    """Check audio (B, T) or (B, C, T), and return it as (B, C, T)."""
    check_dtype(x)
    if x.ndim not in (2, 3) or x.shape[-1] < 1:
        raise ValueError(
            f"audio must be (batch, samples) or (batch, channels, samples), got {tuple(x.shape)}"
        )
    return x.unsqueeze(1) if x.ndim == 2 else x


def as_pannable(x: torch.Tensor) -> torch.Tensor:
    """Check mono (B, T) or stereo (B, 2, T) for the panner, and return it as (B, 1 or 2, T)."""
    check_dtype(x)
    if x.ndim == 2:
        return x.unsqueeze(1)
    if x.ndim != 3 or x.shape[1] != 2:
        shape = tuple(x.shape)
        raise ValueError(f"the panner takes mono (batch, samples) or stereo (batch, 2, samples), got {shape}")
    return x


def check_mono(x: torch.Tensor) -> None:
    """Raise ValueError unless tracks for the released panner are (B, T)."""
    check_dtype(x)
    if x.ndim != 2:
        raise ValueError(f"the released panner takes mono tracks (batch, samples), got {tuple(x.shape)}")


def check_stereo_bus(x: torch.Tensor, who: str = "the reverb") -> None:
    """Raise ValueError unless the audio is (B, 2, T); `who` takes it."""
    check_dtype(x)
    if x.ndim != 3 or x.shape[1] != 2:
        raise ValueError(f"{who} takes stereo (batch, 2, samples), got {tuple(x.shape)}")


def check_lookahead(lookahead_samples: int) -> None:
    """Raise ValueError unless a look-ahead is a whole number of samples, 0 or more."""
    if not isinstance(lookahead_samples, int) or lookahead_samples < 0:
        raise ValueError(f"lookahead_samples must be a whole number of at least 0, got {lookahead_samples}")


def check_backend(backend: str, backends: tuple[str, ...], x: torch.Tensor) -> None:
    """Raise ValueError unless a backend is "auto" or one of `backends`, of which the first needs a CPU."""
    if backend not in ("auto", *backends):
        raise ValueError(f"backend must be one of auto, {', '.join(backends)}, not {backend!r}")
    if backend == backends[0] and x.device.type != "cpu":
        raise ValueError(f"backend {backend!r} runs on a CPU, the audio is on {x.device}")


def in_range(value: torch.Tensor, name: str, low: float, high: float) -> None:
    """Raise ValueError unless all of `value` is between low and high; float32 may put an end just outside."""
    if value.device.type != "cpu":
        return
    inside = (value >= low - 1e-5 * abs(low)) & (value <= high + 1e-5 * abs(high))  # NaN is outside
    if not bool(inside.all()):
        raise ValueError(f"{name} = {value.detach()[~inside][0].item():g} is outside {low:g} to {high:g}")


def per_item(value: torch.Tensor | float, x: torch.Tensor, name: str) -> torch.Tensor:
    """Check a number or (B,), and return it as (B,) with the type and device of the audio `x`."""
    value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    if value.shape not in ((), (x.shape[0],)):
        raise ValueError(
            f"{name} must be a number or ({x.shape[0]},), one per item, got {tuple(value.shape)}"
        )
    in_range(value, name, *RANGES[name])
    return value.expand(x.shape[0])


def per_band(value: torch.Tensor, x: torch.Tensor, name: str, bands: int) -> torch.Tensor:
    """Check the shape (B, bands), and return the value with the type and device of the audio `x`."""
    if not isinstance(value, torch.Tensor) or value.shape != (x.shape[0], bands):
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"{name} must be ({x.shape[0]}, {bands}), {bands} bands per item, got {got}")
    return value.to(x)


def check_filters(
    sample_rate: float, *, gain_db: torch.Tensor, frequency_hz: torch.Tensor, q: torch.Tensor
) -> None:
    """Raise ValueError unless the equalizer's filters are in their ranges and below half the sample rate."""
    check_rate(sample_rate)
    in_range(gain_db, "gain_db", *RANGES["eq gain_db"])
    in_range(frequency_hz, "frequency_hz", 1.0, 0.499 * sample_rate)
    in_range(q, "q", *RANGES["q"])


def equalizer_settings(
    x: torch.Tensor, sample_rate: float, **settings: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Check the equalizer's settings (B, 6), and return them with the type and device of the audio `x`."""
    like_x = {name: per_band(value, x, name, 6) for name, value in settings.items()}
    check_filters(sample_rate, **like_x)
    return like_x


def reverb_settings(
    x: torch.Tensor,
    sample_rate: float,
    *,
    band_gains: torch.Tensor,
    band_decays: torch.Tensor,
    mix: torch.Tensor | float,
) -> dict[str, torch.Tensor]:
    """Check the reverb's settings, and return them by name with the type and device of the bus `x`."""
    check_rate(sample_rate)
    like_x = {"band_gains": per_band(band_gains, x, "band_gains", 12)}
    like_x["band_decays"] = per_band(band_decays, x, "band_decays", 12)
    for name, value in like_x.items():
        in_range(value, name, *RANGES[name])
    return like_x | {"mix": per_item(mix, x, "mix")}
