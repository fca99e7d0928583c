"""Windows of a song: its loudest part, and the dozen loudest windows that a network hears.

Chapter: The controller.
"""

from __future__ import annotations

import torch

from ..audio.loudness import loudest_window

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


def _energy(window: torch.Tensor) -> float:
    """Measure a record or channels (N, T) summed to mono, or stems (N, 2, T) summed to stereo."""
    total = window.flatten(0, -2).sum(dim=0) if window.ndim == 2 else window.sum(dim=0)
    return total.square().sum().item()
