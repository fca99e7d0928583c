"""DiffMST: size, symmetries, gradients, bad input."""

import math

import pytest
import torch
from model_helpers import TWIN, model

import diffmst_lib as dm
from diffmst_lib import InputError, Multitrack
from diffmst_lib.network.controller import start_console


@pytest.fixture(scope="module")
def tiny():
    return model()


def test_number_of_parameters():
    with torch.device("meta"):
        counts = {
            name: sum(p.numel() for p in dm.DiffMST(name).parameters()) for name in ("tiny", "small", "paper")
        }
        paper = dm.DiffMST("paper")
    assert counts["paper"] == 190_923_982
    assert counts["small"] <= 4_000_000 and counts["tiny"] < 100_000
    assert paper.parameter_counts().to_dict() == {
        "track_encoder": 76_526_400,
        "mix_encoder": 76_526_400,
        "controller": 37_871_182,
        "all": 190_923_982,
    }
    assert paper.track_encoder is not paper.mix_encoder


def test_the_papers_small_twin_runs_on_left_and_right_through_the_reference_console(song, reference):
    twin = model("paper", **TWIN)
    result = twin.mix(song, reference)
    assert result.params.preset == "reference" and torch.isfinite(result.audio).all()
    pans = result.params.values("track")["pan"]
    torch.testing.assert_close(pans[0::2], pans[1::2], rtol=0, atol=0.05)  # left and right look alike to it


def test_untrained_small_is_the_panned_equal_loudness_mix(song, reference):
    torch.manual_seed(0)
    result, panned = dm.DiffMST("small").mix(song, reference), dm.equal_loudness(song, panned=True)
    assert (result.audio - panned.audio).norm() < 0.1 * panned.audio.norm()
    left = result.params.track("kick")["pan"]
    torch.testing.assert_close(
        torch.tensor(left), torch.tensor([0.18, 0.82]), rtol=0, atol=0.01, check_dtype=False
    )


def test_mix_is_what_its_parameters_make_at_the_level_of_mixes(tiny, song, reference):
    result = tiny.mix(song, reference)
    assert result.audio.shape == (2, song.audio.shape[-1]) and result.params.names == song.names
    assert dm.loudness(result.audio) == pytest.approx(-16.0, abs=0.05)
    torch.testing.assert_close(result.remix().audio, result.audio, rtol=0, atol=1e-5)
    assert (result.params.values("track")["send_db"] == -80.0).all()
    assert not tiny.training


def test_mix_leaves_the_model_in_training_and_its_statistics_alone(song, reference):
    twin = model("paper", **TWIN).train()
    before = {k: v.clone() for k, v in twin.state_dict().items()}
    twin.analyze(song, reference)
    assert twin.training and all(torch.equal(before[k], v) for k, v in twin.state_dict().items())
    twin.track_encoder.eval()
    twin.analyze(song, reference)
    assert twin.mix_encoder.blocks[0].training and not twin.track_encoder.blocks[0].training


# Symmetries


def swapped(song):
    """Left and right of every stem exchanged."""
    stems = [i for i, channel in enumerate(song.channels)]
    order = [i + {"left": 1, "right": -1, "mono": 0}[song.channels[i]] for i in stems]
    return Multitrack(song.names, song.audio[order], song.sample_rate, song.channels)


def with_mono(song):
    return Multitrack(
        [*song.names, "bass"], torch.cat([song.audio, song.audio[:1].roll(999, -1)]), song.sample_rate
    )


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


def test_a_song_of_mono_stems_keeps_its_sides_in_the_mirror(tiny, reference, noise):
    """The exception: nothing in such a song is left or right, so names say who goes where."""
    song = Multitrack(["b", "a", "c"], noise(3, 30_000))
    mix, mirror = tiny.mix(song, reference).audio, tiny.mix(song, reference.flip(0)).audio
    assert (mirror.flip(0) - mix).norm() > 0.1 * mix.norm()
    order = torch.tensor([2, 0, 1])
    again = tiny.mix(Multitrack(["c", "b", "a"], song.audio[order]), reference).audio
    torch.testing.assert_close(again, mix, rtol=0, atol=1e-5)


