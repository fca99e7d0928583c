"""What training keeps of the song where the loss hears only the sum: the guards of a fit, on powers.

Chapter: Method 2.
"""

from __future__ import annotations

import torch

from ..console.params import ConsoleParams
from .known import audible_share, lean_of

BALANCE_FREE_DB, LEAN_FREE_DB = 3.5, 0.5  # a mix may change that much for nothing
BALANCE_WEIGHT, LEAN_WEIGHT = 0.003, 0.004  # loss for one dB^2 beyond


def keep_song(
    before: torch.Tensor,
    after: torch.Tensor,
    params: ConsoleParams,
    mask: torch.Tensor,
    *,
    each: bool = False,
) -> torch.Tensor:
    """Compute how far the balance and the places of stems are beyond what a mix may change.

        K = mean over stems of 0.003 max(0, |moved - mean| - 3.5 dB)^2 + 0.004 max(0, |lean| - 0.5 dB)^2

    `moved` is what the strip does to the level of its stem; stems that cannot be heard do not count.
    Differentiable.

    Args:
        before: Power of the stems as delivered, (B, N, 3, bands).
        after: Power behind their strips.
        params: The consoles.
        mask: (B, N), True for real stems.
        each: Whether to return the value of each console instead of their mean.

    Returns:
        A scalar, or (B,).
    """
    before, after = (power[:, :, :2].sum(dim=(-2, -1)) for power in (before, after))  # (B, N)
    counts = audible_share(before, mask)
    moved = 10.0 * torch.log10((after + 1e-12) / (before + 1e-12))
    moved = moved - (counts * moved).sum(dim=-1, keepdim=True)
    leaned = lean_of(params.values("track")["pan"])
    beyond = BALANCE_WEIGHT * (moved.abs() - BALANCE_FREE_DB).clamp(min=0.0).square()
    beyond = beyond + LEAN_WEIGHT * (leaned.abs() - LEAN_FREE_DB).clamp(min=0.0).square()
    total = (counts * beyond).sum(dim=-1)
    return total if each else total.mean()
