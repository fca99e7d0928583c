"""What is learned, without the console: constants, the gap, evidence of stems, features of one's own."""

import pytest
import torch
from model_helpers import TWIN, model

import diffmst_lib as dm
from diffmst_lib.console.table import knob_index
from diffmst_lib.mixing.bus import plain_sum
from diffmst_lib.network.evidence import SIZE


def test_constants_are_those_of_the_examples_and_kept_with_the_weights(noise):
    tiny = model()
    generator = torch.Generator().manual_seed(0)
    stems = noise(4, 2, 20_000) * torch.rand(4, 2, 1, generator=generator)
    references = noise(3, 2, 30_000) * torch.rand(3, 1, 1, generator=generator)
    tiny.standardize(stems, references)
    mid_and_side = torch.stack([stems[:, 0] + stems[:, 1], stems[:, 0] - stems[:, 1]], dim=1) / 2
    heard = tiny.track_encoder.standardize(tiny.track_encoder.statistics(mid_and_side))
    views = torch.stack(
        [references[:, 0] + references[:, 1], references[:, 0] - references[:, 1]], dim=1
    ).flatten(0, 1)
    mixes = tiny.mix_encoder.standardize(tiny.mix_encoder.statistics(views))
    for standardized in (heard, mixes, tiny.style(references)):
        torch.testing.assert_close(
            standardized.mean(dim=0), torch.zeros(standardized.shape[1]), rtol=0, atol=1e-3
        )
    assert "style.standardize.mean" in tiny.state_dict()
    before = tiny.track_encoder.standardize.mean.clone()
    for bad in ((stems[:, 0], references), (stems, references[0]), (stems[:1], references)):
        with pytest.raises(ValueError, match=r"tracks must be \(K, 2, samples\) .* at least two of each"):
            tiny.standardize(*bad)
    assert torch.equal(tiny.track_encoder.standardize.mean, before)


def test_the_plain_sum_is_the_neutral_mix(stems, record):
    """The gap that the controller is given is that of the untrained model's own mix."""
    torch.manual_seed(0)
    untrained = dm.DiffMST("tiny").eval()
    tracks, pans = stems[None], torch.tensor([[0.4, 0.6, 0.5]])
    with torch.no_grad():
        style = untrained.encode_reference(record[None])
        compared = untrained.add_gap(style, plain_sum(tracks, pans))
        mix, _ = untrained(tracks, record[None], pans=pans)
        own = untrained.style(dm.normalize_loudness(mix))
    features, gap = compared.features.chunk(2, dim=-1)
    assert torch.equal(features, style.features)
    torch.testing.assert_close(gap, own - style.features, rtol=0, atol=0.1)


def test_a_model_without_features_has_no_gap_to_listen_to(noise):
    twin = model("paper", **TWIN)
    with pytest.raises(ValueError, match="style=False"):
        twin.add_gap(twin.encode_reference(noise(1, 2, 44100)), noise(1, 2, 44100))
    with pytest.raises(ValueError, match=r"passes=2 .* needs style"):
        model(style=False, evidence=False)


def test_the_mix_of_a_neutral_console_gives_the_evidence_of_the_plain_sum(stems, record):
    tiny, pans = model(), torch.full((1, 3), 0.5)
    style, power = tiny.encode_reference(record[None]), tiny.stem_power(stems[None])
    neutral = dm.ConsoleParams.neutral(["a", "b", "c"])
    neutral = tiny.console_params(
        [torch.logit(part[None].clamp(1e-6, 1 - 1e-6)) for part in neutral.to_unit()]
    )
    mix = plain_sum(stems[None], pans)
    plain, behind = (tiny.compare(style, mix, power, params) for params in (None, neutral))
    assert plain[1].shape == (1, 3, SIZE)
    torch.testing.assert_close(behind[1], plain[1], rtol=0, atol=1e-2)
    quieter = neutral.clone()
    quieter.tracks[0, 1, knob_index("fader_db")] = -12.0
    level = tiny.compare(style, mix, power, quieter)[1][..., -4] - plain[1][..., -4]
    assert level[0, 1] < -0.3 < 0.0 < level[0, 0]  # the level in the mix, in 20 dB


def test_power_leaves_out_what_the_mask_does_even_nan(stems):
    tiny, mask = model(), torch.tensor([[True, False, True]])
    broken = stems[None].clone()
    broken[0, 1] = torch.nan
    power = tiny.stem_power(broken, mask)
    assert (power[0, 1] == 0).all()
    assert torch.equal(power[0, 0], tiny.stem_power(stems[None])[0, 0])
    deaf = model(evidence=False)
    assert deaf.stem_power(broken) is None
    style = deaf.encode_reference(stems[:1])
    assert style.power is None and deaf.compare(style, stems[:1])[1] is None


def test_half_precision_around_it_changes_no_comparison(stems, record):
    tiny = model()
    with torch.no_grad():
        style, power = tiny.encode_reference(record[None]), tiny.stem_power(stems[None])
        mix = plain_sum(stems[None], torch.full((1, 3), 0.5))
        want = tiny.compare(style, mix, power)
        with torch.autocast("cpu", torch.bfloat16):
            found = tiny.compare(style, mix, power)
    assert torch.equal(found[1], want[1]) and torch.equal(found[0].features, want[0].features)


def test_each_stem_hears_its_own_evidence(stems, record):
    """Two equal stems that differ in level get different strips, which their embeddings alone would not say."""
    tiny = model()
    style, power = tiny.encode_reference(record[None]), tiny.stem_power(stems[None])
    compared, of_stems = tiny.compare(style, stems.sum(dim=0)[None], power)
    embeddings, pans = torch.zeros(1, 3, 32), torch.full((1, 3), 0.5)
    strips = tiny.controller_logits(embeddings, compared, pans=pans, evidence=of_stems)[0][0]
    assert (strips[0] - strips[1]).abs().max() > 1e-2
    same = tiny.controller_logits(
        embeddings, compared, pans=pans, evidence=of_stems[:, :1].expand(-1, 3, -1)
    )[0][0]
    torch.testing.assert_close(same[0], same[1], rtol=0, atol=1e-5)


def brightness(x, sample_rate):
    return torch.stack([x.diff(dim=-1).square().mean(dim=(1, 2)), x.abs().mean(dim=(1, 2))], dim=-1)


def test_own_features_stand_behind_the_papers(record):
    dm.register_feature("brightness_and_level", brightness, 1.0)
    tiny = model()
    more = model(features=("brightness_and_level",))
    ours, theirs = (one.style.features(record[None]) for one in (tiny, more))
    assert torch.equal(theirs[:, : ours.shape[1]], ours)
    assert torch.equal(theirs[:, ours.shape[1] :], brightness(record[None], 44100))
    assert more.controller.style_before.in_features == tiny.controller.style_before.in_features + 2 * 2
    with torch.device("meta"):  # as when only shapes are wanted
        assert dm.DiffMST(more.config).style.size == more.style.size


def test_a_feature_that_does_not_fit_is_found_when_the_model_is_built():
    dm.register_feature("length_in_a_test", lambda x, sample_rate: x[:, 0], 1.0)
    with pytest.raises(dm.InputError, match=r"'length_in_a_test' gave .* must not depend on the length"):
        model(features=("length_in_a_test",))
