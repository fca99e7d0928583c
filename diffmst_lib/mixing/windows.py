"""Windows of a song: its loudest part, and the dozen loudest windows that a network hears.

Chapter: The controller.
"""

from __future__ import annotations

import torch

from ..audio.loudness import loudest_window

TRIMMED, FEWEST_TO_TRIM = 0.2, 5  # the share left out on each side, from so many windows on
MOST_WINDOWS = 12  # of a song and of a record: a dozen of the loudest say as much as all of them


def loudest_part(audio: torch.Tensor, seconds: float, *, sample_rate: int) -> torch.Tensor:
    """Cut the part with the most energy out of a sound (..., T); all of it where it is no longer than that."""
    first = loudest_window(audio, seconds, sample_rate=sample_rate)
    return audio[..., first : first + max(1, int(seconds * sample_rate))]


def loudest_windows(audio: torch.Tensor, seconds: float, sample_rate: int) -> list[torch.Tensor]:
    """Cut a sound (..., T) into windows, one after another, and keep the loudest, at most a dozen.

    The last window ends with the sound. Quiet windows mislead: what an intro needs is not what the song needs.
    """
    length, total = round(seconds * sample_rate), audio.shape[-1]
    starts = [*range(0, max(1, total - length), length), *[total - length] * (total > length)]
    windows = [audio[..., start : start + length] for start in starts]
    if len(windows) <= MOST_WINDOWS:
        return windows
    energy = [_energy(window) for window in windows]
    loudest = sorted(range(len(windows)), key=energy.__getitem__)[-MOST_WINDOWS:]
    return [windows[i] for i in sorted(loudest)]


def robust_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Average what the windows of a song say, so that one window that says something else does not count.

    The weighted mean without the lowest and the highest fifth, by weight, of every number. Of fewer than five
    windows none stands out, and all of them count.

    Args:
        values: Numbers (W, ...) for each of W windows, on scales on which they can be averaged.
        weights: 0 or more, (W, ...), broadcast like the values; they add up to 1 over the windows.

    Returns:
        Means (...).

    Example:
        >>> said = torch.tensor([0.5, 0.5, 0.6, 0.6, 0.0])
        >>> round(robust_mean(said, torch.full((5,), 0.2)).item(), 3)
        0.533
    """
    weights = weights.expand_as(values)
    if len(values) < FEWEST_TO_TRIM:
        return (weights * values).sum(dim=0)
    order = values.argsort(dim=0)
    values, weights = values.gather(0, order), weights.gather(0, order)
    before = weights.cumsum(dim=0)
    kept = before.clamp(TRIMMED, 1.0 - TRIMMED) - (before - weights).clamp(TRIMMED, 1.0 - TRIMMED)
    return (kept * values).sum(dim=0) / kept.sum(dim=0)


def _energy(window: torch.Tensor) -> float:
    """Measure a record or channels (N, T) summed to mono, or stems (N, 2, T) summed to stereo."""
    total = window.flatten(0, -2).sum(dim=0) if window.ndim == 2 else window.sum(dim=0)
    return total.square().sum().item()
