"""A console a section: where it stands still, how it moves, and what editing and saving make of it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from diffmst_lib import Automation, ConsoleParams
from diffmst_lib.console.automation import between

NAMES = ["kick", "vox"]


def consoles():
    verse, chorus = (ConsoleParams.neutral(NAMES) for _ in range(2))
    verse.track("vox")["fader_db"], chorus.track("vox")["fader_db"] = -6.0, 3.0
    verse.track("kick")["peak_1_frequency_hz"], chorus.track("kick")["peak_1_frequency_hz"] = 50.0, 500.0
    chorus.master_bus["ratio"] = 2.0
    return verse, chorus


@pytest.fixture
def song():
    verse, chorus = consoles()
    return Automation([0.0, 10.0, 20.0], [verse, chorus, verse], ["A", "B", "A"], fade_s=1.0, loudest=1)


def value(automation, seconds, strip="vox", knob="fader_db"):
    return automation.at(seconds).track(strip)[knob]


def test_a_section_is_its_own_console_outside_of_fades(song):
    for seconds, number in ((-1.0, 0), (0.0, 0), (9.5, 0), (10.5, 1), (15.0, 1), (20.5, 2), (1e6, 2)):
        assert song.at(seconds) is song.consoles[number]
    assert [song.section_at(seconds) for seconds in (-1, 9.99, 10.0, 25.0)] == [0, 0, 1, 2]
    assert song.params is song.consoles[1]
    assert song.fades() == [(9.5, 10.5), (19.5, 20.5)]


def test_knobs_move_on_their_own_scales(song):
    assert value(song, 9.75) == pytest.approx(-3.75)
    assert value(song, 10.0) == pytest.approx(-1.5)
    assert value(song, 20.25) == pytest.approx(-3.75)
    assert value(song, 10.0, "kick", "peak_1_frequency_hz") == pytest.approx(math.sqrt(50 * 500), rel=1e-4)
    assert song.at(10.0).master_bus["ratio"] == pytest.approx(math.sqrt(2.0), rel=1e-4)


def test_what_is_alike_stays_exactly_so(song):
    song.consoles[0].track("kick")["pan"] = song.consoles[1].track("kick")["pan"] = 0.123456
    middle = song.at(10.1)
    assert torch.equal(middle.tracks[0, -3], song.params.tracks[0, -3])
    changed = (middle.tracks != song.consoles[0].tracks).nonzero().tolist()
    assert len(changed) == 2


def test_what_changes_is_listed(song):
    assert song.changing() == [
        ("track", 0, "peak_1_frequency_hz"),
        ("track", 1, "fader_db"),
        ("master_bus", None, "ratio"),
    ]
    assert replace(song, consoles=[song.params] * 3).changing() == []


@pytest.mark.parametrize(
    ("section", "row", "knob"),
    [("track", 1, "fader_db"), ("track", 0, "peak_1_frequency_hz"), ("master_bus", None, "ratio")],
)
def test_straight_lines_between_points_come_close(song, section, row, knob):
    times, values = zip(*song.envelope(section, row, knob), strict=True)
    assert times[0] == 0.0 and list(times) == sorted(times)
    for seconds in np.linspace(9, 21, 241):
        console = song.at(float(seconds))
        strip = console.track(NAMES[row]) if section == "track" else console.master_bus
        assert np.interp(seconds, times, values) == pytest.approx(strip[knob], rel=0.01, abs=0.001)


def test_an_envelope_has_no_more_points_than_it_needs(song):
    assert song.envelope("track", 0, "fader_db") == [(0.0, 0.0)]
    assert song.envelope("track", 1, "fader_db") == [
        (0.0, -6.0),
        (9.5, -6.0),
        (10.5, 3.0),
        (19.5, 3.0),
        (20.5, -6.0),
    ]
    same_at_first = replace(song, consoles=[song.consoles[0], song.consoles[0], song.consoles[1]])
    assert [time for time, _ in same_at_first.envelope("track", 1, "fader_db")] == [0.0, 19.5, 20.5]
    with pytest.raises(KeyError, match="did you mean 'fader_db'"):
        song.envelope("track", 1, "fader")


def test_an_edit_of_the_loudest_section_is_followed(song):
    params = song.params.clone()
    params.track("vox")["fader_db"] += 2.0  # has its own value in the verse
    params.track("kick")["pan"] = 0.25  # alike in all
    edited = song.edited(params)
    assert [value(edited, s) for s in (0, 15, 25)] == pytest.approx([-4.0, 5.0, -4.0], abs=1e-4)
    assert [value(edited, s, "kick", "pan") for s in (0, 15, 25)] == [0.25, 0.25, 0.25]
    assert value(song, 0) == -6.0 and edited.params is not params
    params.track("vox")["fader_db"] = -60.0  # no further than the range
    assert value(song.edited(params), 0) == -60.0
    with pytest.raises(ValueError, match="the console is for snare"):
        song.edited(ConsoleParams.neutral(["snare"]))


def test_all_sections_get_louder_together(song):
    song.consoles[0].master_bus["output_gain_db"] = 20.0
    gains = [console.master_bus["output_gain_db"] for console in song.louder(2.5).consoles]
    assert gains == pytest.approx([22.5, 2.5, 22.5], abs=1e-5)
    high = next(spec.high for spec in song.params.specs("master_bus") if spec.name == "output_gain_db")
    gains = [console.master_bus["output_gain_db"] for console in song.louder(1000.0).consoles]
    assert gains == pytest.approx([high, high - 20.0, high], abs=1e-5)  # and keep their distance


def test_json_and_back(song):
    text = song.to_json()
    back = Automation.from_json(text)
    assert back.starts_s == song.starts_s and back.labels == song.labels
    assert (back.fade_s, back.loudest) == (1.0, 1)
    for one, other in zip(song.consoles, back.consoles, strict=True):
        torch.testing.assert_close(one.tracks, other.tracks, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(one.master_bus_values, other.master_bus_values, rtol=1e-6, atol=1e-6)
    assert back.to_json() == text


def test_json_lists_only_what_differs(song):
    document = json.loads(song.to_json())
    first, second, _ = document["sections"]["parts"]
    assert first["tracks"]["vox"] == {"fader_db": -6.0} and set(first) == {
        "start_s",
        "label",
        "tracks",
        "master_bus",
    }
    assert second == {"start_s": 10.0, "label": "B"}
    document["tracks"]["kick"]["pan"] = 0.25  # a change there holds in every section
    back = Automation.from_json(json.dumps(document))
    assert [console.track("kick")["pan"] for console in back.consoles] == [0.25] * 3


def test_between_goes_from_one_to_the_other():
    verse, chorus = consoles()
    assert torch.equal(between(verse, chorus, 0.0).tracks, verse.tracks)
    torch.testing.assert_close(between(verse, chorus, 1.0).tracks, chorus.tracks, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"starts_s": [0.0, 10.0]}, "2 section starts, 3 consoles, 3 labels"),
        ({"starts_s": [1.0, 10.0, 20.0]}, "the first section must start at 0 s, not at 1 s"),
        ({"starts_s": [0.0, 20.0, 10.0]}, "sections start at 20 s and 10 s"),
        ({"starts_s": [0.0, 10.0, 10.2]}, "by at least the fade of 1 s"),
        ({"starts_s": [0.0, 10.0, math.nan]}, "nan"),
        ({"fade_s": 0.0}, "fade_s cannot be 0.0"),
        ({"fade_s": math.inf}, "fade_s cannot be inf"),
        ({"loudest": 3}, "loudest cannot be 3"),
        ({"consoles": [ConsoleParams.neutral(NAMES)] * 2 + [ConsoleParams.neutral(["a", "b"])]}, "other names"),
        ({"consoles": [ConsoleParams.neutral(NAMES)] * 2 + [ConsoleParams.neutral(NAMES, sample_rate=48000)]}, "other sample_rate"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(song, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(song, **changes)
