"""DiffMST: size, symmetries, songs of any kind and length, bad input, memory."""

import dataclasses
import math

import pytest
import torch

import diffmst_lib as dm
from diffmst_lib import InputError, InputNote, Multitrack


def model(name="tiny", seed=0, **changes):
    """An untrained model whose heads are not neutral, so that it says something about every track."""
    torch.manual_seed(seed)
    made = dm.DiffMST(dataclasses.replace(dm.ModelConfig.preset(name), **changes))
    for head in made.controller.heads.values():
        if isinstance(head, torch.nn.Sequential):
            torch.nn.init.normal_(head[-1].weight, std=0.1)
    return made.eval()


@pytest.fixture(scope="module")
def tiny():
    return model()


def test_number_of_parameters():
    with torch.device("meta"):
        counts = {name: sum(p.numel() for p in dm.DiffMST(name).parameters()) for name in ("tiny", "small", "paper")}
        paper = dm.DiffMST("paper")
    assert counts["paper"] == 190_923_982
    assert counts["small"] <= 4_000_000 and counts["tiny"] < 100_000
    assert paper.parameter_counts().to_dict() == {
        "track_encoder": 76_526_400, "mix_encoder": 76_526_400, "controller": 37_871_182, "all": 190_923_982}
    assert paper.track_encoder is not paper.mix_encoder


def test_the_papers_small_twin_runs_on_left_and_right_through_the_reference_console(song, reference):
    twin = model("paper", width=16, layers=1, heads=2, feedforward=16, channels=(4, 8), pools=((4, 4), (4, 4)))
    result = twin.mix(song, reference)
    assert result.params.preset == "reference" and torch.isfinite(result.audio).all()
    pans = result.params.values("track")["pan"]
    torch.testing.assert_close(pans[0::2], pans[1::2], rtol=0, atol=0.05)   # left and right look alike to it


def test_untrained_small_is_the_panned_equal_loudness_mix(song, reference):
    torch.manual_seed(0)
    result, panned = dm.DiffMST("small").mix(song, reference), dm.equal_loudness(song, panned=True)
    assert (result.audio - panned.audio).norm() < 0.1 * panned.audio.norm()
    left = result.params.track("kick")["pan"]
    torch.testing.assert_close(torch.tensor(left), torch.tensor([0.18, 0.82]), rtol=0, atol=0.01, check_dtype=False)


def test_mix_is_what_its_parameters_make_at_the_level_of_mixes(tiny, song, reference):
    result = tiny.mix(song, reference)
    assert result.audio.shape == (2, song.audio.shape[-1]) and result.params.names == song.names
    assert dm.loudness(result.audio) == pytest.approx(-16.0, abs=0.05)
    torch.testing.assert_close(result.remix().audio, result.audio, rtol=0, atol=1e-5)
    assert (result.params.values("track")["send_db"] == -80.0).all()
    assert not tiny.training


def test_mix_leaves_the_model_in_training_and_its_statistics_alone(song, reference):
    twin = model("paper", width=16, layers=1, heads=2, feedforward=16, channels=(4, 8), pools=((4, 4), (4, 4))).train()
    before = {k: v.clone() for k, v in twin.state_dict().items()}
    twin.analyze(song, reference)
    assert twin.training and all(torch.equal(before[k], v) for k, v in twin.state_dict().items())


# Symmetries

def swapped(song):
    """Left and right of every stem exchanged."""
    stems = [i for i, channel in enumerate(song.channels)]
    order = [i + {"left": 1, "right": -1, "mono": 0}[song.channels[i]] for i in stems]
    return Multitrack(song.names, song.audio[order], song.sample_rate, song.channels)


def with_mono(song):
    return Multitrack([*song.names, "bass"], torch.cat([song.audio, song.audio[:1].roll(999, -1)]), song.sample_rate)


def test_swapped_channels_everywhere_give_the_swapped_mix(tiny, song, reference):
    song = with_mono(song)
    want, found = tiny.mix(song, reference), tiny.mix(swapped(song), reference.flip(0))
    torch.testing.assert_close(found.audio.flip(0), want.audio, rtol=0, atol=1e-5)


