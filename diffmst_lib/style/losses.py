"""How far a mix is from a reference: the audio-feature loss and the multi-resolution STFT loss.

Chapter: Losses.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import TYPE_CHECKING

import torch

from ..inputs import InputError, check_preset
from .features import audio_features
from .own_features import SHAPES, OwnFeatures, check_sizes, own_features

if TYPE_CHECKING:
    import pandas as pd
    from auraloss.freq import MultiResolutionSTFTLoss

AF_WEIGHTS = {  # the w_j of equation 8, for the features of equations 3 to 7
    "rms": 0.1,
    "crest_factor": 0.001,
    "stereo_width": 1.0,
    "stereo_imbalance": 1.0,
    "bark_spectrum": 0.1,
}
MRSTFT_WINDOWS = (512, 2048, 8192)


def audio_feature_loss(
    mix: torch.Tensor,
    reference: torch.Tensor,
    *,
    sample_rate: float = 44100,
    preset: str = "default",
    features: OwnFeatures = None,
) -> dict[str, torch.Tensor]:
    """Compute the style distance between two stereo signals from their audio features: equation 8.

    L = sum_j w_j MSE(T_j(mix), T_j(reference)), with the means over channels, bands and batch. The signals
    need not have the same content or length. Level matters: bring both to the same LUFS first. Half precision
    is computed in float32, under autocast too. In float32 the total of two records is accurate to a relative
    1e-4 or an absolute 1e-9. The gradient cannot be differentiated again.

    Args:
        mix: Stereo audio (B, 2, T) or (2, T), in [-1, 1], from one sample on.
        reference: Stereo audio like `mix`; one (2, T) serves a whole batch.
        sample_rate: Sample rate of both, Hz.
        preset: "default", bounded for any audio, or "reference", as in the released code, with the paper's
            epsilon of 1e-8; see the module `features`.
        features: Terms of your own beside the five: {name: (function, weight)} with function(x, sample_rate)
            for x (B, 2, T), or names given to `register_feature`. The name of one of the five replaces its
            function, unless that is None, and its weight. A weight of 0 leaves a term out.

    Returns:
        Scalars by name: the weighted terms rms, crest_factor, stereo_width, stereo_imbalance, bark_spectrum,
        those of your own, and their sum, total.

    Raises:
        ValueError: For audio that is not stereo or not floating point, for batches that do not fit, for an
            unknown preset and for a sample rate that is not above 0.
        InputError: In one line, for a feature of your own that does not fit; see `register_feature`.

    Example:
        >>> x = torch.randn(2, 44100)
        >>> audio_feature_loss(x, x)["total"]
        tensor(0.)
        >>> peak = lambda x, sample_rate: x.abs().amax(dim=(1, 2))
        >>> list(audio_feature_loss(x, x, features={"peak": (peak, 0.1), "bark_spectrum": (None, 0)}))
        ['rms', 'crest_factor', 'stereo_width', 'stereo_imbalance', 'peak', 'total']
    """
    own = own_features(features)
    term_weights(own)  # checked before anything is measured
    mixes, references = (
        audio_features(x, sample_rate=sample_rate, preset=preset, features=own) for x in (mix, reference)
    )
    return feature_distance(mixes, references, features=own)


def term_weights(features: OwnFeatures = None) -> dict[str, float]:
    """List the weights of an audio-feature loss: the w_j of equation 8.

    Args:
        features: Features of your own, as in `audio_feature_loss`.

    Returns:
        Weights above 0 by term: those of the five that are not switched off, then your own.

    Raises:
        InputError: As in `audio_feature_loss`, and when every term is switched off.

    Example:
        >>> term_weights({"bark_spectrum": (None, 0), "crest_factor": (None, 0)})
        {'rms': 0.1, 'stereo_width': 1.0, 'stereo_imbalance': 1.0}
    """
    own = {name: feature.weight for name, feature in own_features(features).items()}
    weights = {name: weight for name, weight in (AF_WEIGHTS | own).items() if weight}
    if not weights:
        raise InputError("every term of the audio-feature loss is switched off")
    return weights


def feature_distance(
    mix: dict[str, torch.Tensor],
    reference: dict[str, torch.Tensor],
    *,
    each: bool = False,
    features: OwnFeatures = None,
) -> dict[str, torch.Tensor]:
    """Compute equation 8 from features, for instance of a reference that stays while the mix changes.

    Args:
        mix: What `audio_features` returns for the mix.
        reference: The same for the reference, made with the same preset and features.
        each: Whether to return a term for each mix of a batch instead of their mean.
        features: The features of your own that `audio_features` was given.

    Returns:
        The terms and their total as in `audio_feature_loss`: scalars, or (B,) with `each`.

    Raises:
        ValueError: For anything but such features, and for batches that do not fit.

    Example:
        >>> target = audio_features(torch.randn(2, 44100))
        >>> feature_distance(audio_features(torch.randn(2, 22050)), target)["total"] < 0.1
        tensor(True)
    """
    own = own_features(features)
    weights = term_weights(own)
    flat = {name for name, feature in own.items() if feature.function is not None}
    for given in (mix, reference):
        if not isinstance(given, dict) or not weights.keys() <= given.keys():
            lacks = f" without {', '.join(sorted(weights.keys() - given))}" if isinstance(given, dict) else ""
            got = f"{type(given).__name__}{lacks}"
            raise ValueError(f"features as audio_features returns them are needed, got {got}")
    for name in flat & weights.keys():
        check_sizes(name, mix[name], reference[name])
    first = next(iter(weights))
    alone = 1 if first in flat else len(SHAPES[first])  # axes of one sound
    mixes, references = (len(x[first]) if x[first].ndim > alone else 1 for x in (mix, reference))
    if mixes != references and 1 not in (mixes, references):
        raise ValueError(f"{mixes} mixes cannot be compared with {references} references")
    squared = {name: (mix[name] - reference[name]) ** 2 for name in weights}
    if each and squared[first].ndim > alone:
        squared = {name: s.flatten(1).mean(dim=1) if s.ndim > 1 else s for name, s in squared.items()}
    else:
        squared = {name: s.mean() for name, s in squared.items()}
    terms = {name: weight * squared[name] for name, weight in weights.items()}
    return terms | {"total": reduce(torch.add, terms.values())}


def loss_table(
    mixes: dict[str, torch.Tensor],
    reference: torch.Tensor,
    *,
    sample_rate: float = 44100,
    preset: str = "default",
    features: OwnFeatures = None,
) -> pd.DataFrame:
    """Compare several mixes with a reference, term by term, in a tidy table: one row per mix and term.

    The total of a mix is the sum of its losses. For a batch the losses are means.

    Args:
        mixes: Stereo audio (B, 2, T) or (2, T) by label.
        reference: Stereo audio like the mixes; one (2, T) serves a whole batch.
        sample_rate: Sample rate of all of them, Hz.
        preset: "default" or "reference".
        features: Features of your own, as in `audio_feature_loss`.

    Returns:
        A table with the columns mix, term, distance (the mean squared error in the term's own unit), weight
        and loss (their product).

    Raises:
        ValueError: For mixes that are not a dict; otherwise as in `audio_feature_loss`, with the mix's label
            in front.

    Example:
        >>> x = torch.randn(2, 44100)
        >>> table = loss_table({"itself": x, "half as loud": 0.5 * x}, x)
        >>> table.groupby("mix", sort=False)["loss"].sum().round(3).tolist()
        [0.0, 0.073]
        >>> table.pivot(index="term", columns="mix", values="loss").shape
        (5, 2)
    """
    import pandas as pd

    if not isinstance(mixes, dict):
        raise ValueError(f"mixes must be a dict {{label: audio}}, got {type(mixes).__name__}")
    rows, own = [], own_features(features)
    with torch.no_grad():
        target = audio_features(reference, sample_rate=sample_rate, preset=preset, features=own)
        for label, mix in mixes.items():
            try:
                measured = audio_features(mix, sample_rate=sample_rate, preset=preset, features=own)
                terms = feature_distance(measured, target, features=own)
            except ValueError as error:
                raise ValueError(f"{label}: {error}") from None
            rows += [{"mix": label, **row} for row in term_rows(terms, features=own)]
    return pd.DataFrame(rows, columns=["mix", "term", "distance", "weight", "loss"])


def term_rows(
    terms: dict[str, torch.Tensor], *, features: OwnFeatures = None
) -> list[dict[str, str | float]]:
    """List the terms of an audio-feature loss as rows of a table.

    Args:
        terms: What `audio_feature_loss` returns.
        features: The features of your own that it was given.

    Returns:
        One dict per term: term (its name), distance (before the weight), weight, loss.

    Example:
        >>> x = audio_features(torch.zeros(2, 100))
        >>> term_rows(feature_distance(x, x))[1]
        {'term': 'crest_factor', 'distance': 0.0, 'weight': 0.001, 'loss': 0.0}
    """
    return [
        {"term": name, "distance": terms[name].item() / weight, "weight": weight, "loss": terms[name].item()}
        for name, weight in term_weights(features).items()
    ]


def mrstft_loss(mix: torch.Tensor, target: torch.Tensor, *, preset: str = "default") -> torch.Tensor:
    """Compute the multi-resolution STFT distance between two signals with the same content.

    The distance is the mean over windows of 512, 2,048 and 8,192 samples, with hops of half a window.
    "default" follows the paper's text, mean | |X| - |Y| | + mean | ln |X| - ln |Y| |. "reference" follows the
    released configuration, where the spectral convergence || |X| - |Y| || / || |Y| || replaces the first
    term. In both, as in auraloss, the epsilon of 1e-8 is a floor of the power: magnitudes below 1e-4 count as
    1e-4. Nothing bounds either from above. Half precision is computed in float32.

    Source: Steinmetz and Reiss (2020), auraloss, whose module computes it.

    Args:
        mix: Audio (B, C, T) or (C, T), in [-1, 1]; clips up to 4,096 samples are padded with zeros.
        target: Audio of the same shape.
        preset: "default" or "reference".

    Returns:
        The distance, a scalar.

    Raises:
        ValueError: For other shapes and dtypes, and for an unknown preset.

    Example:
        >>> x = torch.randn(1, 2, 44100)
        >>> mrstft_loss(x, x)
        tensor(0.)
    """
    return _mrstft_parts(mix, target, preset)[0]


def mrstft_table(mix: torch.Tensor, target: torch.Tensor, *, preset: str = "default") -> pd.DataFrame:
    """Compute the parts of `mrstft_loss`, which is the mean over rows of their sum.

    Args:
        mix: Audio (B, C, T) or (C, T), in [-1, 1].
        target: Audio of the same shape.
        preset: "default" or "reference".

    Returns:
        One row per window length in samples; columns linear ("default") or convergence ("reference"), and
        log.

    Raises:
        ValueError: As in `mrstft_loss`.

    Example:
        >>> x = torch.randn(2, 44100)
        >>> mrstft_table(0.5 * x, x)["log"].round(2).tolist()          # ln 2 at every resolution
        [0.69, 0.69, 0.69]
    """
    import pandas as pd

    with torch.no_grad():
        _, convergence, log, linear, _ = _mrstft_parts(mix, target, preset)
    first = {"linear": linear} if preset == "default" else {"convergence": convergence}
    table = pd.DataFrame(first | {"log": log}, index=pd.Index(MRSTFT_WINDOWS, name="window (samples)"))
    return table.map(float)


def _mrstft_parts(mix: torch.Tensor, target: torch.Tensor, preset: str) -> tuple:
    """Compute the total and the lists of terms by window: convergence, logarithmic, linear, phase."""
    check_preset(preset)
    for x in (mix, target):
        if not isinstance(x, torch.Tensor):
            got = type(x).__name__
        elif x.ndim not in (2, 3) or 0 in x.shape or not x.dtype.is_floating_point:
            got = f"{tuple(x.shape)} {x.dtype}"
        else:
            continue
        raise ValueError(f"a loss needs audio (batch, channels, samples) or (channels, samples), got {got}")
    if mix.shape != target.shape:
        shapes = f"{tuple(mix.shape)}, {tuple(target.shape)}"
        raise ValueError(f"a full-reference loss needs equal shapes, got {shapes}")
    short = max(0, MRSTFT_WINDOWS[-1] // 2 + 1 - mix.shape[-1])  # a reflection needs more than half a window
    dtype = torch.promote_types(torch.promote_types(mix.dtype, target.dtype), torch.float32)
    both = [torch.nn.functional.pad(x.to(dtype), (0, short)).contiguous() for x in (mix, target)]
    return kept_mrstft(preset, mix.device, dtype)(*(x if x.ndim == 3 else x[None] for x in both))


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # a tensor cached under inference mode could not take part in a gradient later
def kept_mrstft(preset: str, device: torch.device, dtype: torch.dtype) -> MultiResolutionSTFTLoss:
    """Return the module of auraloss, made once for each preset, device and dtype; do not change it.

    Args:
        preset: "default" or "reference".
        device: Device of its windows.
        dtype: Floating-point dtype of its windows.

    Returns:
        A module of two sounds (B, C, T), which returns the loss and its terms by window.
    """
    from auraloss.freq import MultiResolutionSTFTLoss

    hops = [size // 2 for size in MRSTFT_WINDOWS]
    weights = {"w_sc": 0.0, "w_log_mag": 1.0, "w_lin_mag": 1.0} if preset == "default" else {}
    with torch.device(device):
        module = MultiResolutionSTFTLoss(
            list(MRSTFT_WINDOWS), hops, list(MRSTFT_WINDOWS), output="full", **weights
        )
    for resolution in module.stft_losses:
        resolution.window = resolution.window.to(dtype)
    return module
