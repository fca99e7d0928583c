"""Songs on a desk."""

import pytest
import torch
from widget_sounds import tones

import diffmst_lib as dm


@pytest.fixture(scope="module")
def excerpt(data):
    """3 s of five stems, nine tracks: one of them made mono."""
    whole = dm.load_multitrack(data / "multitracks" / "caesium")
    part = whole.excerpt(7, 3).select("alt_hats", "bgvox_harmony", "bgvox_main", "kick", "minilogue_synth")
    names = [name for name in part.names if name != "kick.R"]
    rows = [part.names.index(name) for name in names]
    names[names.index("kick.L")] = "kick"
    return dm.Multitrack(names, part.audio[rows])


@pytest.fixture
def toy():
    audio = torch.cat([tones(2.0, peak=0.3), tones(2.0, channels=1, first_hz=90)])
    return dm.Multitrack(["vox.L", "vox.R", "kick"], audio)
