"""Knobs by name, of a console and of a console a section: found, turned, copied, compared."""

import pytest

from diffmst_lib import ConsoleParams, InputError, param_table
from diffmst_lib.console.automation import Automation
from diffmst_lib.mixing.knobs import Change, changes, copied, each_console, find_strips, picked_knobs, turned


@pytest.fixture
def moving():
    consoles = [ConsoleParams.neutral(["kick", "vox"]) for _ in range(3)]
    return Automation([0.0, 10.0, 20.0], consoles, ["verse", "chorus", "verse"], loudest=1)


def test_strips_are_found_by_name_in_nfc_and_buses_as_well():
    params = ConsoleParams.neutral(["cafe\u0301", "vox"])
    assert [strip.label for strip in find_strips(params, "caf\u00e9")] == ["cafe\u0301"]
    assert [strip.label for strip in find_strips(params, "master_bus")] == ["master_bus"]
    find_strips(params, "vox")[0]["pan"] = 0.25  # it is the console's own
    assert params.track("vox")["pan"] == 0.25
    with pytest.raises(InputError, match=r"^no stem 'fx_bus': there are"):
        find_strips(params, "fx_bus", buses=False)


def test_both_strips_of_a_stereo_stem_are_turned_and_copied_side_by_side():
    params = ConsoleParams.neutral(["pad.L", "pad.R", "keys.L", "keys.R", "kick"], preset="reference")
    params.track("pad.L")["pan"], params.track("pad.R")["pan"] = 0.1, 0.9
    both = turned(params, {"pad": {"input_gain_db": 3.0}})
    assert [both.track(name)["input_gain_db"] for name in params.names] == [3, 3, 0, 0, 0]
    copy = copied(params, "pad", ["keys", "kick"], ["pan"])
    assert [copy.track(name)["pan"] for name in params.names] == pytest.approx([0.1, 0.9, 0.1, 0.9, 0.1])


def test_nothing_is_changed_in_place(moving):
    before = [console.to_json() for console in moving.consoles]
    other = turned(moving, {"kick": {"pan": 0.2}}, section="verse")
    assert [console.to_json() for console in moving.consoles] == before
    assert other.consoles[1] is moving.consoles[1]  # not of that section
    assert [one.track("kick")["pan"] for one in other.consoles] == [0.2, 0.5, 0.2]
    assert (other.starts_s, other.labels, other.loudest) == (moving.starts_s, moving.labels, 1)


def test_an_edit_with_one_wrong_knob_changes_nothing():
    params = ConsoleParams.neutral(["kick", "vox"])
    with pytest.raises(InputError, match=r"^vox: pan = 2 is outside 0 to 1$"):
        turned(params, {"kick": {"pan": 0.2}, "vox": {"pan": 2}})
    assert params.track("kick")["pan"] == 0.5


def test_changes_are_those_of_a_section_or_of_all(moving):
    assert changes(moving, moving) == []
    everywhere = turned(moving, {"vox": {"fader_db": 2.0}})
    assert changes(moving, everywhere) == [Change("", "vox", "fader_db", 0.0, 2.0, "dB")]
    verse = turned(everywhere, {"vox": {"fader_db": 3.0}}, section="verse")
    assert changes(everywhere, verse) == [Change("verse", "vox", "fader_db", 2.0, 3.0, "dB")]
    both = turned(verse, {"master_bus": {"ratio": 2.0}}, section="chorus")
    assert {(one.section, one.knob) for one in changes(everywhere, both)} == {
        ("verse", "fader_db"),
        ("chorus", "ratio"),
    }
    # From one console for the song to a console a section.
    assert changes(moving.consoles[1], verse)[0] == Change("verse", "vox", "fader_db", 0.0, 3.0, "dB")


def test_knobs_are_picked_in_the_order_of_the_table():
    params = ConsoleParams.neutral(["kick"])
    table = [spec.name for spec in param_table("track")]
    assert picked_knobs(params, None) == table
    aspects = ("balance", "tone", "dynamics", "image")
    assert sorted(one for aspect in aspects for one in picked_knobs(params, aspect)) == sorted(table)
    assert picked_knobs(params, ["pan", "fader_db"]) == [one for one in table if one in ("pan", "fader_db")]


def test_each_console_of_a_label(moving):
    seen = []
    each_console(moving, lambda console: seen.append(console) or console, "verse")
    assert seen == [moving.consoles[0], moving.consoles[2]]
    with pytest.raises(InputError, match=r"^no section 'bridge': there are verse, chorus$"):
        each_console(moving, ConsoleParams.clone, "bridge")
