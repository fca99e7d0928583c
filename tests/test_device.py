"""Devices: nothing is made on a default device; a GPU computes what the CPU does, its kernel also in an interpreter."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from diffmst_lib import (
    ConsoleParams,
    DiffMST,
    MixingConsole,
    audio_feature_loss,
    mrstft_loss,
    optimize_mix,
    param_table,
)
from diffmst_lib.console import effects
from diffmst_lib.console.engines.ballistics import smooth
from diffmst_lib.console.equalizer import half_angle_tangent
from diffmst_lib.console.reverb import noise_bands
from diffmst_lib.network import encoder
from diffmst_lib.style import averages, features, losses


def random_console(num_tracks, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    widths = (
        (num_tracks, len(param_table("track"))),
        (len(param_table("fx_bus")),),
        (len(param_table("master_bus")),),
    )
    return [
        (0.1 + 0.8 * torch.rand(width, generator=generator)).to(device).requires_grad_() for width in widths
    ]


def noise(*shape):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_no_tensor_is_made_on_the_default_device():
    """With `meta` as default, a tensor made without naming its device has no data and the mix would fail."""
    tracks, knobs = noise(3, 2, 4000), random_console(3)
    want = MixingConsole(22050)(tracks, ConsoleParams.from_unit(*knobs, sample_rate=22050), fx_bus=True).mix
    chosen = {
        "gain_db": torch.full((1, 6), 3.0),
        "frequency_hz": torch.full((1, 6), 999.0),
        "q": torch.ones(1, 6),
    }
    dynamics = {
        k: torch.full((1,), v)
        for k, v in {
            "threshold_db": -40.0,
            "ratio": 3.0,
            "attack_ms": 5.0,
            "release_ms": 50.0,
            "knee_db": 6.0,
            "makeup_gain_db": 0.0,
        }.items()
    }
    noise_bands.cache_clear()
    half_angle_tangent.cache_clear()
    torch.set_default_device("meta")
    try:
        mix = MixingConsole(22050)(
            tracks, ConsoleParams.from_unit(*knobs, sample_rate=22050), fx_bus=True
        ).mix
        mix.square().mean().backward()
        filtered = effects.parametric_eq(
            tracks[:1], sample_rate=22050, backend="fft", **chosen
        )  # as on a GPU
        steps = effects.compressor(
            filtered, sample_rate=22050, lookahead_samples=512, backend="steps", **dynamics
        )
    finally:
        torch.set_default_device(None)
    assert torch.equal(mix, want)
    assert torch.isfinite(steps).all()
    assert all(torch.isfinite(k.grad).all() for k in knobs)


def losses_and_gradients(mix, target, **options):
    mix, found = mix.requires_grad_(), []
    for loss in (
        audio_feature_loss(mix, target, **options)["total"],
        mrstft_loss(mix, 0.5 * mix.detach(), **options),
    ):
        (gradient,) = torch.autograd.grad(loss, mix)
        found += [loss.detach().cpu(), gradient.cpu()]
    return found


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_losses_make_no_tensor_on_the_default_device(preset):
    sounds = noise(2, 2, 30_000), noise(2, 25_000)
    want = losses_and_gradients(*sounds, preset=preset)
    for cache in (features.kept_filterbank, losses.kept_mrstft, averages.hann_window):
        cache.cache_clear()
    torch.set_default_device("meta")
    try:
        found = losses_and_gradients(*sounds, preset=preset)
    finally:
        torch.set_default_device(None)
    for ours, theirs in zip(found, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_model_in_use_makes_no_tensor_on_the_default_device(song, reference):
    torch.manual_seed(0)
    model = DiffMST("tiny")
    want = model.mix(song, reference).audio
    encoder.mel_bank.cache_clear()
    encoder.mel_centers_hz.cache_clear()
    averages.hann_window.cache_clear()
    torch.set_default_device("meta")
    try:
        found = model.mix(song, reference).audio
        maps, _ = model.attention(song, reference)
    finally:
        torch.set_default_device(None)
    assert torch.equal(found, want) and torch.isfinite(maps).all()


def test_a_fit_makes_no_tensor_on_the_default_device(song, reference):
    short = song.excerpt(0, 1)
    torch.manual_seed(0)
    model = DiffMST("tiny")
    want = optimize_mix(short, reference, steps=2), model.mix(short, reference, refine_steps=1)
    torch.set_default_device("meta")
    try:
        found = optimize_mix(short, reference, steps=2), model.mix(short, reference, refine_steps=1)
    finally:
        torch.set_default_device(None)
    for ours, theirs in zip(found, want, strict=True):
        assert torch.equal(ours.audio, theirs.audio)


def test_a_fit_takes_everything_to_its_device(song, reference, monkeypatch):
    """What the fit reads and writes goes through `to(device)`: here a device that only has a name of its own."""
    moved = []
    to = torch.Tensor.to

    def follow(tensor, *places, **options):
        moved.append(places[0] if places else None)
        return to(tensor, *places, **options)

    monkeypatch.setattr(torch.Tensor, "to", follow)
    device = torch.device("cpu", 0)
    found = optimize_mix(song.excerpt(0, 1), reference, steps=1, device=device)
    assert sum(place is device for place in moved) >= 3 + 5 + 1  # the console, the features, the stems
    assert found.params.tracks.device.type == found.audio.device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_fit_on_the_gpu_finds_a_console_like_the_cpus(song, reference):
    short = song.excerpt(0, 3)
    want, found = (optimize_mix(short, reference, steps=20, device=device) for device in ("cpu", "cuda"))
    assert found.audio.device.type == found.params.tracks.device.type == "cpu"
    assert found.total == pytest.approx(want.total, rel=0.05)
    torch.manual_seed(0)
    model = DiffMST("tiny")
    want = model.mix(short, reference, refine_steps=3)
    found = model.cuda().mix(short, reference, refine_steps=3)
    assert found.total == pytest.approx(want.total, rel=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_a_model_on_the_gpu_finds_the_cpus_console(song, reference, preset):
    torch.manual_seed(0)
    model = DiffMST(preset)
    torch.nn.init.normal_(model.controller.heads["track"][-1].weight, std=0.1)
    want = model.analyze(song, reference)
    found = model.cuda().analyze(song, reference)
    for ours, theirs in zip(found.to_unit(), want.to_unit(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


INTERPRETED = """
import torch
from diffmst_lib.console.engines.ballistics import smooth
from diffmst_lib.console.engines.ballistics_gpu import SmoothOnGPU
generator = torch.Generator().manual_seed(0)
for num_samples in (1, 5, 1024, 1025, 2500):
    x = -20 * torch.rand(3, num_samples, generator=generator) * (torch.sin(torch.arange(num_samples) / 50) > 0)
    w = torch.randn(3, num_samples, generator=generator)
    poles = torch.tensor([0.99, 0.5, 0.0069]), torch.tensor([0.999, 0.9998, 0.3])
    out = []
    for function in (SmoothOnGPU.apply, smooth):
        knobs = [t.clone().requires_grad_() for t in (x, *poles)]
        y = function(*knobs)
        (y * w).sum().backward()
        out.append([y.detach(), *(k.grad for k in knobs)])
    for gpu, cpu in zip(*out):
        torch.testing.assert_close(gpu, cpu, rtol=0, atol=1e-5 * cpu.abs().max().item() + 1e-9)
