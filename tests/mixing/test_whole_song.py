"""DiffMST on songs and references of any kind and length: windows, levels, refinement, attention."""

import dataclasses

import pytest
import torch
from model_helpers import model

import diffmst_lib as dm
from diffmst_lib import InputNote, Multitrack
from diffmst_lib.mixing.whole_song import cut_windows, reference_style


@pytest.fixture(scope="module")
def tiny():
    return model()


@pytest.mark.parametrize("num_tracks", [1, 3, 64])
def test_any_number_of_mono_tracks(tiny, reference, noise, num_tracks):
    tracks = noise(num_tracks, 20_000, seed=num_tracks)
    result = tiny.mix(Multitrack([f"t{i}" for i in range(num_tracks)], tracks), reference)
    assert torch.isfinite(result.audio).all() and len(result.params.names) == num_tracks
    width = dm.features.stereo_width(result.audio)
    assert width > 1e-3 or num_tracks == 1  # mono stems alone do not end in mono


@pytest.mark.parametrize("samples", [2000, 30_000, 44_100 * 23 + 17])
def test_any_length(tiny, reference, noise, samples):
    song = Multitrack(["a.L", "a.R", "b"], noise(3, samples))
    result = tiny.mix(song, reference)
    assert result.audio.shape == (2, samples) and torch.isfinite(result.audio).all()


