"""A user's own loss: how it is called, what it must return, and the name by which a checkpoint knows it.

`Recipe(loss=function)` puts it where the audio-feature loss stands in `step_loss`. What else is minimized there
stays, unless the recipe has known=0, pull=0, keep=0.

Chapter: Training at scale.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ..disk import why
from ..inputs import InputError

Loss = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


def qualified_name(function: Callable[..., Any]) -> str:
    """Name a function by its module and its name there, also a partial one; any other callable by its class.

    Example:
        >>> qualified_name(torch.nn.functional.mse_loss), qualified_name(torch.nn.MSELoss())
        ('torch.nn.functional.mse_loss', 'torch.nn.modules.loss.MSELoss')
    """
    while isinstance(function, partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def own_loss(function: Loss, mix: torch.Tensor, target: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Compute a user's own loss, and check what it returns.

    Args:
        function: The loss: function(mix, target, sample_rate) -> scalar.
        mix: (B, 2, T), at -16 LUFS unless `Recipe.normalize` is off.
        target: (B, 2, T), likewise.
        sample_rate: Sample rate in Hz.

    Returns:
        The loss, a scalar; where the mix has a gradient, the loss has one, too.

    Raises:
        InputError: In one line, when it returns anything else or fails.

    Example:
        >>> one, other = torch.ones(1, 2, 8), torch.zeros(1, 2, 8)
        >>> own_loss(lambda mix, target, rate: (mix - target).abs().mean(), one, other, 44100)
        tensor(1.)
    """
    try:
        loss = function(mix, target, sample_rate)
    except Exception as error:
        raise InputError(
            f"the loss {qualified_name(function)} fails: {type(error).__name__}: {why(error)}"
        ) from error
    given = f"the shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
    if not isinstance(loss, torch.Tensor) or loss.ndim or not loss.is_floating_point():
        raise InputError(f"the loss {qualified_name(function)} must return a scalar of torch, not {given}")
    if mix.requires_grad and torch.is_grad_enabled() and not loss.requires_grad:
        raise InputError(
            f"the loss {qualified_name(function)} has no gradient: compute it from the mix, with torch alone"
        )
    return loss
