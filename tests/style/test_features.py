"""Features: closed forms, ranges, inputs at the edge, precision, sample rates."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from odd_sounds import EDGES, noise

from diffmst_lib import audio_features, data_dir, load_audio, normalize_loudness
from diffmst_lib.style import features as f
from diffmst_lib.style import losses


def sine(frequency_hz, seconds=1.0, sample_rate=44100):
    return torch.sin(2 * math.pi * frequency_hz * torch.arange(int(sample_rate * seconds)) / sample_rate)


def test_closed_forms():
    s = sine(1000)
    pair = torch.stack([s, 0.5 * s])
    assert f.rms(pair).tolist() == pytest.approx([math.sqrt(0.5), 0.5 * math.sqrt(0.5)], rel=1e-4)
    assert f.crest_factor(pair).tolist() == pytest.approx([3.01, 3.01], abs=0.01)
    assert f.stereo_width(torch.stack([s, s])).item() == 0
    assert f.stereo_width(torch.stack([s, 0 * s])).item() == pytest.approx(1.0, rel=1e-5)
    assert f.stereo_width(noise(2, 100_000)).item() == pytest.approx(1.0, abs=0.02)
    assert f.stereo_imbalance(torch.stack([0 * s, s])).item() == pytest.approx(1.0)
    assert f.stereo_imbalance(torch.stack([2 * s, s])).item() == pytest.approx(-0.6, rel=1e-4)


def test_gradients_are_those_of_the_equations():
    x = noise(2, 5000).double().requires_grad_()
    n, level = x.shape[-1], f.rms(x)
    (slope,) = torch.autograd.grad(level.sum(), x)
    torch.testing.assert_close(slope, x.detach() / (n * level.detach()[:, None]))
    (slope,) = torch.autograd.grad(f.crest_factor(x).sum(), x)
    at = x.detach().abs().argmax(dim=-1)
    by_hand = -x.detach() / (n * level.detach()[:, None] ** 2)
    by_hand[[0, 1], at] += 1 / x.detach()[[0, 1], at]
    torch.testing.assert_close(slope, 20 / math.log(10) * by_hand)
    x = noise(2, 40).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(f.audio_features(x).values()), x)


@pytest.mark.parametrize(
    "x",
    [[[0.5], [0.5]], [[0.75], [-0.25]], [[0.0, 0.2], [0.0, 0.1]]],
    ids=["one sample", "a width of exactly 4", "a silent sample"],
)
def test_gradients_where_two_branches_meet(x):
    x = torch.tensor(x, requires_grad=True, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: (f.crest_factor(x), f.stereo_width(x)), x)


def test_of_equal_peaks_the_first_has_the_gradient():
    x = torch.tensor([[0.0, 0.5, -0.5, 0.1]] * 2, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(f.crest_factor(x)[0], x)
    level = f.rms(x)[0].item()
    without_peak = -20 / math.log(10) * x.detach()[0] / (4 * level**2)
    assert (slope[0] - without_peak).tolist() == pytest.approx([0, 20 / math.log(10) / 0.5, 0, 0])


def test_bark_spectrum_is_its_equation():
    x = noise(2, 44100 * 2)
    both, window = torch.stack([x[0] + x[1], x[0] - x[1]]), torch.hann_window(32_768)
    magnitude = torch.stft(both, 32_768, 8_192, window=window, return_complex=True).abs().mean(dim=-1)
    expected = torch.log1p(magnitude @ f.bark_filterbank(44100))
    torch.testing.assert_close(f.bark_spectrum(x), expected.T, rtol=1e-5, atol=1e-5)


def with_side(db):
    """Two seconds of noise, the side `db` below the mid in every band, float64."""
    mid = noise(44100 * 2).double()
    side = 10 ** (db / 20) * mid
    return torch.stack([mid + side, mid - side])


def test_the_side_is_floored_60_db_below_the_mid():
    magnitudes = {db: f.bark_spectrum(with_side(db)).expm1() for db in (0, -40, -59, -61, -200)}
    for db, bands in magnitudes.items():
        ratio = 10 ** (max(db, -60) / 20)
        torch.testing.assert_close(
            bands[:, 1] / bands[:, 0], torch.full((24,), ratio).double(), rtol=1e-5, atol=0
        )
    mid, side = f.bark_spectrum(noise(1, 44100) * torch.tensor([[1.0], [-1.0]])).T  # anti-phase
    assert mid.max() == 0 and side.min() > 1  # the mid has no floor
    mono = f.bark_spectrum(noise(1, 44100).repeat(2, 1), preset="reference")
    assert mono[:, 1].max() == pytest.approx(math.log(1e-8))


def test_the_gradient_goes_to_the_larger_of_side_and_floor():
    """Above the floor the side decides; below it the mid does, and a mono mix has no way to a wide one."""
    for db, owner in ((-40, 1), (-80, 0)):
        parts = f.bark_spectrum(with_side(db)).new_tensor([1.0, 10 ** (db / 20)]).requires_grad_()
        x = with_side(0)[0] / 2  # noise
        left_right = torch.stack([parts[0] * x + parts[1] * x, parts[0] * x - parts[1] * x])
        f.bark_spectrum(left_right)[:, 1].sum().backward()
        assert parts.grad[owner] > 0.1 and parts.grad[1 - owner] == pytest.approx(0, abs=1e-9)
    wide = noise(2, 44100)
    mono = wide.mean(0, keepdim=True).repeat(2, 1).requires_grad_()
    losses.audio_feature_loss(mono, wide)["bark_spectrum"].backward()
    assert (mono.grad[0] - mono.grad[1]).abs().max() == 0 and mono.grad.abs().max() > 0


def test_width_beyond_four_is_logarithmic_and_smooth():
    mid, side = torch.tensor([1.0, -1.0]), torch.tensor([1.0, 1.0])
    beyond = {10.0: 4 + 4 * math.log(25), 100.0: 4 + 4 * math.log(2500)}
    for amount, expected in ({0.5: 0.25, 2.0: 4.0} | beyond).items():
        x = torch.stack([mid + amount * side, mid - amount * side])
        assert f.stereo_width(x, preset="reference").item() == pytest.approx(amount**2, rel=1e-4)
        assert f.stereo_width(x).item() == pytest.approx(expected, rel=1e-4)
    amount = torch.tensor([1.99, 2.01], dtype=torch.float64, requires_grad=True)
    x = torch.stack([mid + amount[:, None] * side, mid - amount[:, None] * side], dim=1)
    f.stereo_width(x).sum().backward()
    assert amount.grad[0].item() == pytest.approx(amount.grad[1].item(), rel=0.03)


@pytest.mark.parametrize("frequency_hz", [60, 440, 3000, 12_000])
def test_a_sine_lights_its_band(frequency_hz):
    s = sine(frequency_hz, 2.0)
    bands = f.bark_spectrum(torch.stack([s, s]))
    edges, band = f.bark_edges_hz(), int(bands[:, 0].argmax())
    assert edges[band] < frequency_hz < edges[band + 2]
    torch.testing.assert_close(bands[:, 1], torch.log1p(1e-3 * bands[:, 0].expm1()))  # no side: the floor
    released = f.bark_spectrum(torch.stack([s, s]), preset="reference")
    assert released[:, 1].max() == pytest.approx(math.log(1e-8))


def test_the_bark_floor_is_far_below_what_is_heard():
    """A band of 1, where the floor halves it, is a sine at about -90 dBFS."""
    s = sine(float(f.bark_edges_hz()[10]), 2.0) * 10 ** (-90 / 20)
    assert 0.3 < f.bark_spectrum(torch.stack([s, s]))[:, 0].exp().max() - 1 < 3


BOUNDS = {
    "rms": (1e-4, 1.0),
    "crest_factor": (0.0, 60.0),
    "stereo_width": (0.0, 77.7),
    "stereo_imbalance": (-1.0, 1.0),
    "bark_spectrum": (0.0, 14.0),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_stay_within_the_bounds_of_the_docstrings(name):
    x = EDGES[name].clone().requires_grad_()
    for feature, value in audio_features(x).items():
        low, high = BOUNDS[feature]
        assert (value >= low - 1e-6).all() and (value <= high + 1e-6).all(), (feature, value)
        (slope,) = torch.autograd.grad(value.sum(), x, retain_graph=True)
        assert torch.isfinite(slope).all() and slope.abs().max() < 1e6, (feature, slope.abs().max())


def test_silence_mono_and_anti_phase_as_documented():
    silence = audio_features(torch.zeros(2, 44100))
    assert silence["crest_factor"].tolist() == [0, 0]
    assert silence["stereo_width"] == 0 and silence["stereo_imbalance"] == 0
    assert silence["bark_spectrum"].abs().max() == 0
    assert silence["rms"].tolist() == pytest.approx([1e-4, 1e-4])
    assert f.stereo_width(EDGES["anti-phase"], preset="reference") > 1e5
    assert f.crest_factor(torch.zeros(2, 9), preset="reference").max() < -70


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    x = noise(2, 40_000).to(dtype)
    for name, value in audio_features(x).items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, audio_features(x.float())[name], rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(dtype):
    x, expected = noise(1, 2, 40_000), audio_features(noise(1, 2, 40_000))
    with torch.autocast("cpu", dtype=dtype):
        for name, value in audio_features(x).items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
        assert f.bark_spectrum(x, preset="reference").dtype == torch.float32


def test_single_precision_is_accurate():
    music = load_audio(data_dir() / "references" / "vibe_ace.ogg")
    single, double = audio_features(music), audio_features(music.double())
    for name in single:
        torch.testing.assert_close(single[name].double(), double[name], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 32_000, 48_000, 96_000, 192_000])
def test_other_sample_rates_give_the_same_values(sample_rate):
    """Within 5 % for music without anything above 7 kHz; of a Bark value below 1, which is inaudible, 0.05."""
    music = load_audio(data_dir() / "references" / "its_simple.ogg")[:, : 44100 * 5].numpy()
    music *= np.sin(np.linspace(0, np.pi, music.shape[-1]))  # no edge, which would be a click
    low = scipy.signal.sosfiltfilt(scipy.signal.ellip(10, 0.1, 90, 6500, fs=44100, output="sos"), music)
    common = math.gcd(44100, sample_rate)
    high = scipy.signal.resample_poly(
        low, sample_rate // common, 44100 // common, axis=-1, window=("kaiser", 14.0)
    )
    here, there = torch.from_numpy(low.copy()).float(), torch.from_numpy(high.copy()).float()
    expected, values = audio_features(here), audio_features(there, sample_rate=sample_rate)
    for name, value in values.items():
        scale = expected[name].abs().clamp(min=1.0) if name == "bark_spectrum" else expected[name].abs()
        assert ((value - expected[name]).abs() <= 0.05 * scale).all(), name
    assert losses.feature_distance(values, expected)["total"] < 1e-3


def test_bank_and_window_are_made_once_for_a_device_dtype_and_rate():
    x = noise(2, 20_000)
    f.kept_filterbank.cache_clear()
    for _ in range(3):
        f.bark_spectrum(x), f.bark_spectrum(x.double()), f.bark_spectrum(x, sample_rate=48_000)
    assert f.kept_filterbank.cache_info().misses == 3


def test_a_bank_first_made_in_inference_mode_serves_training_later():
    f.kept_filterbank.cache_clear()
    x = noise(2, 20_000)
    with torch.inference_mode():
        audio_features(x)
    x.requires_grad_()
    sum(value.sum() for value in audio_features(x).values()).backward()
    assert torch.isfinite(x.grad).all()


def test_a_batch_is_its_items():
    x = torch.stack([noise(2, 20_000, seed=s) * g for s, g in ((1, 1.0), (2, 0.1), (3, 0.0))])
    for name, value in audio_features(x).items():
        torch.testing.assert_close(value, torch.stack([audio_features(item)[name] for item in x]))


@pytest.mark.parametrize(
    "bad, line",
    [
        (torch.zeros(3, 100), "stereo audio"),
        (torch.zeros(100), "stereo audio"),
        (torch.zeros(2, 0), "stereo audio"),
        (np.zeros((2, 100)), "got ndarray"),
        (torch.zeros(2, 100, dtype=torch.int16), "got int16"),
        (None, "got NoneType"),
    ],
)
def test_no_stereo_audio_is_refused(bad, line):
    for function in (audio_features, f.rms, f.stereo_imbalance):
        with pytest.raises(ValueError, match=line):
            function(bad)


def test_misspelt_preset_and_rate_are_refused():
    x = noise(2, 20_000)
    for call in (f.stereo_width, f.crest_factor, f.bark_spectrum):
        with pytest.raises(ValueError, match="preset must be"):
            call(x, preset="x")
    for rate in (0, -44100, float("nan"), float("inf"), None, "44100", torch.tensor(44100)):
        with pytest.raises(ValueError, match="sample_rate"):
            f.bark_spectrum(x, sample_rate=rate)


def test_music_is_measured_as_before_the_floor():
    """At -16 LUFS the floor of 1 moves the Bark bands of a record by a few percent of a neper at most."""
    music = normalize_loudness(load_audio(data_dir() / "references" / "inspiring_acoustic.ogg"))
    ours = f.bark_spectrum(music)
    unfloored = torch.log(torch.expm1(ours.double()))
    assert (ours - unfloored).abs().max() < 0.02
