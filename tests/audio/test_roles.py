"""What the names of stems say."""

import pytest

from diffmst_lib.audio.roles import belongs_in_the_middle, is_instrument, is_lead_voice, side_of, words


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


@pytest.mark.parametrize(
    "name",
    ["Drums", "01 DRUMS", "Lead Vocals", "BGVs", "E-Gtr 2", "bass", "Synths", "other", "Schlagzeug", "OH L"],
)
def test_names_of_instruments(name):
    assert is_instrument(name)


@pytest.mark.parametrize(
    "name", ["", "42", "takes", "Piano Man", "Bass Down Low", "old", "Lead", "caesium", "stems"]
)
def test_names_that_say_more_or_less_than_an_instrument(name):
    assert not is_instrument(name)


@pytest.mark.parametrize(
    "name", ["kick", "small", "vocal", "L", "right", ".L", "Keys.LFE", "KeysL", "Keys.C"]
)
def test_names_of_no_side(name):
    assert side_of(name) is None
