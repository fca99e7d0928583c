"""The compressor's equations: static curve, attack and release. The checks are in `effects.compressor`.

Source: D. Giannoulis and others, Digital dynamic range compressor design (2012). Chapter: The compressor.
"""

from __future__ import annotations

import math

import torch

from .engines.ballistics import smooth
from .engines.compressor import SILENCE, compress
from .gain_and_pan import db_to_gain
from .specs import base_console

BACKENDS = ("compiled", "steps")  # the first one runs on a CPU only
SHORTEST_MS = 0.01  # attack and release times below it count as this
LOOKAHEAD_MS = 10.0  # enough to catch a hit, too little to turn down what comes before it
RELEASED_LOOKAHEAD = {"track": 2048, "master_bus": 1024}  # samples at any rate, as in the released code


def gain_computer(
    level_db: torch.Tensor,
    *,
    threshold_db: torch.Tensor | float,
    ratio: torch.Tensor | float,
    knee_db: torch.Tensor | float,
) -> torch.Tensor:
    """Compute the compressor's static curve: a gain in dB, at most 0, for a level in dB.

    With u = level - threshold, knee W and slope 1/ratio - 1: 0 below -W/2, slope (u + W/2)^2 / (2 W) inside
    the knee, slope u above W/2.

    Chapter: The compressor

    Args:
        level_db: Levels of any shape.
        threshold_db: dB, a number or a tensor that broadcasts with the level.
        ratio: 1 or more, likewise.
        knee_db: Width of the knee in dB, likewise; 0 is a hard knee.

    Returns:
        Gains in dB like `level_db`.

    Example:
        >>> gain_computer(torch.tensor([-40.0, -10.0]), threshold_db=-30.0, ratio=4.0, knee_db=6.0)
        tensor([ -0., -15.])
    """
    threshold, ratio, knee = (
        torch.as_tensor(v, dtype=level_db.dtype, device=level_db.device)
        for v in (threshold_db, ratio, knee_db)
    )
    over = level_db - threshold
    inside = torch.clamp(over + knee / 2, torch.zeros_like(knee), knee)
    bent = inside * inside / (2 * knee.clamp(min=1e-6)) + (over - knee / 2).clamp(min=0.0)
    return (1.0 / ratio - 1.0) * bent


def smoothing_pole(time_ms: torch.Tensor, sample_rate: float) -> torch.Tensor:
    """Compute the pole of a one-pole smoother that rises from 10 % to 90 % of a step in a given time.

    A smoother with pole p leaves p^n of a step after n samples, and is at 10 % and 90 % of it when 90 % and
    10 % are left: p^n = 1/9, so p = exp(-log(9) / n).

    Args:
        time_ms: Attack or release times in ms; those below 0.01 count as 0.01.
        sample_rate: Hz.

    Returns:
        Poles in (0, 1) like `time_ms`.

    Example:
        >>> smoothing_pole(torch.tensor([10.0]), 44100) ** 441
        tensor([0.1111])
    """
    return torch.exp(-math.log(9.0) / (time_ms.clamp(min=SHORTEST_MS) * (sample_rate / 1000.0)))


def loop_settings(
    *,
    sample_rate: float,
    threshold_db: torch.Tensor,
    ratio: torch.Tensor,
    attack_ms: torch.Tensor,
    release_ms: torch.Tensor,
    knee_db: torch.Tensor,
    makeup_gain_db: torch.Tensor,
) -> torch.Tensor:
    """Put the knobs of compressors (B,) into the columns (B, 6) that the compiled loop reads, in float64."""
    attack, release = (smoothing_pole(time.double(), sample_rate) for time in (attack_ms, release_ms))
    columns = (threshold_db, 1.0 / ratio.double() - 1.0, knee_db, attack, release, makeup_gain_db)
    return torch.stack([c.double() for c in columns], dim=-1)


def apply_compressor(
    x: torch.Tensor,
    *,
    sample_rate: float,
    threshold_db: torch.Tensor,
    ratio: torch.Tensor,
    attack_ms: torch.Tensor,
    release_ms: torch.Tensor,
    knee_db: torch.Tensor,
    makeup_gain_db: torch.Tensor,
    lookahead_samples: int = 0,
    backend: str = "auto",
) -> torch.Tensor:
    """Compress audio (B, C, T) with settings (B,): `effects.compressor` without its checks."""
    early = min(lookahead_samples, x.shape[-1] - 1)
    if backend == "compiled" or (backend == "auto" and x.device.type == "cpu"):
        settings = loop_settings(
            sample_rate=sample_rate,
            threshold_db=threshold_db,
            ratio=ratio,
            attack_ms=attack_ms,
            release_ms=release_ms,
            knee_db=knee_db,
            makeup_gain_db=makeup_gain_db,
        )
        return compress(x, settings, early)
    level_db = (20.0 / math.log(10.0)) * torch.log(x.abs().amax(dim=1).clamp(min=SILENCE))  # (B, T)
    curve_db = gain_computer(
        level_db, threshold_db=threshold_db[:, None], ratio=ratio[:, None], knee_db=knee_db[:, None]
    )
    attack, release = (smoothing_pole(time, sample_rate) for time in (attack_ms, release_ms))
    gain_db = smooth(curve_db, attack, release)
    if early > 0:
        gain_db = torch.cat([gain_db[:, early:], gain_db[:, -1:].expand(-1, early)], dim=-1)
    return x * db_to_gain(gain_db + makeup_gain_db[:, None])[:, None]


def compressor_lookahead(section: str, preset: str = "default", sample_rate: float = 44100) -> int:
    """Return how far ahead of the sound a section's compressor reads its gain.

    10 ms in "default"; in "reference" 2,048 samples on tracks and 1,024 on the master, as released.

    Args:
        section: "track" or "master_bus".
        preset: "default", "reference", or the name of a registered console.
        sample_rate: Hz.

    Returns:
        A number of samples.

    Raises:
        ValueError: For another section or preset.

    Example:
        >>> compressor_lookahead("track"), compressor_lookahead("master_bus", sample_rate=96000)
        (441, 960)
        >>> compressor_lookahead("track", "reference"), compressor_lookahead("master_bus", "reference")
        (2048, 1024)
    """
    released = base_console(preset) == "reference"
    if section not in RELEASED_LOOKAHEAD:
        raise ValueError(f"section must be one of {', '.join(RELEASED_LOOKAHEAD)}, not {section!r}")
    return RELEASED_LOOKAHEAD[section] if released else round(LOOKAHEAD_MS / 1000 * sample_rate)
