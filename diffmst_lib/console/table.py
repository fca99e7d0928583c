"""The table of knobs: names, units and ranges, and the mapping between a range and the unit interval.

A strip is a row of numbers in a fixed order. Only `param_table` defines that order, the units and the ranges.
Everything else derives from it: the unit interval that a network or an optimizer works in, the physical
values that an engineer reads, the JSON and CSV files, and the width of a network's output.

Chapter: The console.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from ..inputs import FIRST_EDITION, PRESETS
from .specs import ParamSpec, base_console, own_effects

SECTIONS = ("track", "fx_bus", "master_bus")
EQ_BANDS = ("low_shelf", "peak_1", "peak_2", "peak_3", "peak_4", "high_shelf")
REVERB_BANDS = 12
# Knobs start at least this far from the ends of the unit interval, where a sigmoid has no slope.
UNIT_EDGE = 0.02
OFF_DB = -60.0  # the lowest value of a fader and of a send, at which it is off
MASTER_EQ_DB = 6.0  # how far a band of the master's equalizer reaches: a song needs less than a stem

# Frequency ranges of the bands in Hz; None: half the sample rate less 1 kHz. The released code allows no peak
# below 80 Hz and puts three of four above 2 kHz; the default bands overlap by about an octave each and cover
# the spectrum evenly on a log axis.
_DEFAULT_HZ = ((20, 500), (40, 600), (200, 2500), (800, 8000), (2500, 16000), (2500, 16000))
_FREQUENCY_HZ: dict[str, tuple[tuple[int, int | None], ...]] = {
    "default": _DEFAULT_HZ,
    FIRST_EDITION: _DEFAULT_HZ,
    "reference": ((20, 2000), (80, 2000), (2000, 8000), (8000, 12000), (12000, None), (6000, None)),
}
# A shelf above a Q of about 1.4 overshoots into a peak; a peak below 0.3 is hardly more than a gain.
_SHELF_Q, _PEAK_Q, _RELEASED_Q = (0.3, 1.4), (0.3, 8.0), (0.1, 5.0)


@lru_cache(maxsize=32)
def param_table(section: str, preset: str = "default", sample_rate: int = 44100) -> tuple[ParamSpec, ...]:
    """List the knobs of one section in their fixed order: "track", "fx_bus" or "master_bus".

    Preset "default" has the strip of a stem (29 knobs), in the order in which an engineer reads it, and ranges
    as on a desk. It maps quantities that we perceive as ratios (Hz, ms, Q, ratio) logarithmically. Preset
    "reference" has the mono strips of the released code (27 knobs) and maps everything linearly. A console
    made by `register_console` has the knobs of the one that it is based on, and its own after them.

    Args:
        section: One of SECTIONS.
        preset: "default", "reference", or the name of a registered console.
        sample_rate: Hz; the equalizer's bands stay below its half.

    Returns:
        One ParamSpec per knob.

    Raises:
        ValueError: For another section or preset, and for a sample rate too low for the equalizer's bands.

    Example:
        >>> [spec.name for spec in param_table("track")][-4:]
        ['width', 'pan', 'fader_db', 'send_db']
    """
    ours = _our_table(section, base_console(preset), sample_rate)
    return (*ours, *(knob for effect in own_effects(preset, section) for knob in effect.knobs))


def _our_table(section: str, preset: str, sample_rate: int) -> tuple[ParamSpec, ...]:
    """List the knobs of one section of a console of ours."""
    if section == "track":
        strip = _gain("input_gain_db"), *_equalizer(preset, sample_rate), *_compressor(preset)
        pan = ParamSpec("pan", "panner", "", 0.0, 1.0, "linear", 0.5, 0.2)
        if preset == "default":
            return (
                *strip,
                _width(),
                pan,
                _fader("fader_db", "gain", 0.0),
                _fader("send_db", "fx_bus", OFF_DB),
            )
        return (*strip, pan, ParamSpec("send_db", "fx_bus", "dB", -80.0, 12.0, "linear", -80.0, 3.0))
    if section == "master_bus":
        if preset == "default":
            bus = *_equalizer(preset, sample_rate, MASTER_EQ_DB), *_master_compressor()
            return (*bus, _width(), _gain("output_gain_db"))
        bus = *_equalizer(preset, sample_rate), *_compressor(preset)
        return (*bus, _gain("output_gain_db"), _gain("input_gain_db"))
    if section == "fx_bus":
        names = [f"band{i}_{knob}" for knob in ("gain", "decay") for i in range(REVERB_BANDS)]
        return (*(_share(name, 0.5) for name in names), _share("mix", 1.0))
    raise ValueError(f"section must be one of {', '.join(SECTIONS)}, not {section!r}")


def _share(name: str, neutral: float) -> ParamSpec:
    return ParamSpec(name, "reverb", "", 0.0, 1.0, "linear", neutral, 0.1)


def _gain(name: str) -> ParamSpec:
    return ParamSpec(name, "gain", "dB", -48.0, 48.0, "linear", 0.0, 3.0)


def _fader(name: str, effect: str, neutral: float) -> ParamSpec:
    return ParamSpec(name, effect, "dB", OFF_DB, 12.0, "linear", neutral, 3.0)


def _width() -> ParamSpec:
    return ParamSpec("width", "width", "", 0.0, 2.0, "linear", 1.0, 0.25)


def _equalizer(preset: str, sample_rate: int, gain_db: float = 12.0) -> list[ParamSpec]:
    scale, specs = "linear" if preset == "reference" else "log", []
    for band, (low, high) in zip(EQ_BANDS, _FREQUENCY_HZ[preset], strict=True):
        lowest, highest = float(low), float(high or sample_rate // 2 - 1000)
        if preset != "reference":
            highest = min(highest, 0.45 * sample_rate)
            lowest = min(lowest, highest / 2)
        if not lowest < highest:
            raise ValueError(
                f"preset {preset} has no room for its equalizer at a sample rate of {sample_rate} Hz"
            )
        q = _RELEASED_Q if preset != "default" else _SHELF_Q if "shelf" in band else _PEAK_Q
        # A third of an octave and half as sharp again; on the linear scales of the paper as many moves.
        hz_step, q_step = (2 ** (1 / 3), 1.5) if scale == "log" else ((highest - lowest) / 10, 0.5)
        specs += [
            ParamSpec(f"{band}_gain_db", "eq", "dB", -gain_db, gain_db, "linear", 0.0, 2.0),
            ParamSpec(
                f"{band}_frequency_hz",
                "eq",
                "Hz",
                lowest,
                highest,
                scale,
                math.sqrt(lowest * highest),
                hz_step,
            ),
            ParamSpec(f"{band}_q", "eq", "", *q, scale, math.sqrt(0.5), q_step),
        ]
    return specs


def _compressor(preset: str) -> list[ParamSpec]:
    if preset == "default":
        return _desk_compressor((-60.0, 0.0, -20.0), 20.0, 12.0)
    scale, ratio_step, ms_step = ("linear", 1.0, 25.0) if preset == "reference" else ("log", 1.5, 2.0)
    return [
        ParamSpec("threshold_db", "compressor", "dB", -60.0, 0.0, "linear", 0.0, 3.0),
        ParamSpec("ratio", "compressor", ":1", 1.0, 10.0, scale, 1.0, ratio_step),
        ParamSpec("attack_ms", "compressor", "ms", 5.0, 250.0, scale, 20.0, ms_step),
        ParamSpec("release_ms", "compressor", "ms", 10.0, 250.0, scale, 100.0, ms_step),
        ParamSpec("knee_db", "compressor", "dB", 3.0, 12.0, "linear", 6.0, 3.0),
        ParamSpec("makeup_gain_db", "compressor", "dB", 0.0, 6.0, "linear", 0.0, 3.0),
    ]


def _master_compressor() -> list[ParamSpec]:
    # Glue, not drive: what a bus compressor on a whole song does beyond this, nobody asked for.
    return _desk_compressor((-24.0, 0.0, -12.0), 3.0, 6.0)


def _desk_compressor(
    threshold_db: tuple[float, float, float], ratio: float, makeup_gain_db: float
) -> list[ParamSpec]:
    """List the knobs of a compressor with ranges as on a desk.

    The attack reaches below a millisecond, or no transient could be caught, and the release up to a second;
    a ratio of 20 is a limiter; the neutral threshold lies where the sound is, so that a turn of the ratio is
    heard at once.
    """
    low, high, neutral = threshold_db
    return [
        ParamSpec("threshold_db", "compressor", "dB", low, high, "linear", neutral, 3.0),
        ParamSpec("ratio", "compressor", ":1", 1.0, ratio, "log", 1.0, 1.5),
        ParamSpec("attack_ms", "compressor", "ms", 0.5, 200.0, "log", 20.0, 2.0),
        ParamSpec("release_ms", "compressor", "ms", 20.0, 1000.0, "log", 100.0, 2.0),
        ParamSpec("knee_db", "compressor", "dB", 0.0, 12.0, "linear", 6.0, 3.0),
        ParamSpec("makeup_gain_db", "compressor", "dB", 0.0, makeup_gain_db, "linear", 0.0, 3.0),
    ]


@lru_cache(maxsize=64)
def knob_index(name: str, section: str = "track", preset: str = "default") -> int:
    """Find the column of a knob in the rows of its section.

    Args:
        name: The knob's name.
        section: One of SECTIONS.
        preset: "default", "reference", or the name of a registered console.

    Returns:
        The column, counted from 0.

    Raises:
        ValueError: When the section has no such knob.

    Example:
        >>> knob_index("input_gain_db"), knob_index("output_gain_db", "master_bus")
        (0, 25)
    """
    for index, spec in enumerate(param_table(section, preset)):
        if spec.name == name:
            return index
    raise ValueError(f"section {section} has no knob {name!r}")


def check_knobs(values: torch.Tensor, section: str, preset: str) -> None:
    """Raise ValueError unless values (..., knobs) are as many as the knobs of a section."""
    width = len(param_table(section, preset))
    if values.shape[-1] != width:
        others = [p for p in PRESETS if len(param_table(section, p)) == values.shape[-1]]
        hint = f": preset {others[0]} has as many knobs" if others else ""
        raise ValueError(
            f"{section} values of preset {preset} need a last dimension of {width}, "
            f"got {tuple(values.shape)}{hint}"
        )


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
