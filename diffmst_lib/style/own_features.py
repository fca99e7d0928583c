"""Features that users add to the five of the paper: how they are given, checked and measured.

Chapters: Audio features, Losses.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

import torch

from ..disk import why
from ..inputs import InputError
from ..registry import Registry
from .bark import BARK_BANDS

FeatureFunction: TypeAlias = Callable[[torch.Tensor, float], torch.Tensor]
SHAPES: dict[str, tuple[int, ...]] = {  # of the five, for one sound
    "rms": (2,),
    "crest_factor": (2,),
    "stereo_width": (),
    "stereo_imbalance": (),
    "bark_spectrum": (BARK_BANDS, 2),
}
RESERVED = ("total", "pull")  # columns that stand beside the terms in a fit's history


class Feature(NamedTuple):
    """A term of the audio-feature loss.

    Attributes:
        function: What measures it; None, for one of the five: as the paper does.
        weight: Its weight, 0 or more; 0 leaves the term out.
    """

    function: FeatureFunction | None
    weight: float


OwnFeatures: TypeAlias = "Mapping[str, tuple[FeatureFunction | None, float]] | Sequence[str] | None"
FEATURES: Registry[Feature] = Registry("feature", own=dict.fromkeys(SHAPES, Feature(None, math.nan)))


def register_feature(name: str, function: FeatureFunction, weight: float) -> None:
    """Give a feature of your own a name, for the losses and models that name it.

    Losses and fits take it as `features=[name]`. They also take features that have no name here, as
    `features={name: (function, weight)}`. A training or a model that uses it keeps only its name: whoever
    loads it imports the module that registers it first.

    Args:
        name: A word; not one of the five of the paper.
        function: function(x, sample_rate), for audio x (B, 2, T) in [-1, 1], returns (B,), (B, K) or
            (B, K, ...), differentiable, finite, and of the same size for every T.
        weight: Weight of its mean squared difference in the loss (equation 8), 0 or more. That of a feature
            in dB is near 0.001, that of a ratio near 1.

    Raises:
        InputError: For a name that is taken, for anything but such a function, and for such a weight.

    Example:
        >>> def correlation(x, sample_rate):
        ...     left, right = x.unbind(dim=1)
        ...     return (left * right).mean(-1) / (left.square().mean(-1) * right.square().mean(-1) + 1e-12).sqrt()
        >>> register_feature("correlation", correlation, 1.0)
        >>> import diffmst_lib as dm
        >>> mono = torch.randn(1, 44100).expand(2, -1)
        >>> loss = dm.audio_feature_loss(mono, mono * torch.tensor([[1], [-1]]), features=["correlation"])
        >>> round(loss["correlation"].item(), 3)                        # (1 - -1)^2
        4.0
    """
    if name in RESERVED:
        raise InputError(f"a feature cannot be called {name!r}, as a column of a fit's history is")
    FEATURES.register(name, _checked(name, (function, weight)))


def own_features(features: OwnFeatures) -> dict[str, Feature]:
    """List the features that a user added, changed or switched off, checked.

    Args:
        features: Names of registered features; or {name: (function, weight)}, where the name of one of the
            five replaces it, with None for the function only its weight; or None for nothing.

    Returns:
        The features by name. They may be given to any `features=` again.

    Raises:
        InputError: In one line, for a name that nobody registered, for anything but a function of
            (x, sample_rate), and for a weight that is negative or no number.

    Example:
        >>> own_features({"rms": (None, 0)})
        {'rms': Feature(function=None, weight=0.0)}
    """
    if features is None:
        return {}
    if isinstance(features, Mapping):
        for name in features:
            if not isinstance(name, str) or not name or name in RESERVED:
                raise InputError(f"a feature cannot be called {name!r}")
        return {name: _checked(name, pair) for name, pair in features.items()}
    if isinstance(features, str) or not isinstance(features, Sequence):
        raise InputError(f"features are [name, ...] or {{name: (function, weight)}}, not {features!r}")
    if ours := [name for name in features if isinstance(name, str) and name in SHAPES]:
        raise InputError(f"{', '.join(ours)} is in the loss already: name features of your own")
    return {name: FEATURES.get(name) for name in features}


def _checked(name: str, pair: Any) -> Feature:
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise InputError(f"feature {name!r} must be (function, weight), not {pair!r}")
    function, weight = pair
    if not callable(function) and not (function is None and name in SHAPES):
        raise InputError(f"feature {name!r} must be a function of (x, sample_rate), not {function!r}")
    if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
        raise InputError(f"the weight of feature {name!r} must be a number from 0 on, not {weight!r}")
    if function is not None:
        try:
            inspect.signature(function).bind(None, None)
        except TypeError:
            raise InputError(f"feature {name!r} must take two arguments, (x, sample_rate)") from None
        except ValueError:  # a built-in function without a signature
            pass
    return Feature(function, float(weight))


def measure_own(name: str, function: FeatureFunction, x: torch.Tensor, sample_rate: float) -> torch.Tensor:
    """Measure a user's feature, and check what comes.

    Args:
        name: Its name, for messages.
        function: What measures it.
        x: Stereo audio (B, 2, T) or (2, T).
        sample_rate: Hz.

    Returns:
        Its numbers (B, K), or (K,) for one sound.

    Raises:
        InputError: In one line, for anything but a floating-point tensor with a first axis of B and finite
            numbers, for one that passes no gradient to audio that needs one, and for a function that fails.
    """
    batch = x if x.ndim == 3 else x[None]
    try:
        value = function(batch, sample_rate)
    except Exception as error:
        raise InputError(f"feature {name!r} fails: {type(error).__name__}: {why(error)}") from error
    if not isinstance(value, torch.Tensor):
        raise InputError(f"feature {name!r} must return a tensor, got {type(value).__name__}")
    if value.ndim < 1 or value.shape[0] != len(batch) or value.numel() == 0:
        raise InputError(
            f"feature {name!r} must return a number or more for each of {len(batch)} sounds, "
            f"({len(batch)},) or ({len(batch)}, numbers), got {tuple(value.shape)}"
        )
    if not value.dtype.is_floating_point:
        raise InputError(f"feature {name!r} must return floating point, got {value.dtype}")
    if torch.is_grad_enabled() and x.requires_grad and not value.requires_grad:
        raise InputError(f"feature {name!r} passes no gradient to its sound: compute it with torch alone")
    value = value.to(x).flatten(1) if value.ndim > 1 else value.to(x)[:, None]
    if not torch.isfinite(value).all() and torch.isfinite(x).all():
        raise InputError(f"feature {name!r} gave NaN or infinity for a sound that is finite")
    return value if x.ndim == 3 else value[0]


def own_size(name: str, sample_rate: float) -> int:
    """Count the numbers of a registered feature, on noise of half a second and of a second.

    Args:
        name: Its name.
        sample_rate: Hz.

    Returns:
        How many numbers it gives for a sound.

    Raises:
        InputError: For a name that nobody registered, for a feature that `measure_own` refuses, and for one
            whose size depends on the length of the sound.
    """
    function = own_features([name])[name].function
    assert function is not None
    noise = 0.1 * torch.randn(2, 2, round(sample_rate), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        half, whole = (measure_own(name, function, x, sample_rate) for x in (noise[..., ::2], noise))
    check_sizes(name, half, whole)
    return whole.shape[1]


def check_sizes(name: str, one: torch.Tensor, other: torch.Tensor) -> None:
    """Raise InputError unless a feature has as many numbers for one sound as for another."""
    if one.shape[-1] != other.shape[-1]:
        raise InputError(
            f"feature {name!r} gave {one.shape[-1]} numbers for one sound and {other.shape[-1]} for another: "
            "how many must not depend on the length"
        )
