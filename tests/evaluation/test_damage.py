"""The ladders of damage: every amount is really reached, and 0 is the artist's own balance."""

import itertools

import numpy as np
import pytest
import scipy.signal
import torch

import diffmst_lib as dm
from diffmst_lib.audio.meters import stereo_powers
from diffmst_lib.evaluation.damage import (
    LADDERS,
    add_reverb,
    clip,
    compress,
    delivered,
    lead_voices,
    loudest,
    tilt,
)
from diffmst_lib.mixing.result import render_mix
from diffmst_lib.mixing.start import neutral_params

RATE = 44100
BY_A_CONSOLE = {"voice_down", "voice_up", "balance", "one_side", "narrow"}


@pytest.fixture(scope="module")
def band():
    """One second of four stems of noise that have nothing in common; the keys are stereo."""
    noise = torch.randn(4, 2, RATE, generator=torch.Generator().manual_seed(5))
    noise[:3, 1] = noise[:3, 0]
    levels = torch.tensor([0.04, 0.1, 0.05, 0.08])[:, None, None]
    return dm.Multitrack(["drums", "bass", "vox", "keys"], levels * noise, RATE, "band")


def factors(mix, song):
    """What each stem is multiplied by in each channel of a mix, (N, 2), in dB: by a linear system."""
    columns = [
        np.linalg.lstsq(song.audio[:, side].T.double().numpy(), mix[side].double().numpy(), rcond=None)[0]
        for side in (0, 1)
    ]
    with np.errstate(divide="ignore"):
        return 20 * np.log10(np.abs(np.stack(columns, axis=-1)))


def test_the_ladders_of_the_book():
    assert set(LADDERS) == BY_A_CONSOLE | {"bright", "dark", "reverb", "compression", "clipping"}
    for ladder in LADDERS.values():
        assert ladder.amounts[0] == 0.0 and list(ladder.amounts) == sorted(set(ladder.amounts))
        assert len(ladder.amounts) >= 4 and ladder.label and ladder.unit and ladder.about


