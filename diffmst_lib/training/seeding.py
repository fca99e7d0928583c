"""Random numbers that follow from a seed, and nobody else's. Chapter: Training at scale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

CPU = torch.device("cpu")


@contextmanager
def seeded(*seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Let torch draw by a seed of its own while the block runs; afterwards its global state is as before.

    All other random choices of a training have generators of their own. This is for what parts of a user's own
    draw, such as dropout.

    Args:
        *seed: Numbers that make the seed, each 0 or more: of the training, its step, and so on.
        device: Where the block draws.

    Example:
        >>> before = torch.random.get_rng_state()
        >>> with seeded(0, 17):
        ...     one = torch.rand(3)
        >>> with seeded(0, 17):
        ...     print(torch.equal(torch.rand(3), one))
        True
        >>> torch.equal(torch.random.get_rng_state(), before)
        True
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        yield
