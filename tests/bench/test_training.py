"""The table of training steps."""

import pytest

from diffmst_lib.bench.training import step_table


def test_table_of_training_steps():
    table = step_table("tiny", num_tracks=2, seconds=0.5, repeats=1)
    assert (
        table.index.tolist() == ["reference", "default"] and table.index.name == "1 x 2 stereo stems x 0.5 s"
    )
    parts = ["network", "console", "loss", "backward", "optimizer"]
    assert list(table) == [*parts, "all", "steps a second, relative"]
    assert table[parts].sum(axis=1).tolist() == pytest.approx(table["all"].tolist(), abs=0.005)
    relative = table["all"]["reference"] / table["all"]["default"]
    assert table["steps a second, relative"].tolist() == pytest.approx([1.0, relative], rel=0.02)
