"""What the names of stems say."""

import pytest

from diffmst_lib.audio.roles import belongs_in_the_middle, is_lead_voice, words


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("01_LeadVox-Main2", ["lead", "vox", "main"]),
        ("KICK in.v3", ["kick", "in", "v"]),
        ("Gesang für Zoë", ["gesang", "für", "zoë"]),
        ("42", []),
        ("", []),
    ],
)
def test_words(name, said):
    assert words(name) == said


@pytest.mark.parametrize(
    "name", ["vox", "Vox_Lead", "LeadVox", "lead vocals 2", "03 Vocal", "voice.L", "rap1", "FemaleVox"]
)
def test_lead_voices(name):
    assert is_lead_voice(name) and belongs_in_the_middle(name)


@pytest.mark.parametrize(
    "name",
    [
        "bgvox_main",
        "Backing Vocals",
        "vox_double",
        "VoxEcho",
        "lead_guitar",
        "vox reverb",
        "harmony vox",
        "voxel",
    ],
)
def test_no_lead_voices(name):
    assert not is_lead_voice(name)


@pytest.mark.parametrize(
    "name", ["kick", "Kick_In", "BD 2", "bass_DI", "SubBass", "snare top", "SD1", "808_sub"]
)
def test_drums_and_bass_of_the_middle(name):
    assert belongs_in_the_middle(name) and not is_lead_voice(name)


@pytest.mark.parametrize("name", ["piano", "hihat", "bassoon", "kickstart", "tom", "overheads", "vox_double"])
def test_what_may_lie_on_a_side(name):
    assert not belongs_in_the_middle(name)
