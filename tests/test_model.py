"""DiffMST: size, symmetries, batches, gradients, passes, bad input."""

import math

import pytest
import torch
from mix_helpers import mono_song
from model_helpers import TWIN, model

import diffmst_lib as dm
from diffmst_lib import InputError, Multitrack
from diffmst_lib.audio.spreading import spread_pans
from diffmst_lib.console.table import knob_index
from diffmst_lib.mixing.bus import plain_sum
from diffmst_lib.network.controller import start_console

SEND = knob_index("send_db")
# Untrained networks do not come nearer, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:the mix is farther from its record")


@pytest.fixture(scope="module")
def tiny():
    return model()


def same_console(ours, theirs, atol=1e-6):
    for a, b in zip(ours.to_unit(), theirs.to_unit(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


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


def test_the_papers_small_twin_takes_channels_through_the_reference_console(song, reference):
    result = model("paper", **TWIN).mix(song, reference)
    assert result.params.preset == "reference" and torch.isfinite(result.audio).all()
    assert result.params.names == song.as_channels()[0] and "kick.L" in result.params.names
    pans = result.params.values("track")["pan"]
    torch.testing.assert_close(pans[0::2], pans[1::2], rtol=0, atol=0.05)  # left and right look alike to it
    assert list(result.stems()) == song.names


def test_untrained_small_is_the_song_as_it_was_delivered(song, reference):
    torch.manual_seed(0)
    result, plain = dm.DiffMST("small").mix(song, reference), dm.unity(song)
    assert (result.audio - plain.audio).norm() < 0.1 * plain.audio.norm()
    knobs = result.params.values("track")
    assert knobs["pan"].tolist() == pytest.approx([0.5] * 3, abs=1e-4)
    assert knobs["width"].tolist() == pytest.approx([1.0] * 3, abs=1e-3)
    assert max(knobs["input_gain_db"]) - min(knobs["input_gain_db"]) < 1e-2  # one trim for the whole song


def test_mix_is_what_its_parameters_make_at_the_level_of_mixes(tiny, song, reference):
    result = tiny.mix(song, reference)
    assert result.audio.shape == (2, song.audio.shape[-1]) and result.params.names == song.names
    assert dm.loudness(result.audio) == pytest.approx(-16.0, abs=0.05)
    torch.testing.assert_close(result.remix().audio, result.audio, rtol=0, atol=1e-5)
    assert (result.params.values("track")["send_db"] == -60.0).all()
    assert torch.equal(result.reference, reference) and result.history is None
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


@pytest.fixture(scope="module")
def of_five(song, noise):
    """The song with two mono stems more."""
    more = noise(2, song.audio.shape[-1], seed=4)[:, None].repeat(1, 2, 1)
    return Multitrack([*song.names, "shaker", "bass"], torch.cat([song.audio, more]), song.sample_rate)


def test_permuted_stems_give_the_same_mix(tiny, of_five, reference):
    order = [3, 1, 0, 4, 2]
    mixed_up = Multitrack([of_five.names[i] for i in order], of_five.audio[order], of_five.sample_rate)
    want, found = tiny.mix(of_five, reference), tiny.mix(mixed_up, reference)
    torch.testing.assert_close(found.audio, want.audio, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.params.tracks, want.params.tracks[order], rtol=1e-5, atol=1e-3)


def test_names_of_stems_do_not_matter_to_the_network(tiny, of_five, reference):
    renamed = Multitrack(list("vwxyz"), of_five.audio, of_five.sample_rate)
    assert torch.equal(tiny.mix(renamed, reference).audio, tiny.mix(of_five, reference).audio)


def test_untrained_models_treat_left_and_right_alike(of_five, reference):
    fresh, swapped = dm.DiffMST("tiny"), Multitrack(of_five.names, of_five.audio.flip(1))
    want, found = fresh.mix(of_five, reference), fresh.mix(swapped, reference)
    torch.testing.assert_close(found.audio.flip(0), want.audio, rtol=0, atol=1e-5)


def test_a_song_of_mono_stems_starts_spread_whatever_their_order_and_names(reference, noise):
    fresh, channels = dm.DiffMST("tiny"), noise(4, 44_100)
    channels[1:] = channels[1:].cumsum(dim=-1).diff(dim=-1, prepend=torch.zeros(3, 1))
    song = mono_song(channels, ["b", "a", "d", "c"])
    result = fresh.mix(song, reference)
    pans = result.params.values("track")["pan"].tolist()
    assert pans == pytest.approx(spread_pans(song.names, song.audio), abs=1e-3)
    assert dm.features.stereo_width(result.audio) > 1e-3
    order = [2, 0, 3, 1]
    again = fresh.mix(mono_song(channels[order], ["t1", "t2", "t10", "t3"]), reference)
    torch.testing.assert_close(again.audio, result.audio, rtol=0, atol=1e-5)


def test_center_says_who_stays_in_the_middle(reference, noise):
    fresh, song = dm.DiffMST("tiny"), mono_song(noise(3, 30_000), ["a", "b", "c"])
    pans = fresh.analyze(song, reference, center=["a", "c"]).values("track")["pan"].tolist()
    assert pans[0] == pytest.approx(0.5, abs=1e-4) == pans[2] and abs(pans[1] - 0.5) > 0.01
    with pytest.raises(InputError, match="center names no stem kick"):
        fresh.mix(song, reference, center=["kick"])


def test_the_sum_reaches_the_master_bus_at_one_level_whatever_the_faders(tiny, stems, record):
    """So the fader of all strips together is no way to drive the compressor."""
    params = tiny.predict(stems, record)
    mixes = []
    for change_db in (0.0, -15.0):
        moved = params.clone()
        moved.tracks[:, knob_index("fader_db")] = change_db
        moved.master_bus["threshold_db"], moved.master_bus["ratio"] = -24.0, 3.0
        mixes.append(tiny.run_console(stems[None], moved, None))
    torch.testing.assert_close(mixes[1], mixes[0], rtol=0, atol=1e-5)


# Batches and masks


def test_padding_and_batch_change_nothing(tiny, stems, record):
    want = tiny.predict(stems, record)
    padded = torch.cat([stems[:2], torch.zeros_like(stems[:1])])
    batch = tiny.predict(
        torch.stack([stems, padded]),
        torch.stack([record, record]),
        pans=torch.full((2, 3), 0.5),
        mask=torch.tensor([[True] * 3, [True] * 2 + [False]]),
    )
    alone = tiny.predict(stems[:2], record)
    for ours, theirs in ((batch[0], want), (batch[1], alone)):
        n = len(theirs.names)
        for a, b in zip(ours.to_unit(), theirs.to_unit(), strict=True):
            torch.testing.assert_close(a[:n] if a.ndim == 2 else a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("junk", [1.0, math.nan])
@pytest.mark.parametrize("name", ["ours", "the paper's, in training"])
def test_mix_of_a_batch_leaves_out_the_padding(tiny, song, stems, record, name, junk):
    ours = name == "ours"
    tracks = (stems if ours else dm.normalize_tracks(song.as_channels()[1], -48.0)[0])[None, ..., :44_100]
    padded = torch.cat([tracks, torch.full_like(tracks[:, :1], junk)], dim=1)
    network = tiny if ours else model("paper", **TWIN).train()
    want, _ = network(tracks, record[None])
    mask = torch.tensor([[True] * tracks.shape[1] + [False]])
    found, _ = network(padded, record[None], mask=mask)
    torch.testing.assert_close(found, want, rtol=0, atol=1e-5)


def test_pans_may_be_a_list_and_are_the_middle_by_default(tiny, stems, record):
    pans = [0.4, 0.5, 0.7]
    want = tiny.predict(stems, record, pans=torch.tensor(pans))
    assert torch.equal(tiny.predict(stems, record, pans=pans).tracks, want.tracks)
    same_console(tiny.predict(stems[None], record[None], pans=[pans])[0], want)
    middle = tiny.predict(stems, record, pans=[0.5] * 3)
    assert torch.equal(tiny.predict(stems, record).tracks, middle.tracks)
    assert (want.values("track")["pan"] - middle.values("track")["pan"])[2] > 0.05


# Gradients


@pytest.mark.parametrize("seed", [0, 1])
def test_every_weight_of_a_training_step_has_a_finite_gradient(stems, record, seed):
    tiny = model(seed=seed).train()
    tracks = torch.cat([stems, torch.zeros_like(stems[:1])])[None]
    mask = torch.tensor([[True] * 3 + [False]])
    mix, _ = tiny(tracks, record[None], pans=[[0.4, 0.6, 0.5, 0.5]], mask=mask)
    dm.audio_feature_loss(mix, record[None])["total"].mean().backward()
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


@pytest.mark.parametrize("scale", [-1e4, 1e4])
def test_extreme_weights_give_finite_mixes_and_gradients(stems, record, scale):
    tiny = model()
    with torch.no_grad():
        for head in tiny.controller.heads.values():
            head[-1].bias.fill_(scale)
    mix, _ = tiny(stems, record)
    mix.square().mean().backward()
    assert torch.isfinite(mix).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in tiny.parameters())


# Bad input


def test_nan_is_refused_by_the_name_of_the_stem(tiny, song, reference):
    audio = song.audio.clone()
    audio[1, 0, 7] = math.nan
    with pytest.raises(InputError, match=f"stem {song.names[1]} holds NaN"):
        tiny.mix(Multitrack(song.names, audio), reference)


def test_other_sample_rates_and_silent_songs_are_refused(tiny, song, reference):
    with pytest.raises(InputError, match="works at 44100 Hz, the song has 48000 Hz"):
        tiny.mix(Multitrack(song.names, song.audio, 48_000), reference)
    with pytest.raises(InputError, match="silent"):
        tiny.mix(Multitrack(["a"], torch.zeros(1, 2, 999)), reference)
    cancelling = torch.stack([song.audio[0], -song.audio[0]])
    with pytest.raises(InputError, match="the stems cancel"):
        tiny.mix(Multitrack(["a", "b"], cancelling), reference)


@pytest.mark.parametrize(
    ("tracks", "reference", "options", "message"),
    [
        ((2, 2, 0), (2, 99), {}, "tracks must be"),
        ((3, 99), (2, 99), {}, r"stereo stems .* for this model, got \(1, 3, 99\)"),
        ((1, 3, 99), (1, 2, 99), {}, "stereo stems"),
        ((1, 2, 2, 2, 99), (1, 2, 99), {}, "tracks must be"),
        ((1, 2, 2, 99), (1, 3, 99), {}, "reference must be"),
        ((2, 2, 2, 99), (1, 2, 99), {}, "reference must be"),
        ((3, 2, 99), (2, 99), {"pans": torch.zeros(2)}, "pans must be"),
        ((3, 2, 99), (2, 99), {"mask": torch.ones(4, dtype=torch.bool)}, "mask must be"),
        (
            (3, 2, 99),
            (2, 99),
            {"mask": torch.ones(3, dtype=torch.int64)},
            "mask must be a tensor of torch.bool",
        ),
        ((3, 2, 99), (2, 99), {"mask": torch.zeros(3, dtype=torch.bool)}, "mask leaves out every track"),
    ],
)
def test_shapes_and_masks_that_do_not_fit_are_refused(tiny, tracks, reference, options, message):
    with pytest.raises(ValueError, match=message):
        tiny.predict(torch.randn(tracks), torch.randn(reference), **options)


def test_stems_are_refused_where_channels_are_wanted(noise):
    with pytest.raises(ValueError, match=r"mono channels .* for this model"):
        model("paper", **TWIN).predict(noise(1, 3, 2, 99), noise(1, 2, 99))


@pytest.mark.parametrize("kind", ["float64", "numpy", "list"])
def test_tensors_of_another_type_are_refused(tiny, noise, kind):
    stems, record = noise(1, 2, 99), noise(2, 99)
    change = {"float64": torch.Tensor.double, "numpy": torch.Tensor.numpy, "list": torch.Tensor.tolist}[kind]
    for given in ((change(stems), record), (stems, change(record))):
        with pytest.raises(ValueError, match=r"must be a tensor of torch.float32"):
            tiny.predict(*given)


def test_nan_in_tensors_is_told_as_what_it_is(tiny, noise):
    for broken in (0, 1):
        given = [noise(2, 2, 999), noise(2, 999)]
        given[broken][0, ..., 5] = math.nan
        with pytest.raises(ValueError, match="network gives NaN: a track, the reference or a weight"):
            tiny.predict(*given)


# Passes


def test_the_plain_sum_of_stems_in_the_middle_is_their_sum(tiny, stems):
    middle = plain_sum(stems[None], torch.full((1, 3), 0.5))
    torch.testing.assert_close(middle[0], stems.sum(dim=0), rtol=0, atol=1e-6)


def test_the_plain_sum_leaves_out_what_the_mask_does(tiny, noise):
    stems, pans = noise(1, 3, 2, 44100), torch.tensor([[0.2, 0.8, 0.6]])
    stems[0, 2] = math.nan
    masked = plain_sum(stems, pans, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(masked, plain_sum(stems[:, :2], pans[:, :2]))


def test_another_pass_corrects_the_console(tiny, noise):
    """The first console stands; what is added to its logits is the answer to its own mix."""
    stems, record = 0.3 * noise(1, 3, 2, 44100), noise(1, 2, 44100, seed=1)
    pans = torch.tensor([[0.4, 0.6, 0.55]])
    but_sends = [i for i in range(SEND + 1) if i != SEND]
    with torch.no_grad():
        style, embeddings, power = (
            tiny.encode_reference(record),
            tiny.encode_tracks(stems),
            tiny.stem_power(stems),
        )

        def answer(mix, params=None):
            compared, of_stems = tiny.compare(style, mix, power, params)
            return tiny.controller_logits(embeddings, compared, pans=pans, evidence=of_stems)

        once = tiny.console_logits(embeddings, style, stems, pans=pans, passes=1)
        first = answer(plain_sum(stems, pans))
        assert all(torch.equal(a, b) for a, b in zip(once[1:], first[1:], strict=True))
        assert torch.equal(once[0][..., but_sends], first[0][..., but_sends])
        params = tiny.console_params(once)
        second, neutral = answer(tiny.run_console(stems, params, None), params), start_console(pans)
        expected = [a + b - n for a, b, n in zip(once, second, neutral, strict=True)]
        twice = tiny.console_logits(embeddings, style, stems, pans=pans)
    torch.testing.assert_close(twice[2], expected[2], rtol=0, atol=1e-4)
    torch.testing.assert_close(twice[0][..., but_sends], expected[0][..., but_sends], rtol=0, atol=1e-4)
    assert (twice[0][..., SEND] == -torch.inf).all()
    assert (tiny.console_params(twice).values("track")["send_db"] == -60).all()
    assert not torch.allclose(twice[0], once[0], atol=1e-1)
    for deaf, passes in ((tiny, 0), (model(passes=0, evidence=False), 2)):
        with pytest.raises(ValueError, match="passes cannot be"):
            deaf.predict(stems, record, passes=passes)


def test_gradients_reach_the_network_by_the_last_pass_alone(tiny, noise):
    for passes in (1, 2):
        seen = []
        handle = tiny.controller.register_forward_hook(
            lambda *_, seen=seen: seen.append(torch.is_grad_enabled())
        )
        tiny.predict(0.3 * noise(1, 3, 2, 44100), noise(1, 2, 44100, seed=1), passes=passes)
        handle.remove()
        assert seen == [False] * (passes - 1) + [True]


def test_gradients_of_a_second_pass_are_finite_and_reach_the_network(noise):
    tiny, sound = model().train(), noise(1, 2, 22050)
    for reference in (
        torch.zeros(1, 2, 22050),
        torch.ones(1, 2, 22050),
        torch.stack([sound[:, 0], -sound[:, 0]], 1),
    ):
        for silent_too in (False, True):
            stems = torch.stack([sound, torch.zeros_like(sound) if silent_too else sound.flip(-1)], dim=1)
            mix, _ = tiny(stems, reference)
            tiny.zero_grad()
            dm.audio_feature_loss(dm.normalize_loudness(mix), reference)["total"].backward()
            grads = [p.grad for p in tiny.parameters() if p.grad is not None]
            assert all(torch.isfinite(grad).all() for grad in grads)
            assert max(float(grad.abs().max()) for grad in grads) > 0
