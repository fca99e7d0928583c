"""What stems are: by hand before names, names before sound, and one lead voice a song."""

import dataclasses
import importlib.util

import pandas as pd
import pytest
import torch

import diffmst_lib as dm
from diffmst_lib import InputError, Multitrack, lead_voice, roles
from diffmst_lib.audio.roles import ROLES, role_of_name
from diffmst_lib.network.roles import lead_voices, middle_by_sound, sound_of, strip_order

RATE = 44100
DATA = dm.data_dir()


@pytest.fixture(scope="module")
def song():
    whole = dm.load_multitrack(DATA / "multitracks" / "potassium")
    return whole.select("vox_lead", "snare", "pad_bass", "minilogue_synth")


def called(song, *names, **changes):
    return dataclasses.replace(song, names=list(names), **changes)


@pytest.fixture
def nameless(song):
    """The song with names that say nothing: x1 is the synthesizer, then bass, snare and lead voice."""
    return called(song, "x1", "x2", "x3", "x4")


@pytest.fixture
def deaf(monkeypatch):
    """A song whose names or hand say enough is not listened to."""
    monkeypatch.setattr("diffmst_lib.network.roles.StemSound", lambda *_: pytest.fail("listened"))


NAMES = {
    "Lead Vox": "voice",
    "bgvox_main": "voice",
    "vocoder choir": "voice",
    "bass drum": "drums",
    "Kick-In": "drums",
    "alt_hats": "drums",
    "BassGuitar": "bass",
    "sub": "bass",
    "E-Gtr L": "guitar",
    "minilogue_synth": "keys",
    "string pad": "keys",
    "violins": "other",
    "microcosm_effect": "other",
    "take 3": None,
    "x1": None,
    "build": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_what_names_say(name):
    assert role_of_name(name) == NAMES[name]


def test_names_come_before_the_sound_and_the_hand_before_names(song, deaf):
    wrong = called(song, "kick", "guitar", "piano", "vox")
    assert list(roles(wrong).values()) == ["drums", "guitar", "keys", "voice"]
    assert roles(wrong, roles={"kick": "voice"})["kick"] == "voice"
    wrong.roles["kick"] = "keys"
    assert roles(wrong)["kick"] == "keys" and roles(wrong, roles={"kick": "other"})["kick"] == "other"


def test_the_sound_says_what_names_do_not(song, nameless):
    by_name = dict(zip(song.names, nameless.names, strict=True))
    found = roles(nameless)
    assert [found[by_name[name]] for name in ("vox_lead", "snare", "pad_bass")] == ["voice", "drums", "bass"]
    assert roles(song, by="sound") == dict(zip(song.names, found.values(), strict=True))
    assert set(roles(nameless, by="names").values()) == {"other"}
    assert set(found.values()) <= set(ROLES)


def test_the_lead_voice_needs_no_name_and_no_order(song, nameless):
    lead = nameless.names[song.names.index("vox_lead")]
    assert lead_voice(nameless) == lead and lead_voice(song) == "vox_lead"
    order = [2, 0, 3, 1]
    turned = called(song, *(nameless.names[i] for i in order), audio=song.audio[order])
    assert lead_voice(turned) == lead
    assert lead_voice(nameless.select(*(name for name in nameless.names if name != lead))) is None


def test_the_lead_voice_of_a_mono_song(nameless, song):
    mono = dataclasses.replace(nameless, audio=nameless.audio.mean(dim=1, keepdim=True).repeat(1, 2, 1))
    assert lead_voice(mono) == mono.names[song.names.index("vox_lead")]


def test_a_wide_voice_is_no_lead(nameless, song):
    row = song.names.index("vox_lead")
    audio = nameless.audio.clone()
    audio[row, 1] = audio[row, 1].roll(2000)  # as of a doubled one
    assert sound_of(dataclasses.replace(nameless, audio=audio), row).role() == "voice"
    assert lead_voice(dataclasses.replace(nameless, audio=audio)) is None


def test_several_names_may_say_lead(song, deaf):
    several = called(song, "vox", "vox_2", "bgvox", "keys")
    assert lead_voices(several) == ["vox", "vox_2"]
    loudest = max(["vox", "vox_2"], key=lambda name: several.stems[name].square().sum())
    assert lead_voice(several) == loudest
    assert lead_voices(several, roles={"vox": "keys"}) == ["vox_2"]
    assert lead_voices(several, roles={"keys": "voice"}) == ["vox", "vox_2"]


def test_a_voice_by_hand_leads(nameless, song, deaf):
    assert lead_voices(nameless, roles={"x1": "voice"}) == ["x1"]
    assert lead_voices(nameless, roles=dict.fromkeys(nameless.names, "other")) == []


def test_of_several_voices_by_hand_one_leads(nameless, song):
    by_hand = dict.fromkeys(nameless.names, "voice")
    assert lead_voice(nameless, roles=by_hand) == nameless.names[song.names.index("vox_lead")]


def test_silence_is_other_and_never_leads(deaf):
    silent = Multitrack(["vox", "kick"], torch.zeros(2, 2, RATE))
    assert roles(silent) == {"vox": "voice", "kick": "drums"} and lead_voice(silent) == "vox"


def test_a_nameless_silent_song():
    silent = Multitrack(["x", "y"], torch.zeros(2, 2, RATE))
    assert roles(silent) == {"x": "other", "y": "other"} and lead_voice(silent) is None


def test_the_middle_by_sound(song, nameless):
    in_the_middle = {
        name for name, own in zip(song.names, nameless.names, strict=True) if own in middle_by_sound(nameless)
    }
    assert {"vox_lead", "pad_bass"} <= in_the_middle and "snare" not in in_the_middle
    assert set(middle_by_sound(song)) == in_the_middle  # whatever names say
    song = dataclasses.replace(song, roles={"pad_bass": "keys", "snare": "bass"})
    assert "pad_bass" not in middle_by_sound(song) and "snare" in middle_by_sound(song)


def test_a_song_is_heard_once_until_it_changes(nameless, monkeypatch):
    first = sound_of(nameless, 0)
    assert sound_of(nameless, 0) is first
    assert sound_of(dataclasses.replace(nameless, names=list("abcd")), 0) is first
    changed = dataclasses.replace(nameless, audio=nameless.audio.clone())
    before = sound_of(changed, 0)
    changed.audio[0] *= 0.0
    assert sound_of(changed, 0) is not before and sound_of(changed, 0).is_silent


def test_songs_keep_what_the_hand_says(song):
    said = dataclasses.replace(song, roles={"snare": "other", "pad_bass": "keys"})
    assert said.excerpt(0, 1).roles == said.roles
    assert said.select("snare", "vox_lead").roles == {"snare": "other"}


@pytest.mark.parametrize(
    ("by_hand", "says"),
    [
        ({"flute": "voice"}, "roles name no stem flute: there are "),
        (
            {"snare": "violin"},
            "the role of snare must be one of voice, drums, bass, keys, guitar, other, not 'violin'",
        ),
        ({"snare": None}, "the role of snare must be one of"),
        (["voice"], "roles are a dict"),
    ],
)
def test_roles_that_there_are_not(song, by_hand, says):
    for function in (roles, lead_voice):
        with pytest.raises(InputError, match=f"^{says}") as caught:
            function(song, roles=by_hand)
        assert caught.value.about == "song"
    with pytest.raises(InputError, match=r"^roles go by names or sound, not 'ear'$"):
        roles(song, by="ear")


def test_the_order_of_strips():
    found = {"pad": "keys", "kick": "drums", "x": "other", "vox": "voice", "bass": "bass", "gtr": "guitar"}
    assert strip_order(found) == ["vox", "kick", "bass", "pad", "gtr", "x"]


# How often it is right, kept beside the data


@pytest.fixture(scope="module")
def judged():
    return pd.read_csv(DATA / "evaluation" / "roles.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("judge_roles", DATA / "judge_roles.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_docstring_says_what_the_table_says(judged, script):
    counts = script.confusion(judged)
    right = {role: (counts.loc[role, role], counts.loc[role].sum()) for role in ROLES}
    found, all_of_them = (sum(pair[i] for pair in right.values()) for i in (0, 1))
    text = " ".join((roles.__doc__ or "").split())
    voices, drums = right["voice"], right["drums"]
    others = [sum(right[role][i] for role in ROLES[2:]) for i in (0, 1)]
    assert f"Of the {all_of_them} stems" in text and f"it finds {found} ({found / all_of_them:.0%})" in text
    assert f"{voices[0]} of {voices[1]} voices and {drums[0]} of {drums[1]} drums" in text
    assert f"{others[0]} of {others[1]} others" in text


def test_every_lead_was_found(judged):
    """One song a lead, and no other stem was taken for one."""
    assert (judged["lead said"] == judged["lead heard"]).all() and judged.groupby("song")[
        "lead said"
    ].sum().eq(1).all()


def test_the_table_is_what_the_script_makes(script, song):
    rows = pd.DataFrame(script.rows_of(song)).set_index("stem")
    assert list(rows["said"]) == [role_of_name(name) or "" for name in song.names]
    assert rows.loc["vox_lead", ["heard", "lead said", "lead heard"]].tolist() == ["voice", True, True]
