"""Players side by side, with one clock: the way to compare mixes by ear.

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

from ...audio.loudness import SAMPLE_RATE, loudness
from .encoding import FORMATS, as_samples, encode_samples, excerpt_span, headroom_gain

if TYPE_CHECKING:
    from ...mixing.result import MixResult

_HERE = Path(__file__).parent
_SHORTEST_S = 0.4  # one block of the loudness meter


@dataclass(frozen=True)
class Sounds:
    """What `listen` returns; a notebook shows it as players.

    Attributes:
        labels: The names of the sounds.
        lufs: The level in LUFS that they were matched at, or None.
        html: The players as HTML, with their script and the sounds.
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

    Several players share one clock: starting one pauses the others and goes on at the same position; inside
    the group the keys 1 to 9 switch. If a peak exceeds 1, all sounds are turned down together, so that their
    differences in level stay.

    Args:
        sounds: {label: audio}, one sound, or a `MixResult`. Each sound is (channels, num_samples) with 1 or 2
            channels, or (num_samples,), in [-1, 1].
        sample_rate: In Hz, one for all.
        match_lufs: Bring every excerpt to this loudness in LUFS, or lower where one would clip. A silent
            sound, or one shorter than 0.4 s, is not matched. Default: levels stay.
        seconds: Length of the excerpt in s.
        start_s: Where the excerpt starts, in s.
        title: A heading. Default: none.

    Returns:
        The players, which show themselves in a notebook; `.lufs` is the level truly used.

    Raises:
        ValueError: For no sound, samples that are not finite, another shape, a start past the end.

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
    """Return the integrated loudness in LUFS, None where it has none (too short or silent)."""
    level = loudness(torch.from_numpy(samples.T), sample_rate=sample_rate)
    return level if len(samples) >= _SHORTEST_S * sample_rate and math.isfinite(level) else None


def _page(
    labels: tuple[str, ...], data: list[bytes], unmatched: list[bool], title: str | None, note: str
) -> str:
    """Return the HTML: no element has an id, so nothing collides however often it is on a page."""
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
