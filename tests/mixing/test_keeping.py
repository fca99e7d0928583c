"""What a fit keeps: the pull is nothing at its start and counts moves, and no stem leans."""

import math

import pytest
import torch
from mix_helpers import RATE

from diffmst_lib import ConsoleParams, MixingConsole, effects
from diffmst_lib.audio.octaves import OCTAVES_HZ
from diffmst_lib.console.equalizer import response_db
from diffmst_lib.console.table import EQ_BANDS, knob_index, param_table
from diffmst_lib.mixing.keeping import Pull, lean_db, limit_lean
from diffmst_lib.mixing.start import start_params


@pytest.fixture
def start(song):
    return start_params(song)


def pull_of(song, start, change):
    """The pull of the start with some logits changed."""
    console, logits = MixingConsole(RATE), [z.clone() for z in start.to_logits()]
    wet = console(song.audio, start, master_bus=False).tracks
    pull = Pull([z.clone() for z in logits], start, song.audio, wet)
    change(*logits)
    params = ConsoleParams.from_logits(*logits, names=start.names)
    return pull(logits, params, console(song.audio, params, master_bus=False)).item()


def test_there_is_no_pull_at_the_start(song, start):
    assert pull_of(song, start, lambda *_: None) == pytest.approx(0.0, abs=1e-6)


def test_a_move_on_a_strip_pulls_harder_than_the_same_on_the_master_and_two_moves_harder_than_one(
    song, start
):
    column = knob_index("peak_2_gain_db")

    def one_strip(strips, _, master):
        strips[0, column] += 0.2

    def twice(strips, _, master):
        strips[0, column] += 0.4

    def on_the_master(strips, _, master):
        master[knob_index("peak_2_gain_db", "master_bus")] += 0.4

    once, more, master = (pull_of(song, start, change) for change in (one_strip, twice, on_the_master))
    assert 0 < master < once < more / 3


def test_what_all_strips_share_pulls_harder_than_what_sets_them_apart(song, start):
    column = knob_index("peak_2_gain_db")

    def apart(strips, *_):
        strips[:, column] += torch.tensor([0.3, -0.3, 0.0])

    def together(strips, *_):
        strips[:2, column] += 0.3

    assert pull_of(song, start, together) > 2 * pull_of(song, start, apart)


def test_lean_is_right_above_left(noise):
    left, right = noise(2, 20_000)
    stems = torch.stack([torch.stack([left, 2 * left]), torch.stack([right, right]), torch.zeros(2, 20_000)])
    assert lean_db(stems).tolist() == pytest.approx([20 * math.log10(2), 0.0, 0.0], abs=0.01)


def test_the_response_of_an_equalizer_is_that_of_the_effect():
    generator = torch.Generator().manual_seed(0)
    specs = [spec for spec in param_table("track") if spec.effect == "eq"]
    unit = torch.rand(4, len(specs), generator=generator)
    knobs = {
        s.name: s.low * (s.high / s.low) ** unit[:, i]
        if s.scale == "log"
        else s.low + (s.high - s.low) * unit[:, i]
        for i, s in enumerate(specs)
    }
    impulse = torch.zeros(4, 1, 2**16, dtype=torch.float64)
    impulse[..., 0] = 1.0
    settings = {
        name: torch.stack([knobs[f"{band}_{name}"] for band in EQ_BANDS], dim=-1).double()
        for name in ("gain_db", "frequency_hz", "q")
    }
    heard = effects.parametric_eq(impulse, sample_rate=RATE, **settings)
    spectrum_db = 20 * torch.log10(torch.fft.rfft(heard[:, 0]).abs())
    bins = [round(hz * 2**16 / RATE) for hz in OCTAVES_HZ[1:]]
    hz = [number * RATE / 2**16 for number in bins]
    found = response_db(torch.tensor(hz), sample_rate=RATE, **settings)
    torch.testing.assert_close(found, spectrum_db[:, bins], rtol=0, atol=0.05)


def test_no_stem_leans_far_and_the_others_are_left_alone(song, start):
    leaning = start.clone()
    leaning.track("kick")["pan"], leaning.track("bgvox_main")["pan"] = 0.95, 0.52
    milder = limit_lean(MixingConsole(RATE), leaning, song.audio)
    stems = torch.stack(list(MixingConsole(RATE).strips(song.audio, milder)))
    assert (lean_db(stems) - lean_db(song.audio)).abs().max() <= 2.51
    assert 0.5 < milder.track("kick")["pan"] < 0.7
    assert milder.track("bgvox_main")["pan"] == leaning.track("bgvox_main")["pan"]
    assert leaning.track("kick")["pan"] == pytest.approx(0.95)  # another console


def test_a_locked_pan_is_the_users(song, start):
    start.track("kick")["pan"] = 0.95
    row = song.names.index("kick")
    assert limit_lean(MixingConsole(RATE), start, song.audio, [(row, "pan")]).track("kick")[
        "pan"
    ] == pytest.approx(0.95)
