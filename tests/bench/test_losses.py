"""The table of the audio-feature loss."""

import pytest

from diffmst_lib.bench.losses import loss_step, loss_times
from diffmst_lib.style import features


def test_table_of_the_loss():
    table = loss_times(seconds=0.5, repeats=1)
    assert table.index.tolist() == ["reference, filterbank built anew", "reference", "default"]
    assert table.index.name == "stereo pair x 0.5 s" and list(table) == ["seconds", "times faster"]
    assert (table["seconds"] > 0).all() and table["times faster"].iloc[0] == 1
    assert (table["times faster"] * table["seconds"]).tolist() == pytest.approx(
        [table["seconds"].iloc[0]] * 3, rel=0.02
    )


def test_the_filterbank_is_built_anew_where_it_should_be():
    built = features.kept_filterbank.cache_info
    loss_step("reference", 0.1, rebuild=True)()
    assert built().misses == 1  # the second sound's; the counter was cleared with the cache
    loss_step("reference", 0.1)()
    assert built().misses == 1
