"""What is measured of a console's work: levels, image, gain reduction, equalizers."""

import math

import numpy as np
import pytest
import torch
from report_helpers import RATE, mixed, square, stereo_song

from diffmst_lib import ConsoleParams, Multitrack, effects, loudness
from diffmst_lib.mixing.measures import (
    equalizer_grid,
    equalizer_response_db,
    render_measured,
    shared_equalizer_db,
)

pytestmark = pytest.mark.filterwarnings("error")


def measure(song, settings=(), **options):
    result = mixed(song, settings, **options)
    return render_measured(result.console, song, result.params)[1]


def test_levels_and_image_are_those_of_the_stems(song):
    result = mixed(song, {("kick", "fader_db"): -6.0, ("bgvox_main", "pan"): 0.7})
    stems = result.stems()
    measures = render_measured(result.console, song, result.params)[1]
    for name, one in measures.stems.items():
        assert one.mixed_lufs == pytest.approx(loudness(stems[name]), abs=0.01)
        assert one.delivered_lufs == pytest.approx(loudness(song.stems[name]), abs=0.01)
        right, left = (stems[name][channel].double().square().sum() for channel in (1, 0))
        assert one.mixed.lean_db == pytest.approx(10 * math.log10(right / left), abs=1e-3)


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_the_mix_is_that_of_the_console(song, preset):
    strip = "kick" if preset == "default" else "kick.L"
    settings = {(strip, "input_gain_db"): 6.0} | ({("kick", "send_db"): -10.0} if preset == "default" else {})
    result = mixed(song, settings, preset=preset)
    torch.testing.assert_close(
        render_measured(result.console, song, result.params)[0], result.audio, rtol=0, atol=1e-6
    )


def test_mono_stems_are_measured_like_others(song):
    mono = song.audio.mean(dim=1, keepdim=True).expand(-1, 2, -1).clone()
    result = mixed(Multitrack(song.names, mono), {("kick", "pan"): 0.1, ("kick", "width"): 2.0})
    measures = render_measured(result.console, result.song, result.params)[1]
    for name, stem in result.stems().items():
        assert measures.stems[name].mixed_lufs == pytest.approx(loudness(stem), abs=0.01)
        assert measures.stems[name].delivered.width_db == -60.0


def test_gain_reduction_is_that_of_the_static_curve():
    """20 dB over a threshold of -40, hard knee, ratio 4: 15 dB less, whatever the make-up gain."""
    song = Multitrack(["square", "other"], torch.stack([square(0.1), square(0.1)]))
    settings = {"threshold_db": -40.0, "ratio": 4.0, "knee_db": 0.0, "attack_ms": 0.5, "makeup_gain_db": 6.0}
    strip = {("square", knob): value for knob, value in settings.items()} | {("square", "input_gain_db"): 0.0}
    measures = measure(song, strip | {("square", "fader_db"): -60.0})  # behind the compressor
    reduction = measures.stems["square"].reduction
    assert reduction.mean_db == pytest.approx(15.0, abs=0.1)
    assert reduction.most_db == pytest.approx(15.0, abs=1e-3)
    assert measures.stems["other"].reduction.most_db == pytest.approx(0.0, abs=1e-4)
    bus = {"threshold_db": -24.0, "ratio": 3.0, "knee_db": 0.0, "attack_ms": 0.5, "makeup_gain_db": 6.0}
    one = Multitrack(["square"], square(0.25)[None])
    at_bus_db = 20 * math.log10(measure_level(one))
    master = measure(one, {("master_bus", knob): value for knob, value in bus.items()}).master
    assert at_bus_db > -24.0
    assert master.high_db == pytest.approx((at_bus_db + 24.0) * 2 / 3, abs=1e-2)


def measure_level(song):
    """The amplitude of a song of one square wave at the master bus."""
    return mixed(song).stems()[song.names[0]].abs().max().item()


