"""The pan explorer: width, pan pot and fader do what the library does."""

import pytest
import torch
from widget_sounds import RATE, tones

import diffmst_lib as dm

MOVES = [(1.0, 0.2, -3.0), (0.0, 1.0, 4.5), (2.0, 0.5, 0.0)]


@pytest.mark.parametrize("channels", [1, 2])
def test_pan_is_the_library_s(channels):
    stem = tones(1.5, channels=channels)
    explorer = dm.explore_pan(stem, width=1.0, pan=0.2, fader_db=-3.0, seconds=1.0, start_s=0.25)
    for settings in MOVES:
        settings = dict(zip(("width", "pan", "fader_db"), settings, strict=True))
        for name, value in settings.items():
            explorer.controls[name].value = value
        assert explorer.settings == settings
        part = stem[None, :, RATE // 4 : RATE // 4 + RATE].expand(1, 2, -1)
        part = dm.effects.panner(dm.effects.width(part, width=settings["width"]), pan=settings["pan"])
        torch.testing.assert_close(explorer.audio, dm.effects.gain(part, gain_db=settings["fader_db"])[0])
        marks = [line.get_xdata()[0] for line in explorer.picture().axes[0].lines if line.get_marker() == "o"]
        assert marks == [settings["pan"]] * 3


def test_as_delivered_and_off():
    stem = tones(1.0)
    explorer = dm.explore_pan(stem)
    torch.testing.assert_close(explorer.audio, stem, rtol=1e-6, atol=0)
    assert "Width 1.00; pan 0.50; fader +0.0 dB: left +0.0 dB, right +0.0 dB." in repr(explorer)
    explorer.controls["pan"].value = 1.0
    assert "left off, right +3.0 dB" in repr(explorer)
    explorer.controls["fader_db"].value = -60.0
    assert "fader off: left off, right off" in repr(explorer) and explorer.audio.abs().max() == 0


def test_a_mono_stem_has_no_width():
    mono = tones(1.0, channels=1)
    for track in (mono[0], mono, mono.expand(2, -1)):
        explorer = dm.explore_pan(track, width=2.0)
        assert "width 2.00, which does nothing to a mono stem" in repr(explorer).lower()
        torch.testing.assert_close(explorer.audio, mono.expand(2, -1), rtol=1e-6, atol=0)


SHORT = torch.zeros(100)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dm.explore_pan(torch.full((100,), torch.nan)), "track: .*not finite"),
        (lambda: dm.explore_pan(SHORT, start_s=1.0), "past the end"),
        (lambda: dm.explore_pan(SHORT, pan=1.5), "pan = 1.5 is outside 0 to 1"),
        (lambda: dm.explore_pan(SHORT, width=-0.5), "width = -0.5 is outside 0 to 2"),
        (lambda: dm.explore_pan(SHORT, fader_db=torch.nan), "fader_db = nan is outside -60 to 12 dB"),
    ],
)
def test_bad_calls_are_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
