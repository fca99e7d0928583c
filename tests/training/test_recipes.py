"""Recipes: the paper's settings by name, changes, and what makes no training."""

import dataclasses

import pytest

import diffmst_lib as dm
from diffmst_lib.inputs import InputNote
from diffmst_lib.training.recipes import VARIANTS, recipe


def test_the_papers_settings():
    """Section 3.2: Adam at 1e-5, batch 2, accumulated over 4; 1.16 M steps; fine-tuning 20 k; 10 s."""
    for name in VARIANTS:
        found = recipe(name, "paper")
        assert (found.batch_size, found.accumulate, found.seconds, found.min_tracks) == (2, 4, 10.0, 4)
        assert [found.rate(step) for step in (0, 10, found.steps)] == [1e-5] * 3
        assert (found.weight_decay, found.clip_norm, found.pull, found.soft_limit, found.varied) == (
            0,
            None,
            0,
            None,
            0,
        )
        assert found.steps == (20_000 if "+" in name else 1_160_000)
        assert found.max_tracks == int(name.rsplit("-")[-1]) and found.sampling.track_lufs == -48.0
        assert (found.method, found.loss) == {"m": (1, "af" if "+" in name else "mrstft"), "a": (2, "af")}[
            name[0]
        ]


def test_the_papers_losses_and_levels():
    """-16 LUFS; the spectral distance of the text, audio features without bounds; nothing holds the console."""
    for name in VARIANTS:
        found = recipe(name, "paper")
        assert found.normalize and found.keep == 0 and found.known == 0
        assert found.loss_preset == ("reference" if "af" in name else "default")
        assert recipe(name, "small").loss_preset == "default" and recipe(name, "small").keep == 1


def test_the_released_settings():
    """Each differs from the paper's text; what is not named is the same."""
    for name, batch in {
        "mrstft-8": 4,
        "mrstft-16": 4,
        "mrstft+af-8": 1,
        "mrstft+af-16": 1,
        "af-16": 2,
    }.items():
        found, paper = recipe(name, "paper", released=True), recipe(name, "paper")
        changes = {
            "name": f"{name}-released",
            "loss_preset": "reference",
            "normalize": False,
            "random_gain_db": 0.0,
            "batch_size": batch,
            "accumulate": 1,
            "seconds": 262144 / 44100,
        }
        if paper.starts_from:
            changes["starts_from"] = f"{paper.starts_from}-released"
        assert found == dataclasses.replace(paper, **changes)
        assert found.rate(0) == found.rate(found.steps) == 1e-5
        assert round(found.seconds * found.config.sample_rate) == 262144


@pytest.mark.parametrize("model", ["tiny", "small"])
def test_small_models_take_the_released_losses_and_levels(model):
    """Their sizes and rates stay, so that a chapter can show in seconds where the losses lead."""
    for name in VARIANTS:
        found, ours = recipe(name, model, released=True), recipe(name, model)
        assert (found.loss_preset, found.normalize, found.random_gain_db) == ("reference", False, 0.0)
        held = (found.pull, found.keep, found.soft_limit, found.clip_norm, found.weight_decay)
        assert held == (0.0, 0.0, None, None, 0.0) and found.known == found.varied == found.mixed_songs == 0
        assert found.rate(found.steps) == found.learning_rate == ours.learning_rate
        same = (found.steps, found.seconds, found.batch_size, found.max_tracks)
        assert same == (ours.steps, ours.seconds, ours.batch_size, ours.max_tracks)
        assert recipe(name, model, released=True, pull=0.5).pull == 0.5


def test_a_quarter_of_the_batches_of_small_have_known_answers_where_there_are_any():
    found = {name: recipe(name, "small").known for name in VARIANTS}
    assert found == dict.fromkeys(VARIANTS, 0.0) | {"af-16": 0.25}
    assert recipe("af-16", "tiny").known == 0 and recipe("af-16", "small", known=0.5).known == 0.5
    channels = dataclasses.replace(
        dm.ModelConfig.preset("small"), name="mine", console="reference", track_lufs=-48.0, evidence=False
    )
    with pytest.warns(InputNote, match="the settings of small"):
        assert recipe("af-16", channels).known == 0


