"""Features of the user's own: in losses, tables and conditioning, and what is refused in one line."""

import math

import pytest
import torch
from odd_sounds import noise

import diffmst_lib as dm
from diffmst_lib import InputError, audio_feature_loss, audio_features, loss_table, losses, register_feature
from diffmst_lib.style.features import feature_size, flat_features
from diffmst_lib.style.own_features import FEATURES, SHAPES, own_features

FIVE = list(SHAPES)


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(FEATURES, "added", {})


def peak(x, sample_rate):
    return x.abs().amax(dim=(1, 2))  # (B,)


def halves(x, sample_rate):
    """The energy of the first and of the second half, of each channel: (B, 2, 2)."""
    return torch.stack([half.square().mean(-1) for half in x.tensor_split(2, dim=-1)], dim=-1)


def test_an_own_term_is_its_weighted_mean_square():
    x, y = noise(3, 2, 9000), 0.5 * noise(3, 2, 9000, seed=1)
    own = {"peak": (peak, 0.3), "halves": (halves, 7)}
    terms, five = audio_feature_loss(x, y, features=own), audio_feature_loss(x, y)
    assert list(terms) == [*FIVE, "peak", "halves", "total"]
    for name, function, weight in (("peak", peak, 0.3), ("halves", halves, 7)):
        expected = weight * (function(x, 44100) - function(y, 44100)).square().mean()
        torch.testing.assert_close(terms[name], expected)
    assert {name: terms[name] for name in FIVE} == {name: five[name] for name in FIVE}
    torch.testing.assert_close(terms["total"], five["total"] + terms["peak"] + terms["halves"])


def test_an_own_feature_gets_a_batch_and_the_sample_rate():
    calls = []

    def feature(x, sample_rate):
        calls.append((tuple(x.shape), x.dtype, sample_rate))
        return x.mean(dim=(1, 2))

    single = audio_features(noise(2, 900), sample_rate=48000, features={"mine": (feature, 1)})
    batch = audio_features(noise(3, 2, 900).half(), sample_rate=48000, features={"mine": (feature, 1)})
    assert calls == [((1, 2, 900), torch.float32, 48000), ((3, 2, 900), torch.float32, 48000)]
    assert single["mine"].shape == (1,) and batch["mine"].shape == (3, 1)


def test_a_batch_is_the_mean_of_its_mixes_and_one_reference_serves_it():
    own = {"halves": (halves, 100.0), "peak": (peak, 1.0)}
    mixes, record = noise(3, 2, 9000) * torch.tensor([0.1, 1.0, 2.0])[:, None, None], noise(2, 9000, seed=1)
    alone = [audio_feature_loss(mix, record, features=own) for mix in mixes]
    whole = audio_feature_loss(mixes, record, features=own)
    features = [audio_features(x, features=own) for x in (mixes, record)]
    each = losses.feature_distance(*features, each=True, features=own)
    for name in whole:
        torch.testing.assert_close(each[name], torch.stack([terms[name] for terms in alone]))
        torch.testing.assert_close(whole[name], each[name].mean())


@pytest.mark.parametrize("batched", [False, True])
def test_a_loss_of_own_features_alone(batched):
    off = dict.fromkeys(FIVE, (None, 0))
    x, y = noise(3, 2, 900), noise(3, 2, 900, seed=1)
    x, y = (x, y) if batched else (x[0], y[0])
    own = off | {"halves": (halves, 2.0)}
    measured = [audio_features(z, features=own) for z in (x, y)]
    assert [list(features) for features in measured] == [["halves"]] * 2
    terms = losses.feature_distance(*measured, each=True, features=own)
    assert list(terms) == ["halves", "total"] and terms["total"].shape == ((3,) if batched else ())
    with pytest.raises(InputError, match="every term of the audio-feature loss is switched off"):
        audio_feature_loss(x, y, features=off)


