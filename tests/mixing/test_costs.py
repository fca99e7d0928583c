"""What a mix costs: closed forms; the exam and the metrics share them."""

import numpy as np
import pytest
import torch
from mix_helpers import mono_song, with_silence

import diffmst_lib as dm
from diffmst_lib.mixing.costs import balance_cost, leaned_db, moved_db
from diffmst_lib.mixing.result import MixResult
from diffmst_lib.mixing.start import neutral_params


@pytest.fixture
def song():
    return dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").excerpt(8, 2)


def edited(song, name, **knobs):
    result = dm.unity(song)
    for knob, value in knobs.items():
        result.params.track(name)[knob] = value
    return result.remix()


def test_nothing_done_costs_nothing(song):
    assert list(balance_cost(dm.unity(song)).values()) == pytest.approx([0.0] * 4, abs=1e-6)


def test_a_stem_that_is_moved(song):
    three = song.select("kick", "bgvox_main", "bgvox_alt")
    result = edited(three, "kick", fader_db=-9.0)
    moved = dict(zip(three.names, moved_db(result) - np.median(moved_db(result)), strict=True))
    assert moved == pytest.approx({"kick": -9.0, "bgvox_main": 0.0, "bgvox_alt": 0.0}, abs=1e-3)
    cost = balance_cost(result)
    assert (cost["moved_db"], cost["worst_moved_db"]) == pytest.approx((3.0, 9.0), abs=1e-3)


def test_the_whole_song_may_be_louder(song):
    result = dm.unity(song)
    for name in song.names:
        result.params.track(name)["fader_db"] += 4.0
    assert balance_cost(result.remix())["worst_moved_db"] == pytest.approx(0.0, abs=1e-3)


def test_a_fader_that_is_off_is_not_endlessly_far(song):
    lost = dm.loudness(song.stems["kick"]) + 70.0
    assert moved_db(edited(song, "kick", fader_db=-60.0))[song.names.index("kick")] == pytest.approx(
        -lost, abs=1e-3
    )


def test_silent_stems_do_not_count(song):
    three = song.select("kick", "bgvox_main", "bgvox_alt")
    cost = balance_cost(edited(with_silence(three, "bgvox_alt"), "kick", fader_db=-9.0))
    assert cost["moved_db"] == pytest.approx(4.5, abs=1e-3)  # the median of two lies between them
    assert np.isnan(list(balance_cost(nothing()).values())).all()


def nothing():
    """A mix of a song in which nothing sounds."""
    song = mono_song(torch.zeros(2, 44100))
    return MixResult(song.audio.sum(dim=0), neutral_params(song), song)


def test_mono_stems_cannot_lean():
    song = mono_song(0.1 * torch.randn(2, 44100, generator=torch.Generator().manual_seed(0)))
    result = edited(song, "t0", pan=1.0)
    assert len(leaned_db(result)) == 0 and np.isnan(balance_cost(result)["leaned_db"])
