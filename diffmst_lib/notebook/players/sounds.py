"""Synchronized audio players for comparing mixes by ear.

Chapter: A first mix.
"""

from __future__ import annotations

import base64
import html
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...audio.loudness import loudness
from ...options import SAMPLE_RATE
from .encoding import FORMATS, as_samples, encode_samples, excerpt_span, headroom_gain

if TYPE_CHECKING:
    from ...mixing.result import MixResult

_HERE = Path(__file__).parent
_SHORTEST_S = 0.4  # one block of the loudness meter


@dataclass(frozen=True)
class Sounds:
    """Sounds that a notebook shows as players, as `listen` returns them.

    Attributes:
        labels: Names of the sounds.
        lufs: Common loudness of the sounds in LUFS, or None when their levels stay.
        html: HTML of the players, with their script and the sounds.
    """

    labels: tuple[str, ...]
    lufs: float | None
    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html


def listen(
    sounds: dict[str, torch.Tensor | np.ndarray] | torch.Tensor | np.ndarray | MixResult,
    sample_rate: int = SAMPLE_RATE,
    *,
    match_lufs: float | None = None,
    seconds: float = 10.0,
    start_s: float = 0.0,
    title: str | None = None,
) -> Sounds:
    """Show players for one sound or several, so that a listener can compare them.

    Several players are synchronized: starting one pauses the others and continues at the same position. The
    keys 1 to 9 switch between them. If a peak exceeds 1, all sounds are turned down together, so that their
    differences in level stay.

    Args:
        sounds: Audio by label, one sound, or a `MixResult`. Each sound is (channels, num_samples) with 1 or 2
            channels, or (num_samples,), in [-1, 1].
        sample_rate: Sample rate of all sounds in Hz.
        match_lufs: Loudness in LUFS to which every excerpt is scaled. All excerpts are lower where one would
            clip. Silent sounds and sounds shorter than 0.4 s are not scaled. Default: levels stay.
        seconds: Length of the excerpt in seconds.
        start_s: Start of the excerpt in seconds.
        title: Heading of the players. Default: none.

    Returns:
        Players, which a notebook shows. `.lufs` is the loudness after any turning down.

    Raises:
        ValueError: When there is no sound, for samples that are not finite, other shapes, and a start past
            the end.

    Example:
        >>> import torch
        >>> noise = 0.1 * torch.randn(2, 44100)
        >>> listen({"quiet": 0.5 * noise, "loud": noise}, match_lufs=-23.0).lufs
        -23.0
    """
    sounds = getattr(sounds, "audio", sounds)  # a MixResult
    if not isinstance(sounds, dict):
        sounds = {"": sounds}
    if not sounds:
        raise ValueError("sounds is empty: give at least one")
    labels = tuple(str(label) for label in sounds)
    clips = []
    for label, audio in zip(labels, sounds.values(), strict=True):
        name = f"sound {label!r}" if label else "sound"
        samples = as_samples(audio, name)
        clips.append(samples[excerpt_span(len(samples), sample_rate, start_s, seconds, name)])

    levels = [_loudness(clip, sample_rate) for clip in clips]
    measured = any(level is not None for level in levels)
    if match_lufs is not None:
        clips = [
            clip if level is None else clip * 10 ** ((match_lufs - level) / 20)
            for clip, level in zip(clips, levels, strict=True)
        ]
    # Turning down one sound alone would falsify the comparison.
    gain = headroom_gain(max(float(np.abs(clip).max()) for clip in clips))
    clips = [clip * gain for clip in clips]
    lufs, note = None, ""
    if match_lufs is not None and measured:
        lufs = match_lufs + 20 * math.log10(gain)
        note = f"level-matched at {round(lufs, 1):g} LUFS"
        if gain < 1:
            note += f" ({match_lufs:g} LUFS would clip)"
    elif gain < 1:
        note = f"turned down by {-20 * math.log10(gain):.1f} dB, else the loudest would clip"

    unmatched = [match_lufs is not None and level is None for level in levels]
    data = [encode_samples(clip, sample_rate) for clip in clips]
    return Sounds(labels, lufs, _page(labels, data, unmatched, title, note))


def _loudness(samples: np.ndarray, sample_rate: int) -> float | None:
    """Return the integrated loudness in LUFS, or None for a sound that is too short or silent."""
    level = loudness(torch.from_numpy(samples.T), sample_rate=sample_rate)
    return level if len(samples) >= _SHORTEST_S * sample_rate and math.isfinite(level) else None


def _page(
    labels: tuple[str, ...], data: list[bytes], unmatched: list[bool], title: str | None, note: str
) -> str:
    """Return the HTML. No element has an id, so that a page can hold it several times."""
    several = len(labels) > 1
    mime = FORMATS["mp3"][0]
    rows = []
    for number, (label, file, left) in enumerate(zip(labels, data, unmatched, strict=True), start=1):
        name = html.escape(label)
        if several:
            rows.append(f'<button type="button" aria-label="Switch to {name}">{number}</button>')
        if several or name:
            hint = " <small>(silent or too short to match)</small>" if left else ""
            rows.append(f'<span class="dm-label">{name}{hint}</span>')
        source = f"data:{mime};base64,{base64.b64encode(file).decode()}"
        rows.append(
            f'<audio controls preload="metadata" aria-label="{name or "sound"}" src="{source}"></audio>'
        )
    heading = f'<strong class="dm-wide">{html.escape(title)}</strong>' if title else ""
    hints = [note] if note else []
    if several:
        keys = "1 and 2" if len(labels) == 2 else f"1 to {min(9, len(labels))}"
        hints.append(f"switch at the same position: the numbers, or keys {keys} while the focus is here")
    footer = "".join(f'<small class="dm-wide">{html.escape(hint)}</small>' for hint in hints)
    name = html.escape(title) if title else "Sounds to compare" if several else "Sound"
    return (
        f'<div class="dm-sounds{"" if several else " dm-single"}" role="group" '
        f'aria-label="{name}" tabindex="-1">'
        f"{heading}{''.join(rows)}{footer}</div>"
        f"<style>{(_HERE / 'sounds.css').read_text('utf-8')}</style>"
        f"<script>{(_HERE / 'sounds.js').read_text('utf-8')}</script>"
    )
