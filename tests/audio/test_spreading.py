"""Where the stems of a mono song start between left and right."""

import itertools
import math

import pytest
import torch
from audio_helpers import one_line, sine

from diffmst_lib import InputError
from diffmst_lib.audio.spreading import mean_power, pan_of_lean, spread_pans
from diffmst_lib.console.effects import pan_gains

HZ = {"deep": 60.0, "low": 300.0, "middle": 900.0, "high": 3000.0, "bright": 9000.0}


def mono(*frequencies_hz, rate=44100):
    tones = torch.stack([sine(f, 0.5, rate) for f in frequencies_hz])
    return tones[:, None].expand(-1, 2, -1).clone()


def lean_db(pan):
    left, right = pan_gains(torch.tensor(pan, dtype=torch.float64)).tolist()
    return 20 * math.log10(right / left)


def test_the_low_end_stays_and_the_others_go_left_and_right_by_turns_the_brighter_the_further():
    pans = spread_pans(list(HZ), mono(*HZ.values()))
    leans = [lean_db(pan) for pan in pans]
    assert pans[0] == 0.5
    assert leans[1:] == pytest.approx([-1.5, 11 / 6, -13 / 6, 2.5], abs=1e-6)
    assert max(map(abs, leans)) < 3


def test_neither_names_nor_the_order_matter():
    want = dict(zip(HZ, spread_pans(list(HZ), mono(*HZ.values())), strict=True))
    for order in itertools.islice(itertools.permutations(HZ), 0, 120, 17):
        audio = mono(*(HZ[name] for name in order))
        assert spread_pans([f"stem {i}" for i in range(5)], audio) == [want[name] for name in order]


def test_named_stems_stay_in_the_middle():
    names = ["piano", "Snare Top", "LeadVox", "kick", "strings", "bgvox"]
    pans = spread_pans(names, mono(200, 1000, 2000, 60, 3000, 5000))
    assert [name for name, pan in zip(names, pans, strict=True) if pan == 0.5] == names[1:4]
    assert pans[0] < 0.5 < pans[4] and pans[5] < 0.5  # piano, strings, bgvox by turns


def test_a_stem_that_carries_the_low_end_stays_whatever_its_name():
    assert spread_pans(["tuba", "kick", "piano"], mono(50, 400, 2000))[:2] == [0.5, 0.5]


def test_center_says_otherwise():
    names, audio = ["kick", "piano", "vox"], mono(60, 300, 2000)
    assert spread_pans(names, audio, center=["piano"])[1] == 0.5
    pans = spread_pans(names, audio, center=["piano"])
    assert pans[0] < 0.5 < pans[2]
    assert 0.5 not in spread_pans(names, audio, center=[])
    assert spread_pans(names, audio, center=names) == [0.5, 0.5, 0.5]


def test_an_unknown_name_in_center_is_refused():
    with pytest.raises(InputError) as caught:
        spread_pans(["kick", "vox"], mono(60, 300), center=["vox", "voice", "drums"])
    assert one_line(caught, "center names no stem voice, drums: there are kick, vox")
    assert caught.value.about == "song"
    with pytest.raises(InputError, match=r"center takes a list of names, as in center=\['vox'\]"):
        spread_pans(["kick", "vox"], mono(60, 300), center="vox")


def test_a_song_with_a_stereo_stem_stays():
    audio = mono(*HZ.values())
    audio[3, 1] *= -1
    assert spread_pans(list(HZ), audio) == [0.5] * 5
    audio[3] = 0.0  # a stem that does not sound decides nothing, and stays
    pans = spread_pans(list(HZ), audio)
    assert pans[3] == 0.5 and 0.5 not in (pans[1], pans[2], pans[4])


@pytest.mark.parametrize("audio", [mono(300), torch.zeros(2, 2, 100), mono(300)[..., :1]])
def test_where_nothing_can_be_spread(audio):
    assert spread_pans([f"stem {i}" for i in range(len(audio))], audio) == [0.5] * len(audio)


@pytest.mark.parametrize("rate", [22050, 48000])
def test_at_other_sample_rates(rate):
    names, hz = list(HZ)[:4], list(HZ.values())[:4]
    pans = spread_pans(names, mono(*hz, rate=rate), sample_rate=rate)
    assert pans == pytest.approx(spread_pans(names, mono(*hz)), abs=1e-6)


def test_64_stems_lean_less_than_3_db(noise):
    pans = spread_pans([f"stem {i}" for i in range(64)], noise(64, 1, 4000).expand(-1, 2, -1))
    assert all(abs(lean_db(pan)) < 3 for pan in pans) and pans.count(0.5) == 1
    assert abs(sum(lean_db(pan) for pan in pans)) < 3  # neither side is favored


def test_pan_of_lean_is_the_inverse_of_the_pan_law():
    for lean in (-12.0, -1.5, 0.0, 2.5):
        assert lean_db(pan_of_lean(lean)) == pytest.approx(lean, abs=1e-9)
    assert pan_of_lean(0.0) == 0.5


def test_mean_power_peaks_at_a_tone_and_needs_no_whole_block():
    for x in (sine(1000.0), sine(1000.0).double()[:9000]):
        power = mean_power(x.requires_grad_())
        assert power.dtype == torch.float64 and not power.requires_grad
        assert power.argmax().item() * 44100 / 8192 == pytest.approx(1000, abs=44100 / 8192)


def test_names_of_the_middle_are_compared_in_nfc():
    names, audio = ["deep", "cafe\u0301"], mono(60.0, 3000.0)
    assert spread_pans(names, audio, center=["deep", "caf\u00e9"]) == [0.5, 0.5]
