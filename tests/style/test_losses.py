"""Losses: floors and ceilings, tables, batches, precision, inputs at the edge."""

import math
import subprocess
import sys

import pandas as pd
import pytest
import torch
import torch.utils.checkpoint
from odd_sounds import EDGES, noise

from diffmst_lib import (
    audio_feature_loss,
    audio_features,
    data_dir,
    equal_loudness,
    load_audio,
    load_multitrack,
    loss_table,
    mrstft_loss,
    mrstft_table,
    normalize_loudness,
)
from diffmst_lib.style import losses

TERMS = ["rms", "crest_factor", "stereo_width", "stereo_imbalance", "bark_spectrum"]


@pytest.fixture(scope="module")
def records():
    folder = data_dir() / "references"
    return [
        normalize_loudness(load_audio(folder / f"{name}.ogg"))
        for name in ("vibe_ace", "its_simple", "coherence")
    ]


def test_loss_is_zero_for_itself_symmetric_and_grows_with_the_difference():
    x, y = noise(2, 60_000), noise(2, 60_000, seed=1) * torch.tensor([[1.0], [0.3]])
    assert audio_feature_loss(x, x)["total"] == 0
    assert audio_feature_loss(x, y)["total"] == pytest.approx(audio_feature_loss(y, x)["total"].item())
    near, far = (audio_feature_loss(x, x * g)["total"] for g in (0.9, 0.3))
    assert 0 < near < far


def test_terms_add_up_and_lengths_may_differ():
    terms = audio_feature_loss(noise(2, 50_000), noise(2, 70_000, seed=1))
    assert list(terms) == [*TERMS, "total"]
    assert terms["total"] == pytest.approx(sum(v for k, v in terms.items() if k != "total").item())


def test_a_copy_6_db_down_scores_0_048(records):
    copy = audio_feature_loss(records[0] * 10 ** (-6 / 20), records[0], preset="reference")["bark_spectrum"]
    assert copy == pytest.approx(0.1 * math.log(10 ** (6 / 20)) ** 2, rel=1e-3)


def test_mono_is_33_in_the_reference_and_of_the_size_of_other_terms_in_the_default(records):
    """Table 2 of the paper: 33.3 for the equal-loudness mix, a mono sum in both channels."""
    song = load_multitrack(data_dir() / "multitracks" / "caesium")
    mix = normalize_loudness(equal_loudness(song).audio, -22.0)
    assert torch.equal(mix[0], mix[1])
    released = [audio_feature_loss(mix, record, preset="reference")["bark_spectrum"] for record in records]
    assert 28 < sum(released).item() / 3 < 36
    for record in records:
        assert 0.5 < audio_feature_loss(mix, record)["bark_spectrum"] < 3


def test_records_out_of_reach_are_at_a_moderate_distance(records):
    for record in records:
        mono = normalize_loudness(record.mean(dim=0, keepdim=True).repeat(2, 1))
        assert (
            audio_feature_loss(record, mono)["total"]
            < 2.5
            < audio_feature_loss(record, mono, preset="reference")["total"]
        )
        mid, side = record.sum(dim=0) / 2, record.diff(dim=0)[0] / 2
        inside_out = normalize_loudness(torch.stack([mid - 3 * side, mid + 3 * side]))
        leaf = record.clone().requires_grad_()
        far = audio_feature_loss(leaf, inside_out)["total"]
        far.backward()
        assert torch.isfinite(far) and torch.isfinite(leaf.grad).all()


def test_tidy_table(records):
    mixes = {"itself": records[0], "soft": 0.5 * records[0], "another": records[1]}
    table = loss_table(mixes, records[0])
    assert list(table) == ["mix", "term", "distance", "weight", "loss"] and len(table) == 15
    assert table["term"].unique().tolist() == TERMS
    wide = table.pivot(index="term", columns="mix", values="loss")
    for label, mix in mixes.items():
        terms = audio_feature_loss(mix, records[0])
        assert wide[label].sum() == pytest.approx(terms["total"].item(), rel=1e-6, abs=1e-12)
        assert wide.loc["bark_spectrum", label] == pytest.approx(terms["bark_spectrum"].item())
    assert (table["distance"] * table["weight"]).tolist() == pytest.approx(table["loss"].tolist())
    assert list(loss_table({}, records[0])) == list(table)


