"""The features of a reference that the controller gets: those of the loss, standardized about right."""

import torch

from diffmst_lib.audio.loudness import normalize_loudness
from diffmst_lib.network.style_features import StyleFeatures
from diffmst_lib.style.features import audio_features


def test_style_features_are_the_losses_features(noise):
    x = noise(2, 2, 40_000) * torch.tensor([1.0, 0.3])[:, None]
    style = StyleFeatures()
    raw = style.features(x)
    found = audio_features(x)
    assert raw.shape == (2, style.size) and style.size == sum(value[0].numel() for value in found.values())
    assert torch.equal(raw[:, :2], found["rms"]) and torch.equal(raw[:, 5], found["stereo_imbalance"])
    assert torch.equal(raw[:, 6:30], found["bark_spectrum"][..., 0])
    assert torch.equal(style(x), style.standardize(raw))


def test_untrained_style_features_are_standardized_about_right(reference):
    record = normalize_loudness(reference)[None]
    assert StyleFeatures()(record).abs().mean() < 1.5
