"""`diffmst bench` on one track of one second, the least whose memory shows."""

import numpy as np
import pytest
import torch

from diffmst_lib import ConsoleParams, MixingConsole
from diffmst_lib.bench import console as bench
from diffmst_lib.bench import training as bench_train


def test_table_of_times_and_memory():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        table = bench.console_table([1], seconds=1.0, repeats=1)
        assert torch.get_num_threads() == 2  # it measures on one, and gives the others back
    finally:
        torch.set_num_threads(threads)
    assert list(table) == ["reference (s)", "default (s)", "times faster", "reference (GB)", "default (GB)"]
    assert table.index.tolist() == [1] and table.index.name == "tracks x 1 s"
    assert (table > 0).all(axis=None)


def test_table_of_rendering():
    pytest.importorskip("pedalboard")
    table = bench.render_table(num_tracks=2, seconds=2.0, repeats=1)
    assert table.index.tolist() == ["default", "pedalboard"] and table.index.name == "2 tracks x 2 s"
    assert list(table) == ["seconds", "times real time", "peak (GB)"] and (table["seconds"] > 0).all()


def test_without_pedalboard_its_row_is_left_out(monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    assert bench.render_table(num_tracks=1, seconds=1.0, repeats=1).index.tolist() == ["default"]


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
    theirs = bench._pedalboard_mix(tracks.numpy(), params)
    assert np.abs(ours - theirs).max() < 1e-3 * np.abs(ours).max()


def test_a_failed_measurement_names_the_system(monkeypatch):
    with pytest.raises(RuntimeError, match="memory of nonsense failed"):
        bench._peak_memory_gb(bench.training_step, ["nonsense"], 1, 0.1)


def test_times_are_medians_of_alternating_runs():
    calls, clock = [], iter([0, 9, 9, 10, 10, 11, 11, 15, 15, 21, 21, 22])  # seconds: 9, 1; 1, 4; 6, 1
    jobs = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    times = bench.time.perf_counter
    bench.time.perf_counter = lambda: next(clock)
    try:
        assert bench._median_seconds(jobs, repeats=3) == {"a": 6, "b": 1}
    finally:
        bench.time.perf_counter = times
    assert calls == list("abababab")  # one of each to warm up


def test_table_of_the_loss():
    table = bench.loss_times(seconds=0.5, repeats=1)
    assert table.index.tolist() == ["reference, filterbank built anew", "reference", "default"]
    assert table.index.name == "stereo pair x 0.5 s" and list(table) == ["seconds", "times faster"]
    assert (table["seconds"] > 0).all() and table["times faster"].iloc[0] == 1
    assert (table["times faster"] * table["seconds"]).tolist() == pytest.approx(
        [table["seconds"].iloc[0]] * 3, rel=0.02
    )
    from diffmst_lib.style import features

    bench.loss_step("reference", 0.1, rebuild=True)()
    assert (
        features._bark_filterbank.cache_info().misses == 1
    )  # the second sound's; the counter was cleared with the cache


def test_table_of_models():
    table = bench.model_table(["tiny"], num_tracks=2, seconds=0.5, repeats=1)
    assert table.index.tolist() == ["tiny"] and table.index.name == "2 tracks x 0.5 s"
    assert list(table) == [
        "parameters",
        "network (s)",
        "console (s)",
        "network / console",
        "training step, 0.25 s (GB)",
    ]
    assert (table > 0).all(axis=None) or table[
        "training step, 0.25 s (GB)"
    ].item() == 0  # little enough to be lost in rounding
    assert table["parameters"].item() == sum(p.numel() for p in bench.DiffMST("tiny").parameters())


def test_table_of_training_steps():
    table = bench_train.step_table("tiny", num_tracks=2, seconds=0.5, repeats=1)
    assert table.index.tolist() == ["reference", "default"] and table.index.name == "1 x 2 tracks x 0.5 s"
    parts = ["network", "console", "loss", "backward", "optimizer"]
    assert list(table) == [*parts, "all", "steps a second, relative"]
    assert table[parts].sum(axis=1).tolist() == pytest.approx(table["all"].tolist(), abs=0.005)
    relative = table["all"]["reference"] / table["all"]["default"]
    assert table["steps a second, relative"].tolist() == pytest.approx([1.0, relative], rel=0.02)