@pytest.mark.parametrize("options", [{"sample_rate": 32_000}, {"preset": "reference"}])
def test_rate_and_preset_reach_the_features(records, options):
    x, y = records[0][:, :60_000], records[1][:, :60_000]
    expected = losses.feature_distance(audio_features(x, **options), audio_features(y, **options))
    assert expected["total"] != audio_feature_loss(x, y)["total"]
    assert audio_feature_loss(x, y, **options)["total"] == expected["total"]
    assert loss_table({"x": x}, y, **options)["loss"].sum() == pytest.approx(
        expected["total"].item(), rel=1e-5
    )


def test_the_tables_take_sounds_that_need_gradients():
    needing = noise(2, 30_000).requires_grad_()
    assert loss_table({"x": needing}, needing)["loss"].sum() == 0
    assert mrstft_table(needing, 0.5 * needing.detach())["log"].iloc[0] == pytest.approx(
        math.log(2), abs=0.05
    )


@pytest.mark.parametrize("name", EDGES)
def test_edges_are_finite_and_bounded_in_value_and_gradient(name):
    target = noise(2, 30_000, seed=2)
    for mix, reference in ((EDGES[name], target), (target, EDGES[name]), (EDGES[name], EDGES[name])):
        mix = mix.clone().requires_grad_()
        loss = audio_feature_loss(mix, reference)["total"]
        loss.backward()
        assert torch.isfinite(loss) and loss < 6100  # the width's 77.7, squared, and little else
        assert torch.isfinite(mix.grad).all() and mix.grad.abs().max() < 1e5


def test_anti_phase_in_the_reference_has_no_bound():
    terms = audio_feature_loss(EDGES["anti-phase at full scale"], noise(2, 30_000), preset="reference")
    assert terms["total"] > 1e13


def test_a_batch_is_the_mean_over_its_items_and_one_reference_serves_it():
    mixes, target = torch.stack([noise(2, 20_000), noise(2, 20_000, seed=1) * 0.5]), noise(2, 25_000, seed=2)
    batch, single = audio_feature_loss(mixes, target), [audio_feature_loss(mix, target) for mix in mixes]
    for name in batch:
        assert batch[name] == pytest.approx(sum(terms[name].item() for terms in single) / 2, rel=1e-5)
    with pytest.raises(ValueError, match="2 mixes cannot be compared with 3 references"):
        audio_feature_loss(mixes, noise(3, 2, 9000))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast(records, dtype):
    short = records[0][:, :60_000]
    x, y = short.to(dtype), records[1][:, :60_000].to(dtype)
    expected = audio_feature_loss(x.float(), y.float())["total"]
    assert audio_feature_loss(x, y)["total"] == expected
    whole = mrstft_loss(x.float(), y.float())
    with torch.autocast("cpu", dtype=dtype):
        assert audio_feature_loss(x.float(), y.float())["total"] == expected
        assert mrstft_loss(x, y) == whole
    for loss in (lambda a: audio_feature_loss(a, y)["total"], lambda a: mrstft_loss(a, y)):
        a = x.clone().requires_grad_()
        loss(a).backward()
        assert a.grad.dtype == dtype and torch.isfinite(a.grad).all()


def test_single_precision_is_accurate(records):
    for a, b in ((records[0], records[1]), (records[0], 0.999 * records[0])):
        single, double = (audio_feature_loss(x, y)["total"] for x, y in ((a, b), (a.double(), b.double())))
        assert abs(single - double) < 1e-4 * double + 1e-9


