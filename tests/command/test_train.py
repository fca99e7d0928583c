"""`diffmst train`: folders in, a model out; one line for bad input."""

import os
import re
import signal
import threading
import time

import pytest
from sound_files import music, write_sound
from training_helpers import miniature

import diffmst_lib as dm
from diffmst_lib.command.main import main
from diffmst_lib.data.index import SongIndex

OPTIONS = "--preset tiny --seconds 1 --steps 2 --batch-size 1 --validate-every 1"
SHORT = [*OPTIONS.split(), "--workers", "0", "--validation-examples", "2"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    miniature(folder)
    return folder


def run(capsys, *arguments):
    code = main(["train", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_an_index(root, tmp_path, capsys):
    code, out, err = run(capsys, *SHORT, "--tracks", root, "--output", tmp_path / "model")
    assert (
        code == 0
        and "af-16, tiny: 2 updates of 1 x 1 examples; songs to train on: 2" in out
        and "step/s" in err
    )
    assert "right" in out and "written:" in out
    assert dm.DiffMST.from_pretrained(tmp_path / "model").config.name == "tiny"
    code, out, err = run(
        capsys, *SHORT, "--tracks", root, "--output", tmp_path / "model", "--resume", "--quiet"
    )
    assert (code, out) == (0, "") and "step/s" not in err


def folders_of_audio(folder):
    """Stems here, records there, nothing measured; as many songs as there are splits, by their names."""
    for song in ("Alpha", "Beta", "Gamma", "Delta", "Epsilon"):
        for i in range(4):
            write_sound(folder / "songs" / song / f"stem {i}.wav", music(2, channels=1, seed=i))
    for i in range(12):
        write_sound(folder / "records" / f"record {i}.wav", music(2, seed=i))
    return folder / "songs", folder / "records"


def test_folders_of_audio(tmp_path, capsys):
    """They are measured once, and split by their names; where nothing is left to judge by, it says so."""
    songs, records = folders_of_audio(tmp_path)
    options = [*SHORT, "--tracks", songs, "--references", records, "--output", tmp_path / "model"]
    code, _, err = run(capsys, *options)
    found = {name: SongIndex.load(tmp_path / "model" / name) for name in ("tracks.json", "references.json")}
    assert [len(index) for index in found.values()] == [5, 12]
    judged = {split: len(found["tracks.json"].multitracks(split)) for split in ("train", "validation")}
    assert (
        code == 0
        and judged["train"]
        and ("judged on what it is trained on" in err) == (judged["validation"] == 0)
    ), err


def test_stems_are_no_references(tmp_path, capsys):
    songs = tmp_path / "songs"
    for song in ("Alpha", "Beta", "Gamma", "Delta", "Epsilon"):
        for i in range(4):
            write_sound(songs / song / f"stem {i}.wav", music(2, channels=2, seed=i))
    code, _, err = run(
        capsys, *SHORT, "--tracks", songs, "--references", songs, "--output", tmp_path / "model", "--quiet"
    )
    assert code == 2 and "holds stems of the songs" in err


def test_an_output_inside_of_the_songs(tmp_path, capsys):
    """The sounds of a training are no songs of the next."""
    songs, records = folders_of_audio(tmp_path)
    for records_too in ([], ["--resume"]):
        code, _, err = run(
            capsys,
            *SHORT,
            "--tracks",
            songs,
            "--references",
            records,
            "--output",
            songs / "model",
            *records_too,
        )
        assert code == 0, err
        assert len(SongIndex.load(songs / "model" / "tracks.json")) == 5
    (songs / "model" / "model.safetensors").unlink()
    (songs / "model" / "checkpoint.safetensors").unlink()
    assert (
        run(capsys, *SHORT, "--tracks", songs, "--references", records, "--output", songs / "model")[0] == 0
    )
    assert len(SongIndex.load(songs / "model" / "tracks.json")) == 5


def test_splits_that_leave_nothing_to_train_on(root, tmp_path, capsys):
    index = SongIndex.load(root)
    for song in index.songs:
        song.split = "test"
    index.save(tmp_path / "set" / "index.json")
    code, _, err = run(
        capsys, *SHORT, "--tracks", tmp_path / "set", "--output", tmp_path / "model", "--quiet"
    )
    assert code == 2 and "the train split has none of the 3 songs with stems" in err and "--about" in err


def test_method_1_and_fine_tuning(root, tmp_path, capsys):
    short = [*SHORT, "--seconds", 2, "--tracks", root, "--quiet"]
    assert run(capsys, *short, "--method", 1, "--max-tracks", 8, "--output", tmp_path / "first")[0] == 0
    code, _, err = run(
        capsys, *short, "--method", 1, "--loss", "af", "--max-tracks", 8, "--output", tmp_path / "second"
    )
    assert code == 2 and "trained as mrstft-8" in err
    code, _, err = run(
        capsys,
        *short,
        "--recipe",
        "mrstft+af-8",
        "--output",
        tmp_path / "second",
        "--init",
        tmp_path / "first",
    )
    assert code == 0, err


@pytest.mark.parametrize(
    "more, parts",
    [
        (["--method", "2", "--loss", "mrstft"], ["sample by sample"]),
        (["--recipe", "af-16", "--method", "1"], ["leave out"]),
        (["--method", "1", "--references", "x"], ["no meaning with method 1"]),
        (["--learning-rate", "-1"], ["learning_rate cannot be -1"]),
        (["--varied", "2"], ["varied"]),
        (["--init", "nowhere"], ["nowhere"]),
        (["--references", "nowhere"], ["nowhere"]),
        (["--init", "small"], ["of the first edition", "not of preset tiny"]),
        (["--preset", "paper", "--balance", "equal"], ["--balance has no meaning with paper"]),
        (["--seconds", "100"], ["100 s"]),
        (["--compile"], ["CNN", "tiny"]),
        (["--method", "1", "--varied", "0.5"], ["--varied has no meaning with method 1"]),
        (["--random-gain-db", "3"], ["--random-gain-db has no meaning with method 2"]),
    ],
)
def test_bad_input(root, tmp_path, capsys, more, parts):
    code, _, err = run(capsys, *SHORT, "--tracks", root, "--output", tmp_path / "model", "--quiet", *more)
    lines = [line for line in err.splitlines() if "note:" not in line]
    assert code == 2 and len(lines) == 1 and all(part in lines[0] for part in parts), err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--steps", "0"],
        ["--preset", "huge"],
        ["--max-tracks", "7"],
        ["--seed", "-1"],
        ["--precision", "int8"],
        ["--validation-examples", "1"],
        ["--output", ""],
    ],
)
def test_options_that_argparse_refuses(root, tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        run(capsys, "--tracks", root, "--output", tmp_path, *arguments)
    assert caught.value.code == 2


def test_a_folder_without_songs(tmp_path, capsys):
    write_sound(tmp_path / "set" / "alone.wav")
    for folder in (tmp_path / "nothing", tmp_path / "set"):
        code, _, err = run(capsys, *SHORT, "--tracks", folder, "--output", tmp_path / "model", "--quiet")
        assert code == 2 and len(err.splitlines()) == 1, err


def stop_when(there, stopped):
    """Send SIGTERM to this process as soon as `there()`, unless `stopped` is set before."""
    while not stopped.is_set():
        if there():
            return os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


def test_stopping_says_how_to_go_on(root, tmp_path, capsys):
    model, returned = tmp_path / "model", threading.Event()
    steps = model / "validation.csv"

    def has_trained():
        return (
            steps.is_file() and len(steps.read_text().splitlines()) > 2
        )  # the header, before the first step, after it

    watcher = threading.Thread(target=stop_when, args=(has_trained, returned))
    watcher.start()
    try:
        code, _, err = run(
            capsys, *SHORT, "--steps", "100000", "--tracks", root, "--output", model, "--quiet"
        )
    finally:
        returned.set()
        watcher.join()
    assert code == 130 and re.match(r"diffmst: stopped after step \d+ of 100000", err) and "--resume" in err
    assert (model / "checkpoint.safetensors").is_file()
