"""Tables of the console on one track of one second, the least whose memory shows."""

import sys

import numpy as np
import pytest
import torch

from diffmst_lib import ConsoleParams, MixingConsole
from diffmst_lib.bench import console
from diffmst_lib.console.table import SECTIONS, param_table


def test_table_of_times_and_memory():
    table = console.console_table([1], seconds=1.0, repeats=1)
    assert list(table) == ["reference (s)", "default (s)", "times faster", "reference (GB)", "default (GB)"]
    assert table.index.tolist() == [1] and table.index.name == "stereo stems x 1 s"
    assert (table > 0).all(axis=None)


def test_table_of_rendering():
    pytest.importorskip("pedalboard")
    table = console.render_table(num_tracks=2, seconds=2.0, repeats=1)
    assert table.index.tolist() == ["default", "pedalboard"] and table.index.name == "2 stereo stems x 2 s"
    assert list(table) == ["seconds", "times real time", "peak (GB)"] and (table["seconds"] > 0).all()


def test_without_pedalboard_its_row_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    table = console.render_table(num_tracks=1, seconds=1.0, repeats=1)
    assert table.index.tolist() == ["default"]


def test_pedalboard_gets_the_same_chain():
    """With the compressors at ratio 1, where knee and look-ahead do nothing, both render the same mix."""
    pytest.importorskip("pedalboard")
    generator = torch.Generator().manual_seed(1)
    stems = 0.1 * torch.randn(2, 2, 22050, generator=generator)
    params = ConsoleParams.from_unit(
        *(
            torch.rand(*rows, len(param_table(section)), generator=generator)
            for section, rows in zip(SECTIONS, ((2,), (), ()), strict=True)
        )
    )
    for strip in (params.track("track1"), params.track("track2"), params.master_bus):
        strip["ratio"] = 1.0
    ours = MixingConsole(44100).render(stems, params, fx_bus=False).numpy()
    theirs = console.pedalboard_mix(stems.numpy(), params)
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(ours).max()


def test_both_consoles_get_the_same_stems(monkeypatch):
    """Eight stereo stems of ours are sixteen mono channels of the released code."""
    seen, call = {}, MixingConsole.__call__

    def noted(self, tracks, params, **options):
        seen[self.preset] = tracks
        return call(self, tracks, params, **options)

    monkeypatch.setattr(MixingConsole, "__call__", noted)
    for preset in ("default", "reference"):
        console.training_step(preset, 3, 0.1)()
    assert seen["default"].shape == (3, 2, 4410)
    assert torch.equal(seen["default"].flatten(0, 1), seen["reference"])
