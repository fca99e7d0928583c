"""Configurations: what makes a model, and what does not."""

import dataclasses
import math

import pytest
import torch

import diffmst_lib as dm


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "lstm"}, r"no encoder is registered as 'lstm' \(known: cnn, statistics"),
        ({"encoder": None}, "no encoder is registered as None"),
        ({"controller": "lstm"}, r"no controller is registered as 'lstm' \(known: transformer"),
        ({"features": ("loud",)}, "no feature is registered as 'loud'"),
        ({"features": ("rms",)}, "rms is in the loss already"),
        ({"features": "rms"}, "features cannot be 'rms'"),
        ({"features": 5}, "features cannot be 5"),
        ({"views": "left"}, "views"),
        ({"console": "ours"}, "no console is registered as 'ours'"),
        ({"console": "channels"}, "no console is registered as 'channels'"),
        ({"heads": 5}, "5 heads"),
        ({"encoder": "cnn"}, "channels cannot be"),
        ({"style": 1}, "style"),
        ({"track_lufs": math.nan}, "track_lufs"),
        ({"track_lufs": -30.0}, "track_lufs must be None, since stems keep their balance"),
        ({"console": "reference"}, "track_lufs must be a level for each channel"),
        ({"passes": 2, "style": False}, "needs style"),
        ({"passes": 0}, "evidence compares a mix of stems with the record: it needs passes"),
        ({"console": "reference", "track_lufs": -48.0}, "it needs passes and stems"),
    ],
)
def test_configurations_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(dm.ModelConfig.preset("tiny"), **change)
    with pytest.raises(ValueError, match="tiny, small, paper, not 'large'"):
        dm.DiffMST("large")


def test_what_the_papers_preset_says_beside_its_size():
    paper = dm.ModelConfig.preset("paper")
    assert (paper.track_lufs, paper.hop, paper.chunk, paper.views, paper.console) == (
        -48.0,
        512,
        4,
        "left/right",
        "reference",
    )
    assert not (paper.style or paper.start_pans or paper.neutral_start or paper.norm_first)
    with torch.device("meta"):
        encoder = dm.DiffMST(paper).mix_encoder
    assert (encoder.hop, encoder.chunk, encoder.n_fft, encoder.min_samples) == (512, 4, 2048, 65_024)


def test_tracks_are_stems_but_in_the_papers_model():
    stems = {name: dm.ModelConfig.preset(name).stems for name in ("tiny", "small", "paper")}
    assert stems == {"tiny": True, "small": True, "paper": False}
    assert dm.ModelConfig.preset("small").track_lufs is None


def test_features_need_the_style():
    dm.register_feature("level_for_configurations", lambda x, sample_rate: x.abs().mean(dim=(1, 2)), 1.0)
    changes = {"features": ("level_for_configurations",), "style": False, "passes": 0, "evidence": False}
    with pytest.raises(ValueError, match="are features of the style: they need style"):
        dataclasses.replace(dm.ModelConfig.preset("tiny"), **changes)
