"""The pan explorer: fader and pan pot do what the library does."""

import pytest
import torch
from widget_sounds import RATE

import diffmst_lib as dm


def test_pan_is_the_library_s(track):
    explorer = dm.explore_pan(track, gain_db=-3.0, pan=0.2, seconds=1.0, start_s=0.25)
    for gain_db, pan in ((-3.0, 0.2), (4.5, 1.0)):
        explorer.controls["gain_db"].value, explorer.controls["pan"].value = gain_db, pan
        assert explorer.settings == {"gain_db": gain_db, "pan": pan}
        part = dm.effects.gain(track[:, RATE // 4 : RATE // 4 + RATE], gain_db=torch.tensor(gain_db))
        torch.testing.assert_close(explorer.audio, dm.effects.panner(part, pan=torch.tensor(pan))[0])
        marks = [line.get_xdata()[0] for line in explorer.picture().axes[0].lines if line.get_marker() == "o"]
        assert marks == [pan] * 3


SHORT = torch.zeros(100)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dm.explore_pan(torch.zeros(2, 100)), r"mono, .* got \(2, 100\)"),
        (lambda: dm.explore_pan(torch.full((100,), torch.nan)), "track: .*not finite"),
        (lambda: dm.explore_pan(SHORT, start_s=1.0), "past the end"),
        (lambda: dm.explore_pan(SHORT, pan=1.5), "pan = 1.5 is outside 0 to 1"),
        (lambda: dm.explore_pan(SHORT, gain_db=torch.nan), "gain_db = nan is outside -48 to 48 dB"),
    ],
)
def test_bad_calls_are_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