def test_one_of_the_five_is_replaced_reweighted_or_switched_off():
    x, y = noise(2, 9000), 0.5 * noise(2, 9000, seed=1)
    five = audio_feature_loss(x, y)
    terms = audio_feature_loss(
        x, y, features={"rms": (peak, 2.0), "stereo_width": (None, 5.0), "bark_spectrum": (None, 0)}
    )
    assert list(terms) == [name for name in five if name != "bark_spectrum"]
    torch.testing.assert_close(terms["rms"], 2 * (x.abs().max() - y.abs().max()) ** 2)
    torch.testing.assert_close(terms["stereo_width"], 5 * five["stereo_width"])
    assert terms["crest_factor"] == five["crest_factor"]
    torch.testing.assert_close(terms["total"], sum(terms[name] for name in list(terms)[:-1]))
    never = {"rms": (lambda x, sample_rate: 1 / 0, 0)}
    assert "rms" not in audio_features(x, features=never)


def test_a_registered_feature_is_found_by_its_name():
    register_feature("peak", peak, 0.3)
    x, y = noise(2, 900), noise(2, 900, seed=1)
    named = audio_feature_loss(x, y, features=["peak"])
    assert named == audio_feature_loss(x, y, features=("peak",))
    assert named == audio_feature_loss(x, y, features={"peak": (peak, 0.3)})
    assert "peak" not in audio_feature_loss(x, y)  # only who names it gets it
    assert own_features(own_features(["peak"])) == own_features(["peak"])
    with pytest.raises(
        InputError, match=r"no feature is registered as 'bass' \(known: rms, .*, peak\): import"
    ):
        audio_feature_loss(x, y, features=["bass"])


def test_tables_have_the_own_term():
    x, y = noise(2, 9000), noise(2, 9000, seed=1)
    own = {"peak": (peak, 0.3), "crest_factor": (None, 0)}
    table = loss_table({"a": x, "b": 0.5 * y}, y, features=own)
    terms = ["rms", "stereo_width", "stereo_imbalance", "bark_spectrum", "peak"]
    assert table["term"].tolist() == 2 * terms
    row = table.set_index(["mix", "term"]).loc[("b", "peak")]
    assert row["weight"] == 0.3
    assert row["distance"] == pytest.approx((0.5 * y.abs().max().item()) ** 2, rel=1e-5)
    assert row["loss"] == pytest.approx(0.3 * row["distance"])


@pytest.mark.parametrize("autocast", [False, True])
def test_the_gradient_is_that_of_the_feature(autocast):
    x, y = noise(2, 90).double().requires_grad_(), noise(2, 90, seed=1).double()
    own = {"halves": (halves, 1e3), "bark_spectrum": (None, 0)}

    def loss(x):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            return audio_feature_loss(x, y, features=own)["halves"]

    assert torch.autograd.gradcheck(loss, x)


def test_flat_features_have_one_order():
    register_feature("halves", halves, 1.0)
    register_feature("silent", peak, 0)  # in no loss, and yet a network may hear it
    names = ["silent", "halves"]
    x = noise(3, 2, 9000) * torch.tensor([[1.0], [0.4]])
    f = audio_features(x)
    image, bands = torch.stack([f["stereo_width"], f["stereo_imbalance"]], -1), f["bark_spectrum"]
    parts = [f["rms"], f["crest_factor"], image, bands[..., 0], bands[..., 1]]
    parts += [peak(x, 44100)[:, None], halves(x, 44100).flatten(1)]
    flat = flat_features(x, 44100, names)
    assert torch.equal(flat, torch.cat(parts, dim=-1))
    torch.testing.assert_close(flat_features(x[1], 44100, names), flat[1])
    assert feature_size(names) == flat.shape[-1] == 54 + 1 + 4
    assert feature_size() == flat_features(x).shape[-1] == 54


