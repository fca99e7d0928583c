"""Configurations: what makes a model, and what does not."""

import dataclasses
import math

import pytest
import torch

import diffmst_lib as dm


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "lstm"}, "encoder"),
        ({"views": "left"}, "views"),
        ({"console": "ours"}, "console"),
        ({"heads": 5}, "5 heads"),
        ({"encoder": "cnn"}, "channels cannot be"),
        ({"style": 1}, "style"),
        ({"track_lufs": math.nan}, "track_lufs"),
        ({"track_lufs": -30.0}, "track_lufs must be None, since stems keep their balance"),
        ({"console": "reference"}, "track_lufs must be a level for each channel"),
        ({"mirrored": True, "style": False, "passes": 0}, "mirrored needs start_pans and style"),
        ({"passes": 2, "style": False}, "needs style"),
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