def test_bad_entries_are_named():
    x = noise(2, 9000)
    with pytest.raises(ValueError, match="second: features need stereo"):
        loss_table({"first": x, "second": x[0]}, x)
    with pytest.raises(ValueError, match="mixes must be a dict"):
        loss_table([x], x)
    with pytest.raises(ValueError, match="features as audio_features returns them"):
        losses.feature_distance(x, audio_features(x))


def test_checkpointing():
    x = noise(2, 60_000).requires_grad_()
    whole = torch.autograd.grad(audio_feature_loss(x, noise(2, 9000))["total"], x)[0]
    loss = torch.utils.checkpoint.checkpoint(
        lambda x: audio_feature_loss(x, noise(2, 9000))["total"], x, use_reentrant=False
    )
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], whole)


def test_a_loss_needs_no_tables_and_no_figures():
    loss = "x = torch.zeros(2, 99); dm.audio_feature_loss(x, x)"
    heavy = "{'auraloss', 'librosa', 'matplotlib', 'numba', 'pandas', 'soundfile'}"
    code = f"import sys, torch, diffmst_lib as dm; {loss}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_features_of_the_reference_can_be_kept():
    x, y = noise(2, 20_000), noise(2, 20_000, seed=1)
    kept = losses.feature_distance(audio_features(x), audio_features(y))
    assert all(kept[name] == value for name, value in audio_feature_loss(x, y).items())


