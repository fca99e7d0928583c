"""Where a song's settings are read, and what holds in between."""

import numpy as np
import pytest
import torch

from diffmst_lib import ConsoleParams
from diffmst_lib.console.automation import Automation
from diffmst_lib.console.course import STEP_S, Course, section_weights

RATE = 1000


def consoles(*faders):
    made = []
    for fader_db in faders:
        made.append(ConsoleParams.neutral(["a", "b"], sample_rate=RATE))
        made[-1].track("a")["fader_db"] = fader_db
    return made


def moving(*faders, fade_s=0.1):
    starts = [float(number) for number in range(len(faders))]
    return Automation(starts, consoles(*faders), [str(fader) for fader in faders], fade_s=fade_s)


def test_one_console_is_read_once():
    course = Course(consoles(3.0)[0], torch.zeros(2, 2, 500))
    assert course.times.tolist() == [0] and course.room_shares.tolist() == [[1.0]]
    points, edges = course.steps(100, 500)
    assert (points, edges.tolist()) == (slice(0, 1), [0, 400])
    assert course.gains(torch.tensor([2.0]), 100, 500).tolist() == [2.0]


def test_steps_in_a_fade_are_5_ms_at_most():
    course = Course(moving(0.0, 6.0, -3.0), torch.zeros(2, 2, 3000))
    times = course.times[1:]
    assert times[0] in (949, 950) and times[-1] in (2050, 2051)
    steps = np.diff(times)
    assert np.sort(steps)[-2] <= STEP_S * RATE + 1 and steps.max() > 800  # within fades, and between them
    faders = course.strip(0)["fader_db"]
    assert faders[0] == 0.0 and faders[-1] == -3.0 and faders.max() == 6.0
    assert not course.strip(1)["fader_db"].any()


def test_readings_hold_and_gains_are_lines():
    course = Course(moving(0.0, 6.0), torch.zeros(2, 2, 2000))
    readings = torch.arange(float(len(course.times)))
    for first, last in ((0, 2000), (900, 961), (960, 961), (1500, 2000), (0, 10)):
        points, edges = course.steps(first, last)
        assert edges[0] == 0 and edges[-1] == last - first and (np.diff(edges) > 0).all()
        assert len(edges) - 1 == points.stop - points.start
        assert (course.times[points][1:] == edges[1:-1] + first).all()
        want = np.interp(np.arange(first, last), course.times, readings.numpy())
        assert course.gains(readings, first, last).expand(last - first).numpy() == pytest.approx(
            want, abs=1e-5
        )


def test_a_song_that_ends_before_its_sections():
    course = Course(moving(0.0, 6.0, 3.0), torch.zeros(2, 2, 1000))
    assert course.times.max() < 1000
    assert course.strip(0)["fader_db"].max() <= 3.1


def test_weights_of_sections_add_up_to_one():
    automation, seconds = moving(0.0, 6.0, 3.0), np.linspace(-0.5, 3.5, 401)
    weights = np.stack([section_weights(automation, number, seconds) for number in range(3)])
    assert weights.sum(axis=0) == pytest.approx(1.0)
    assert weights[1, np.abs(seconds - 1.0).argmin()] == pytest.approx(0.5)
    assert weights[:, -1].tolist() == [0.0, 0.0, 1.0]


def test_sections_that_share_a_room_share_its_reverb():
    automation = moving(0.0, 6.0, 3.0)
    assert len(Course(automation, torch.zeros(2, 2, 3000)).rooms) == 1
    automation.consoles[1].fx_bus_values[:] = 0.7
    course = Course(automation, torch.zeros(2, 2, 3000))
    assert len(course.rooms) == 2 and course.room_shares.sum(axis=1) == pytest.approx(1.0)
    inside = course.room_shares[np.searchsorted(course.times, 1500)]
    other = course.room_shares[0]
    assert sorted(inside) == sorted(other) == [0.0, 1.0] and not (inside == other).all()
