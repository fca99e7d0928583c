"""The mean-strip test, with models whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import diffmst_lib as dm
from diffmst_lib.audio.loudness import stem_gains_db
from diffmst_lib.console.table import knob_index, normalize, param_table
from diffmst_lib.mixing.result import render_mix
from diffmst_lib.mixing.start import neutral_params
from diffmst_lib.training.strip_exam import kept, mean_strip, random_strips, strip_task, strip_test


class Engineer(dm.DiffMST):
    """Mixes with the very strips that made the record, or with their mean."""

    def __init__(self, seed, change=lambda params: params):
        super().__init__("tiny")
        self.seed, self.change = seed, change

    def mix(self, song, reference, *, refine_steps=0):
        strips = self.change(random_strips(len(song.names), np.random.default_rng(self.seed))).tracks
        whole = dm.Multitrack(song.names, self.both)  # it was levelled as a whole
        strips[:, knob_index("input_gain_db")] = stem_gains_db(whole.audio)
        params = neutral_params(song)
        params.tracks = strips
        return render_mix(song, params)


@pytest.fixture
def task(song):
    def task(change=lambda params: params, seed=3):
        model = Engineer(seed, change)
        model.both = song.audio
        return strip_task(model, song, np.random.default_rng(seed))

    return task


def test_the_right_strips_reach_the_target_and_one_strip_does_not(task):
    row = task()
    assert row["stems"] == 3 and row["network"] < 1e-3
    assert row["neutral"] == pytest.approx(row["master"], rel=1e-3)  # its master does nothing
    assert row["mean_strip"] > 10 * row["network"]
    assert row["true_mean"] == pytest.approx(row["mean_strip"], rel=1e-3)  # the same console


def test_a_model_with_one_strip_loses_nothing(task):
    def the_same_everywhere(params):
        params = mean_strip(params)
        params.tracks[:, knob_index("pan")] = 0.5
        return params

    row = task(the_same_everywhere)
    assert row["mean_strip"] == pytest.approx(row["network"], rel=1e-3)


def test_tasks_depend_on_the_seed_alone(song):
    one, again, other = (strip_test(dm.DiffMST("tiny").eval(), [song], seed=s) for s in (0, 0, 1))
    assert one["neutral"].equals(again["neutral"]) and not one["neutral"].equals(other["neutral"])
    assert list(one.columns) == [
        "song",
        "draw",
        "stems",
        "neutral",
        "master",
        "mean_strip",
        "network",
        "true_mean",
    ]


def test_the_mean_strip_keeps_pans_and_buses():
    params = random_strips(5, np.random.default_rng(1))
    params.master_bus["width"] = 1.5
    mean = mean_strip(params)
    pan = knob_index("pan")
    assert torch.allclose(mean.tracks[:, pan], params.tracks[:, pan])
    others = [i for i in range(mean.tracks.shape[-1]) if i != pan]
    assert torch.allclose(mean.tracks[:, others], mean.tracks[:1, others])
    assert torch.allclose(mean.to_unit()[0].mean(dim=0), params.to_unit()[0].mean(dim=0), atol=1e-5)
    assert mean.master_bus["width"] == pytest.approx(1.5)


def test_random_strips_have_the_asked_for_spread():
    params = random_strips(4000, np.random.default_rng(0))
    logits = params.to_logits()[0]
    for name, spec in zip(params.values("track"), param_table("track"), strict=True):
        values = params.values("track")[name]
        if name in ("input_gain_db", "send_db"):
            assert (values == spec.neutral).all()
        elif name == "fader_db":
            assert values.std() == pytest.approx(6.0, rel=0.07) and values.max() <= 12.0
        else:
            neutral = normalize(torch.tensor([spec.neutral]), (spec,)).clamp(0.02, 0.98)
            z = logits[:, knob_index(name)]
            assert z.median().item() == pytest.approx(torch.logit(neutral).item(), abs=0.06), name
            if 0.1 < neutral.item() < 0.9:  # logits near the ends are cut
                assert z.std().item() == pytest.approx(0.7, rel=0.05), name
    assert params.master_bus["ratio"] == 1.0 and params.master_bus["width"] == 1.0


def test_kept():
    table = pd.DataFrame({"neutral": [0.4, 0.6], "mean_strip": [0.1, 0.3], "network": [0.05, 0.15]})
    table["true_mean"] = [0.0, 0.2]
    assert kept(table) == pytest.approx(0.3 / 0.4)
    assert kept(table, true=True) == pytest.approx(0.4 / 0.5)
    assert math.isnan(kept(table.assign(network=0.5)))
