"""A console of one's own everywhere: fits, models, whole songs; and whatever console a model has is what renders."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from mix_helpers import RATE
from model_helpers import model
from own_console import DRIVE, saturate
from training_helpers import OPTIONS, miniature, short

import diffmst_lib as dm
from diffmst_lib.console.table import knob_index
from diffmst_lib.mixing.optimize import fit_console
from diffmst_lib.mixing.references import check_reference
from diffmst_lib.mixing.start import start_params
from diffmst_lib.training.loop import train
from diffmst_lib.training.random_consoles import random_params

WARM = knob_index("drive_db", "track", "warm")


class Rounder(dm.MixingConsole):
    """A console that ends with a saturator behind its master bus, and turns every strip's polarity."""

    drive_db = 18.0

    def master_bus(self, x, params):
        return saturate(super().master_bus(x, params), self.sample_rate, x.new_full((len(x),), self.drive_db))

    def run_strips(self, x, p):
        return -super().run_strips(x, p)


class Halved(dm.MixingConsole):
    """A console that changes what calling it returns."""

    def __call__(self, tracks, params, **options):
        out = super().__call__(tracks, params, **options)
        return dm.ConsoleOutput(out.mix * torch.tensor([[1.0], [0.5]]), out.tracks)


def renders(result):
    """Whether the result is what its console makes of the song with its settings."""
    torch.testing.assert_close(
        result.console.render(result.song.audio, result.params), result.audio, atol=1e-4, rtol=0
    )
    return True


@pytest.fixture
def driven(song):
    """The song as delivered, every stem driven by 6 dB."""
    params = start_params(song, preset="warm")
    params.tracks[:, WARM] = 6.0
    return params


def test_a_fit_turns_the_knob(song, reference, driven):
    fit = dm.optimize_mix(song, reference, steps=8, init=driven, keep=0)
    assert bool(((fit.params.tracks[:, WARM] - 6.0).abs() > 0.3).any())
    assert fit.history["total"].min() < 0.95 * fit.history["total"].iloc[0]
    assert renders(fit) and renders(fit.remix())
    by_name = dm.optimize_mix(song, reference, steps=1, console="warm")
    assert by_name.params.preset == by_name.console.preset == "warm"


def test_what_is_locked_and_what_is_left_out_stays(song, reference, driven):
    def changes(**options):
        fit = dm.optimize_mix(song, reference, steps=3, init=driven, keep=0, **options)
        return dict(zip(song.names, (fit.params.tracks[:, WARM] - 6.0).tolist(), strict=True))

    assert all(changes().values())
    locked = changes(lock=["kick.drive_db"])
    assert locked.pop("kick") == 0 and all(locked.values())
    assert not any(changes(amount={"tone": 0}).values())


def test_a_fit_pulls_the_knob_back(song, reference, driven):
    free, held = (
        dm.optimize_mix(song, reference, steps=8, init=driven, keep=keep).params.tracks[:, WARM] - 6.0
        for keep in (0, 100)
    )
    assert held.square().sum() < 0.5 * free.square().sum()


def test_random_consoles_turn_it_moderately():
    drive = random_params(50, np.random.default_rng(0), preset="warm").tracks[:, WARM]
    assert drive.min() >= 0 and 5 < drive.max() <= 3 * DRIVE.step


def test_a_model_with_it_is_trained_saved_loaded_and_mixes_a_song(song, reference, tmp_path):
    config = dataclasses.replace(dm.ModelConfig.preset("tiny"), console="warm")
    index = miniature(tmp_path / "set")
    for name in ("mrstft-8", "af-16"):
        run = train(short(name, config, steps=2), index, tmp_path / name, **OPTIONS)
    assert run.model.config.console == "warm"
    trained = dm.DiffMST.from_pretrained(tmp_path / "af-16")
    assert trained.config == run.model.config and trained.console.preset == "warm"
    result = trained.mix(song, reference, refine_steps=2)
    assert result.params.preset == "warm" and result.params.tracks.shape == (3, 30)
    assert renders(result) and set(result.stems()) == set(song.names)
    assert "no warnings" in str(result.report()) or result.report().warnings
    folder = result.save(tmp_path / "mix")
    assert dm.ConsoleParams.from_json((folder / "params.json").read_text()).preset == "warm"


