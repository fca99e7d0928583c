"""Explorers of every kind."""

import pytest
from explorer_helpers import COMPRESSOR, EQ
from widget_sounds import tones

import diffmst_lib as dm


@pytest.fixture
def track():
    return tones(seconds=1.5, channels=1)


@pytest.fixture(scope="module")
def mix(song):
    """A mix in which every part of the console does something, the effects bus included."""
    params = dm.ConsoleParams.neutral(song.names)
    knobs = {"input_gain_db": 6.0, "high_shelf_gain_db": 5.0, "threshold_db": -50.0, "ratio": 4.0}
    knobs |= {"width": 0.4, "fader_db": -4.0, "send_db": -6.0}
    for name, pan in zip(params.names, (0.2, 0.5, 0.9), strict=True):
        for knob, value in (knobs | {"pan": pan}).items():
            params.track(name)[knob] = value
    params.master_bus["low_shelf_gain_db"] = 4.0
    return song, params


@pytest.fixture(params=["pan", "equalizer", "compressor", "bypass"])
def explorer(request, track, mix):
    return {
        "pan": lambda: dm.explore_pan(tones(seconds=1.5), seconds=1.0),
        "equalizer": lambda: dm.explore_equalizer(track, settings=EQ, seconds=1.0),
        "compressor": lambda: dm.explore_compressor(track, settings=COMPRESSOR, seconds=1.0),
        "bypass": lambda: dm.explore_bypass(*mix, seconds=1.0),
    }[request.param]()
