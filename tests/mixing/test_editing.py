"""Edits of a finished mix by the names of its stems: what they change, what they keep, and undo."""

import pytest
import torch

import diffmst_lib as dm
from diffmst_lib import ConsoleParams, InputError
from diffmst_lib.console.automation import Automation


@pytest.fixture(scope="module")
def result(song):
    return dm.equal_loudness(song.excerpt(0, 0.5))


def values(result, name):
    return dict(result.params.track(name))


def test_an_edit_is_another_mix_with_these_knobs_alone(result):
    before = result.params.to_json()
    edited = result.edit("kick", fader_db=-3.0, pan=0.25)
    assert values(edited, "kick") == values(result, "kick") | {"fader_db": -3.0, "pan": 0.25}
    for name in ("bgvox_main", "minilogue_synth"):
        assert values(edited, name) == values(result, name)
    again = result.console.render(result.song.audio, edited.params)
    torch.testing.assert_close(edited.audio, again, rtol=0, atol=1e-5)
    assert result.params.to_json() == before and not torch.equal(edited.audio, result.audio)


def test_several_strips_and_the_buses(result):
    edited = result.edit(["kick", "bgvox_main"], send_db=-20.0)
    assert [edited.params.track(name)["send_db"] for name in result.song.names] == [-20.0, -20.0, -60.0]
    edited = result.edit({"kick": {"pan": 0.4}, "master_bus": {"ratio": 2.0}, "fx_bus": {"mix": 0.5}})
    assert edited.params.track("kick")["pan"] == 0.4
    assert (edited.params.master_bus["ratio"], edited.params.fx_bus["mix"]) == (2.0, 0.5)


def test_nudges_add_up(result):
    start = result.params.track("kick")["fader_db"]
    twice = result.nudge("kick", fader_db=1.5).nudge("kick", fader_db=-0.5)
    assert twice.params.track("kick")["fader_db"] == pytest.approx(start + 1.0, abs=1e-5)
    assert twice.edits["what"].tolist() == ["nudge", "nudge"]


def test_a_strip_is_copied_by_aspects_effects_and_knobs(result):
    lead = result.edit("kick", pan=0.3, ratio=4.0, low_shelf_gain_db=-6.0, fader_db=-9.0)
    for knobs, same in [
        ("dynamics", {"ratio"}),
        ("compressor", {"ratio"}),
        (["tone", "pan"], {"low_shelf_gain_db", "pan"}),
        (None, {"pan", "ratio", "low_shelf_gain_db", "fader_db"}),
    ]:
        copy = values(lead.copy_strip("kick", ["bgvox_main"], knobs), "bgvox_main")
        changed = {"pan", "ratio", "low_shelf_gain_db", "fader_db"}
        assert {knob for knob in changed if copy[knob] == values(lead, "kick")[knob]} == same
    assert values(copy_all := lead.copy_strip("kick", "bgvox_main"), "bgvox_main") == values(lead, "kick")
    assert values(copy_all, "minilogue_synth") == values(lead, "minilogue_synth")


def test_undo_and_redo_lead_back_and_forth(result):
    one = result.edit("kick", pan=0.3)
    two = one.nudge("kick", fader_db=-2.0)
    back = two.undo().undo()
    assert back.params.to_json() == result.params.to_json() and back.loss == result.loss
    torch.testing.assert_close(back.audio, result.audio, rtol=0, atol=1e-5)
    assert back.redo().params.to_json() == one.params.to_json()
    assert back.redo().redo().params.to_json() == two.params.to_json()
    assert len(two.edits) == 2 and len(two.undo().edits) == 1 and back.edits.empty
    with pytest.raises(InputError, match=r"^there is nothing to undo$"):
        back.undo()
    with pytest.raises(InputError, match=r"^there is nothing to redo$"):
        two.redo()
    with pytest.raises(InputError, match=r"^there is nothing to redo$"):
        back.edit("kick", pan=0.1).redo()  # another way was taken


def test_undo_brings_the_loss_back(fitted):
    edited = fitted.edit("kick", pan=0.3)
    assert edited.loss is None and edited.undo().loss == fitted.loss
    assert edited.history is fitted.history


def test_what_is_turned_by_hand_is_a_step_as_well(result):
    by_hand = result.remix()
    by_hand.params.track("kick")["pan"] = 0.2
    assert by_hand.edits["what"].tolist() == ["params"]  # not rendered yet
    mixed = by_hand.remix()
    assert mixed.edits[["what", "strip", "knob"]].values.tolist() == [["remix", "kick", "pan"]]
    assert mixed.undo().params.track("kick")["pan"] == result.params.track("kick")["pan"]
    assert len(mixed.remix().edits) == 1  # nothing was turned


def test_a_table_of_edits(result):
    edits = result.edit("kick", pan=0.25).edit("master_bus", output_gain_db=-3.0).edits
    assert list(edits) == ["step", "what", "section", "strip", "knob", "before", "after", "unit"]
    assert edits["step"].tolist() == [1, 2] and edits["strip"].tolist() == ["kick", "master_bus"]
    assert edits["after"].tolist() == [0.25, -3.0] and edits["unit"].tolist() == ["", "dB"]


