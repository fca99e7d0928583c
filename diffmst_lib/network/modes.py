"""Use and training: the mode of every module, and back. Chapter: The controller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Put modules into eval mode, and afterwards every one back into its own mode.

    Args:
        modules: The modules of a model: `model.modules()`.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> with evaluating(layer.modules()):
        ...     print(layer.training)
        False
        >>> layer.training
        True
    """
    modes = {module: module.training for module in modules}
    for module in modes:
        module.training = False
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