def test_a_model_of_a_console_that_nobody_registered(tmp_path):
    folder = model(console="warm").save_pretrained(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["config"]["console"] = "unheard"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(dm.InputError) as error:
        dm.DiffMST.from_pretrained(folder)
    assert "no console is registered as 'unheard'" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no console is registered as 'unheard'"):
        dataclasses.replace(dm.ModelConfig.preset("tiny"), console="unheard")


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("kind", [Rounder, Halved])
def test_whole_songs_render_with_the_models_console(song, reference, kind, steps):
    network = model()
    plain = network.mix(song, reference, refine_steps=steps)
    network.console = kind(RATE)
    result = network.mix(song, reference, refine_steps=steps)
    assert result.console is network.console and renders(result)
    assert (result.audio - plain.audio).abs().max() > 0.01
    assert result.loudness_lufs == pytest.approx(dm.loudness(result.audio), abs=0.01)
    result.params.track("kick")["fader_db"] -= 3
    again = result.remix()
    assert again.console is network.console and renders(again)
    assert (again.audio - result.audio).abs().max() > 1e-3


def test_stems_and_report_are_those_of_the_console(song, reference):
    plain, own = (
        dm.optimize_mix(song, reference, steps=0, console=kind(RATE)) for kind in (dm.MixingConsole, Rounder)
    )
    for name, stem in own.stems().items():
        torch.testing.assert_close(stem, -plain.stems()[name], atol=1e-4, rtol=0)
    through_master = own.console.master_bus(sum(own.stems().values())[None], own.params)[0]
    torch.testing.assert_close(through_master, own.audio, atol=1e-4, rtol=0)
    crests = [result.report().mix.loc["crest_factor_db", "mix"] for result in (plain, own)]
    assert crests[1] < crests[0] - 0.5  # the saturator takes its peaks


def test_a_fit_hears_its_console(song, reference):
    """The channel at half the level: a fit with that console turns the other way."""
    plain, own = (
        dm.optimize_mix(song, reference, steps=10, console=kind(RATE), keep=0)
        for kind in (dm.MixingConsole, Halved)
    )
    right = knob_index("pan")
    assert own.params.tracks[:, right].mean() > plain.params.tracks[:, right].mean() + 0.005
    assert renders(own)


def test_a_console_that_does_not_fit_its_settings(song, reference):
    params = dm.ConsoleParams.neutral(song.names)
    for console in ("warm", dm.MixingConsole(22050)):
        with pytest.raises(ValueError, match="cannot use parameters of preset default at 44100 Hz"):
            dm.optimize_mix(song, reference, init=params, console=console)
    with pytest.raises(ValueError, match="no console is registered as 'unheard'"):
        dm.optimize_mix(song, reference, console="unheard")


class Broken(dm.MixingConsole):
    """A console whose master bus gives NaN from one call on, or whose gradient is NaN."""

    fails_in, calls, gradient = 0, 0, 1.0

    def master_bus(self, x, params):
        y = super().master_bus(x, params)
        self.calls += 1
        y = y + (y - y).square().sum().sqrt() if math.isnan(self.gradient) else y
        return y * math.nan if self.calls >= self.fails_in > 0 else y


def broken(**how):
    console = Broken(RATE)
    vars(console).update(how)
    return console


GIVES_NAN = r"the console Broken\(44100, 'default'\) gives NaN or infinity, although tracks and settings are"


@pytest.mark.parametrize("steps", [0, 2])
def test_a_console_that_gives_nan_is_named(song, reference, steps):
    network = model()
    network.console = broken(fails_in=1)
    with pytest.raises(dm.InputError, match=f"^{GIVES_NAN}"):
        network.mix(song, reference, refine_steps=steps)
    with pytest.raises(dm.InputError, match=f"^{GIVES_NAN}"):
        dm.optimize_mix(song, reference, steps=steps, console=network.console)


def test_a_network_that_listens_to_nan_names_the_console(noise):
    network = model(passes=2)
    network.console = broken(fails_in=1)
    with pytest.raises(dm.InputError, match=f"^{GIVES_NAN}"):
        network.predict(noise(1, 2, 2, 20_000), noise(1, 2, 20_000))


def test_a_fit_that_comes_to_nan_keeps_the_best_and_says_why(song, reference):
    console = broken(fails_in=5)  # the start, the start off its ends, and two steps are finite
    with pytest.warns(dm.InputNote, match=f"^the fit ends in step 3: {GIVES_NAN}"):
        params, history = fit_console(
            song, check_reference(reference, sample_rate=RATE), start_params(song), console, steps=8
        )
    assert len(history) == 4 and history["total"][:3].notna().all() and history["total"][3:].isna().all()
    params.check()


def test_a_console_without_a_finite_gradient_is_named(song, reference):
    console = broken(gradient=math.nan)
    with pytest.raises(dm.InputError, match=r"^the gradient is not finite through the console Broken\("):
        dm.optimize_mix(song, reference, steps=2, console=console)


@pytest.mark.parametrize("console", [5, None, "warm", dm.MixingConsole])
def test_a_model_whose_console_is_none(song, reference, noise, console):
    network = model()
    network.console = console
    for use in (network.mix, network.analyze):
        with pytest.raises(dm.InputError, match=r"^console must be a MixingConsole, "):
            use(song, reference)
    with pytest.raises(dm.InputError, match=r"^console must be a MixingConsole, "):
        network(noise(1, 2, 2, 20_000), noise(1, 2, 20_000))


def test_the_papers_console_is_fitted_by_its_name(song, reference):
    fit = dm.optimize_mix(song, reference, steps=1, console="reference")
    assert fit.params.preset == "reference" and len(fit.params.names) == 6


def test_a_model_of_mono_channels_with_an_effect(song, reference):
    network = model(console="paper-warm", track_lufs=-30.0, evidence=False)
    result = network.mix(song, reference, refine_steps=2, lock=["kick.drive_db"])
    assert result.params.preset == "paper-warm" and len(result.params.names) == 6
    drive = result.params.values("track")["drive_db"]
    kicks = torch.tensor([name.startswith("kick") for name in result.params.names])
    assert not drive[kicks].any() and bool((drive[~kicks] > 0).all())
    assert list(result.stems()) == song.names