def test_other_settings(result):
    other = result.params.clone()
    other.track("kick")["pan"] = 0.1
    mixed = result.with_params(other)
    assert mixed.params.to_json() == other.to_json() and mixed.params is not other
    turned = ConsoleParams.neutral(list(reversed(result.song.names)))
    assert result.with_params(turned).params.names == result.song.names
    with pytest.raises(InputError, match=r"^tracks\.kik: no such stem, did you mean 'kick'\?$"):
        result.with_params(ConsoleParams.neutral(["kik", "bgvox_main", "minilogue_synth"]))
    with pytest.raises(InputError, match=r"^these settings have the preset reference, the mix has default$"):
        result.with_params(ConsoleParams.neutral(result.song.names, preset="reference"))
    with pytest.raises(InputError, match=r"^these settings have the sample rate 48000, the mix has 44100$"):
        result.with_params(ConsoleParams.neutral(result.song.names, sample_rate=48000))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda r: r.edit("kik", pan=0.4), "no stem 'kik': did you mean 'kick'?"),
        (lambda r: r.edit("kick", pann=0.4), "kick has no parameter 'pann': did you mean 'pan'?"),
        (lambda r: r.edit("kick", pan=1.4), "kick: pan = 1.4 is outside 0 to 1"),
        (lambda r: r.edit("kick", fader_db=99), "kick: fader_db = 99 dB is outside -60 to 12"),
        (lambda r: r.edit("kick", pan=float("nan")), "kick: pan = NaN is outside 0 to 1"),
        (lambda r: r.edit("kick", pan="left"), "kick: pan takes one number, got 'left'"),
        (lambda r: r.nudge("kick", pan="0.1"), "kick: pan takes one number, got '0.1'"),
        (lambda r: r.nudge("kick", pan=0.7), "kick: pan = 1.2 is outside 0 to 1"),
        (lambda r: r.edit("kick"), "edit: no knob is named, as in edit('kick', pan=0.5)"),
        (lambda r: r.edit([], pan=0.4), "edit: no knob is named, as in edit('kick', pan=0.5)"),
        (
            lambda r: r.edit({"kick": {"pan": 0.4}}, pan=0.5),
            "edit takes knobs by strip or knobs by name, not both",
        ),
        (
            lambda r: r.edit("kick", pan=0.4, section="B"),
            "section 'B': this mix has one console for the whole song",
        ),
        (lambda r: r.copy_strip("kick", "kik"), "no stem 'kik': did you mean 'kick'?"),
        (
            lambda r: r.copy_strip("kick", "master_bus"),
            "no stem 'master_bus': there are bgvox_main, kick, minilogue_synth",
        ),
        (
            lambda r: r.copy_strip("kick", "bgvox_main", "tne"),
            "no knob, effect or aspect 'tne': did you mean 'tone'?",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(result, edit, message):
    with pytest.raises(InputError) as caught:
        edit(result)
    assert str(caught.value) == message


# Sections


@pytest.fixture
def moving(result):
    """The mix with a verse and a chorus, the verse again at the end."""
    verse, chorus = result.params.clone(), result.params.clone()
    chorus.track("kick")["fader_db"] = -2.0
    automation = Automation(
        [0.0, 0.15, 0.3], [verse, chorus, verse], ["verse", "chorus", "verse"], fade_s=0.05, loudest=1
    )
    return result.with_params(automation)


def faders(result, knob="fader_db"):
    return [console.track("kick")[knob] for console in result.automation.consoles]


def test_an_edit_goes_to_all_sections_or_to_one(moving):
    start = faders(moving)
    assert faders(moving.nudge("kick", fader_db=-1.0)) == pytest.approx([one - 1 for one in start], abs=1e-5)
    chorus = moving.nudge("kick", fader_db=-1.0, section="chorus")
    assert faders(chorus) == pytest.approx([start[0], start[1] - 1, start[2]], abs=1e-5)
    assert chorus.params.to_json() == chorus.automation.params.to_json()
    verse = moving.edit("kick", pan=0.1, section="verse")
    assert faders(verse, "pan") == [0.1, 0.5, 0.1]
    last = verse.edits[verse.edits["step"] == 2]
    assert last[["section", "strip", "knob", "after"]].values.tolist() == [["verse", "kick", "pan", 0.1]]
    assert faders(verse.undo(), "pan") == [0.5, 0.5, 0.5]
    with pytest.raises(InputError, match=r"^no section 'chorous': did you mean 'chorus'\?$"):
        moving.edit("kick", pan=0.1, section="chorous")


def test_a_console_changes_in_sections_what_it_has_other_than_the_loudest(moving):
    other = moving.params.clone()
    other.track("kick")["pan"] = 0.75
    mixed = moving.with_params(other)
    assert faders(mixed, "pan") == [0.75, 0.75, 0.75] and faders(mixed) == faders(moving)
    assert faders(moving.with_params(other, section="verse"), "pan") == [0.75, 0.5, 0.75]
