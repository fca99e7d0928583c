"""What training minimizes: losses of our own, of the paper and of the released code; the pull."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from training_helpers import OPTIONS, short, small_cnn

import diffmst_lib as dm
from diffmst_lib.console.table import knob_index
from diffmst_lib.data.batches import collate
from diffmst_lib.inputs import InputError
from diffmst_lib.training.examples import examples_of
from diffmst_lib.training.loop import train
from diffmst_lib.training.losses import distance_from_neutral, step_loss, task_loss
from diffmst_lib.training.recipes import recipe
from diffmst_lib.training.tasks import Task, make_task

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "reference_console.npz")
PLUS_75_DB = 10 ** (75 / 20)


def task_for(target, stems=2):
    """A task of which only the target counts."""
    tracks, pans = torch.zeros(len(target), stems, *target.shape[1:]), torch.full((len(target), stems), 0.5)
    return Task(tracks, pans, torch.ones_like(pans, dtype=torch.bool), target, target)


def pink(seed, seconds=5):
    """Stereo pink noise (1, 2, T), about as wide as music."""
    white = torch.randn(1, 2, seconds * 44100, generator=torch.Generator().manual_seed(seed))
    white = white + 0.5 * white.flip(1)
    spectrum = torch.fft.rfft(white)
    slope = torch.arange(spectrum.shape[-1]).clamp(min=10) ** -0.5
    return dm.normalize_loudness(torch.fft.irfft(spectrum * slope, n=white.shape[-1]))


def test_losses(index, noise):
    recipe = short("mrstft-8", seconds=2.0)
    examples = examples_of(recipe, index)
    task = make_task(collate([examples[0], examples[1]]), recipe, 0)
    assert task_loss(0.1 * task.target, task, recipe) < 1e-3  # at whatever level
    mix = noise(2, 2, 44100)
    level = dm.normalize_loudness(mix)
    assert torch.isclose(task_loss(mix, task, recipe), dm.mrstft_loss(level, task.target))
    af = short("mrstft+af-8", seconds=2.0, soft_limit=None)
    assert torch.isclose(task_loss(mix, task, af), dm.audio_feature_loss(level, task.target)["total"])
    each = [dm.audio_feature_loss(m, t)["total"] for m, t in zip(level, task.target, strict=True)]
    soft = sum(loss / (1 + loss / 0.3) for loss in each) / 2
    assert torch.isclose(task_loss(mix, task, short("mrstft+af-8", seconds=2.0, soft_limit=0.3)), soft)


@pytest.mark.parametrize(
    ("name", "released", "key"),
    [
        ("mrstft-16", False, "mrstft_paper_L1lin_log"),
        ("mrstft-16", True, "mrstft_config_yaml"),
        ("mrstft+af-16", False, "af_loss/total"),
        ("mrstft+af-16", True, "af_loss/total"),
        ("af-16", False, "af_loss/total"),
        ("af-16", True, "af_loss/total"),
    ],
)
def test_the_losses_of_paper_and_released_code_are_the_golden_ones(name, released, key):
    """Of a mix as it is: the released recipes leave it so, and in the paper's only its level is another."""
    one = recipe(name, "paper", released=released)
    mix, target = (torch.from_numpy(GOLDEN[name]) for name in ("mix_master_on_fx_off", "ref_mix"))
    golden = torch.from_numpy(GOLDEN[key]).float()
    assert one.normalize is not released
    loss = task_loss(mix, task_for(target), dataclasses.replace(one, normalize=False))
    torch.testing.assert_close(loss, golden, rtol=1e-3, atol=0)


def test_the_released_loss_grows_with_the_level_without_bounds():
    """Table 1: an RMS term of 3e6. Prediction as it is: 0.1 ((g - 1)^2 mean RMS^2 + (ln g)^2) for a gain g."""
    target = pink(0)
    task, rms_squared = task_for(target), target.square().mean().item()
    released = recipe("af-16", "paper", released=True)
    for gain in (2.0, PLUS_75_DB, 10 * PLUS_75_DB):
        wanted = 0.1 * ((gain - 1) ** 2 * rms_squared + math.log(gain) ** 2)
        assert task_loss(gain * target, task, released).item() == pytest.approx(wanted, rel=1e-3)
        for bounded in (recipe("af-16", "paper"), recipe("af-16", "small")):  # at -16 LUFS, as the text says
            assert task_loss(gain * target, task, bounded) < 1e-6
    spectral = recipe("mrstft-16", "paper", released=True)
    loud, louder = (task_loss(g * target, task, spectral).item() for g in (PLUS_75_DB, 10 * PLUS_75_DB))
    assert louder == pytest.approx(10 * loud, rel=0.01)  # the spectral convergence is g - 1


