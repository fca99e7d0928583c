"""Validation and what a training tells: right and wrong references, CSV, TensorBoard, one line for missing packages."""

import sys

import pandas as pd
import pytest
import torch
from training_helpers import miniature, short

import diffmst_lib as dm
from diffmst_lib.inputs import InputNote
from diffmst_lib.training.logs import LOG, VALIDATION, Logs, _write_ogg
from diffmst_lib.training.loop import examples_of, train
from diffmst_lib.training.validation import held_out, judge, summary


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return miniature(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def held(index):
    return held_out(examples_of(short(), index, split="validation", seed=1), short(), 4, seed=1)


def test_held_out_examples_are_of_the_split_and_the_same_each_time(index, held):
    assert {example.song for example in held} == {"three"} and {e.reference for e in held} <= {
        "record 2",
        "record 3",
    }
    again = held_out(examples_of(short(), index, split="validation", seed=1), short(), 4, seed=1)
    assert all(
        torch.equal(a.task.tracks, b.task.tracks) and torch.equal(a.task.reference, b.task.reference)
        for a, b in zip(held, again)
    )
    assert [len(e.names) for e in held] == [int(e.task.mask.sum()) for e in held]


class Parrot(dm.DiffMST):
    """Answers with the reference itself, whatever the tracks are."""

    def forward(self, tracks, reference, *, sides=None, mask=None):
        return 0.3 * reference, self.predict(tracks, reference, sides=sides, mask=mask)


def test_right_and_wrong(held):
    """Each mix is compared with the example's own target, shown its own reference or that of another record."""
    table, mixes = judge(Parrot("tiny").eval(), held)
    assert (table["right"] < 1e-6).all() and (table["reference"] != table["shown instead"]).all()
    by_name = {example.reference: example.task.reference[0] for example in held}
    for row in table.itertuples():
        targets = [e.task.target[0] for e in held if e.reference == row.reference]
        losses = [
            dm.audio_feature_loss(e.task.reference[0], target)["total"].item()
            for target in targets
            for e in held
            if e.reference != row.reference
        ]
        assert any(abs(row.wrong - loss) < 1e-5 for loss in losses)
    assert len(by_name) == 2 and abs(dm.loudness(mixes[0][0]) + 16) < 0.01
    numbers = summary(table)
    assert (
        numbers["wrong"] == pytest.approx(table["wrong"].mean())
        and numbers["wrong_median"] == table["wrong"].median()
    )
    deaf, _ = judge(dm.DiffMST("tiny").eval(), held)  # untrained: neutral for every reference
    assert deaf["right"].to_numpy() == pytest.approx(deaf["wrong"].to_numpy(), abs=1e-6)


def test_method_1_is_judged_by_half_b(index):
    recipe = short("mrstft-8", seconds=2.0)
    held = held_out(examples_of(recipe, index, split="validation"), recipe, 2)
    assert held[0].reference == "random mix 1, three" and not torch.equal(
        held[0].task.reference, held[0].task.target
    )
    table, _ = judge(Parrot("tiny").eval(), held)
    own = dm.audio_feature_loss(held[0].task.reference, held[0].task.target)["total"].item()
    assert table["right"].iloc[0] == pytest.approx(own, rel=1e-4)


def test_rows_go_to_csv_and_tensorboard(index, tmp_path):
    run = train(short(validate_every=6), index, tmp_path, validation_examples=2)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"training/loss", "validation/right", "validation/wrong"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("validation/right")] == [0, 6]
    assert events.Scalars("training/loss")[-1].value == pytest.approx(run.log["loss"].iloc[-1], rel=1e-5)
    assert "example 1" in tags["audio"]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "log.csv"), run.log)


def test_without_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.warns(InputNote, match="TensorBoard is not installed"):
        logs = Logs(tmp_path, 0)
    logs.add(LOG, {"step": 1, "loss": 0.5})
    logs.close()
    assert pd.read_csv(tmp_path / LOG)["loss"].tolist() == [0.5]


def test_rows_after_the_checkpoint_are_written_again(tmp_path):
    logs = Logs(tmp_path, 0)
    for step in (10, 20, 30):
        logs.add(LOG, {"step": step, "loss": step / 100})
        logs.add(VALIDATION, {"step": step, "right": 0.1})
    logs.close()
    logs = Logs(tmp_path, 20)
    assert logs.frame(LOG)["step"].tolist() == [10, 20]
    logs.add(LOG, {"step": 25, "loss": 0.25})
    logs.close()
    assert pd.read_csv(tmp_path / LOG)["step"].tolist() == [10, 20, 25]
    assert pd.read_csv(tmp_path / VALIDATION)["step"].tolist() == [10, 20]
    assert Logs(tmp_path, 0).frame(LOG).empty  # a new training


@pytest.mark.parametrize(
    "content, rows",
    [
        ("", 0),
        ("st", 0),
        ("step,loss\n10,0.1\n20,", 1),
        ("step,loss\n10,0.1\n2\0", 1),
        ("step,loss\n10,0.1\n20,0.2\n30,0.3\n", 2),
        ("step,loss\n10,\n20,0.2\n", 2),
    ],
)
def test_a_log_that_a_killed_run_has_left(tmp_path, content, rows):
    (tmp_path / LOG).write_text(content)
    logs = Logs(tmp_path, 20)
    assert len(logs.frame(LOG)) == rows
    logs.add(LOG, {"step": 30, "loss": 0.5})
    logs.close()
    assert pd.read_csv(tmp_path / LOG)["step"].tolist() == [10, 20][:rows] + [30]


def test_a_new_training_leaves_nothing_of_an_old_one(tmp_path):
    for name in ("examples/1-target.ogg", "tensorboard/events", "log.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    Logs(tmp_path, 0).close()
    assert not list(tmp_path.glob("examples/*")) and not (tmp_path / "tensorboard" / "events").exists()
    assert not (tmp_path / "log.csv").exists()


def test_knobs_bear_their_names(index, tmp_path):
    run = train(short(steps=1), index, tmp_path, validation_examples=2)
    example = held_out(examples_of(short(), index, split="validation", seed=1), short(), 1, seed=1)[0]
    task = example.task
    with torch.no_grad():
        params = run.model.predict(task.tracks, task.reference, sides=task.sides, mask=task.mask)
    knobs = pd.read_csv(tmp_path / "examples" / "1-step0000001.csv", index_col=0)
    for i, name in enumerate(example.names):
        rows = [row for row in knobs.index if row in (name, name.rsplit(".", 1)[0])]
        assert rows, (name, list(knobs.index))
        if rows[0] == name:
            assert knobs.loc[name, "threshold_db"] == pytest.approx(
                params.values("track")["threshold_db"][0, i].item(), abs=1e-3
            )


def test_long_examples_are_cut(tmp_path):
    _write_ogg(tmp_path / "long.ogg", torch.zeros(2, 60 * 8000), 8000)
    assert dm.load_audio(tmp_path / "long.ogg", sample_rate=8000).shape == (2, 80_000)