def naive_mrstft(x, y, preset="default"):
    total = 0
    for size in (512, 2048, 8192):
        options = {"window": torch.hann_window(size), "return_complex": True}
        mix, target = (torch.stft(z, size, size // 2, **options).abs().clamp(min=1e-4) for z in (x, y))
        linear = (mix - target).abs().mean()
        convergence = (mix - target).square().sum().sqrt() / target.square().sum().sqrt()
        first = linear if preset == "default" else convergence
        total += first + (mix.log() - target.log()).abs().mean()
    return total / 3


@pytest.mark.parametrize(("preset", "first"), [("default", "linear"), ("reference", "convergence")])
def test_mrstft_is_its_equation_and_its_table_adds_up(records, preset, first):
    x, y = records[0][:, :60_000], records[1][:, :60_000]
    assert mrstft_loss(x, x, preset=preset) == 0
    loss = mrstft_loss(x, y, preset=preset)
    torch.testing.assert_close(loss, naive_mrstft(x, y, preset), rtol=1e-4, atol=0)
    torch.testing.assert_close(mrstft_loss(x[None], y[None], preset=preset), loss)
    table = mrstft_table(x, y, preset=preset)
    assert isinstance(table, pd.DataFrame) and list(table) == [first, "log"]
    assert table.index.tolist() == [512, 2048, 8192]
    assert table.sum(axis=1).mean() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_the_log_of_mrstft_starts_at_a_power_of_1e_8_and_has_no_end(preset):
    """A level of 20 dB is ln 10 everywhere; at -200 dB every magnitude is at the floor of 1e-4."""
    x = noise(2, 60_000)
    for gain_db, neper in ((20, math.log(10)), (75, 75 / 20 * math.log(10)), (1000, 50 * math.log(10))):
        loud = 10 ** (gain_db / 20) * x.double()
        log = mrstft_table(loud, x.double(), preset=preset)["log"]
        assert log.to_numpy() == pytest.approx(neper, rel=1e-4)
    assert (mrstft_table(1e-10 * x, torch.zeros_like(x), preset=preset)["log"] == 0).all()
    both = mrstft_table(x, torch.zeros_like(x), preset=preset)["log"]
    for size, log in both.items():
        options = {"window": torch.hann_window(size), "return_complex": True}
        power = torch.stft(x, size, size // 2, **options).abs().square().clamp(min=1e-8)
        assert log == pytest.approx((power.log() - math.log(1e-8)).mean().item() / 2, rel=1e-4)


def test_the_released_audio_feature_loss_has_an_epsilon_of_1e_8_and_no_bounds():
    """Closed forms: a gain, a side that is missing, a mid that is missing; +75 dB as in the paper's table."""
    x = noise(2, 60_000) * torch.tensor([[1.0], [0.6]])
    root = x.square().mean(dim=-1).sqrt()
    for gain_db in (-6, 75):
        gain = 10 ** (gain_db / 20)
        terms = audio_feature_loss(gain * x, x, preset="reference")
        expected = {
            "rms": 0.1 * ((gain - 1) * root).square().mean().item(),
            "bark_spectrum": 0.1 * math.log(gain) ** 2,
        }
        for name, value in expected.items():
            assert terms[name].item() == pytest.approx(value, rel=1e-4)
        for name in ("crest_factor", "stereo_width", "stereo_imbalance"):
            assert terms[name].item() == pytest.approx(0, abs=1e-6)

    mono = x.mean(dim=0, keepdim=True).expand(2, -1)
    silent_side = audio_features(mono, preset="reference")["bark_spectrum"][:, 1]
    assert silent_side.numpy() == pytest.approx(math.log(1e-8), rel=1e-6)
    opposite = mono * torch.tensor([[1.0], [-1.0]])
    width = 4 * mono[0].square().mean().item() / 1e-8
    term = audio_feature_loss(opposite, mono, preset="reference")["stereo_width"]
    assert term.item() == pytest.approx(width**2, rel=1e-4)
    assert audio_feature_loss(opposite, mono)["stereo_width"] < 78**2  # ours is bounded


@pytest.mark.parametrize("num_samples", [1, 2, 300, 4096, 4097])
def test_mrstft_takes_short_silent_double_and_strided_sounds(num_samples):
    x, y = noise(2, num_samples), torch.zeros(2, num_samples)
    for a, b in ((x, y), (y, x), (y, y), (x.double(), y.double()), (noise(num_samples, 2).T, x)):
        for preset in ("default", "reference"):
            leaf = a.detach().clone().requires_grad_()
            loss = mrstft_loss(leaf, b, preset=preset)
            loss.backward()
            assert torch.isfinite(loss) and torch.isfinite(leaf.grad).all() and loss.dtype == a.dtype


def test_mrstft_first_used_without_gradients_serves_training_later():
    losses.kept_mrstft.cache_clear()
    x = noise(2, 9000)
    with torch.inference_mode():
        mrstft_loss(x, 0.5 * x)
    x.requires_grad_()
    mrstft_loss(x, 0.5 * x.detach()).backward()
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize(
    "bad, line",
    [
        ((torch.zeros(2, 9), torch.zeros(2, 8)), "equal shapes"),
        ((torch.zeros(9), torch.zeros(9)), "needs audio"),
        ((torch.zeros(2, 9, dtype=torch.int16),) * 2, "torch.int16"),
        ((None, torch.zeros(2, 9)), "NoneType"),
        ((torch.zeros(2, 0), torch.zeros(2, 0)), "needs audio"),
    ],
)
def test_mrstft_refuses_what_it_cannot_compare(bad, line):
    with pytest.raises(ValueError, match=line):
        mrstft_loss(*bad)
    with pytest.raises(ValueError, match="preset must be"):
        mrstft_loss(torch.ones(2, 9), torch.ones(2, 9), preset="x")


def test_each_of_a_batch():
    mixes = noise(3, 2, 44100)
    targets = noise(3, 2, 44100, seed=1) * torch.tensor([0.3, 1.0, 3.0]).view(3, 1, 1)
    one, other = audio_features(mixes), audio_features(targets)
    each, mean = losses.feature_distance(one, other, each=True), losses.feature_distance(one, other)
    for name, values in each.items():
        alone = [audio_feature_loss(mix, target)[name] for mix, target in zip(mixes, targets, strict=True)]
        assert values.shape == (3,) and torch.allclose(values, torch.stack(alone), rtol=1e-4)
        assert torch.isclose(values.mean(), mean[name], rtol=1e-5)
    single = losses.feature_distance(audio_features(mixes[0]), audio_features(targets[0]), each=True)
    assert single["total"].shape == ()
