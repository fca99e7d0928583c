"""Held-out examples, and the loss with right and wrong references."""

import pytest
import torch
from training_helpers import short

import diffmst_lib as dm
from diffmst_lib.training.examples import examples_of
from diffmst_lib.training.validation import held_out, judge, summary


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
