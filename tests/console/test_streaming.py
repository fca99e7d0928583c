"""A song in blocks against one pass: any length of a block, extremes of the knobs, sections, other consoles."""

import numpy as np
import pytest
import torch
from console_settings import unit

from diffmst_lib import ConsoleParams, MixingConsole
from diffmst_lib.console.automation import Automation
from diffmst_lib.console.song_stream import SongStream
from diffmst_lib.console.streaming import (
    each_strip,
    fx_return,
    goes_in_blocks,
    some_strips,
    stream_mix,
    stream_strips,
)

RATE = 8000
CONSOLE = MixingConsole(RATE)  # its compressors look 80 samples ahead
ROUNDING = {torch.float32: -110.0, torch.float64: -240.0}  # dB below the mix; the issue asks for -90


def noise(*shape, seed=0, dtype=torch.float32):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def stems(num_stems, num_samples, seed=0, dtype=torch.float32):
    """Stereo stems with silence and a burst, every second one mono."""
    tracks = noise(num_stems, 2, num_samples, seed=seed, dtype=dtype)
    tracks[..., num_samples // 3 : num_samples // 2] *= 10.0
    tracks[..., num_samples // 2 : num_samples * 2 // 3] = 0.0
    tracks[1::2, 1] = tracks[1::2, 0]
    return tracks


def settings(num_tracks=3, seed=0, **options):
    return ConsoleParams.from_unit(*unit(num_tracks, seed=seed, **options), sample_rate=RATE)


def dry(params):
    """The same console with its sends closed: its reverb is slow in blocks of a few samples."""
    params = params.clone()
    params.tracks[:, -1] = -60.0
    return params


def joined(tracks, params, samples, **options):
    return torch.cat(list(stream_mix(CONSOLE, tracks, params, block_s=samples / RATE, **options)), dim=-1)


def assert_same(found, want, dtype=torch.float32):
    assert found.shape == want.shape and found.dtype == want.dtype == dtype
    error, scale = (found - want).abs().max().item(), want.abs().max().item()
    assert error <= scale * 10.0 ** (ROUNDING[dtype] / 20.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 7, 79, 80, 81, 300, 599, 600, 5000])
def test_any_length_of_a_block_gives_the_mix_of_one_pass(samples, dtype):
    tracks, params = stems(3, 600, dtype=dtype), dry(settings())
    assert_same(joined(tracks, params, samples), CONSOLE.render(tracks, params), dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1600, 4001, 16_000])
def test_the_reverb_rings_on_from_block_to_block(samples, dtype):
    tracks, params = stems(2, 16_000, dtype=dtype), settings(2)
    params.tracks[:, -1] = 0.0  # as loud as the dry sound
    want = CONSOLE.render(tracks, params)
    assert_same(joined(tracks, params, samples), want, dtype)
    without = CONSOLE.render(tracks, params, fx_bus=False)
    assert_same(joined(tracks, params, samples, fx_bus=False), without, dtype)
    assert (want - without).abs().max() > 0.01 * want.abs().max()


@pytest.mark.parametrize("num_samples", [1, 2, 50, 80, 81])
@pytest.mark.parametrize("samples", [1, 80, 200])
def test_songs_shorter_than_the_look_ahead(num_samples, samples):
    tracks, params = stems(2, num_samples) + 0.1, dry(settings(2))
    assert_same(joined(tracks, params, samples), CONSOLE.render(tracks, params))


@pytest.mark.parametrize("corner", [0.0, 1.0, "mixed"])
def test_extremes_of_all_knobs(corner):
    tracks = stems(4, 2000)
    params = (
        ConsoleParams.from_unit(*(u.round() for u in unit(4, seed=5)), sample_rate=RATE)
        if corner == "mixed"
        else settings(4, fill=corner)
    )
    found, want = joined(tracks, params, 900), CONSOLE.render(tracks, params)
    assert found.isfinite().all()
    assert_same(found, want) if want.any() else torch.testing.assert_close(found, want, rtol=0, atol=0)


