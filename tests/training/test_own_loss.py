"""An own loss and own features: a worked example through a whole training, and one line for what is none."""

import signal
from functools import partial

import pytest
import torch
from audio_helpers import one_line
from training_helpers import OPTIONS, interrupted, same, short, way_apart, weights

import diffmst_lib as dm
from diffmst_lib.inputs import InputError
from diffmst_lib.training.loop import train
from diffmst_lib.training.own_loss import own_loss, qualified_name
from diffmst_lib.training.recipes import LOSSES, recipe
from diffmst_lib.training.stopping import Stopped


def log_spectrum(mix, target, sample_rate):
    """The worked example: how far the mean spectra of two sounds are from each other, in dB."""
    window = torch.hann_window(2048, device=mix.device)
    spectra = (
        torch.stft(x.mean(dim=1), 2048, window=window, return_complex=True).abs().square().mean(dim=-1)
        for x in (mix, target)
    )
    mixed, wanted = (10 * torch.log10(power + 1e-6) for power in spectra)
    return (mixed - wanted).abs().mean() / 100


def brightness(x, sample_rate):
    """The worked example of a feature: the share of the power in differences of neighboring samples."""
    return x.diff(dim=-1).square().mean(dim=(1, 2)) / (x.square().mean(dim=(1, 2)) + 1e-9)


def other_loss(mix, target, sample_rate):
    return (mix - target).abs().mean()


class Distance:
    def __call__(self, mix, target, sample_rate):
        return (mix - target).square().mean()


def test_an_own_loss_from_training_to_a_whole_song(index, unbroken, tmp_path):
    own = short(loss=log_spectrum)
    whole = train(own, index, tmp_path / "whole", **OPTIONS)
    assert way_apart(weights(whole), weights(unbroken)) > 0.01
    with pytest.raises(Stopped):
        train(interrupted(own, 4, signal.SIGTERM), index, tmp_path / "parts", **OPTIONS)
    with pytest.raises(InputError) as caught:
        train(short(loss=other_loss), index, tmp_path / "parts", resume=True, **OPTIONS)
    assert one_line(caught, f"loss {qualified_name(log_spectrum)}, now {qualified_name(other_loss)}")
    resumed = train(own, index, tmp_path / "parts", resume=True, **OPTIONS)
    assert same(weights(resumed), weights(whole))
    song = dm.load_multitrack(dm.data_dir() / "multitracks" / "rubidium").excerpt(0, 3)
    record = dm.load_audio(dm.data_dir() / "references" / "vibe_ace.ogg")
    mix = dm.DiffMST.from_pretrained(tmp_path / "parts").mix(song, record)
    assert dm.loudness(mix.audio) == pytest.approx(-16, abs=0.5)


ALONE = {"known": 0.0, "pull": 0.0, "keep": 0.0}


@pytest.mark.parametrize("more", [{}, {"known": 0.5}, {"pull": 0.1}, {"keep": 1.0}])
def test_a_recipe_trains_on_the_own_loss_alone_or_with_what_holds_the_song(long_index, tmp_path, more):
    """The loss of a step is what the function returned, unless known answers, pull or keep are asked for."""
    returned = []

    def recorded(mix, target, sample_rate):
        loss = log_spectrum(mix, target, sample_rate)
        returned.append(loss.item())
        return loss

    own = short(loss=recorded, learning_rate=0.03, schedule="constant", **ALONE | more)
    log = train(own, long_index, tmp_path, **OPTIONS).log
    of_steps = returned[1:]  # the first time it is tried on a plain sum
    assert len(of_steps) == (3 if "known" in more else 6)
    alone = log["loss"].tolist() == pytest.approx([sum(of_steps) / len(of_steps)], rel=1e-5)
    assert alone == (more == {}), (log, of_steps)


def test_it_learns_by_its_own_loss(index, tmp_path):
    run = train(short(steps=40, validate_every=40, loss=log_spectrum), index, tmp_path, **OPTIONS)
    assert run.log["loss"].iloc[-1] < 0.9 * run.log["loss"].iloc[0], run.log