@pytest.mark.parametrize("name", LADDERS)
def test_zero_is_the_plain_sum(name, band):
    mix = LADDERS[name](band, 0.0)
    torch.testing.assert_close(mix, dm.unity(band).audio, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", LADDERS)
def test_every_rung_is_another_mix_at_the_same_level(name, band):
    before = band.audio.clone()
    rungs = [LADDERS[name](band, amount) for amount in LADDERS[name].amounts]
    assert all(mix.shape == (2, RATE) and dm.loudness(mix) == pytest.approx(-16.0, abs=1e-3) for mix in rungs)
    apart = [(mix - rungs[0]).square().mean().sqrt().item() for mix in rungs]
    assert all(low < high for low, high in itertools.pairwise(apart))
    assert torch.equal(band.audio, before)


@pytest.mark.parametrize("name", LADDERS)
def test_a_console_does_what_a_console_can(name, band):
    mixed = LADDERS[name].mix(band, LADDERS[name].amounts[1])
    assert isinstance(mixed, dm.MixResult if name in BY_A_CONSOLE else torch.Tensor)
    assert torch.equal(
        mixed.audio if name in BY_A_CONSOLE else mixed, LADDERS[name](band, LADDERS[name].amounts[1])
    )


@pytest.mark.parametrize(("name", "sign"), [("voice_down", -1), ("voice_up", 1)])
@pytest.mark.parametrize("amount", [3.0, 6.0, 12.0])
def test_the_voice_moves_against_the_rest(name, sign, amount, band):
    found = factors(LADDERS[name](band, amount), band)
    rest = found[[0, 1, 3]]
    assert np.ptp(rest) < 1e-3
    assert found[2] - rest.mean() == pytest.approx(sign * amount, abs=1e-3)


@pytest.mark.parametrize("amount", [2.0, 4.0, 8.0])
def test_the_balance_is_off_by_its_rms(amount, band):
    found = factors(LADDERS["balance"](band, amount), band)
    moved = found.mean(axis=1) - found.mean()
    assert np.sqrt(np.mean(moved**2)) == pytest.approx(amount, abs=1e-3)
    other = factors(LADDERS["balance"](band, amount, seed=1), band)
    assert np.abs(other - found).max() > 0.5


def test_the_balance_of_many_stems_keeps_within_the_faders():
    noise = torch.randn(40, 1, 8000, generator=torch.Generator().manual_seed(0)).expand(-1, 2, -1) / 50
    song = dm.Multitrack([f"s{i}" for i in range(40)], noise.clone(), RATE)
    for seed in range(3):
        mixed = LADDERS["balance"].mix(song, 8.0, seed=seed)
        faders = np.array([mixed.params.track(name)["fader_db"] for name in song.names])
        assert np.sqrt(np.mean((faders - faders.mean()) ** 2)) == pytest.approx(8.0, abs=1e-3)
        assert faders.max() <= 12.0 + 1e-4


def test_silent_stems_take_no_part_in_the_balance(band):
    audio = torch.cat([band.audio, torch.zeros(1, 2, RATE)])
    with_silence = dm.Multitrack([*band.names, "silent"], audio, RATE, "band")
    torch.testing.assert_close(
        LADDERS["balance"](with_silence, 4.0), LADDERS["balance"](band, 4.0), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("amount", [0.25, 0.5, 0.75, 1.0])
def test_the_loudest_stem_goes_to_the_right(amount, band):
    assert loudest(band) == ["bass"]
    found = factors(LADDERS["one_side"](band, amount), band)
    lean_db = found[1, 1] - found[1, 0]
    others = found[[0, 2, 3]]
    assert np.ptp(others) < 1e-3
    if amount == 1.0:
        assert lean_db > 80
    else:
        assert lean_db == pytest.approx(20 * np.log10(np.tan(np.pi / 4 * (1 + amount))), abs=1e-3)
    power = (10 ** (found[1] / 10)).sum() / 10 ** (others.mean() / 10)
    assert power == pytest.approx(2.0, rel=1e-4)  # as loud as it was, of one channel or two


@pytest.mark.parametrize("amount", [0.25, 0.5, 0.75])
def test_the_side_shrinks(amount, band):
    before, after = (
        stereo_powers(x).width_db for x in (band.audio.sum(dim=0), LADDERS["narrow"](band, amount))
    )
    assert after - before == pytest.approx(20 * np.log10(1 - amount), abs=1e-3)


def test_the_end_of_narrow_is_mono(band):
    left, right = LADDERS["narrow"](band, 1.0)
    torch.testing.assert_close(left, right, rtol=0, atol=1e-7)


@pytest.mark.parametrize("amount_db", [6.0, -3.0])
@pytest.mark.parametrize(
    ("frequency_hz", "share"), [(62.5, -1.0), (250, -0.5), (1000, 0.0), (4000, 0.5), (16_000, 1.0)]
)
def test_the_tilt_is_a_line_over_octaves(amount_db, frequency_hz, share):
    sine = torch.sin(2 * torch.pi * frequency_hz / RATE * torch.arange(2 * RATE, dtype=torch.float64))[None]
    tilted = tilt(sine, amount_db, RATE)
    middle = slice(RATE // 2, RATE + RATE // 2)
    gain_db = 10 * torch.log10(tilted[0, middle].square().mean() / sine[0, middle].square().mean())
    assert gain_db.item() == pytest.approx(amount_db * share, abs=0.02)
    assert torch.corrcoef(torch.stack([tilted[0, middle], sine[0, middle]]))[0, 1] > 0.9999  # no delay


def test_the_ladders_tilt_both_ways(band):
    darker, brighter = LADDERS["dark"](band, 6.0), LADDERS["bright"](band, 6.0)
    powers = [
        scipy.signal.welch(x.double().numpy(), RATE, nperseg=4096)[1].sum(axis=0) for x in (darker, brighter)
    ]
    frequency_hz = scipy.signal.welch(darker.numpy(), RATE, nperseg=4096)[0]
    at = [np.argmin(np.abs(frequency_hz - hz)) for hz in (125, 8000)]
    change_db = [10 * np.log10(power[at[1]] / power[at[0]]) for power in powers]
    assert change_db[1] - change_db[0] == pytest.approx(
        2 * 6.0 * 6 / 4, abs=0.3
    )  # 6 octaves at 1.5 dB, both ways


@pytest.mark.parametrize("amount", [0.125, 0.5, 1.0])
def test_the_reverb_has_its_level(amount, noise):
    dry = noise(2, RATE)
    wet = add_reverb(dry, amount, RATE) - dry
    assert dm.loudness(wet) - dm.loudness(dry) == pytest.approx(20 * np.log10(amount), abs=1e-3)


def test_the_reverb_is_that_of_the_consoles_bus(band):
    params = neutral_params(band)
    for name in band.names:
        params.track(name)["send_db"] = -30.0
    result = render_mix(band, params)
    spoiled = LADDERS["reverb"](band, 10 ** (result.measures.reverb_lu / 20))
    torch.testing.assert_close(spoiled, result.audio, rtol=0, atol=1e-4)


@pytest.mark.parametrize("amount_db", [6.0, 24.0])
def test_the_compressor_takes_three_quarters_of_what_is_over(amount_db):
    square = torch.sign(torch.sin(2 * torch.pi * 100 / RATE * (torch.arange(RATE) + 0.5))).expand(2, -1)
    pressed = compress(0.05 * square, amount_db, RATE)
    assert 20 * np.log10(pressed[0, RATE // 2 :].abs().mean().item()) == pytest.approx(
        -0.75 * amount_db, abs=0.01
    )


@pytest.mark.parametrize("amount_db", [3.0, 12.0])
def test_clipping_cuts_what_is_over_full_scale(amount_db, noise):
    loud = clip(noise(2, RATE), amount_db, RATE)
    relative = noise(2, RATE) / noise(2, RATE).abs().max() * 10 ** (amount_db / 20)
    torch.testing.assert_close(loud, relative.clamp(-1, 1))
    assert loud.abs().max() == 1.0 and (loud.abs() == 1.0).sum() > 1


# Which stems


def test_the_lead_voice_by_name(band):
    assert lead_voices(band) == ["vox"] == LADDERS["voice_down"].turned(band)
    assert LADDERS["one_side"].turned(band) == ["bass"]
    assert LADDERS["reverb"].turned is None


@pytest.mark.parametrize("silent", [False, True])
def test_without_a_lead_voice_the_loudest_stem_is_told(silent, band):
    names = [*band.names[:2], "vox" if silent else "lead guitar", "keys"]
    audio = band.audio.clone()
    if silent:
        audio[2] = 0.0
    song = dm.Multitrack(names, audio, RATE)
    with pytest.warns(dm.InputNote, match="the loudest, bass, stands for it"):
        assert lead_voices(song) == ["bass"]


def test_a_mix_is_damaged_as_it_reaches_its_master_bus(band):
    params = neutral_params(band)
    params.track("bass")["fader_db"] = -20.0
    params.track("keys")["send_db"] = -6.0
    result = render_mix(band, params)
    song = delivered(result)
    assert song.names == [*band.names, "fx_return"] and loudest(song) != ["bass"]
    assert torch.equal(LADDERS["one_side"](result, 0.5), LADDERS["one_side"](song, 0.5))
    torch.testing.assert_close(LADDERS["clipping"](result, 0.0), result.audio, rtol=0, atol=1e-5)


# Bad input


@pytest.mark.parametrize("amount", [-1.0, 12.5, float("nan")])
def test_an_amount_outside_the_ladder(amount, band):
    with pytest.raises(dm.InputError, match=r"voice down: the amount must be 0 to 12 dB, not"):
        LADDERS["voice_down"](band, amount)


@pytest.mark.parametrize("name", LADDERS)
def test_silence(name, band):
    silent = dm.Multitrack(band.names, torch.zeros_like(band.audio), RATE, "nothing")
    with pytest.raises(dm.InputError, match="nothing: all 4 stems are silent") as error:
        LADDERS[name](silent, LADDERS[name].amounts[1])
    assert error.value.about == "song"


def test_nothing_to_damage(band):
    alone = band.select("vox")
    with pytest.raises(dm.InputError, match="band: nothing sounds beside vox"):
        LADDERS["voice_down"](alone, 6.0)
    with pytest.raises(dm.InputError, match="one stem alone has no balance"):
        LADDERS["balance"](alone, 4.0)
    with pytest.raises(dm.InputError, match="its sum is mono, there is no image to collapse"):
        LADDERS["narrow"](band.select("vox", "bass"), 0.5)


@pytest.mark.parametrize("name", LADDERS)
@pytest.mark.filterwarnings("ignore::diffmst_lib.InputNote")  # of a DC offset
@pytest.mark.parametrize("samples", [2, 500])
def test_the_shortest_songs(name, samples):
    noise = torch.randn(2, 2, samples, generator=torch.Generator().manual_seed(1))
    mix = LADDERS[name](dm.Multitrack(["vox", "drums"], noise), LADDERS[name].amounts[1])
    assert mix.shape == (2, samples) and mix.isfinite().all()
