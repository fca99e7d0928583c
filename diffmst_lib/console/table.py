"""The table of knobs: names, units and ranges, and the mapping between a range and the unit interval.

A strip is a row of numbers in a fixed order. Only `param_table` defines that order, the units and the ranges.
Everything else derives from it: the unit interval that a network or an optimizer works in, the physical
values that an engineer reads, the JSON and CSV files, and the width of a network's output.

Chapter: The console.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from ..inputs import check_preset

SECTIONS = ("track", "fx_bus", "master_bus")
EQ_BANDS = ("low_shelf", "peak_1", "peak_2", "peak_3", "peak_4", "high_shelf")
REVERB_BANDS = 12
# Knobs start at least this far from the ends of the unit interval, where a sigmoid has no slope.
UNIT_EDGE = 0.02

# Frequency ranges of the bands in Hz; None: half the sample rate less 1 kHz. The released code allows no peak
# below 80 Hz and puts three of four above 2 kHz; the default bands overlap by about an octave each and cover
# the spectrum evenly on a log axis.
_FREQUENCY_HZ: dict[str, tuple[tuple[int, int | None], ...]] = {
    "default": ((20, 500), (40, 600), (200, 2500), (800, 8000), (2500, 16000), (2500, 16000)),
    "reference": ((20, 2000), (80, 2000), (2000, 8000), (8000, 12000), (12000, None), (6000, None)),
}

# Version 1 of the files had other names for the equalizer's knobs: {name now: name in version 1}.
_BANDS_1 = ("low_shelf", "band0", "band1", "band2", "band3", "high_shelf")
VERSION_1_NAMES = {
    f"{band}_{key}": f"{band_1}_{key.replace('frequency', 'cutoff')}"
    for band, band_1 in zip(EQ_BANDS, _BANDS_1, strict=True)
    for key in ("gain_db", "frequency_hz", "q")
}


@dataclass(frozen=True)
class ParamSpec:
    """One knob.

    Attributes:
        name: Its name, which ends with its unit where it has one: "_db", "_hz", "_ms".
        effect: The effect that it belongs to.
        unit: "dB", "Hz", "ms", ":1" or "".
        low: The lowest value.
        high: The highest value.
        scale: "linear" or "log", how the unit interval maps to the range.
        neutral: The value at which the knob does nothing.
    """

    name: str
    effect: str
    unit: str
    low: float
    high: float
    scale: str
    neutral: float


@lru_cache(maxsize=32)
def param_table(section: str, preset: str = "default", sample_rate: int = 44100) -> tuple[ParamSpec, ...]:
    """List the knobs of one section in their fixed order: "track" (27), "fx_bus" (25) or "master_bus" (26).

    Preset "default" maps quantities that we perceive as ratios (Hz, ms, Q, ratio) logarithmically. Preset
    "reference" maps everything linearly, as the released code does.

    Args:
        section: One of SECTIONS.
        preset: "default" or "reference".
        sample_rate: Hz; the equalizer's bands stay below its half.

    Returns:
        One ParamSpec per knob.

    Raises:
        ValueError: For another section or preset, and for a sample rate too low for the equalizer's bands.

    Example:
        >>> [spec.name for spec in param_table("track")][:2]
        ['input_gain_db', 'low_shelf_gain_db']
    """
    check_preset(preset)
    if section == "track":
        pan = ParamSpec("pan", "panner", "", 0.0, 1.0, "linear", 0.5)
        send = ParamSpec("send_db", "fx_bus", "dB", -80.0, 12.0, "linear", -80.0)
        return (_fader("input_gain_db"), *_equalizer(preset, sample_rate), *_compressor(preset), pan, send)
    if section == "master_bus":
        faders = _fader("output_gain_db"), _fader("input_gain_db")
        return (*_equalizer(preset, sample_rate), *_compressor(preset), *faders)
    if section == "fx_bus":
        gains = [
            ParamSpec(f"band{i}_gain", "reverb", "", 0.0, 1.0, "linear", 0.5) for i in range(REVERB_BANDS)
        ]
        decays = [
            ParamSpec(f"band{i}_decay", "reverb", "", 0.0, 1.0, "linear", 0.5) for i in range(REVERB_BANDS)
        ]
        return (*gains, *decays, ParamSpec("mix", "reverb", "", 0.0, 1.0, "linear", 1.0))
    raise ValueError(f"section must be one of {', '.join(SECTIONS)}, not {section!r}")


def _fader(name: str) -> ParamSpec:
    return ParamSpec(name, "gain", "dB", -48.0, 48.0, "linear", 0.0)


def _ratio_scale(preset: str) -> str:
    return "log" if preset == "default" else "linear"


def _equalizer(preset: str, sample_rate: int) -> list[ParamSpec]:
    scale, specs = _ratio_scale(preset), []
    for band, (low, high) in zip(EQ_BANDS, _FREQUENCY_HZ[preset], strict=True):
        lowest, highest = float(low), float(high or sample_rate // 2 - 1000)
        if preset == "default":
            highest = min(highest, 0.45 * sample_rate)
            lowest = min(lowest, highest / 2)
        if not lowest < highest:
            raise ValueError(
                f"preset {preset} has no room for its equalizer at a sample rate of {sample_rate} Hz"
            )
        middle = math.sqrt(lowest * highest)
        specs += [
            ParamSpec(f"{band}_gain_db", "eq", "dB", -12.0, 12.0, "linear", 0.0),
            ParamSpec(f"{band}_frequency_hz", "eq", "Hz", lowest, highest, scale, middle),
            ParamSpec(f"{band}_q", "eq", "", 0.1, 5.0, scale, math.sqrt(0.5)),
        ]
    return specs


def _compressor(preset: str) -> list[ParamSpec]:
    scale = _ratio_scale(preset)
    return [
        ParamSpec("threshold_db", "compressor", "dB", -60.0, 0.0, "linear", 0.0),
        ParamSpec("ratio", "compressor", ":1", 1.0, 10.0, scale, 1.0),
        ParamSpec("attack_ms", "compressor", "ms", 5.0, 250.0, scale, 20.0),
        ParamSpec("release_ms", "compressor", "ms", 10.0, 250.0, scale, 100.0),
        ParamSpec("knee_db", "compressor", "dB", 3.0, 12.0, "linear", 6.0),
        ParamSpec("makeup_gain_db", "compressor", "dB", 0.0, 6.0, "linear", 0.0),
    ]


@lru_cache(maxsize=64)
def knob_index(name: str, section: str = "track", preset: str = "default") -> int:
    """Find the column of a knob in the rows of its section.

    Args:
        name: The knob's name.
        section: One of SECTIONS.
        preset: "default" or "reference".

    Returns:
        The column, counted from 0.

    Raises:
        ValueError: When the section has no such knob.

    Example:
        >>> knob_index("input_gain_db"), knob_index("input_gain_db", "master_bus")
        (0, 25)
    """
    for index, spec in enumerate(param_table(section, preset)):
        if spec.name == name:
            return index
    raise ValueError(f"section {section} has no knob {name!r}")


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a tensor cached under inference mode could not take part in a gradient later
def range_tensors(
    specs: tuple[ParamSpec, ...], dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the low ends, the high ends, and which knobs are logarithmic, as tensors (len(specs),)."""
    low = torch.tensor([s.low for s in specs], dtype=dtype, device=device)
    high = torch.tensor([s.high for s in specs], dtype=dtype, device=device)
    is_log = torch.tensor([s.scale == "log" for s in specs], device=device)
    return low, high, is_log