def test_silence_stays_silent_and_a_song_that_ends_falls_silent():
    params = settings(2)
    assert not joined(torch.zeros(2, 2, 3000), params, 700).any()
    tracks = torch.zeros(2, 2, 40_000)
    tracks[..., :100] = noise(2, 2, 100)
    assert_same(joined(tracks, params, 3000), CONSOLE.render(tracks, params))


def test_nothing_is_said_about_the_future():
    """What comes out of a block does not depend on blocks far after it: the song may go on as it likes."""
    tracks, params = stems(2, 6000), settings(2)
    other = tracks.clone()
    other[..., 4000:] = noise(2, 2, 2000, seed=9)
    some, more = joined(tracks, params, 1000), joined(other, params, 1000)
    assert torch.equal(some[:, :3800], more[:, :3800]) and not torch.equal(some, more)


def test_strips_and_the_reverb_alone():
    tracks, params = stems(3, 9000), settings()
    want = torch.stack(list(CONSOLE.strips(tracks, params)))
    assert_same(torch.cat(list(stream_strips(CONSOLE, tracks, params, block_s=0.2)), dim=-1), want)
    assert_same(torch.stack(list(each_strip(CONSOLE, tracks, params))), want)
    sent = (want * CONSOLE.send_gains(params)).sum(dim=0)
    back = CONSOLE.fx_bus(sent[None], params)[0]
    found = fx_return(CONSOLE, tracks, params)
    assert (found - back).abs().max() < 1e-5 * back.abs().max()
    assert fx_return(CONSOLE, tracks, dry(params)) is None


def test_threads_and_gradients_change_nothing():
    tracks, params, threads = stems(3, 5000), settings(), torch.get_num_threads()
    want = joined(tracks, params, 2000)
    try:
        torch.set_num_threads(3)
        found = joined(tracks.clone().requires_grad_(), params, 2000)
    finally:
        torch.set_num_threads(threads)
    assert not found.requires_grad
    assert_same(found, want)


def test_a_console_that_is_left_early_leaves_no_thread_behind():
    blocks = iter(SongStream(CONSOLE, stems(2, 9000), settings(2), block_s=0.1))
    next(blocks)
    blocks.close()
    with pytest.raises(StopIteration):
        next(blocks)


def test_bad_input_is_told_before_anything_is_rendered():
    with pytest.raises(ValueError, match="takes stereo stems"):
        stream_mix(CONSOLE, torch.zeros(2, 100), settings(2))
    with pytest.raises(ValueError, match="do not fit parameters"):
        stream_strips(CONSOLE, torch.zeros(3, 2, 100), settings(2))


# Consoles that cannot go in blocks


class Louder(MixingConsole):
    """A console of one's own."""

    def master_bus(self, x, params):
        """Twice as loud."""
        return 2.0 * super().master_bus(x, params)


def channels(preset, num=3):
    return ConsoleParams.from_unit(*unit(num, preset), preset=preset, sample_rate=44_100)


def test_other_consoles_render_in_one_pass():
    tracks, params = stems(2, 3000), settings(2)
    own = Louder(RATE)
    assert not goes_in_blocks(own, tracks) and goes_in_blocks(CONSOLE, tracks)
    assert not goes_in_blocks(MixingConsole(RATE, meter=lambda *_: None), tracks)
    (mix,) = stream_mix(own, tracks, params, block_s=0.1)
    assert torch.equal(mix, own.render(tracks, params))
    reference = MixingConsole(44_100, "reference")
    mono, of_channels = noise(3, 5000), channels("reference")
    (mix,) = stream_mix(reference, mono, of_channels)
    assert torch.equal(mix, reference.render(mono, of_channels))
    (strips,) = stream_strips(reference, mono, of_channels)
    assert torch.equal(strips, torch.stack(list(reference.strips(mono, of_channels))))


# Sections


def sections(first, second, start_s=0.5, fade_s=0.1):
    return Automation([0.0, start_s], [first, second], ["A", "B"], fade_s=fade_s)


def test_sections_that_are_alike_are_one_console():
    tracks, params = stems(3, 8000), settings()
    same = sections(params, params.clone())
    assert_same(joined(tracks, same, 3000), CONSOLE.render(tracks, params))