def test_own_features_from_training_to_a_checkpoint(index, unbroken, tmp_path):
    dm.register_feature("brightness_of_a_test", brightness, 3.0)
    by_name = train(short(features=("brightness_of_a_test",)), index, tmp_path / "name", **OPTIONS)
    given = {"brightness_of_a_test": (brightness, 3.0)}
    with pytest.raises(Stopped):
        train(interrupted(short(features=given), 4), index, tmp_path / "given", **OPTIONS)
    heavier = {"brightness_of_a_test": (brightness, 4.0)}
    with pytest.raises(InputError) as caught:
        train(short(features=heavier), index, tmp_path / "given", resume=True, **OPTIONS)
    assert one_line(caught, "features", "brightness_of_a_test", "3.0", "4.0")
    by_hand = train(
        short(features=("brightness_of_a_test",)), index, tmp_path / "given", resume=True, **OPTIONS
    )
    assert same(weights(by_name), weights(by_hand))
    assert way_apart(weights(by_name), weights(unbroken)) > 0.01


def test_a_weight_of_the_five(index, unbroken, tmp_path):
    run = train(short(features={"bark_spectrum": (None, 0)}), index, tmp_path, **OPTIONS)
    assert run.log["loss"].iloc[-1] < unbroken.log["loss"].iloc[-1]


@pytest.mark.parametrize(
    ("loss", "parts"),
    [
        (lambda mix, target, rate: (mix - target).abs().mean(dim=(1, 2)), ["scalar", "shape (1,)"]),
        (lambda mix, target, rate: 0.5, ["scalar", "not float"]),
        (lambda mix, target, rate: torch.tensor(1), ["scalar"]),
        (lambda mix, target, rate: (mix.detach() - target).abs().mean(), ["no gradient"]),
        (lambda mix, target, rate: (mix - target).mean() * float("nan"), ["is nan", "plain sum of three"]),
        (lambda mix, target, rate: mix.abs().sum() / 0, ["is inf", "plain sum"]),
        (lambda mix, target, rate: (0 * mix).sqrt().mean(), ["gradient", "not finite", "plain sum"]),
        (lambda mix, target: (mix - target).abs().mean(), ["fails", "TypeError", "2 positional"]),
        (lambda mix, target, rate: mix.view(3, 5).mean(), ["fails", "RuntimeError", "invalid for input"]),
    ],
)
def test_what_is_no_loss(index, tmp_path, loss, parts):
    """One line before anything is built: no logs, no checkpoint."""
    with pytest.raises(InputError) as caught:
        train(short(loss=loss), index, tmp_path, **OPTIONS)
    assert one_line(caught, "<lambda>", *parts)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_gives_nan_in_the_first_step(index, tmp_path):
    calls = []

    def fails_later(mix, target, sample_rate):
        calls.append(len(mix))
        return (mix - target).abs().mean() * (1.0 if len(calls) == 1 else float("nan"))

    with pytest.raises(InputError) as caught:
        train(short(loss=fails_later, validate_every=1), index, tmp_path, **OPTIONS)
    assert one_line(caught, "fails_later", "is nan in step 1") and calls == [1, 2]
    assert not (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"loss": "l1"}, "loss cannot be 'l1'"),
        ({"loss": log_spectrum, "features": {"b": (brightness, 1.0)}}, "features belong to"),
        ({"features": ("nobody_registered_this",)}, "nobody_registered_this"),
        ({"features": {"b": (brightness, -1.0)}}, "weight"),
        ({"features": "brightness"}, "features are"),
    ],
)
def test_recipes_that_are_refused(changes, why):
    with pytest.raises(ValueError, match=why):
        recipe("af-16", "tiny", **changes)


def test_a_feature_of_a_wrong_shape(index, tmp_path):
    with pytest.raises(InputError) as caught:
        train(short(features={"wrong": (lambda x, rate: x.mean(), 1.0)}), index, tmp_path, **OPTIONS)
    assert one_line(caught, "wrong") and list(tmp_path.iterdir()) == []


def test_names_of_losses():
    assert qualified_name(log_spectrum).endswith("test_own_loss.log_spectrum")
    assert qualified_name(Distance()).endswith("test_own_loss.Distance")
    assert qualified_name(partial(partial(log_spectrum))) == qualified_name(log_spectrum)
    assert recipe("af-16", "tiny", loss=log_spectrum).loss_name == qualified_name(log_spectrum)
    assert [recipe(name, "tiny").loss_name for name in ("mrstft-8", "af-16")] == list(LOSSES)


def test_where_nothing_has_a_gradient_none_is_asked_for():
    mix, target = torch.ones(2, 2, 8), torch.zeros(2, 2, 8)
    assert own_loss(Distance(), mix, target, 44100) == 1.0
    with torch.no_grad():
        assert own_loss(Distance(), mix.requires_grad_(), target, 44100) == 1.0
