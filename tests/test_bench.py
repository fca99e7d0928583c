"""`diffmst bench` on one track of one second, the least whose memory shows."""

import torch

from diffmst_lib.bench import console_table


def test_table_of_times_and_memory():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        table = console_table([1], seconds=1.0, repeats=1)
        assert torch.get_num_threads() == 2  # it measures on one, and gives the others back
    finally:
        torch.set_num_threads(threads)
    assert list(table) == ["reference (s)", "default (s)", "times faster", "reference (GB)", "default (GB)"]
    assert table.index.tolist() == [1] and table.index.name == "tracks x 1 s"
    assert (table > 0).all(axis=None)
