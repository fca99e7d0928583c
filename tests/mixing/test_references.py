"""Records: several with weights are averaged as the loss averages them, and odd ones are told."""

import math
import warnings

import pytest
import torch

from diffmst_lib import DiffMST, InputError, InputNote, audio_feature_loss, optimize_mix, unity
from diffmst_lib.mixing.references import check_reference, mean_features, weighted_records
from diffmst_lib.mixing.whole_song import record_style, reference_style
from diffmst_lib.style.losses import AF_WEIGHTS

RATE = 44100


@pytest.fixture(scope="module")
def second(reference):
    """Another record: narrower, quieter on the left, darker."""
    mid = reference.mean(dim=0, keepdim=True)
    dark = torch.nn.functional.avg_pool1d(0.3 * reference + 0.7 * mid, 9, 1, 4)
    return dark * torch.tensor([[0.5], [0.9]])


def told(reference):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_reference(reference, sample_rate=RATE)
    return [str(one.message) for one in caught]


def test_a_fit_to_the_mean_is_a_fit_to_all(song, reference, second):
    """The weighted losses of two mixes differ by what their losses to the mean differ by."""
    pairs = [(reference, 3.0), (second, 1.0)]
    record = check_reference(pairs, sample_rate=RATE)
    mixes = [song.audio.sum(dim=0), song.audio[0] + 0.3 * song.audio[-1]]
    gaps, means = [], []
    for mix in mixes:
        level = unity_level(mix)
        losses = [audio_feature_loss(level, unity_level(one))["total"].item() for one, _ in pairs]
        gaps.append(0.75 * losses[0] + 0.25 * losses[1])
        means.append(
            sum(
                term.item()
                for name, term in record.terms(level, sample_rate=RATE).items()
                if name in AF_WEIGHTS
            )
        )
    assert gaps[0] - gaps[1] == pytest.approx(means[0] - means[1], rel=1e-3, abs=1e-5)
    assert abs(means[0] - means[1]) > 0.01 and gaps[0] > means[0] + 1e-3


def unity_level(mix):
    from diffmst_lib import normalize_loudness

    return normalize_loudness(mix, -16.0)


def test_weights_count_by_their_shares(reference, second):
    one = check_reference([(reference, 0.6), (second, 0.2)], sample_rate=RATE)
    other = check_reference([(second, 10), (reference, 30)], sample_rate=RATE)
    assert one.weights == pytest.approx([0.75, 0.25]) and other.weights == [0.25, 0.75]
    assert one.audio is other.audio is reference or torch.equal(one.audio, other.audio)
    for name, value in one.features.items():
        torch.testing.assert_close(value, other.features[name])


def test_equal_weights_and_a_record_alone(reference, second):
    alone = check_reference(reference, sample_rate=RATE)
    listed = check_reference([reference], sample_rate=RATE)
    assert alone.weighted()[0][1] == 1.0 and torch.equal(alone.weighted()[0][0], reference)
    both = check_reference([reference, second], sample_rate=RATE)
    assert both.weights == [0.5, 0.5] and torch.equal(both.audio, reference)
    other = check_reference(second, sample_rate=RATE)
    for name, value in alone.features.items():
        assert torch.equal(value, listed.features[name])
        torch.testing.assert_close(both.features[name], (value + other.features[name]) / 2)


def test_own_features_are_averaged_and_must_fit():
    features = mean_features([{"peak": torch.tensor([1.0])}, {"peak": torch.tensor([3.0])}], [0.5, 0.5])
    assert features["peak"].tolist() == [2.0]
    with pytest.raises(InputError, match="feature 'peak' gave"):
        mean_features([{"peak": torch.zeros(1)}, {"peak": torch.zeros(2)}], [0.5, 0.5])


@pytest.mark.parametrize("weight", [0, -1.0, math.nan, math.inf, "0.5", True, None])
def test_weights_are_numbers_above_0(reference, weight):
    with pytest.raises(
        InputError, match=r"^the weight of reference 2 must be a number above 0, not"
    ) as caught:
        weighted_records([reference, (reference, weight)])
    assert caught.value.about == "reference"


def test_an_empty_list_is_refused():
    with pytest.raises(InputError, match="no record in the list"):
        check_reference([], sample_rate=RATE)


def test_of_several_the_bad_one_is_named(reference):
    for bad, says in (
        (torch.zeros(2, RATE), "is silent"),
        (reference[:, :99], "s long, at least"),
        ("a.wav", "is a str"),
    ):
        with pytest.raises(InputError, match=rf"^reference 2 {says}|^reference 2 is .* {says}") as caught:
            check_reference([reference, bad], sample_rate=RATE)
        assert caught.value.about == "reference 2"


def test_a_record_given_twice_is_told(reference, second):
    assert told([reference, second, reference.clone()]) == [
        "references 1 and 3 are the same sound: their weights add up"
    ]
    assert not told([reference, second])


def test_a_record_shorter_than_a_second_is_told(noise):
    x = noise(2, RATE)
    assert told(x) == []
    assert told(x[:, : RATE // 2])[0].startswith("the reference is only 0.50 s long: ")


def test_a_loud_and_limited_record_is_told_with_its_numbers(noise):
    soft = 0.1 * noise(2, 2 * RATE) + 0.1 * noise(1, 2 * RATE, seed=5)
    assert told(soft) == []
    limited = (20.0 * soft).clamp(-0.9, 0.9)
    assert [one.startswith("the reference is very loud and heavily limited: ") for one in told(limited)] == [
        True
    ]
    assert "LUFS, its true peak only" in told(limited)[0] and "dB above that (PLR)" in told(limited)[0]
    assert told(0.1 * limited) == []  # turned down
    assert told(60.0 * soft**3) == []  # loud, with all its peaks: a float file


def test_a_mix_after_two_records(song, reference, second):
    """The result keeps both, its loss is to their mean, and the report's column is their mean."""
    pairs = [(second, 1.0), (reference, 3.0)]
    result = optimize_mix(song.excerpt(0, 1), pairs, steps=1, fit_seconds=1)
    record = check_reference(pairs, sample_rate=RATE)
    want = record.distance(result.audio, result.loudness_lufs, sample_rate=RATE)
    assert result.total == pytest.approx(want["total"], rel=1e-5)
    assert torch.equal(result.reference, reference) and [w for _, w in result.references] == [0.25, 0.75]
    columns = [unity(result.song, reference=one).report().mix["reference"] for one in (second, reference)]
    rows = ["loudness_lufs", "plr_db", "width_db", "correlation"]
    means = result.report().mix["reference"][rows]
    assert means.tolist() == pytest.approx((0.25 * columns[0] + 0.75 * columns[1])[rows].tolist(), abs=1e-6)
    again = result.remix()
    assert again.report().mix.loc["loss", "mix"] == pytest.approx(result.total, rel=1e-3)


def test_a_network_hears_the_mean_style(reference, second):
    model = DiffMST("tiny").eval()
    with torch.no_grad():
        whole = record_style(model, check_reference([(reference, 3), (second, 1)], sample_rate=RATE))
        parts = [reference_style(model, one) for one in (reference, second)]
    for name in ("embeddings", "features"):
        first, other = (getattr(part, name) for part in parts)
        assert (first - other).abs().max() > 1e-3
        torch.testing.assert_close(getattr(whole, name), 0.75 * first + 0.25 * other)


def test_a_network_mixes_after_two_records(song, reference, second):
    model = DiffMST("tiny").eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        mixes = [
            model.mix(song.excerpt(0, 1), one).audio for one in ([reference, second], [second, reference])
        ]
    assert torch.allclose(*mixes, atol=1e-5)