X = noise(3, 2, 900)
REFUSED = {
    "not a tensor": (lambda x, sample_rate: 0.5, "'mine' must return a tensor, got float"),
    "a scalar": (lambda x, sample_rate: x.mean(), r"for each of 3 sounds.* got \(\)"),
    "another batch": (lambda x, sample_rate: x.mean(dim=(0, 2)), r"for each of 3 sounds.* got \(2,\)"),
    "no numbers": (lambda x, sample_rate: x[:, 0, :0], r"for each of 3 sounds.* got \(3, 0\)"),
    "whole numbers": (lambda x, sample_rate: x.argmax(-1), "must return floating point, got torch.int64"),
    "NaN": (lambda x, sample_rate: (x - 9).log().mean(dim=(1, 2)), "'mine' gave NaN or infinity"),
    "infinity": (lambda x, sample_rate: (0 * x).log().mean(dim=(1, 2)), "'mine' gave NaN or infinity"),
    "an error of its own": (
        lambda x, sample_rate: x.view(7, 7),
        "'mine' fails: RuntimeError: .* invalid for input",
    ),
    "one argument": (lambda x: x, r"'mine' must take two arguments, \(x, sample_rate\)"),
    "no function": (3, r"'mine' must be a function of \(x, sample_rate\), not 3"),
    "ours of another name": (None, r"'mine' must be a function of \(x, sample_rate\), not None"),
}


@pytest.mark.parametrize(("function", "line"), REFUSED.values(), ids=REFUSED)
def test_a_feature_that_does_not_fit_is_one_line(function, line):
    with pytest.raises(InputError, match=line) as error:
        audio_feature_loss(X, X, features={"mine": (function, 1.0)})
    assert "\n" not in f"{error.value}"


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf, "1", None, True, torch.tensor(1.0)])
def test_a_weight_is_a_number_from_0_on(weight):
    for call in (
        lambda: register_feature("mine", peak, weight),
        lambda: audio_feature_loss(X, X, features={"mine": (peak, weight)}),
        lambda: audio_feature_loss(X, X, features={"rms": (None, weight)}),
    ):
        with pytest.raises(InputError, match=r"the weight of feature '.*' must be a number from 0 on"):
            call()
    assert not FEATURES.added


@pytest.mark.parametrize(
    ("features", "line"),
    [
        ("peak", "features are"),
        ({"peak"}, "features are"),
        (7, "features are"),
        ({"mine": peak}, r"'mine' must be \(function, weight\), not <function"),
        ({"mine": (peak,)}, r"'mine' must be \(function, weight\)"),
        ({"total": (peak, 1)}, "a feature cannot be called 'total'"),
        ({3: (peak, 1)}, "a feature cannot be called 3"),
        (["rms"], "rms is in the loss already"),
        ([peak], "no feature is registered as <function"),
    ],
)
def test_other_features_are_one_line(features, line):
    with pytest.raises(InputError, match=line):
        audio_feature_loss(X, X, features=features)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("rms", "'rms' is one of ours"),
        ("total", "cannot be called 'total'"),
        ("pull", "cannot be called 'pull'"),
        ("my peak", "must be a word"),
    ],
)
def test_names_that_cannot_be_registered(name, line):
    with pytest.raises(InputError, match=line):
        register_feature(name, peak, 1.0)


def test_a_feature_without_a_gradient_is_refused_where_one_is_needed():
    own = {"mine": (lambda x, sample_rate: x.detach().mean(dim=(1, 2)), 1.0)}
    assert torch.isfinite(audio_feature_loss(X, X, features=own)["total"])
    with pytest.raises(InputError, match="'mine' passes no gradient to its sound"):
        audio_feature_loss(X.clone().requires_grad_(), X, features=own)


def test_a_sound_that_is_not_finite_is_not_the_features_fault():
    broken = X.clone()
    broken[0, 0, 0] = math.nan
    assert audio_features(broken, features={"peak": (peak, 1)})["peak"].isnan().any()


def test_a_feature_whose_size_depends_on_the_length_is_refused():
    def frames(x, sample_rate):
        return x.unfold(-1, 300, 300).square().mean(dim=(1, 3))

    with pytest.raises(InputError, match="'mine' gave 3 numbers for one sound and 2 for another"):
        audio_feature_loss(X, X[..., :600], features={"mine": (frames, 1)})
    register_feature("mine", frames, 1.0)
    with pytest.raises(InputError, match="'mine' gave 73 numbers for one sound and 147 for another"):
        feature_size(["mine"])


def test_distances_need_the_features_that_they_compare():
    measured = audio_features(X)
    with pytest.raises(ValueError, match="got dict without peak"):
        losses.feature_distance(measured, measured, features={"peak": (peak, 1)})


def test_it_is_public():
    assert dm.register_feature is register_feature
