"""Tables of the console on one track of one second, the least whose memory shows."""

import sys

import numpy as np
import pytest
import torch

from diffmst_lib import ConsoleParams, MixingConsole
from diffmst_lib.bench import console


def test_table_of_times_and_memory():
    table = console.console_table([1], seconds=1.0, repeats=1)
    assert list(table) == ["reference (s)", "default (s)", "times faster", "reference (GB)", "default (GB)"]
    assert table.index.tolist() == [1] and table.index.name == "tracks x 1 s"
    assert (table > 0).all(axis=None)


def test_table_of_rendering():
    pytest.importorskip("pedalboard")
    table = console.render_table(num_tracks=2, seconds=2.0, repeats=1)
    assert table.index.tolist() == ["default", "pedalboard"] and table.index.name == "2 tracks x 2 s"
    assert list(table) == ["seconds", "times real time", "peak (GB)"] and (table["seconds"] > 0).all()


def test_without_pedalboard_its_row_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    table = console.render_table(num_tracks=1, seconds=1.0, repeats=1)
    assert table.index.tolist() == ["default"]


def test_pedalboard_gets_the_same_chain():
    """With the compressors at ratio 1, where knee and look-ahead do nothing, both render the same mix."""
    pytest.importorskip("pedalboard")
    generator = torch.Generator().manual_seed(1)
    tracks = 0.1 * torch.randn(2, 22050, generator=generator)
    params = ConsoleParams.from_unit(
        torch.rand(2, 27, generator=generator), torch.rand(25), torch.rand(26, generator=generator)
    )
    for strip in (params.track("track1"), params.track("track2"), params.master_bus):
        strip["ratio"] = 1.0
    params.track("track1")["pan"], params.track("track2")["pan"] = 0.0, 1.0  # where all pan laws agree
    ours = MixingConsole(44100).render(tracks, params, fx_bus=False).numpy()
    theirs = console.pedalboard_mix(tracks.numpy(), params)
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(ours).max()
