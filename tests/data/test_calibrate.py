"""The script that calibrates the metrics: what it writes, and that it goes on where it stopped."""

import importlib.util
import itertools
import warnings

import pytest
import torch

import diffmst_lib as dm
from diffmst_lib.evaluation.calibration import ALL, read_calibration
from diffmst_lib.evaluation.hearing import floors

FEW = ["--tracks", str(dm.data_dir()), "--split", "test", "--seconds", "3", "--moments", "2"]


@pytest.fixture(scope="module")
def script():
    path = dm.data_dir() / "calibrate.py"
    spec = importlib.util.spec_from_file_location("calibrate_script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def calibrate(script, monkeypatch):
    """calibrate(path, *options), on one ladder."""
    of_song = script.calibrate_song
    monkeypatch.setattr(
        script, "calibrate_song", lambda *of, **how: of_song(*of, ladders=["voice_up"], **how)
    )

    def calibrate(path, *options):
        threads = torch.get_num_threads()
        try:
            script.main([*FEW, "--output", str(path), *options])
        finally:
            torch.set_num_threads(threads)

    return calibrate


def test_the_table(calibrate, tmp_path, capsys):
    path = tmp_path / "new" / "calibration.csv"
    calibrate(path)
    table = read_calibration(path)
    assert set(table["ladder"]) == {"none", "voice_up", "records"}
    songs = table[(table["ladder"] == "voice_up") & (table["moment"] != ALL)]
    assert set(songs["song"]) == {"caesium"} and set(songs["moment"]) == {0, 1}
    records = set(table[(table["ladder"] == "records") & (table["song"] != "")]["song"])
    assert {"its_simple", "vibe_ace"} <= records
    assert set(floors(table)["of"]) == {"none", "records"}
    assert "voice_up" in capsys.readouterr().out
    assert list(path.parent.iterdir()) == [path]  # the parts are gone


def test_it_goes_on_where_it_stopped(calibrate, script, tmp_path, monkeypatch):
    path = tmp_path / "whole.csv"
    calibrate(path)
    calls = []

    def stopped(*arguments, measure=script.calibrate_record):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(arguments[0])
        return measure(*arguments)

    again = tmp_path / "again.csv"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(script, "calibrate_record", stopped)
        calibrate(again)
    assert not again.exists() and (tmp_path / "again.parts").is_dir()
    with pytest.raises(SystemExit, match="holds parts of a calibration with other settings"):
        calibrate(again, "--seed", "1")
    with monkeypatch.context() as patch:
        patch.setattr(script, "calibrate_song", None)  # not needed any more
        calibrate(again)
    assert again.read_bytes() == path.read_bytes()


def test_moments_are_apart_and_sung(script):
    index = dm.data.SongIndex.load(dm.data_dir())
    for name, sung in {"potassium": 3, "rubidium": 1}.items():  # of rubidium's excerpt, little is sung
        starts = script.moments(index[name], 3, 3.0)
        assert len(starts) == 3 and all(b - a >= 3.0 for a, b in itertools.pairwise(starts))
        heard = ["vox_lead" in script.excerpt(index[name], start_s, 3.0).names for start_s in starts]
        assert sum(heard) >= sung
    assert script.apart([0.0, 1.0, 3.0, 5.0, 6.0], 3.0) == [0.0, 3.0, 6.0]
    assert script.spread([0.0, 1.0, 2.0, 3.0], 2) == [1.0, 3.0] and script.spread([5.0], 3) == [5.0]
    assert script.spread([], 2) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "tset"], "no split tset: there are train, validation, test"),
        (["--seconds", "600"], "no song of these splits has stems and two moments of 600 s"),
    ],
)
def test_bad_input_is_one_line(options, message, calibrate, tmp_path):
    with pytest.raises(SystemExit, match=f"^calibrate: error: .*{message}"), warnings.catch_warnings():
        calibrate(tmp_path / "none.csv", *options)
    assert list(tmp_path.iterdir()) == []


def test_one_moment_is_not_enough(calibrate, tmp_path, capsys):
    with pytest.raises(SystemExit):
        calibrate(tmp_path / "none.csv", "--moments", "1")
    assert "at least two moments" in capsys.readouterr().err
