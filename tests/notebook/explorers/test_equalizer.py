"""The equalizer explorer: six bands, one set of sliders, and the sound of the library."""

import numpy as np
import pytest
import torch
from explorer_helpers import EQ
from widget_sounds import RATE

import diffmst_lib as dm
from diffmst_lib.console.table import EQ_BANDS


def test_equalizer_is_the_library_s(track):
    explorer = dm.explore_equalizer(track[0], settings=EQ)
    settings = {name: torch.tensor([values]) for name, values in EQ.items()}
    for band, changes in ((None, {}), (3, {"gain_db": -8.0, "q": 0.3}), (5, {"frequency_hz": 12_000.0})):
        if band is not None:
            explorer.controls["band"].value = band
        for name, value in changes.items():
            explorer.controls[name].value = value
            settings[name][0, band] = value
        for name, values in settings.items():
            torch.testing.assert_close(explorer.settings[name], values)
        y = dm.effects.parametric_eq(track, sample_rate=RATE, **explorer.settings)
        torch.testing.assert_close(explorer.audio, y)
        drawn = {line.get_label(): line for line in explorer.picture().axes[0].lines}
        freqs, thick = drawn["all bands"].get_data()
        response = dm.effects.eq_response(65_536, sample_rate=RATE, **explorer.settings)[0].abs()
        wanted = 20 * np.log10(response.numpy()[np.round(freqs * 65_536 / RATE).astype(int)])
        np.testing.assert_allclose(thick, wanted, atol=1e-4)
        thin = [
            name.replace("_", " ")
            for name, gain in zip(EQ_BANDS, settings["gain_db"][0], strict=True)
            if gain
        ]
        np.testing.assert_allclose(sum(drawn[name].get_ydata() for name in thin), thick, atol=1e-3)


def test_choosing_a_band_moves_the_sliders_and_nothing_else(track):
    explorer = dm.explore_equalizer(track, settings=EQ)
    specs = {spec.name: spec for spec in dm.param_table("track")}
    before, audio = explorer.settings, explorer.audio
    for band in (5, 0, 3, 1, 4, 2, 5, 1, 0):
        explorer.controls["band"].value = band
        for key in ("frequency_hz", "q"):  # shelves and peaks have other ranges
            slider, spec = explorer.controls[key], specs[f"{EQ_BANDS[band]}_{key}"]
            assert (10**slider.min, 10**slider.max) == pytest.approx((spec.low, spec.high))
        for name in EQ:
            assert explorer.controls[name].value == pytest.approx(EQ[name][band], rel=1e-6)
    assert all(values.equal(before[name]) for name, values in explorer.settings.items())
    assert explorer.audio is audio


SHORT = torch.zeros(100)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: dm.explore_equalizer(SHORT, settings={"gain": [0] * 6}),
            "no setting 'gain'.*gain_db, frequency_hz, q",
        ),
        (lambda: dm.explore_equalizer(SHORT, settings={"q": [1.0] * 5}), r"q: six values.*\(5,\)"),
        (
            lambda: dm.explore_equalizer(SHORT, settings={"q": [9.0] + [1.0] * 5}),
            r"low_shelf_q = 9 is outside 0\.3 to 1\.4$",
        ),
    ],
)
def test_bad_calls_are_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
