"""The table of models."""

from diffmst_lib import DiffMST
from diffmst_lib.bench.network import model_table


def test_table_of_models():
    table = model_table(["tiny"], num_tracks=2, seconds=0.5, repeats=1)
    assert table.index.tolist() == ["tiny"] and table.index.name == "2 tracks x 0.5 s"
    memory = "training step, 0.25 s (GB)"
    assert list(table) == ["parameters", "network (s)", "console (s)", "network / console", memory]
    assert (table.drop(columns=memory) > 0).all(axis=None)
    assert table[memory].item() >= 0  # little enough to be lost in rounding
    assert table["parameters"].item() == sum(p.numel() for p in DiffMST("tiny").parameters())
