"""Held-out examples, and the loss with right and wrong references."""

import pytest
import torch
from training_helpers import OPTIONS, short

import diffmst_lib as dm
from diffmst_lib.console.table import knob_index
from diffmst_lib.inputs import InputNote
from diffmst_lib.training import known
from diffmst_lib.training.examples import examples_of, examples_to_judge_by
from diffmst_lib.training.loop import train
from diffmst_lib.training.validation import held_out, judge, judge_balance, summary


@pytest.fixture(scope="module")
def held(index):
    return held_out(examples_of(short(), index, split="validation", seed=1), short(), 4, seed=1)


class Parrot(dm.DiffMST):
    """Answers with the reference itself, whatever the tracks are."""

    def forward(self, tracks, reference, *, pans=None, mask=None):
        return 0.3 * reference, self.predict(tracks, reference, pans=pans, mask=mask)


def test_held_out_examples_are_of_the_split_and_the_same_each_time(index, held):
    assert {example.song for example in held} == {"three"}
    assert {example.reference for example in held} <= {"record 2", "record 3"}
    again = held_out(examples_of(short(), index, split="validation", seed=1), short(), 4, seed=1)
    for one, other in zip(held, again, strict=True):
        assert torch.equal(one.task.tracks, other.task.tracks)
        assert torch.equal(one.task.reference, other.task.reference)
    assert [len(e.names) for e in held] == [int(e.task.mask.sum()) for e in held]


def test_right_and_wrong(held):
    """Each mix is compared with the example's own target, shown its own reference or that of another record."""
    table, mixes = judge(Parrot("tiny").eval(), held)
    assert (table["right"] < 1e-6).all() and (table["reference"] != table["shown instead"]).all()
    for row in table.itertuples():
        targets = [e.task.target[0] for e in held if e.reference == row.reference]
        losses = [
            dm.audio_feature_loss(e.task.reference[0], target)["total"].item()
            for target in targets
            for e in held
            if e.reference != row.reference
        ]
        assert any(abs(row.wrong - loss) < 1e-5 for loss in losses)
    assert len({e.reference for e in held}) == 2 and abs(dm.loudness(mixes[0][0]) + 16) < 0.01
    numbers = summary(table)
    assert numbers["wrong"] == pytest.approx(table["wrong"].mean())
    assert numbers["wrong_median"] == table["wrong"].median()
    untrained, _ = judge(dm.DiffMST("tiny").eval(), held)  # neutral for every reference
    assert untrained["right"].to_numpy() == pytest.approx(untrained["wrong"].to_numpy(), abs=1e-6)


def test_method_1_is_judged_by_half_b(index):
    recipe = short("mrstft-8", seconds=2.0)
    held = held_out(examples_of(recipe, index, split="validation"), recipe, 2)
    assert held[0].reference == "random mix 1, three"
    assert not torch.equal(held[0].task.reference, held[0].task.target)
    table, _ = judge(Parrot("tiny").eval(), held)
    own = dm.audio_feature_loss(held[0].task.reference, held[0].task.target)["total"].item()
    assert table["right"].iloc[0] == pytest.approx(own, rel=1e-4)


def test_a_recipe_is_judged_by_its_own_features_preset_and_level(held):
    """A mix 20 dB louder is as good at -16 LUFS, and far off as it is; our features are bounded."""

    class Loud(Parrot):
        def forward(self, *arguments, **options):
            mix, params = super().forward(*arguments, **options)
            return 10 / 0.3 * mix, params

    model = Loud("tiny").eval()
    assert (judge(model, held, short())[0]["right"] < 1e-6).all()
    table, mixes = judge(model, held, short(released=True))
    for row, example in zip(table.itertuples(), held, strict=True):
        target = example.task.target
        wanted = dm.audio_feature_loss(10 * target, target, preset="reference")["total"].item()
        assert row.right == pytest.approx(wanted, rel=1e-3) and row.right > 0.5
    assert abs(dm.loudness(mixes[0][0]) + 16) < 0.01

    def left(x, sample_rate):
        return x[:, 0].abs().mean(dim=-1)

    only = {name: (None, 0) for name in ("rms", "crest_factor", "stereo_width", "bark_spectrum")}
    own = only | {"stereo_imbalance": (None, 0), "left": (left, 2.0)}
    table, _ = judge(dm.DiffMST("tiny").eval(), held, short(features=own))
    whole, answers = judge(dm.DiffMST("tiny").eval(), held)
    for row, example, (mix, _) in zip(table.itertuples(), held, answers, strict=True):
        wanted = 2.0 * (left(mix[None], 44100) - left(example.task.target, 44100)).square().item()
        assert row.right == pytest.approx(wanted, rel=1e-3)
    assert not table["right"].equals(whole["right"])


class Engineer(dm.DiffMST):
    """Knows the answer, or does nothing."""

    answer = None

    def predict(self, tracks, reference, *, pans=None, mask=None, passes=None):
        params = super().predict(tracks, reference, pans=pans, mask=mask, passes=passes)
        if self.answer is not None:
            params.tracks[..., knob_index("fader_db")] = self.answer.response_db[..., 0].clamp(-40, 12)
        return params


def test_the_balance_before_and_after(index, held, monkeypatch):
    monkeypatch.setattr(known, "SHARE_OF_EQ", 0.0)
    recipe = short(known=0.5)
    judged = examples_to_judge_by(recipe, index, None, 3, seed=1)
    real, tasks = judged[:3], judged[3:]
    assert [example.task.answer is None for example in judged] == [True] * 3 + [False] * 3
    assert {example.song for example in judged} == {"three"}
    again = examples_to_judge_by(recipe, index, None, 3, seed=1)
    assert all(torch.equal(a.task.tracks, b.task.tracks) for a, b in zip(judged, again, strict=True))
    model = Engineer("tiny").eval()
    table = judge_balance(model, judged)
    assert list(table.columns) == ["song", "balance_before_db", "balance_db"] and len(table) == 3
    assert table["balance_db"].to_numpy() == pytest.approx(table["balance_before_db"].to_numpy(), abs=1e-3)
    assert (table["balance_before_db"] > 1).all() and (table["balance_before_db"] < 20).all()
    for example in tasks:
        model.answer = example.task.answer
        assert judge_balance(model, [example])["balance_db"].item() < 0.01
    losses, _ = judge(model, judged, recipe)
    assert len(losses) == len(real)
    numbers = summary(losses, table)
    assert numbers["balance_db"] == pytest.approx(table["balance_db"].mean())
    assert len(judge_balance(model, held)) == 0


def test_a_training_with_known_answers_reports_the_balance(index, unbroken, tmp_path):
    run = train(short(known=0.5, steps=2, validate_every=1), index, tmp_path, **OPTIONS)
    assert {"balance_before_db", "balance_db"} <= set(run.validation.columns)
    assert run.validation["balance_before_db"].nunique() == 1
    assert "balance_db" not in unbroken.validation.columns


def test_songs_too_short_for_two_moments_are_noted(index):
    with pytest.warns(InputNote, match="the balance is not judged"):
        judged = examples_to_judge_by(short(known=0.5, seconds=2.5), index, None, 2, seed=1)
    assert all(example.task.answer is None for example in judged)
