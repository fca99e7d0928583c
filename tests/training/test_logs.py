"""What a training logs: CSV, TensorBoard, sounds and knobs; one line for missing packages and full disks."""

import dataclasses
import resource
import sys

import pandas as pd
import pytest
import torch
from audio_helpers import one_line
from training_helpers import short

import diffmst_lib as dm
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.training.examples import examples_of
from diffmst_lib.training.logs import LOG, VALIDATION, Logs, rows_until, write_ogg
from diffmst_lib.training.validation import held_out


def test_rows_go_to_csv_and_tensorboard(unbroken):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(unbroken.folder / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"training/loss", "validation/right", "validation/wrong"} <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("validation/right")] == [0, 3, 6]
    logged = unbroken.log["loss"].iloc[-1]
    assert events.Scalars("training/loss")[-1].value == pytest.approx(logged, rel=1e-5)
    assert "example 1" in tags["audio"]
    pd.testing.assert_frame_equal(pd.read_csv(unbroken.folder / "log.csv"), unbroken.log)


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
    ("content", "rows"),
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
    assert pd.read_csv(tmp_path / LOG)["step"].tolist() == [*[10, 20][:rows], 30]


def test_a_new_training_leaves_nothing_of_an_old_one(tmp_path):
    for name in ("examples/1-target.ogg", "tensorboard/events", "log.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    Logs(tmp_path, 0).close()
    assert not list(tmp_path.glob("examples/*")) and not (tmp_path / "tensorboard" / "events").exists()
    assert not (tmp_path / "log.csv").exists()


def test_knobs_bear_their_names(index, unbroken):
    example = held_out(examples_of(short(), index, split="validation", seed=1), short(), 1, seed=1)[0]
    task = example.task
    with torch.no_grad():
        params = unbroken.model.predict(task.tracks, task.reference, pans=task.pans, mask=task.mask)
    thresholds = params.values("track")["threshold_db"][0]
    knobs = pd.read_csv(unbroken.folder / "examples" / "1-step0000006.csv", index_col=0)
    for i, name in enumerate(example.names):
        rows = [row for row in knobs.index if row in (name, name.rsplit(".", 1)[0])]
        assert rows, (name, list(knobs.index))
        if rows[0] == name:
            assert knobs.loc[name, "threshold_db"] == pytest.approx(thresholds[i].item(), abs=1e-3)


def test_long_examples_are_cut(tmp_path):
    write_ogg(tmp_path / "long.ogg", torch.zeros(2, 60 * 8000), 8000)
    assert dm.load_audio(tmp_path / "long.ogg", sample_rate=8000).shape == (2, 80_000)


@pytest.fixture
def little_room():
    """little_room(size): from now on a file may have so many bytes at most."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_sound_that_cannot_be_written_leaves_nothing(tmp_path, little_room):
    little_room(1000)
    with pytest.raises(InputError) as caught:
        write_ogg(tmp_path / "mix.ogg", torch.zeros(2, 800), 8000)
    assert one_line(caught, "mix.ogg: not written (File too large)")
    assert list(tmp_path.iterdir()) == []


def test_knobs_that_cannot_be_written_leave_nothing(index, unbroken, tmp_path, monkeypatch, little_room):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # which would write as well
    example = held_out(examples_of(short(), index, split="validation", seed=1), short(), 1, seed=1)[0]
    task = example.task
    with torch.no_grad():
        params = unbroken.model.predict(task.tracks, task.reference, pans=task.pans, mask=task.mask)
    with pytest.warns(InputNote, match="TensorBoard"):
        logs = Logs(tmp_path, 0)
    logs.add_example(1, example, torch.zeros(2, 800), params, 0)
    size = max(path.stat().st_size for path in (tmp_path / "examples").iterdir())
    before = set((tmp_path / "examples").iterdir())
    little_room(size)
    named = dataclasses.replace(example, names=[name + size * "x" for name in example.names])
    with pytest.raises(InputError) as caught:
        logs.add_example(1, named, torch.zeros(2, 800), params, 3)
    assert one_line(caught, "1-step0000003.csv: not written (File too large)")
    assert set((tmp_path / "examples").iterdir()) == before | {tmp_path / "examples" / "1-step0000003.ogg"}


def test_an_example_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(InputError) as caught:
        write_ogg(tmp_path / "nowhere" / "mix.ogg", torch.zeros(2, 800), 8000)
    assert one_line(caught, "mix.ogg: not written")


def test_a_resumed_log_gets_new_columns_and_keeps_its_rows(tmp_path):
    """As after a step from a version, or a validation set, that measures more; there is one header."""
    logs = Logs(tmp_path, 0)
    for step in (10, 20):
        logs.add(VALIDATION, {"step": step, "right": step / 100})
    logs.close()
    logs = Logs(tmp_path, 20)
    logs.add(VALIDATION, {"step": 30, "balance_db": 2.0, "right": 0.3})
    logs.add(VALIDATION, {"step": 40, "balance_db": 1.0})
    logs.close()
    found = pd.read_csv(tmp_path / VALIDATION)
    assert (tmp_path / VALIDATION).read_text().count("step") == 1
    assert found["step"].tolist() == [10, 20, 30, 40]
    assert found.fillna(-1)["right"].tolist() == [0.1, 0.2, 0.3, -1]
    assert found.fillna(-1)["balance_db"].tolist() == [-1, -1, 2.0, 1.0]
    pd.testing.assert_frame_equal(logs.frame(VALIDATION), found)


def test_a_log_without_rows_to_keep_has_one_header(tmp_path):
    """Killed after the first checkpoint, with rows of later steps alone."""
    logs = Logs(tmp_path, 0)
    logs.add(LOG, {"step": 10, "loss": 0.5})
    logs.close()
    logs = Logs(tmp_path, 5)
    logs.add(LOG, {"step": 10, "loss": 0.25})
    logs.close()
    assert (tmp_path / LOG).read_text().splitlines() == ["step,loss", "10,0.25"]


@pytest.mark.parametrize("line", ["step,loss", "1,2,3,4", "x,y", "", "12,nothing"])
def test_lines_that_are_no_rows_are_dropped(tmp_path, line):
    (tmp_path / LOG).write_text(f"step,loss\n10,0.5\n{line}\n20,0.25\n", encoding="utf-8")
    kept = [row for row in rows_until(tmp_path / LOG, 20) if row["step"] != 12]
    assert kept == [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}]