def test_known_tasks_need_stems():
    with pytest.raises(ValueError, match="model of stems"):
        recipe("af-16", "paper", known=0.5)


def test_fine_tuning_names_what_it_starts_from():
    assert (
        recipe("mrstft+af-8").starts_from == "mrstft-8" and recipe("mrstft+af-16").starts_from == "mrstft-16"
    )
    assert recipe("af-16").starts_from is recipe("mrstft-8").starts_from is None


@pytest.mark.parametrize("model", ["tiny", "small"])
def test_halves_are_as_long_as_the_segments_of_method_2(model):
    assert recipe("mrstft-8", model).seconds == 2 * recipe("af-16", model).seconds


def test_models_of_stems_get_them_in_their_balance():
    for name in ("tiny", "small"):
        drawn = recipe("af-16", name).sampling
        assert drawn.track_lufs is None and drawn.balance == "delivered"
    assert recipe("af-16", "small", balance="equal").sampling.balance == "equal"


def test_a_configuration_is_trained_as_the_preset_whose_name_it_bears():
    config = dataclasses.replace(dm.ModelConfig.preset("tiny"), width=8)
    found = recipe("af-16", config, steps=7)
    assert (
        found.config is config
        and found.steps == 7
        and found.learning_rate == recipe("af-16", "tiny").learning_rate
    )


@pytest.mark.parametrize(
    ("preset", "changes", "size"),
    [
        ("tiny", {"name": "mine"}, "small"),
        ("tiny", {"name": ""}, "small"),
        ("paper", {"name": "mine", "width": 256}, "paper"),
        ("paper", {"name": "stems", "console": "default", "track_lufs": None}, "small"),
        (
            "tiny",
            {"name": "channels", "console": "reference", "track_lufs": -48.0, "evidence": False},
            "small",
        ),
    ],
)
def test_a_configuration_of_another_name_gets_the_settings_of_the_nearest_preset(preset, changes, size):
    config = dataclasses.replace(dm.ModelConfig.preset(preset), **changes)
    with pytest.warns(InputNote, match=f"^{changes['name'] or 'a model without'}.* settings of {size}$"):
        found = recipe("mrstft-8", config)
    assert dataclasses.replace(found, model=size) == recipe("mrstft-8", size) and found.config is config


def test_cosine():
    found = recipe("af-16", "small", steps=1000, learning_rate=1.0)
    assert [round(found.rate(step), 3) for step in (0, 24, 500, 1000)] == [0.02, 0.499, 0.5, 0.0]
    assert (
        recipe("af-16", "tiny", steps=5).rate(0) == recipe("af-16", "tiny").learning_rate
    )  # no time to warm up


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"steps": 0}, "steps cannot be 0"),
        ({"loss": "mrstft"}, "method 2, which has no mix"),
        ({"method": 3}, "method cannot be 3"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"pull": -1}, "pull"),
        ({"schedule": "step"}, "schedule"),
        ({"balance": "loud"}, "balance"),
        ({"clip_norm": 0}, "clip_norm"),
        ({"varied": 1.5}, "varied"),
        ({"random_gain_db": 49}, "random_gain_db"),
        ({"soft_limit": 0}, "soft_limit"),
        ({"loss_preset": "paper"}, "loss_preset"),
        ({"normalize": None}, "normalize"),
        ({"keep": -1}, "keep"),
        ({"min_tracks": 17}, "min_tracks"),
        ({"seconds": 0.5}, "seconds"),
        ({"speed": 1}, "no speed"),
        ({"accumulate": 1.5}, "accumulate"),
        ({"weight_decay": float("inf")}, "weight_decay"),
    ],
)
def test_what_makes_no_training(changes, why):
    with pytest.raises(ValueError, match=why):
        recipe("af-16", "tiny", **changes)


def test_unknown_names():
    with pytest.raises(ValueError, match="mrstft-8, mrstft-16"):
        recipe("mrstft")
    with pytest.raises(ValueError, match="tiny, small, paper, not 'large'"):
        recipe("af-16", "large")
