"""What only the weights of the first edition need: where channels start, and the mirror."""

import torch

from diffmst_lib.console.table import SECTIONS, knob_index, param_table
from diffmst_lib.network.channels import channel_pans, mirror_average

LEFT, RIGHT, HALF_LEFT, HALF_RIGHT = 0.18, 0.82, 0.32, 0.68


def rounded(names, audio):
    return [round(pan, 2) for pan in channel_pans(names, audio)]


def test_channels_of_stereo_stems_start_at_their_sides_and_a_mono_stem_in_the_middle(noise):
    assert rounded(["a.L", "a.R", "b"], noise(3, 99)) == [LEFT, RIGHT, 0.5]


def test_mono_stems_alternate_by_their_names_half_of_the_way_beside_stereo_stems(noise):
    assert rounded(["c", "b", "a"], noise(3, 99)) == [LEFT, RIGHT, LEFT]
    assert rounded(["b", "a", "s.L", "s.R"], noise(4, 99)) == [HALF_RIGHT, HALF_LEFT, LEFT, RIGHT]


def test_a_silent_stereo_stem_does_not_hold_mono_stems_near_the_middle(noise):
    audio = torch.cat([noise(2, 99), torch.zeros(2, 99)])
    assert rounded(["a", "b", "s.L", "s.R"], audio) == [LEFT, RIGHT, LEFT, RIGHT]


def test_mirror_average_turns_pans_back_and_keeps_the_rest():
    strip, fx, bus = (len(param_table(section, "channels")) for section in SECTIONS)
    pan = knob_index("pan", preset="channels")
    ours = torch.zeros(1, 2, strip), torch.ones(1, fx), torch.ones(1, bus)
    theirs = torch.full((1, 2, strip), 2.0), torch.full((1, fx), 3.0), torch.ones(1, bus)
    strips, fx_bus, master = mirror_average(ours, theirs, pan)
    assert strips[..., pan].unique().tolist() == [-1.0]
    assert strips[..., [i for i in range(strip) if i != pan]].unique().tolist() == [1.0]
    assert fx_bus.unique().tolist() == [2.0] and master.unique().tolist() == [1.0]
