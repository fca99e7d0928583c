"""References that are no records. Chapter: A first mix."""

from __future__ import annotations

import torch

from ..audio.multitrack import Multitrack
from ..inputs import note

BLOCK = 4096  # samples that are compared first
SAME = 1e-8  # energy that may be left, beside that of the stem: -80 dB


def note_stem_as_reference(song: Multitrack, *references: tuple[torch.Tensor, float]) -> None:
    """Say with an `InputNote` when a reference is a stem of the song, at whatever level.

    Args:
        song: The stems.
        references: The references (2, num_samples) with their weights; they begin where the song does.

    Example:
        >>> import diffmst_lib as dm
        >>> import warnings
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium")
        >>> with warnings.catch_warnings(record=True) as notes:
        ...     note_stem_as_reference(song, (0.5 * song.stems["kick"], 1.0))
        >>> print(notes[0].message)
        the reference is the stem kick of the song, not a finished record
    """
    for reference, _ in references:
        _note_stem(song, reference)


def _note_stem(song: Multitrack, reference: torch.Tensor) -> None:
    length = min(reference.shape[-1], song.audio.shape[-1])
    reference = reference[..., :length]
    loudest = int(reference.abs().amax(dim=0).argmax())
    part = slice(max(0, loudest - BLOCK // 2), loudest + BLOCK // 2)
    for name, stem in zip(song.names, song.audio[..., :length], strict=True):
        if _is_same(stem[:, part], reference[:, part]) and _is_same(stem, reference):
            note(f"the reference is the stem {name} of the song, not a finished record")


def _is_same(stem: torch.Tensor, reference: torch.Tensor) -> bool:
    """Tell whether two sounds (2, num_samples) are the same but for their level."""
    power = torch.dot(reference.flatten(), reference.flatten())
    gain = torch.dot(stem.flatten(), reference.flatten()) / power
    left = (stem - gain * reference).square().sum()
    return bool(left < SAME * (gain * gain * power))
