"""Where mixes start: neutral, levelled, mono songs spread."""

import pytest
import torch
from mix_helpers import mono_song, with_silence

from diffmst_lib import MixingConsole, loudness, param_table
from diffmst_lib.audio.spreading import spread_pans
from diffmst_lib.mixing.start import neutral_params, start_params


@pytest.mark.parametrize("balance", ["delivered", "equal"])
def test_neutral_is_trims_alone(song, balance):
    params = neutral_params(song, balance)
    for section in ("track", "fx_bus", "master_bus"):
        for spec in param_table(section):
            if (section, spec.name) != ("track", "input_gain_db"):
                values = params.values(section)[spec.name]
                assert (values == torch.tensor(spec.neutral)).all(), spec.name
    stems = MixingConsole(song.sample_rate)(song.audio, params, master_bus=False)
    assert loudness(stems.mix) == pytest.approx(-20.0, abs=0.05)
    levels = [loudness(stem * 30) for stem in stems.tracks]
    if balance == "equal":
        assert levels == pytest.approx([levels[0]] * 3, abs=0.05)
    else:
        assert len(set(params.values("track")["input_gain_db"].tolist())) == 1


def test_silent_stems_get_the_trim_of_the_others(song):
    trims = neutral_params(with_silence(song, "kick")).values("track")["input_gain_db"]
    assert (trims == trims[0]).all()


def test_a_song_with_stereo_stems_starts_in_the_middle_and_a_mono_one_spread(song, noise):
    assert (start_params(song).values("track")["pan"] == 0.5).all()
    mono = mono_song(noise(4, 20_000), ["a", "kick", "c", "d"])
    pans = start_params(mono).values("track")["pan"].tolist()
    assert pans == pytest.approx(spread_pans(mono.names, mono.audio)) and pans[1] == 0.5
    assert len(set(pans)) > 2
    assert (start_params(mono, center=mono.names).values("track")["pan"] == 0.5).all()