def denormalize(unit: torch.Tensor, specs: tuple[ParamSpec, ...]) -> torch.Tensor:
    """Map the unit interval to physical values: low + u (high - low), or low (high / low)^u on a log scale.

    Differentiable.

    Args:
        unit: (..., len(specs)) in [0, 1].
        specs: The knobs, as `param_table` gives them.

    Returns:
        The same shape in the units of the table.

    Raises:
        ValueError: With the knob's name, for values outside [0, 1] and for NaN; on a GPU nothing is read
            back, so values are not checked there.

    Example:
        >>> frequency = param_table("track")[2:3]            # the low shelf's, 20 to 500 Hz, on a log scale
        >>> denormalize(torch.tensor([0.5]), frequency)
        tensor([100.])
    """
    _check_unit(unit, specs)
    return physical(unit, specs)


def physical(unit: torch.Tensor, specs: tuple[ParamSpec, ...]) -> torch.Tensor:
    """Compute `denormalize` without its checks, for values that cannot leave the unit interval."""
    low, high, is_log = range_tensors(specs, unit.dtype, unit.device)
    linear = low + unit * (high - low)
    base = torch.where(is_log, high / low, torch.ones_like(low))  # 1 where linear: no division by a low of 0
    return torch.where(is_log, low * base**unit, linear)


def normalize(values: torch.Tensor, specs: tuple[ParamSpec, ...]) -> torch.Tensor:
    """Map physical values to the unit interval, the inverse of `denormalize`. Differentiable.

    Linear knobs: u = (p - low) / (high - low); logarithmic ones: u = log(p / low) / log(high / low). Values
    outside the range are clipped.

    Args:
        values: (..., len(specs)) in the units of the table.
        specs: The knobs, as `param_table` gives them.

    Returns:
        The same shape in [0, 1].

    Example:
        >>> normalize(torch.tensor([100.0]), param_table("track")[2:3])
        tensor([0.5000])
    """
    low, high, is_log = range_tensors(specs, values.dtype, values.device)
    values = torch.minimum(torch.maximum(values, low), high)
    linear = (values - low) / (high - low)
    ones = torch.ones_like(low)
    ratio = torch.where(is_log, values, torch.ones_like(values)) / torch.where(is_log, low, ones)
    span = torch.where(is_log, high / low, torch.full_like(low, math.e))
    return torch.where(is_log, torch.log(ratio) / torch.log(span), linear).clamp(0.0, 1.0)


def _check_unit(unit: torch.Tensor, specs: tuple[ParamSpec, ...]) -> None:
    if unit.shape[-1] != len(specs):
        raise ValueError(
            f"expected {len(specs)} parameters in the last dimension, got shape {tuple(unit.shape)}"
        )
    if unit.device.type != "cpu":
        return
    inside = (unit >= 0.0) & (unit <= 1.0)  # NaN is outside
    if not bool(inside.all()):
        first = tuple((~inside).nonzero()[0])
        raise ValueError(f"{specs[int(first[-1])].name}: unit value {unit[first].item():g} is outside 0 to 1")
