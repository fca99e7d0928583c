"""What every system is given: a song, a record, and what it may need besides. Chapter: How good is a mix?"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..audio.multitrack import Multitrack


@dataclass(frozen=True)
class Task:
    """One song and one record, as every system gets them.

    Args:
        song: The stems.
        record: The record whose style is wanted, a stereo sound (2, num_samples) at the song's sample rate.
        seed: Seed of systems that draw.
        human: The human mix of exactly this excerpt, (2, num_samples); None where there is none.

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").excerpt(2, 3)
        >>> Task(song, song.audio.sum(dim=0)).human is None
        True
    """

    song: Multitrack
    record: torch.Tensor
    seed: int = 0
    human: torch.Tensor | None = None
