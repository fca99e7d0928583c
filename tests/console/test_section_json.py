"""Files with sections that somebody edited by hand: the field is named."""

import json

import pytest

from diffmst_lib import Automation, ConsoleParams

GOOD = {
    "fade_s": 0.5,
    "loudest": 0,
    "parts": [{"start_s": 0.0, "label": "A"}, {"start_s": 9.0, "label": "B"}],
}


def text(sections):
    one = ConsoleParams.neutral(["vox_lead"])
    document = json.loads(Automation([0.0], [one], ["A"]).to_json())
    return json.dumps(document | {"sections": sections})


def with_part(**fields):
    return GOOD | {"parts": [GOOD["parts"][0], GOOD["parts"][1] | fields]}


def test_a_good_one_is_read():
    moving = Automation.from_json(
        text(with_part(tracks={"vox_lead": {"pan": 0.25}}, master_bus={"ratio": 2}))
    )
    assert [console.track("vox_lead")["pan"] for console in moving.consoles] == [0.5, 0.25]
    assert [console.master_bus["ratio"] for console in moving.consoles] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ([], "sections is of the wrong kind"),
        ({"fade_s": 0.5, "parts": []}, "sections.loudest is missing"),
        (GOOD | {"parts": {}}, "sections.parts is of the wrong kind"),
        (GOOD | {"parts": []}, "one of each a section is needed"),
        (GOOD | {"parts": [3]}, "sections.parts is of the wrong kind"),
        (GOOD | {"loudest": 0.0}, "sections.loudest takes the number of a section"),
        (GOOD | {"loudest": 2}, "loudest cannot be 2"),
        (GOOD | {"fade_s": True}, "sections.fade_s takes one number, got True"),
        (with_part(start_s="9"), "sections.parts\\[1\\].start_s takes one number, got '9'"),
        (with_part(start_s=0.2), "at least the fade"),
        (with_part(label=None), "sections.parts\\[1\\].label takes a text"),
        (with_part(pan=0.5), "sections.parts\\[1\\] has no field 'pan'"),
        (with_part(tracks=[]), "sections.parts\\[1\\].tracks is of the wrong kind"),
        (with_part(tracks={"vox_led": {}}), "sections.parts\\[1\\].tracks.vox_led: .*did you mean 'vox_lead'"),
        (with_part(tracks={"vox_lead": 3}), "sections.parts\\[1\\].tracks.vox_lead is of the wrong kind"),
        (with_part(tracks={"vox_lead": {"pan": 1.4}}), "sections.parts\\[1\\].tracks.vox_lead.pan: .*outside 0 to 1"),
        (with_part(tracks={"vox_lead": {"pann": 1}}), "sections.parts\\[1\\].tracks.vox_lead.pann: .*did you mean 'pan'"),
        (with_part(master_bus={"ratio": "2"}), "sections.parts\\[1\\].master_bus.ratio takes one number, got '2'"),
    ],
)  # fmt: skip
def test_a_bad_one_is_refused_in_one_line(sections, message):
    with pytest.raises(ValueError, match=message) as error:
        Automation.from_json(text(sections))
    assert "\n" not in str(error.value)


def test_a_console_without_sections_is_none():
    with pytest.raises(ValueError, match="sections is of the wrong kind"):
        Automation.from_json(ConsoleParams.neutral(["kick"]).to_json())
