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
    params = dm.equal_loudness(song, panned=True).params
    for name in params.names:
        strip = params.track(name)
        strip["high_shelf_gain_db"], strip["threshold_db"], strip["ratio"], strip["send_db"] = (
            5.0,
            -50.0,
            4.0,
            -6.0,
        )
    params.master_bus["low_shelf_gain_db"] = 4.0
    return song, params


@pytest.fixture(params=["pan", "equalizer", "compressor", "bypass"])
def explorer(request, track, mix):
    return {
        "pan": lambda: dm.explore_pan(track, seconds=1.0),
        "equalizer": lambda: dm.explore_equalizer(track, settings=EQ, seconds=1.0),
        "compressor": lambda: dm.explore_compressor(track, settings=COMPRESSOR, seconds=1.0),
        "bypass": lambda: dm.explore_bypass(*mix, seconds=1.0),
    }[request.param]()