def test_a_silent_stereo_stem_does_not_put_mono_stems_in_the_middle(reference, noise):
    audio = torch.cat([noise(4, 30_000), torch.zeros(2, 30_000)])
    result = dm.DiffMST("tiny").mix(Multitrack(["a", "b", "c", "d", "e.L", "e.R"], audio), reference)
    assert dm.features.stereo_width(result.audio) > 0.1


@pytest.mark.parametrize("names", [["b", "a", "d", "c"], ["t1", "t2", "t10", "t3"]])
def test_untrained_mono_songs_are_the_panned_equal_loudness_mix_too(reference, noise, names):
    song = Multitrack(names, noise(4, 44_100))
    mix, panned = dm.DiffMST("tiny").mix(song, reference).audio, dm.equal_loudness(song, panned=True).audio
    assert (mix - panned).norm() < 0.05 * panned.norm()


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
        torch.stack([tracks, padded]),
        torch.stack([reference, reference]),
        sides=torch.stack([sides, sides]),
        mask=torch.tensor([[True] * 6, [True] * 4 + [False] * 2]),
    )
    alone = tiny.predict(tracks[:4], reference, sides=sides[:4])
    for ours, theirs in ((batch[0], want), (batch[1], alone)):
        n = len(theirs.names)
        for a, b in zip(ours.to_unit(), theirs.to_unit(), strict=True):
            torch.testing.assert_close(a[:n] if a.ndim == 2 else a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("junk", [1.0, math.nan])
@pytest.mark.parametrize("name", ["ours", "the paper's, in training"])
def test_mix_of_a_batch_leaves_out_the_padding(tiny, song, reference, name, junk):
    tracks, _ = dm.normalize_tracks(song.audio[:, :44_100], tiny.config.track_lufs)
    tracks, reference = tracks[None], dm.normalize_loudness(reference)[None]
    padded = torch.cat([tracks, torch.full_like(tracks[:, :1], junk)], dim=1)
    tiny = tiny if name == "ours" else model("paper", **TWIN).train()
    want, _ = tiny(tracks, reference)
    found, _ = tiny(padded, reference, mask=torch.tensor([[True] * 6 + [False]]))
    torch.testing.assert_close(found, want, rtol=0, atol=1e-5)


# Gradients


@pytest.mark.parametrize("seed", [0, 1])
def test_every_weight_of_a_training_step_has_a_finite_gradient(song, reference, seed):
    tiny = model(seed=seed).train()
    tracks, _ = dm.normalize_tracks(song.audio, tiny.config.track_lufs)
    tracks = torch.cat([tracks, torch.zeros(1, tracks.shape[-1])])[None]
    sides = torch.tensor([[*song.sides(), 0.0]])
    mix, _ = tiny(
        tracks, dm.normalize_loudness(reference)[None], sides=sides, mask=torch.tensor([[True] * 6 + [False]])
    )
    dm.audio_feature_loss(mix, reference[None])["total"].mean().backward()
    unused = {
        "controller.fx_bus_token",
        "controller.heads.fx_bus.0.weight",
        "controller.heads.fx_bus.0.bias",
        "controller.heads.fx_bus.2.weight",
        "controller.heads.fx_bus.2.bias",
    }
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
    views = torch.stack(
        [references[:, 0] + references[:, 1], references[:, 0] - references[:, 1]], dim=1
    ).flatten(0, 1)
    mixes = tiny.mix_encoder.standardize(tiny.mix_encoder.statistics(views))
    for standardized in (heard, mixes, tiny.style(references)[0]):
        torch.testing.assert_close(
            standardized.mean(dim=0), torch.zeros(standardized.shape[1]), rtol=0, atol=1e-3
        )
    assert "style.standardize.mean" in tiny.state_dict()
    model("paper", **TWIN).standardize(tracks, references)
    before = tiny.track_encoder.standardize.mean.clone()
    for bad in ((tracks[0], references), (tracks, references[0]), (tracks[:1], references)):
        with pytest.raises(ValueError, match="at least two of each"):
            tiny.standardize(*bad)
    assert torch.equal(tiny.track_encoder.standardize.mean, before)


# Bad input


def test_nan_is_refused_by_the_name_of_the_track(tiny, song, reference):
    audio = song.audio.clone()
    audio[3, 7] = math.nan
    with pytest.raises(InputError, match=f"track {song.names[3]} holds NaN"):
        tiny.mix(Multitrack(song.names, audio), reference)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (torch.zeros(2, 999), "silent"),
        (torch.randn(1, 999), "1 channel"),
        (torch.full((2, 9), math.nan), "NaN"),
        (None, "NoneType"),
    ],
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
        ((2, 0), (2, 99), {}, "tracks must be"),
        ((1, 2, 2, 99), (1, 2, 99), {}, "tracks must be"),
        ((1, 2, 99), (1, 3, 99), {}, "reference must be"),
        ((2, 2, 99), (1, 2, 99), {}, "reference must be"),
        ((3, 99), (2, 99), {"sides": torch.zeros(2)}, "sides must be"),
        ((3, 99), (2, 99), {"mask": torch.ones(4, dtype=torch.bool)}, "mask must be"),
        ((3, 99), (2, 99), {"mask": torch.ones(3, dtype=torch.int64)}, "mask must be a tensor of torch.bool"),
        ((3, 99), (2, 99), {"mask": torch.zeros(3, dtype=torch.bool)}, "mask leaves out every track"),
    ],
)
def test_shapes_and_masks_that_do_not_fit_are_refused(tiny, tracks, reference, options, message):
    with pytest.raises(ValueError, match=message):
        tiny.predict(torch.randn(tracks), torch.randn(reference), **options)