def test_swapped_stems_give_the_swapped_mix_before_training_whatever_the_reference(song, reference):
    song, fresh = with_mono(song), dm.DiffMST("tiny")
    want, found = fresh.mix(song, reference), fresh.mix(swapped(song), reference)
    torch.testing.assert_close(found.audio.flip(0), want.audio, rtol=0, atol=1e-5)


def test_permuted_tracks_give_the_same_mix(tiny, song, reference):
    song = with_mono(song)
    order = [6, 2, 3, 0, 1, 5, 4]
    mixed_up = Multitrack([song.names[i] for i in order], song.audio[order], song.sample_rate)
    want, found = tiny.mix(song, reference), tiny.mix(mixed_up, reference)
    torch.testing.assert_close(found.audio, want.audio, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.params.tracks, want.params.tracks[order], rtol=1e-5, atol=1e-3)


def test_the_level_of_stems_and_reference_does_not_matter(tiny, song, reference):
    faders = torch.tensor([-12.0, -12.0, 9.0, 9.0, 0.0, 0.0])
    louder = Multitrack(song.names, song.audio * 10 ** (faders[:, None] / 20), song.sample_rate)
    want, found = tiny.mix(song, reference), tiny.mix(louder, 0.3 * reference)
    torch.testing.assert_close(found.audio, want.audio, rtol=0, atol=1e-4)
    change = found.params.values("track")["input_gain_db"] - want.params.values("track")["input_gain_db"]
    torch.testing.assert_close(change, -faders, rtol=0, atol=1e-3)


def test_padding_and_batch_change_nothing(tiny, song, reference):
    tracks, _ = dm.normalize_tracks(song.audio, tiny.config.track_lufs)
    sides, reference = torch.tensor(song.sides()), dm.normalize_loudness(reference)
    want = tiny.predict(tracks, reference, sides=sides)
    padded = torch.cat([tracks[:4], torch.zeros(2, tracks.shape[-1])])
    batch = tiny.predict(
        torch.stack([tracks, padded]), torch.stack([reference, reference]), sides=torch.stack([sides, sides]),
        mask=torch.tensor([[True] * 6, [True] * 4 + [False] * 2]),
    )
    alone = tiny.predict(tracks[:4], reference, sides=sides[:4])
    for ours, theirs in ((batch[0], want), (batch[1], alone)):
        n = len(theirs.names)
        for a, b in zip(ours.to_unit(), theirs.to_unit()):
            torch.testing.assert_close(a[:n] if a.ndim == 2 else a, b, rtol=0, atol=2e-6)


def test_mix_of_a_batch_leaves_out_the_padding(tiny, song, reference):
    tracks, _ = dm.normalize_tracks(song.audio, tiny.config.track_lufs)
    tracks, reference = tracks[None], dm.normalize_loudness(reference)[None]
    junk = torch.cat([tracks, torch.ones_like(tracks[:, :1])], dim=1)
    want, _ = tiny(tracks, reference)
    found, _ = tiny(junk, reference, mask=torch.tensor([[True] * 6 + [False]]))
    torch.testing.assert_close(found, want, rtol=0, atol=1e-5)


# Songs

@pytest.mark.parametrize("num_tracks", [1, 3, 64])
def test_any_number_of_mono_tracks(tiny, reference, noise, num_tracks):
    tracks = noise(num_tracks, 20_000, seed=num_tracks)
    result = tiny.mix(Multitrack([f"t{i}" for i in range(num_tracks)], tracks), reference)
    assert torch.isfinite(result.audio).all() and len(result.params.names) == num_tracks
    width = dm.features.stereo_width(result.audio)
    assert width > 1e-3 or num_tracks == 1                              # mono stems alone do not end in mono


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
    quiet = torch.cat([first, torch.stack([second[0], 0 * second[1]])], dim=-1)     # b sounds in the first window only
    both = tiny.analyze(Multitrack(["a", "b"], quiet), reference)
    torch.testing.assert_close(both.to_unit()[0][1], alone[0].to_unit()[0][1], rtol=0, atol=1e-4)
    assert (both.to_unit()[0][0] - alone[0].to_unit()[0][0]).abs().max() > 1e-4


