"""What the browser must know of the library and of a mix, to play and to measure as they do. Chapter: The console."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from ...audio.loudness import (
    ABSOLUTE_GATE,
    BLOCK_S,
    OFFSET_DB,
    RELATIVE_GATE,
    STEP,
    k_weighting,
    loudest_window,
    loudness,
)
from ...console.compressor import compressor_lookahead
from ...console.params import ConsoleParams
from ...console.specs import ParamSpec, own_effects
from ...console.table import SECTIONS
from ...mixing.result import MixResult
from ...style.bark import BARK_FFT, bark_edges_hz
from ...style.features import BARK_FLOOR, POWER_FLOOR, SIDE_FLOOR, WIDTH_KNEE, audio_features
from ...style.losses import AF_WEIGHTS

MASTER = "master_bus"  # the master's name in `bypassed`
EFFECTS = ("eq", "compressor")  # what can be bypassed


def console_constants(params: ConsoleParams) -> dict[str, Any]:
    """Return what the browser needs of a console: tables of knobs, look-ahead, filters and gates of loudness.

    Args:
        params: The console.

    Example:
        >>> console_constants(ConsoleParams.neutral(["kick"]))["lookahead"]
        {'track': 441, 'master_bus': 441}
    """
    rate = params.sample_rate
    return {
        "specs": {section: [asdict(spec) for spec in params.specs(section)] for section in SECTIONS},
        "own_effects": [  # which the browser does not play
            effect.name for s in ("track", MASTER) for effect in own_effects(params.preset, s)
        ],
        "bypass": {effect: switched_off(params.specs("track"), effect) for effect in EFFECTS},
        "lookahead": {  # in samples
            section: compressor_lookahead(section, sample_rate=rate) for section in ("track", MASTER)
        },
        "levels": {
            "k_weighting": k_weighting(rate).tolist(),
            "block_s": BLOCK_S,
            "step": STEP,
            "absolute_gate": ABSOLUTE_GATE,
            "relative_gate": RELATIVE_GATE,
            "offset_db": OFFSET_DB,
        },
    }


def feature_constants(reference: torch.Tensor | None, sample_rate: int) -> dict[str, Any]:
    """Return constants and the features of the reference, with which the browser measures the mix.

    Args:
        reference: Stereo audio (2, num_samples), or None.
        sample_rate: Hz.

    Example:
        >>> feature_constants(None, 44100)["reference"] is None
        True
    """
    table: dict[str, Any] = {
        "edges_hz": bark_edges_hz().tolist(),
        "bark_fft": BARK_FFT,
        "bark_floor": BARK_FLOOR["default"],
        "side_floor": SIDE_FLOOR,
        "power_floor": POWER_FLOOR,
        "width_knee": WIDTH_KNEE,
        "weights": AF_WEIGHTS,
        "reference": None,
    }
    if reference is not None:
        measured = audio_features(reference, sample_rate=sample_rate)
        table["reference"] = {name: value.numpy().T.tolist() for name, value in measured.items()}
    return table


def measured_levels(
    audio: torch.Tensor, sample_rate: int, lufs: float | None = None
) -> dict[str, float | None]:
    """Measure what the desk shows of a sound (2, num_samples): loudness and correlation, None where there is none.

    Args:
        audio: The sound.
        sample_rate: Hz.
        lufs: Its loudness where it is known.

    Example:
        >>> measured_levels(torch.zeros(2, 44100), 44100)
        {'lufs': None, 'correlation': None}
    """
    left, right = audio.double()
    measured = {
        "lufs": loudness(audio, sample_rate=sample_rate) if lufs is None else lufs,
        "correlation": float(left @ right / (left.norm() * right.norm())),  # NaN where one is silent
    }
    return {name: value if math.isfinite(value) else None for name, value in measured.items()}


def plain_sum_levels(plain: torch.Tensor, mix: torch.Tensor, sample_rate: int) -> dict[str, float | None]:
    """Measure the plain sum as `measured_levels` does, with the "gain" at which it is as loud as the mix.

    Args:
        plain: The sum of the stems (2, num_samples).
        mix: The mix (2, num_samples).
        sample_rate: Hz.

    Example:
        >>> noise = 0.1 * torch.randn(2, 44100)
        >>> round(plain_sum_levels(noise, 0.5 * noise, 44100)["gain"], 4)
        0.5
    """
    levels, mix_lufs = measured_levels(plain, sample_rate), loudness(mix, sample_rate=sample_rate)
    if levels["lufs"] is None or not math.isfinite(mix_lufs):
        return levels | {"gain": 1.0}
    return levels | {"gain": 10.0 ** ((mix_lufs - levels["lufs"]) / 20.0)}


def switched_off(specs: Sequence[ParamSpec], effect: str) -> dict[str, float]:
    """Return the knobs that switch off an effect, {name: neutral value}. Its other knobs can stay.

    Args:
        specs: The knobs of a strip.
        effect: "eq" or "compressor".

    Example:
        >>> switched_off(ConsoleParams.neutral(["kick"]).specs("track"), "compressor")
        {'ratio': 1.0, 'makeup_gain_db': 0.0}
    """
    return {
        spec.name: spec.neutral
        for spec in specs
        if spec.effect == effect and (spec.name.endswith("gain_db") or spec.name == "ratio")
    }


def loudest_start(result: MixResult, seconds: float) -> float:
    """Find where an excerpt of a mix begins, in seconds: with its loudest part, of sections in the loudest.

    Args:
        result: The mix.
        seconds: Length of the excerpt.

    Example:
        >>> from diffmst_lib import Multitrack
        >>> audio = torch.cat([torch.zeros(2, 44100), torch.ones(2, 44100)], dim=1)
        >>> loudest_start(MixResult(audio, ConsoleParams.neutral(["a"]), Multitrack(["a"], audio[None])), 1.0)
        1.0
    """
    rate, length = result.sample_rate, result.audio.shape[-1]
    first, last = 0, length
    if result.automation:
        starts_s, loudest = [*result.automation.starts_s, length / rate], result.automation.loudest
        first, last = (min(round(at * rate), length) for at in starts_s[loudest : loudest + 2])
    return (first + loudest_window(result.audio[:, first:last], seconds, sample_rate=rate)) / rate


def remark(result: MixResult) -> str:
    """Say what of a mix the desk cannot show; an empty text where it shows all.

    Args:
        result: The mix.

    Example:
        >>> from diffmst_lib import Multitrack
        >>> remark(MixResult(torch.zeros(2, 9), ConsoleParams.neutral(["a"]), Multitrack(["a"], torch.zeros(1, 2, 9))))
        ''
    """
    moving = result.automation
    if moving is None:
        return ""
    return (
        f"This mix has {len(moving.labels)} sections. The desk shows and plays the console of the loudest, "
        f"{moving.labels[moving.loudest]!r}; what is moved here, desk.to_result() moves in all of them."
    )