@pytest.mark.parametrize("kind", ["float64", "numpy", "list"])
def test_tensors_of_another_type_are_refused(tiny, noise, kind):
    x = {"float64": noise(2, 99).double(), "numpy": noise(2, 99).numpy(), "list": noise(2, 99).tolist()}[kind]
    for tracks, reference in ((x, noise(2, 99)), (noise(2, 99), x)):
        with pytest.raises(ValueError, match=r"must be a tensor of torch.float32"):
            tiny.predict(tracks, reference)


def test_nan_in_tensors_is_told_as_what_it_is(tiny, noise):
    broken = noise(2, 999)
    broken[0, 5] = math.nan
    for tracks, reference in ((broken, noise(2, 999)), (noise(2, 999), broken)):
        with pytest.raises(ValueError, match="network gives NaN: a track, the reference or a weight"):
            tiny.predict(tracks, reference)


def test_sides_may_be_a_list(tiny, song, reference):
    tracks, _ = dm.normalize_tracks(song.audio, tiny.config.track_lufs)
    want = tiny.predict(tracks, reference, sides=torch.tensor(song.sides()))
    assert torch.equal(tiny.predict(tracks, reference, sides=song.sides()).tracks, want.tracks)
    batch = tiny.predict(tracks[None], reference[None], sides=[song.sides()])
    assert torch.equal(batch[0].tracks, want.tracks)


def test_the_plain_sum_is_the_neutral_mix(song, reference):
    """The gap that the controller is given is that of the untrained model's own mix."""
    torch.manual_seed(0)
    untrained = dm.DiffMST("tiny").eval()
    tracks, _ = dm.normalize_tracks(song.audio, -30.0)
    tracks, sides, record = tracks[None], torch.tensor([song.sides()]), dm.normalize_loudness(reference)[None]
    with torch.no_grad():
        style = untrained.encode_reference(record)
        compared = untrained.add_gap(style, untrained.plain_sum(tracks, sides))
        mix, _ = untrained(tracks, record, sides=sides)
        own, mirrored = untrained.style(dm.normalize_loudness(mix))
    assert compared.features.shape == (1, 108)
    torch.testing.assert_close(compared.features[:, :54], style.features)
    torch.testing.assert_close(compared.features[:, 54:], own - style.features, rtol=0, atol=0.1)
    torch.testing.assert_close(compared.mirrored[:, 54:], mirrored - style.mirrored, rtol=0, atol=0.1)


