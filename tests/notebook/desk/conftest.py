"""Songs on a desk."""

import pytest
from widget_sounds import stems, tones

import diffmst_lib as dm


@pytest.fixture(scope="module")
def excerpt(data):
    """3 s of five stems, one of them made mono."""
    whole = dm.load_multitrack(data / "multitracks" / "caesium")
    part = whole.excerpt(7, 3).select("alt_hats", "bgvox_harmony", "bgvox_main", "kick", "minilogue_synth")
    kick = part.names.index("kick")
    audio = part.audio.clone()
    audio[kick] = audio[kick, :1]
    return dm.Multitrack(list(part.names), audio)


@pytest.fixture
def toy():
    """A stereo stem and a mono one, 2 s."""
    return dm.Multitrack(["vox", "kick"], stems(tones(2.0), tones(2.0, channels=1, first_hz=90)))