"""


@pytest.mark.skipif(not find_spec("triton"), reason="triton is not installed (it comes with torch for CUDA)")
def test_gpu_kernel_equals_the_cpu_in_tritons_interpreter():
    subprocess.run(
        [sys.executable, "-c", INTERPRETED], env=os.environ | {"TRITON_INTERPRET": "1"}, check=True
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_mix_and_gradients_are_the_cpus():
    tracks, mixes, grads = noise(4, 44100), [], []
    for device in ("cpu", "cuda"):
        knobs = random_console(4, device)
        mix = MixingConsole(44100)(tracks.to(device), ConsoleParams.from_unit(*knobs), fx_bus=True).mix
        mix.square().mean().backward()
        mixes.append(mix.detach().cpu())
        grads.append(torch.cat([k.grad.cpu().flatten() for k in knobs]))
    difference_db = 20 * torch.log10((mixes[1] - mixes[0]).norm() / mixes[0].norm())
    assert difference_db < -60
    torch.testing.assert_close(grads[1], grads[0], rtol=0, atol=1e-3 * grads[0].abs().max().item())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_smoothing_on_the_gpu_stays_there():
    x = -20 * torch.rand(2, 5000, device="cuda")
    y = smooth(x, torch.tensor([0.9, 0.5], device="cuda"), torch.tensor([0.99, 0.999], device="cuda"))
    want = smooth(x.cpu(), torch.tensor([0.9, 0.5]), torch.tensor([0.99, 0.999]))
    torch.testing.assert_close(y.cpu(), want, rtol=0, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("preset", ["default", "reference"])
def test_losses_on_the_gpu_are_the_cpus(preset):
    sounds = noise(2, 2, 30_000), noise(2, 25_000)
    cuda = [sound.cuda() for sound in sounds]
    for ours, theirs in zip(
        *(losses_and_gradients(*pair, preset=preset) for pair in (cuda, sounds)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * theirs.abs().max().item())