@pytest.mark.parametrize("samples", [500, 3000, 8000])
def test_blocks_do_not_change_a_song_with_sections(samples):
    tracks, moving = stems(3, 8000), sections(settings(), settings(seed=1))
    assert_same(joined(tracks, moving, samples), joined(tracks, moving, 20_000))


def test_a_section_is_its_console_once_the_fade_is_over():
    """Before the fade it is the first console's mix; long after it the second's, whose compressors forget the first."""
    tracks, first, second = noise(2, 2, 40_000), dry(settings(2)), dry(settings(2, seed=1))
    for params in (first, second):
        for name in ("release_ms", "attack_ms"):
            params.track("track1")[name] = params.track("track2")[name] = params.master_bus[name] = 20.0
    mix = joined(tracks, sections(first, second, start_s=1.0), 4000)
    one, two = CONSOLE.render(tracks, first), CONSOLE.render(tracks, second)
    fade = slice(round(0.95 * RATE) - 161, round(1.05 * RATE))  # the compressors look ahead
    assert_same(mix[:, : fade.start], one[:, : fade.start])
    assert (mix - two)[:, 3 * RATE :].abs().max() < 1e-3 * two.abs().max()
    assert (mix - one)[:, 3 * RATE :].abs().max() > 1e-2 * one.abs().max()


def test_gains_move_in_straight_lines_in_a_fade():
    """A constant through two faders: a line for each 5 ms, whose ends are the decibels of the fade."""
    tracks = torch.full((1, 2, RATE), 1e-3)
    soft, loud = (ConsoleParams.neutral(["a"], sample_rate=RATE) for _ in range(2))
    loud.track("a")["fader_db"] = 12.0
    mix = joined(tracks, sections(soft, loud), 1234)[0] / 1e-3
    at = np.arange(3600, 4401)
    want = 10.0 ** (np.interp(at, [3600, 4400], [0.0, 12.0]) / 20.0)
    assert mix[3600:4401].numpy() == pytest.approx(want, rel=2e-3)
    lines = np.diff(mix[3600:4401].double().numpy(), 2)
    corners = np.abs(lines) > 1e-5
    assert 10 <= corners.sum() <= 2 * 21  # bends every 5 ms, at most two differences each
    assert np.abs(np.diff(mix.numpy())).max() < 0.01


def test_each_room_hears_the_sends_of_its_sections():
    first, second = settings(1), settings(1)
    first.fx_bus_values[:] = torch.rand(25, generator=torch.Generator().manual_seed(1))
    tracks = noise(1, 2, RATE)
    moving = sections(first, second)
    back = fx_return(CONSOLE, tracks, moving)
    (wet,) = each_strip(CONSOLE, tracks, moving)
    weight = torch.from_numpy(np.interp(np.arange(RATE), [3600, 4400], [1.0, 0.0])).float()
    sent = (wet * CONSOLE.send_gains(first)[0])[None]
    want = CONSOLE.fx_bus(sent * weight, first)[0] + CONSOLE.fx_bus(sent * (1.0 - weight), second)[0]
    assert (back - want).abs().max() < 1e-4 * want.abs().max()


def test_sections_of_another_console_are_cross_faded():
    own, tracks, first, second = Louder(RATE), stems(2, 8000), settings(2), settings(2, seed=1)
    (mix,) = stream_mix(own, tracks, sections(first, second))
    one, two = own.render(tracks, first), own.render(tracks, second)
    assert torch.equal(mix[:, :3600], one[:, :3600]) and torch.equal(mix[:, 4401:], two[:, 4401:])
    torch.testing.assert_close(mix[:, 4000], (one + two)[:, 4000] / 2, rtol=1e-3, atol=1e-5)
    wet = torch.stack(list(each_strip(own, tracks, sections(first, second))))
    assert torch.equal(wet[..., :3600], torch.stack(list(own.strips(tracks, first)))[..., :3600])


def test_some_strips_keep_their_names_and_numbers():
    params = settings(3)
    part = some_strips(params, [2, 0])
    assert part.names == ["track3", "track1"] and torch.equal(part.tracks, params.tracks[[2, 0]])
