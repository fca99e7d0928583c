"""`diffmst evaluate`: folders, options, exit codes, a stop and a second run."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from command_helpers import DIFFMST
from hanging import HANGS_S

import diffmst_lib as dm
from diffmst_lib.evaluation.store import read_pairs

DATA = f"--tracks {dm.data_dir()} --references {dm.data_dir()}"
QUICK = "--seconds 1 --workers 0 --quiet"


@pytest.fixture
def folders(write, noise, tmp_path, monkeypatch):
    """songs/ with a song of two stems, no voice among them, and records/ with one of a second; the current folder."""
    monkeypatch.chdir(tmp_path)
    write("songs/one/bass.wav", 0.3 * noise(2, 3 * 44100))
    write("songs/one/keys.wav", 0.2 * noise(2, 3 * 44100, seed=1))
    write("records/short.wav", 0.3 * noise(2, 44100, seed=2))
    return tmp_path


def test_a_checkout(diffmst, tmp_path):
    code, out, err = diffmst(
        f"evaluate {DATA} --systems equal-loudness,sum --records its_simple {QUICK} --output",
        tmp_path / "out",
    )
    assert (code, out, err) == (0, [], [])
    table = read_pairs(tmp_path / "out")
    assert set(table["song"]) == {"caesium", "rubidium"} and set(table["record"]) == {"its_simple"}


def test_folders_with_a_song_without_voice_and_a_record_of_a_second(diffmst, folders):
    code, out, _ = diffmst(
        "evaluate --tracks songs --references records --systems sum --output out --seconds 2 --workers 0"
    )
    table = read_pairs("out")
    assert code == 0 and table.loc[0, ["seconds", "stems"]].tolist() == [2, 2]
    assert pd.isna(table.loc[0, "voice_change_lu"]) and table.loc[0, "af_mean"] > 0
    assert out[-1] == "written: out, see summary.md"


def test_a_failed_mix_is_told_by_the_exit_code(diffmst, folders):
    (folders / "fails.py").write_text("import sys; sys.exit('no luck')")
    program = ["--program", f"mine={sys.executable} fails.py {{song}} {{output}}"]
    code, _, err = diffmst(
        f"evaluate --tracks songs --references records --systems sum --output out {QUICK}", program
    )
    assert code == 1 and err == ["diffmst: 1 of 2 mixes failed, see pairs.csv"]
    table = read_pairs("out").set_index("system")
    assert "no luck" in table.loc["mine", "error"] and table.loc["sum", "error"] == ""


def test_a_broken_file_is_a_failed_mix(diffmst, folders):
    line = f"evaluate --tracks songs --references records --systems sum --output out {QUICK}"
    assert diffmst("data index songs --output index.json")[0] == 0
    (folders / "songs/one/keys.wav").write_bytes(b"RIFF")
    code, _, err = diffmst(line.replace("--tracks songs", "--tracks index.json"))
    assert code == 1 and len(err) == 1 and "keys.wav" in read_pairs("out").loc[0, "error"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--systems nobody", "known: equal-loudness"),
        ("--systems ,", "is empty"),
        ("--systems sum --program x", "must be NAME=COMMAND"),
        ("--systems sum --split other", "must be all or some of train"),
        ("--systems sum --seconds 0.5", "must be a number between 1 and 3600"),
        ("--systems sum --songs nobody", "no song with stems named nobody, there are caesium"),
        ("--systems sum --list missing.json", "cannot be read"),
        ("--systems sum --pairs 3 --list missing.json", "--pairs has no meaning with --list"),
        ("--systems sum --protocol mine", "invalid choice"),
        ("--systems sum --pairs 0", "must be a whole number of at least 1"),
    ],
)
def test_bad_options_are_one_line(diffmst, tmp_path, options, message):
    code, out, err = diffmst(f"evaluate {DATA} {options} --output", tmp_path / "out")
    assert (code, out) == (2, []) and message in err[-1]
    assert not (tmp_path / "out" / "pairs.csv").exists()


@pytest.mark.parametrize(
    "empty", ["--tracks nothing --references records", "--tracks songs --references nothing"]
)
def test_empty_folders(diffmst, folders, empty):
    (folders / "nothing").mkdir()
    code, _, err = diffmst(f"evaluate {empty} --systems sum --output out {QUICK}")
    assert code == 2 and len(err) == 1 and not (folders / "out/pairs.csv").exists()


def test_the_published_list(diffmst, tmp_path):
    path = dm.data_dir() / "test_list.json"
    code, _, err = diffmst(
        f"evaluate {DATA} --systems human --workers 0 --quiet --list {path}:tiny --output", tmp_path
    )
    assert code == 0 and err == ["diffmst: note: no human mix, left out there: rubidium"]
    table = read_pairs(tmp_path)
    assert len(table) == 4 and set(table["seconds"]) == {10.0}


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_stop_in_the_middle_and_the_same_command(diffmst, tmp_path):
    line = f"evaluate {DATA} --systems sum,equal-loudness --songs caesium --split all --seconds 1 --quiet"
    process = subprocess.Popen(
        [DIFFMST, *line.split(), "--workers", "1", "--output", tmp_path / "out"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        path, ends = tmp_path / "out/pairs.csv", time.monotonic() + HANGS_S
        while not path.exists() or path.read_text().count("\n") < 3:
            assert process.poll() is None and time.monotonic() < ends
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANGS_S)
    finally:
        process.kill()
    assert process.returncode == 130 and err.splitlines()[-1].startswith("diffmst: stopped after ")
    before = read_pairs(tmp_path / "out")
    assert 2 <= len(before) < 12 and (before["error"] == "").all()
    code, _, err = diffmst(f"{line} --workers 0 --output", tmp_path / "out")
    after = read_pairs(tmp_path / "out")
    assert (code, err) == (0, []) and len(after) == 2 * after["pair"].nunique() > len(before)
    both = after.merge(before[["pair", "system", "seconds_used"]], on=["pair", "system"])
    assert len(both) == len(before) and (both["seconds_used_x"] == both["seconds_used_y"]).all()