def test_the_plain_sum_leaves_out_what_the_mask_does(noise):
    tiny, tracks, sides = model(), noise(1, 3, 44100), torch.tensor([[-1.0, 1.0, 0.5]])
    tracks[0, 2] = float("nan")
    masked = tiny.plain_sum(tracks, sides, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(masked, tiny.plain_sum(tracks[:, :2], sides[:, :2]))


def test_a_model_without_features_has_no_gap_to_listen_to(noise):
    twin = model("paper", **TWIN)
    with pytest.raises(ValueError, match="style=False"):
        twin.add_gap(twin.encode_reference(noise(1, 2, 44100)), noise(1, 2, 44100))
    with pytest.raises(ValueError, match=r"passes=2 .* needs style"):
        model(style=False)


def test_another_pass_corrects_the_console(noise):
    """The first console stands unless told otherwise; what is added to its logits is the answer to its own mix."""
    tiny, tracks, record = model(), 0.3 * noise(1, 3, 44100), noise(1, 2, 44100, seed=1)
    sides = torch.tensor([[-1.0, 1.0, 0.5]])
    with torch.no_grad():
        style, embeddings = tiny.encode_reference(record), tiny.encode_tracks(tracks)
        once = tiny.console_logits(embeddings, style, tracks, sides=sides, passes=1)
        first = tiny.controller_logits(
            embeddings, tiny.add_gap(style, tiny.plain_sum(tracks, sides)), sides=sides
        )
        assert all(torch.equal(a, b) for a, b in zip(once[1:], first[1:], strict=True))
        assert torch.equal(once[0][..., :-1], first[0][..., :-1])
        mix = tiny.console(tracks, tiny.console_params(once), fx_bus=False).mix
        answer = tiny.controller_logits(embeddings, tiny.add_gap(style, mix), sides=sides)
        neutral = start_console(sides)
        expected = [a + b - n for a, b, n in zip(once, answer, neutral, strict=True)]
        twice = tiny.console_logits(embeddings, style, tracks, sides=sides)
    torch.testing.assert_close(twice[2], expected[2], rtol=0, atol=1e-4)
    torch.testing.assert_close(twice[0][..., :-1], expected[0][..., :-1], rtol=0, atol=1e-4)
    assert (twice[0][..., -1] == -torch.inf).all() and (
        tiny.console_params(twice).tracks[..., -1] == -80
    ).all()
    assert not torch.allclose(twice[0], once[0], atol=1e-1)
    for deaf, passes in ((tiny, 0), (model(passes=0), 2)):
        with pytest.raises(ValueError, match="passes cannot be"):
            deaf.predict(tracks, record, passes=passes)


def test_gradients_reach_the_network_by_the_last_pass_alone(noise):
    tiny, tracks, record = model(), 0.3 * noise(1, 3, 44100), noise(1, 2, 44100, seed=1)
    for passes in (1, 2):
        seen = []
        handle = tiny.controller.register_forward_hook(
            lambda *_, seen=seen: seen.append(torch.is_grad_enabled())
        )
        tiny.predict(tracks, record, passes=passes)
        handle.remove()
        assert seen == [False, False] * (passes - 1) + [True, True]


def test_gradients_of_a_second_pass_are_finite_and_reach_the_network():
    tiny = model().train()
    for reference in (
        torch.zeros(1, 2, 22050),
        torch.ones(1, 2, 22050),
        torch.randn(1, 1, 22050) * torch.tensor([1.0, -1.0])[:, None],
    ):
        mix, _ = tiny(
            torch.stack([torch.zeros(2, 22050), 0.1 * torch.randn(2, 22050)], dim=1).view(1, 4, 22050),
            reference,
        )
        tiny.zero_grad()
        dm.audio_feature_loss(dm.normalize_loudness(mix), reference)["total"].backward()
        grads = [p.grad for p in tiny.parameters() if p.grad is not None]
        assert (
            all(torch.isfinite(grad).all() for grad in grads)
            and max(float(grad.abs().max()) for grad in grads) > 0
        )