def test_a_song_that_repeats_itself_gets_the_console_of_one_window(tiny, song, reference):
    window = song.audio[:, :44_100]
    one = dataclasses.replace(tiny.config, window_seconds=1.0)
    tiny = dm.DiffMST(one)
    tiny.load_state_dict(model().state_dict())
    single = tiny.analyze(Multitrack(song.names, window), reference)
    triple = tiny.analyze(Multitrack(song.names, window.repeat(1, 3)), reference)
    torch.testing.assert_close(triple.tracks, single.tracks, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(triple.master_bus_values, single.master_bus_values, rtol=1e-4, atol=1e-3)


def test_windows_count_by_the_energy_of_each_track(song, reference, noise):
    tiny = model(window_seconds=1.0)
    first, second = noise(2, 44_100), noise(2, 44_100, seed=3)
    alone = [tiny.analyze(Multitrack(["a", "b"], x), reference) for x in (first, second)]
    quiet = torch.cat(
        [first, torch.stack([second[0], 0 * second[1]])], dim=-1
    )  # b sounds in the first window only
    both = tiny.analyze(Multitrack(["a", "b"], quiet), reference)
    torch.testing.assert_close(both.to_unit()[0][1], alone[0].to_unit()[0][1], rtol=0, atol=1e-4)
    assert (both.to_unit()[0][0] - alone[0].to_unit()[0][0]).abs().max() > 1e-4


def test_windows_follow_each_other_and_the_last_ends_with_the_song(noise):
    audio = noise(2, 200_000)
    windows = cut_windows(audio, 1.0, 44_100)
    starts = (0, 44_100, 88_200, 132_300, 155_900)
    assert len(windows) == 5 and all(
        torch.equal(w, audio[:, s : s + 44_100]) for w, s in zip(windows, starts, strict=True)
    )
    assert len(cut_windows(audio[:, :88_200], 1.0, 44_100)) == 2


def test_a_window_of_silence_does_not_count(reference, noise):
    tiny, x = model(window_seconds=1.0), noise(2, 44_100)
    alone = tiny.analyze(Multitrack(["a", "b"], x), reference)
    half = tiny.analyze(Multitrack(["a", "b"], torch.cat([x, 0 * x], dim=-1)), reference)
    for ours, theirs in zip(half.to_unit(), alone.to_unit(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_loud_windows_count_more_for_each_track_and_its_level_does_not(reference, noise):
    tiny = model(window_seconds=1.0)
    parts = [noise(2, 44_100), noise(2, 44_100, seed=3).cumsum(dim=-1) * 0.01]
    parts = [part - part.mean(dim=-1, keepdim=True) for part in parts]
    alone = [tiny.analyze(Multitrack(["a", "b"], x), reference) for x in parts]
    power = torch.stack([x.square().mean(dim=-1) for x in parts])  # (2 windows, 2 tracks)
    share = power / power.sum(dim=0)
    both = tiny.analyze(Multitrack(["a", "b"], torch.cat(parts, dim=-1)), reference)
    for track in range(2):
        want = sum(share[w, track] * alone[w].to_unit()[0][track] for w in range(2))
        torch.testing.assert_close(both.to_unit()[0][track], want, rtol=0, atol=1e-5)
    master = sum(share[w].mean() * alone[w].to_unit()[2] for w in range(2))
    torch.testing.assert_close(both.to_unit()[2], master, rtol=0, atol=1e-5)
    louder = torch.cat(parts, dim=-1) * torch.tensor([[30.0], [1.0]])
    louder = tiny.analyze(Multitrack(["a", "b"], louder), reference)
    torch.testing.assert_close(louder.to_unit()[2], both.to_unit()[2], rtol=0, atol=1e-5)


def test_a_reference_counts_by_the_energy_of_its_windows(song, reference):
    tiny = model(window_seconds=1.0)
    loud, soft = reference[:, :44_100], 0.001 * reference.flip(0)[:, 44_100:88_200].cumsum(dim=-1)
    soft = soft - soft.mean(dim=-1, keepdim=True)
    whole = reference_style(tiny, torch.cat([loud, soft], dim=-1))
    parts = [reference_style(tiny, part) for part in (loud, soft)]
    power = torch.stack([loud.square().mean(), soft.square().mean()])
    weights = (power / power.sum()).tolist()
    want = weights[0] * parts[0].features + weights[1] * parts[1].features
    assert 0.001 < weights[1] < 0.5 and (parts[0].features - parts[1].features).abs().max() > 0.5
    torch.testing.assert_close(whole.features, want, rtol=0, atol=1e-4)
    want = weights[0] * parts[0].embeddings + weights[1] * parts[1].embeddings
    torch.testing.assert_close(whole.embeddings, want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("lufs", [-68.5, -69.9])
def test_sounds_just_above_silence(tiny, song, reference, lufs):
    quiet = dm.normalize_loudness(reference, lufs)
    assert torch.isfinite(tiny.mix(song, quiet).audio).all()
    burst = torch.zeros(2, 44_100 * 12)  # half of it in one window, half in the next
    burst[:, 44_100 * 10 - 9000 : 44_100 * 10 + 9000] = song.audio[:2, :18_000]
    burst, _ = dm.normalize_tracks(burst, lufs)
    assert torch.isfinite(tiny.mix(Multitrack(["a", "b"], burst), reference).audio).all()


def test_a_stem_so_loud_that_its_fader_ends(tiny, song, reference):
    audio = song.audio.clone()
    audio[0] *= 1000.0
    params = tiny.mix(Multitrack(song.names, audio), reference).params
    assert params.track(song.names[0])["input_gain_db"] == -48.0
    params.check()


def test_a_silent_stem_stays_silent_and_has_the_strip_of_the_start(tiny, song, reference):
    audio = torch.cat([song.audio, torch.zeros(1, song.audio.shape[-1])])
    result = tiny.mix(Multitrack([*song.names, "empty"], audio), reference)
    want = tiny.mix(song, reference)
    torch.testing.assert_close(result.audio, want.audio, rtol=0, atol=1e-5)
    assert result.params.track("empty")["input_gain_db"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("shape", ["mono", "anti-phase", "one channel", "one sample long", "long silence"])
def test_references_of_every_kind_give_finite_mixes(tiny, song, reference, shape):
    left = reference[0]
    kinds = {
        "mono": torch.stack([left, left]),
        "anti-phase": torch.stack([left, -left]),
        "one channel": torch.stack([left, 0 * left]),
        "one sample long": torch.full((2, 1), 0.5),
        "long silence": torch.cat([reference, torch.zeros(2, 44_100 * 21)], dim=-1),
    }
    result = None
    if shape == "one sample long":
        with pytest.warns(InputNote, match="DC offset"):
            result = tiny.mix(song, kinds[shape])
    else:
        result = tiny.mix(song, kinds[shape])
    assert torch.isfinite(result.audio).all()


def test_an_offset_of_the_reference_is_told_once_where_it_was_given(tiny, song, reference):
    with pytest.warns(InputNote, match="DC offset") as notes:
        tiny.mix(song, reference + 0.5, refine_steps=1)
    assert len(notes) == 1 and notes[0].filename == __file__


def test_refinement_starts_from_the_networks_console_and_gets_nearer(tiny, song, reference):
    result = tiny.mix(song, reference, refine_steps=3)
    first = tiny.mix(song, reference)
    loss = dm.audio_feature_loss(first.audio, dm.normalize_loudness(reference))["total"].item()
    assert len(result.history) == 4
    assert result.history["total"].iloc[0] == pytest.approx(loss, rel=0.1)
    assert result.history["total"].min() < result.history["total"].iloc[0]


def test_attention_is_of_the_loudest_window(reference, noise):
    tiny, parts = model(window_seconds=1.0), [noise(3, 44_100), 3.0 * noise(3, 44_100, seed=5) ** 3]
    songs = [
        Multitrack(["a", "b", "c"], part) for part in (*parts, torch.cat([0.01 * parts[0], parts[1]], dim=-1))
    ]
    first, second, both = (tiny.attention(song, reference)[0] for song in songs)
    torch.testing.assert_close(both, second, rtol=0, atol=1e-5)
    assert (first - second).abs().max() > 1e-3


def test_attention_names_the_tokens_of_what_sounds(tiny, song, reference):
    audio = torch.cat([song.audio, torch.zeros(1, song.audio.shape[-1])])
    maps, names = tiny.attention(Multitrack([*song.names, "empty"], audio), reference)
    assert names == [*song.names, "mid", "side", "fx bus", "master bus"]
    assert maps.shape == (2, 4, 10, 10)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 4, 10))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_refinement_where_gradients_are_switched_off(tiny, song, reference, mode):
    want = tiny.mix(song, reference, refine_steps=1)
    with mode():
        copy = Multitrack(song.names, song.audio * 1.0, song.sample_rate)
        found = tiny.mix(copy, reference, refine_steps=1)
    torch.testing.assert_close(found.audio, want.audio, rtol=0, atol=1e-5)