def test_windows_are_those_that_sound_and_the_last_ends_with_the_song(noise):
    audio = noise(2, 200_000)
    audio[:, 44_100:88_200] = 0.0
    windows = model(window_seconds=1.0)._windows(audio)
    starts = (0, 88_200, 132_300, 155_900)
    assert len(windows) == 4 and all(torch.equal(w, audio[:, s : s + 44_100]) for w, s in zip(windows, starts))


def test_a_silent_stem_stays_silent_and_has_a_neutral_strip(tiny, song, reference):
    audio = torch.cat([song.audio, torch.zeros(1, song.audio.shape[-1])])
    result = tiny.mix(Multitrack([*song.names, "empty"], audio), reference)
    want = tiny.mix(song, reference)
    torch.testing.assert_close(result.audio, want.audio, rtol=0, atol=1e-5)
    assert result.params.track("empty")["input_gain_db"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("shape", ["mono", "anti-phase", "one channel", "one sample long", "long silence"])
def test_references_of_every_kind_give_finite_mixes(tiny, song, reference, shape):
    left = reference[0]
    kinds = {
        "mono": torch.stack([left, left]), "anti-phase": torch.stack([left, -left]), "one channel": torch.stack([left, 0 * left]),
        "one sample long": torch.full((2, 1), 0.5), "long silence": torch.cat([reference, torch.zeros(2, 44_100 * 21)], dim=-1),
    }
    result = None
    if shape == "one sample long":
        with pytest.warns(InputNote, match="DC offset"):
            result = tiny.mix(song, kinds[shape])
    else:
        result = tiny.mix(song, kinds[shape])
    assert torch.isfinite(result.audio).all()


def test_refinement_starts_from_the_networks_console_and_gets_nearer(tiny, song, reference):
    result = tiny.mix(song, reference, refine_steps=3)
    first = tiny.mix(song, reference)
    loss = dm.audio_feature_loss(first.audio, dm.normalize_loudness(reference))["total"].item()
    assert len(result.history) == 4
    assert result.history["total"].iloc[0] == pytest.approx(loss, rel=0.1)
    assert result.history["total"].min() < result.history["total"].iloc[0]


def test_attention_names_the_tokens_of_what_sounds(tiny, song, reference):
    audio = torch.cat([song.audio, torch.zeros(1, song.audio.shape[-1])])
    maps, names = tiny.attention(Multitrack([*song.names, "empty"], audio), reference)
    assert names == [*song.names, "mid", "side", "fx bus", "master bus"]
    assert maps.shape == (2, 4, 10, 10)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 4, 10))


# Gradients

@pytest.mark.parametrize("seed", [0, 1])
def test_every_weight_of_a_training_step_has_a_finite_gradient(song, reference, seed):
    tiny = model(seed=seed).train()
    tracks, _ = dm.normalize_tracks(song.audio, tiny.config.track_lufs)
    tracks = torch.cat([tracks, torch.zeros(1, tracks.shape[-1])])[None]
    sides = torch.tensor([[*song.sides(), 0.0]])
    mix, _ = tiny(tracks, dm.normalize_loudness(reference)[None], sides=sides, mask=torch.tensor([[True] * 6 + [False]]))
    dm.audio_feature_loss(mix, reference[None])["total"].mean().backward()
    unused = {"controller.fx_bus_token", "controller.heads.fx_bus.0.weight", "controller.heads.fx_bus.0.bias",
              "controller.heads.fx_bus.2.weight", "controller.heads.fx_bus.2.bias"}
    for name, weight in tiny.named_parameters():
        if weight.grad is None:
            assert name in unused, name
        else:
            assert torch.isfinite(weight.grad).all(), name
    assert tiny.controller.heads["track"][-1].weight.grad.abs().max() > 0


