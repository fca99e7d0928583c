"""The compressor explorer: the library's compressor, as far ahead as the console's."""

import pytest
import torch
from explorer_helpers import COMPRESSOR
from widget_sounds import RATE, level_db, players_in, tones

import diffmst_lib as dm


def test_compressor_is_the_library_s(track):
    explorer = dm.explore_compressor(track, settings=COMPRESSOR, lookahead_samples=100)
    for changes in ({}, {"threshold_db": -20.0}, {"release_ms": 200.0}):
        for name, value in changes.items():
            explorer.controls[name].value = value
        wanted = COMPRESSOR | {"threshold_db": -20.0} | changes if changes else COMPRESSOR
        assert explorer.settings == pytest.approx(wanted)
        y = dm.effects.compressor(track, sample_rate=RATE, lookahead_samples=100, **explorer.settings)
        torch.testing.assert_close(explorer.audio, y)
        curve = next(line for line in explorer.picture().axes[0].lines if line.get_label() == "compressor")
        level, out = (torch.as_tensor(data) for data in curve.get_data())
        static = {name: wanted[name] for name in ("threshold_db", "ratio", "knee_db")}
        torch.testing.assert_close(out, level + dm.effects.gain_computer(level, **static) + 2.0)


@pytest.mark.parametrize("rate", [RATE, 22_050])
def test_compressor_looks_ahead_as_far_as_the_console(rate):
    track = tones(1.0, channels=1, sample_rate=rate)
    explorer = dm.explore_compressor(track, rate, settings=COMPRESSOR)
    y = dm.effects.compressor(
        track, sample_rate=rate, lookahead_samples=round(0.010 * rate), **explorer.settings
    )
    torch.testing.assert_close(explorer.audio, y)


def test_same_loudness_can_be_switched_off(track):
    explorer = dm.explore_compressor(track, settings=COMPRESSOR | {"makeup_gain_db": 0.0})
    assert "level-matched at -20 LUFS" in explorer._repr_html_()
    explorer.controls["match_loudness"].value = False
    page = explorer._repr_html_()
    before, after = players_in(page)
    assert "level-matched" not in page
    wanted = level_db(explorer.audio.numpy()) - level_db(track.numpy())
    assert level_db(after) - level_db(before) == pytest.approx(wanted, abs=0.5) and wanted < -3


SHORT = torch.zeros(100)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dm.explore_compressor(SHORT, settings={"ratio": 0.5}), "ratio = 0.5 is outside 1 to 20 :1"),
        (lambda: dm.explore_compressor(SHORT, settings={"knee": 3.0}), "no setting 'knee': a compressor has"),
        (
            lambda: dm.explore_compressor(SHORT, lookahead_samples=-1),
            "lookahead_samples must be 0 or more, got -1",
        ),
    ],
)
def test_bad_calls_are_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