def test_a_mono_mix_has_a_loss_of_33():
    """With an epsilon of 1e-8 the side of a mono mix is ln 1e-8 in every band; ours counts it as 60 dB below."""
    target = pink(0)
    mono = pink(1).mean(dim=1, keepdim=True).expand(-1, 2, -1)
    side = dm.features.bark_spectrum(target, preset="reference")[0, :, 1]
    from_side = 0.05 * (side - math.log(1e-8)).square().mean().item()  # half of 0.1: mid and side
    for name in ("mrstft+af-16", "af-16"):
        loss = task_loss(mono, task_for(target), recipe(name, "paper")).item()
        assert 32 < from_side < 35 and from_side < loss < from_side + 1.5  # and 1 for the width
    assert task_loss(mono, task_for(target), recipe("af-16", "small", soft_limit=None)) < 3.5


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("name", ["mrstft-16", "af-16"])
@pytest.mark.parametrize("level", [0.0, 1e-12, 1e6])
def test_the_unbounded_losses_are_finite_for_silence_and_for_noise(name, released, level):
    mix = (level * pink(1, seconds=1)).requires_grad_()
    loss = task_loss(mix, task_for(pink(0, seconds=1)), recipe(name, "paper", released=released))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(mix.grad).all() and loss > 0


def test_nothing_holds_the_console_of_paper_and_released_code(index):
    """What training minimizes is the loss of the mix alone; in ours the pull and what keeps the song are added."""
    torch.manual_seed(0)
    cnn = dataclasses.replace(small_cnn(console="reference", track_lufs=-48.0), name="paper")
    for model, options, alone in (
        ("tiny", {}, False),
        ("tiny", {"released": True}, True),
        (cnn, {}, True),
        (cnn, {"released": True}, True),
    ):
        one = recipe("mrstft-8", model, **{"seconds": 2.0, "max_tracks": 5, "batch_size": 2} | options)
        examples = examples_of(one, index)
        task = make_task(collate([examples[0], examples[1]]), one, 0)
        network = dm.DiffMST(one.config).eval()
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        with torch.no_grad():
            passes = max(1, one.config.passes)
            mix, params = network(task.tracks, task.reference, pans=task.pans, mask=task.mask, passes=passes)
            of_mix, whole = task_loss(mix, task, one), step_loss(network, task, one, passes)
            assert distance_from_neutral(params, task.pans, task.mask) > 1.0
            assert torch.isclose(whole, of_mix, rtol=1e-5) if alone else whole > of_mix + 1e-3


@pytest.mark.parametrize("name", ["mrstft-8", "af-16"])
def test_a_training_as_the_released_code_does(index, tmp_path, name):
    one = short(name, released=True, steps=2, validate_every=1, seconds=2.0)
    run = train(one, index, tmp_path, **OPTIONS)
    assert len(run.validation) == 3 and np.isfinite(run.log["loss"]).all()
    again = train(dataclasses.replace(one, steps=3), index, tmp_path, resume=True, **OPTIONS)
    assert len(again.validation) == 4
    with pytest.raises(InputError, match="normalize False, now True"):
        train(dataclasses.replace(one, steps=4, normalize=True), index, tmp_path, resume=True, **OPTIONS)


def test_distance_from_neutral():
    """0 where training starts; a fader moved by 3 dB is one move; tracks that are not there do not count."""
    torch.manual_seed(0)
    model = dm.DiffMST("tiny").eval()
    tracks, pans = 0.1 * torch.randn(2, 3, 2, 22050), torch.tensor([[0.4, 0.6, 0.5], [0.5, 0.5, 0.55]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    params = model.predict(tracks, 0.1 * torch.randn(2, 2, 22050), pans=pans, mask=mask)
    fader, output = knob_index("fader_db"), knob_index("output_gain_db", "master_bus")

    def distance():
        return distance_from_neutral(params, pans, mask).item()

    assert distance() < 1e-6
    params.tracks[0, 2] = 3.0
    assert distance() < 1e-6
    params.tracks[1, 2, fader] = 3.0  # one move of one of three strips, in one of two examples
    assert distance() == pytest.approx(1 / 3 / 2, abs=1e-4)
    params.tracks[1, 2, fader] = -6.0  # two moves
    assert distance() == pytest.approx(4 / 3 / 2, abs=1e-4)
    params.tracks[1, 2, fader] = 0.0
    params.tracks[0, 0, fader] = 3.0  # of one of two
    assert distance() == pytest.approx(1 / 2 / 2, abs=1e-4)
    params.tracks[0, 0, fader] = 0.0
    params.master_bus_values[0, output] = 3.0  # the master hardly counts
    assert distance() == pytest.approx(0.03 / 2, abs=1e-4)