def test_equalizers_are_those_of_the_console():
    params = ConsoleParams.neutral(["a", "b"])
    params.track("b")["peak_2_gain_db"], params.track("b")["low_shelf_gain_db"] = 7.0, -4.0
    params.track("b")["peak_2_frequency_hz"], params.track("b")["peak_2_q"] = 1000.0, 2.0
    grid = equalizer_grid(RATE)
    response = equalizer_response_db(params, "track", grid, row=1)
    bands = ["low_shelf", "peak_1", "peak_2", "peak_3", "peak_4", "high_shelf"]
    settings = {
        key: torch.tensor([[params.track("b")[f"{band}_{key}"] for band in bands]])
        for key in ("gain_db", "frequency_hz", "q")
    }
    points = 2**18
    bins = np.round(grid * points / RATE).astype(int)
    expected = effects.eq_response(points, sample_rate=RATE, **settings)[0, bins].abs().log10() * 20
    assert response == pytest.approx(expected.numpy(), abs=0.05)
    assert grid[np.abs(response).argmax()] == pytest.approx(1000.0, rel=0.03)
    assert not equalizer_response_db(params, "track", grid, row=0).any()


def test_what_strips_and_master_share_is_one_equalizer():
    song = stereo_song(["a", "b", "silent"], 0.5)
    song.audio[2] = 0.0
    shelf = {("a", "high_shelf_gain_db"): 12.0, ("silent", "high_shelf_gain_db"): -12.0}
    settings = shelf | {("master_bus", "high_shelf_gain_db"): 6.0}
    for strip in ("a", "silent", "master_bus"):
        settings[strip, "high_shelf_frequency_hz"] = 2500.0
    together = shared_equalizer_db(measure(song, settings), RATE)
    assert together[-1] == pytest.approx(12.0 / 2 + 6.0, abs=0.2)  # a silent stem does not count
    assert together[:4] == pytest.approx(0.0, abs=0.3)


def test_the_lead_voice_is_compared_with_the_rest():
    song = stereo_song(["vox_lead", "drums", "bgvox"])
    measures = measure(song, {("vox_lead", "fader_db"): -5.0})
    assert measures.delivered_voice_lu == pytest.approx(-10 * math.log10(2), abs=0.2)
    assert measures.lead_voice_lu == pytest.approx(measures.delivered_voice_lu - 5.0, abs=0.01)
    for names in (["drums", "bgvox"], ["vox_lead"]):
        assert math.isnan(measure(stereo_song(names)).lead_voice_lu)


def test_the_reverb_is_compared_with_the_dry_sound():
    song = stereo_song(["a", "b"])
    sent = [
        measure(song, {("a", "send_db"): send, ("b", "send_db"): send}).reverb_lu for send in (-20.0, -10.0)
    ]
    assert sent[1] - sent[0] == pytest.approx(10.0, abs=0.1)
    assert math.isnan(measure(song).reverb_lu)


def test_the_papers_channels_are_put_together():
    song = stereo_song(["kick", "pad"])
    softer = {(f"kick.{side}", "input_gain_db"): -6.0 for side in "LR"}
    result = mixed(song, softer, preset="reference")
    measures = render_measured(result.console, song, result.params)[1]
    assert list(measures.stems) == song.names
    for name, stem in result.stems().items():
        assert measures.stems[name].mixed_lufs == pytest.approx(loudness(stem), abs=0.01)
    moved = {name: one.mixed_lufs - one.delivered_lufs for name, one in measures.stems.items()}
    assert moved["kick"] - moved["pad"] == pytest.approx(-6.0, abs=0.05)


def test_threads_change_nothing(song):
    result, threads = (
        mixed(song, {("kick", "ratio"): 4.0, ("kick", "send_db"): -10.0}),
        torch.get_num_threads(),
    )
    try:
        torch.set_num_threads(1)
        one = render_measured(result.console, song, result.params)[1]
        torch.set_num_threads(3)
        three = render_measured(result.console, song, result.params)[1]
    finally:
        torch.set_num_threads(threads)
    assert three.reverb_lu == pytest.approx(one.reverb_lu, abs=1e-4)
    for name in song.names:
        assert three.stems[name].mixed_lufs == pytest.approx(one.stems[name].mixed_lufs, abs=1e-6)


def test_the_song_is_left_alone(song):
    before = song.audio.clone()
    measure(song, {("kick", "fader_db"): 3.0})
    assert torch.equal(song.audio, before)
