"""How far a mix is from a reference: the audio-feature loss and the multi-resolution STFT loss. Chapter 7."""

from __future__ import annotations

from functools import lru_cache

import torch
from auraloss.freq import MultiResolutionSTFTLoss

from .features import audio_features
from .params import _check_preset

AF_WEIGHTS = {  # w_1 to w_5 of the paper
    "rms": 0.1, "crest_factor": 0.001, "stereo_width": 1.0, "stereo_imbalance": 1.0, "bark_spectrum": 0.1,
}


def audio_feature_loss(
    mix: torch.Tensor, reference: torch.Tensor, *, sample_rate: int = 44100, preset: str = "default"
) -> dict[str, torch.Tensor]:
    """Style distance between two stereo signals: weighted squared errors of their features. Equation 8 of the paper.

    The signals need not have the same content or length. Each term is w_j MSE(T_j(mix), T_j(reference)), over
    channels, bands and batch; "total" is their sum. Level matters: bring both to the same LUFS first.

    Args:
        mix, reference: (B, 2, T) or (2, T) each.
        sample_rate: Hz.
        preset: "default" or "reference", see `features`.

    Returns a dict of scalars: rms, crest_factor, stereo_width, stereo_imbalance, bark_spectrum, total.
    Raises ValueError for audio that is not stereo.

    >>> x = torch.randn(2, 44100)
    >>> audio_feature_loss(x, x)["total"]
    tensor(0.)
    """
    return feature_distance(
        audio_features(mix, sample_rate=sample_rate, preset=preset),
        audio_features(reference, sample_rate=sample_rate, preset=preset),
    )


def feature_distance(mix: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`audio_feature_loss` of features already computed, for a reference that stays while the mix changes."""
    terms = {name: w * torch.mean((mix[name] - reference[name]) ** 2) for name, w in AF_WEIGHTS.items()}
    return terms | {"total": sum(terms.values())}


@lru_cache(maxsize=4)
def _mrstft(preset: str) -> MultiResolutionSTFTLoss:
    sizes = [512, 2048, 8192]
    weights = {"w_sc": 0.0, "w_log_mag": 1.0, "w_lin_mag": 1.0} if preset == "default" else {}
    return MultiResolutionSTFTLoss(sizes, [size // 2 for size in sizes], sizes, **weights)


def mrstft_loss(mix: torch.Tensor, target: torch.Tensor, *, preset: str = "default") -> torch.Tensor:
    """Multi-resolution STFT distance between two signals with the same content, a scalar. Through auraloss.

    Windows 512, 2048, 8192, hop half. "default" is the paper's text, L1 of linear plus L1 of log magnitudes;
    "reference" is the released configuration, spectral convergence plus L1 of log magnitudes.

    >>> x = torch.randn(1, 2, 44100)
    >>> mrstft_loss(x, x)
    tensor(0.)
    """
    _check_preset(preset)
    if mix.shape != target.shape:
        raise ValueError(f"a full-reference loss needs equal shapes, got {tuple(mix.shape)}, {tuple(target.shape)}")
    mix, target = (x if x.ndim == 3 else x[None] for x in (mix, target))
    return _mrstft(preset)(mix, target)