def test_extreme_weights_give_finite_mixes_and_gradients(song, reference):
    for scale in (-1e4, 1e4):
        tiny = model()
        with torch.no_grad():
            for head in tiny.controller.heads.values():
                head[-1].bias.fill_(scale)
        tracks, _ = dm.normalize_tracks(song.audio, tiny.config.track_lufs)
        mix, _ = tiny(tracks, dm.normalize_loudness(reference), sides=torch.tensor(song.sides()))
        mix.square().mean().backward()
        assert torch.isfinite(mix).all()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in tiny.parameters())


def test_constants_are_those_of_the_examples_and_kept_with_the_weights(noise):
    tiny = model()
    generator = torch.Generator().manual_seed(0)
    tracks = noise(4, 20_000) * torch.rand(4, 1, generator=generator)
    references = noise(3, 2, 30_000) * torch.rand(3, 1, 1, generator=generator)
    tiny.standardize(tracks, references)
    heard = tiny.track_encoder.standardize(tiny.track_encoder.statistics(tracks))
    views = torch.stack([references[:, 0] + references[:, 1], references[:, 0] - references[:, 1]], dim=1).flatten(0, 1)
    mixes = tiny.mix_encoder.standardize(tiny.mix_encoder.statistics(views))
    for standardized in (heard, mixes, tiny.style(references)[0]):
        torch.testing.assert_close(standardized.mean(dim=0), torch.zeros(standardized.shape[1]), rtol=0, atol=1e-3)
    assert "style.standardize.mean" in tiny.state_dict()
    model("paper", width=16, layers=1, heads=2, feedforward=16, channels=(4,), pools=((4, 4),)).standardize(tracks, references)


# Bad input

def test_nan_is_refused_by_the_name_of_the_track(tiny, song, reference):
    audio = song.audio.clone()
    audio[3, 7] = math.nan
    with pytest.raises(InputError, match=f"track {song.names[3]} holds NaN"):
        tiny.mix(Multitrack(song.names, audio), reference)


@pytest.mark.parametrize(
    ("reference", "message"),
    [(torch.zeros(2, 999), "silent"), (torch.randn(1, 999), "1 channel"), (torch.full((2, 9), math.nan), "NaN"), (None, "NoneType")],
)
def test_bad_references_are_refused(tiny, song, reference, message):
    with pytest.raises(InputError, match=message):
        tiny.mix(song, reference)


def test_other_sample_rates_and_silent_songs_are_refused(tiny, song, reference):
    with pytest.raises(InputError, match="works at 44100 Hz, the song has 48000 Hz"):
        tiny.mix(Multitrack(song.names, song.audio, 48_000), reference)
    with pytest.raises(InputError, match="silent"):
        tiny.mix(Multitrack(["a"], torch.zeros(1, 999)), reference)
    with pytest.raises(ValueError, match="refine_steps"):
        tiny.mix(song, reference, refine_steps=-1)


@pytest.mark.parametrize(
    ("tracks", "reference", "options", "message"),
    [
        ((2, 0), (2, 99), {}, "tracks must be"), ((1, 2, 2, 99), (1, 2, 99), {}, "tracks must be"),
        ((1, 2, 99), (1, 3, 99), {}, "reference must be"), ((2, 2, 99), (1, 2, 99), {}, "reference must be"),
        ((3, 99), (2, 99), {"sides": torch.zeros(2)}, "sides must be"),
        ((3, 99), (2, 99), {"mask": torch.ones(4, dtype=torch.bool)}, "mask must be"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(tiny, tracks, reference, options, message):
    with pytest.raises(ValueError, match=message):
        tiny.predict(torch.randn(tracks), torch.randn(reference), **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"encoder": "lstm"}, "encoder"), ({"views": "left"}, "views"), ({"console": "ours"}, "console"), ({"heads": 5}, "5 heads")],
)
def test_configurations_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(dm.ModelConfig.preset("tiny"), **change)
    with pytest.raises(ValueError, match="tiny, small, paper, not 'large'"):
        dm.DiffMST("large")
