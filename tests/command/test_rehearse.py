"""`diffmst rehearse`: folders in, a model out for `diffmst train --init`; one line for bad input."""

import json
import re
import threading

import pytest
import torch
from command_helpers import stop_when
from safetensors import safe_open
from sound_files import music, write_sound
from training_helpers import miniature

import diffmst_lib as dm
from diffmst_lib.command.main import main
from diffmst_lib.data.index import SongIndex

SHORT = ["--preset", "tiny", "--steps", "2", "--moments", "2"]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr("diffmst_lib.training.rehearsing.BATCH", 4)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    miniature(folder, seconds=14)
    return folder


def run(capsys, verb, *arguments):
    code = main([verb, *map(str, arguments)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_an_index_a_model_and_a_training_that_goes_on(root, tmp_path, capsys):
    first = tmp_path / "first"
    code, out, err = run(capsys, "rehearse", *SHORT, "--tracks", root, "--output", first)
    assert code == 0 and "rehearsal, tiny: 2 updates; songs to learn from: 2, records: 2" in out, err
    assert re.search(r"step +seconds +known +record\n +2 ", out) and re.search(
        rf"`diffmst train --preset tiny --tracks .* --init {first} --output MODEL` goes on", out
    )
    assert all(bar in err for bar in ("hear songs", "hear records", "rehearse"))
    assert dm.DiffMST.from_pretrained(first).config.name == "tiny"
    train = (
        "--preset tiny --steps 1 --batch-size 1 --seconds 1 --workers 0 --validation-examples 2 --known 0.5"
    )
    options = [*train.split(), "--tracks", root, "--output", tmp_path / "second", "--init", first, "--quiet"]
    code, _, err = run(capsys, "train", *options)
    assert code == 0, err
    code, out, err = run(
        capsys, "rehearse", *SHORT, "--tracks", root, "--output", first, "--resume", "--quiet"
    )
    assert (code, out) == (0, "") and "finished, all 2 steps are done" in err and "step/s" not in err


def test_folders_of_audio(tmp_path, capsys):
    """Measured into the output folder, split by their names; sounds of the output are no songs."""
    for song in ("Alpha", "Beta", "Gamma", "Delta", "Epsilon"):
        for i in range(2):
            write_sound(tmp_path / "songs" / song / f"stem {i}.wav", music(16, channels=1, seed=i))
    for i in range(12):
        write_sound(tmp_path / "records" / f"record {i}.wav", music(8, seed=i))
    output = tmp_path / "songs" / "model"
    options = ["--tracks", tmp_path / "songs", "--references", tmp_path / "records", "--output", output]
    code, _, err = run(capsys, "rehearse", *SHORT, *options, "--quiet")
    assert code == 0 and "is stereo: the model cannot learn to set their width" in err, err
    found = [len(SongIndex.load(output / name)) for name in ("tracks.json", "references.json")]
    assert found == [5, 12]


@pytest.mark.parametrize(
    "more, parts",
    [
        (["--preset", "paper"], ["'statistics' and evidence", "the encoder 'cnn'"]),
        (["--preset", "nowhere.json"], ["nowhere.json: cannot be read"]),
        (["--references", "nowhere"], ["nowhere"]),
        (["--tracks", "nowhere"], ["nowhere"]),
        (["--preset", "small"], ["no song has two moments of 9 s", "--seconds"]),
        (["--seconds", "0.5"], ["seconds cannot be 0.5"]),
        (["--learning-rate", "-1"], ["learning_rate cannot be -1"]),
        (["--init", "nowhere"], ["nowhere: no such folder with a model"]),
    ],
)
def test_bad_input(root, tmp_path, capsys, more, parts):
    options = ["--tracks", root, "--output", tmp_path / "model", "--quiet"]
    code, out, err = run(capsys, "rehearse", *SHORT, *options, *more)
    lines = [line for line in err.splitlines() if "note:" not in line]
    assert code == 2 and len(lines) == 1 and all(part in lines[0] for part in parts) and not out, err


def test_splits_that_leave_nothing_to_learn_from(root, tmp_path, capsys):
    index = SongIndex.load(root)
    for song in index.songs:
        song.split = "test"
    index.save(tmp_path / "set" / "index.json")
    options = ["--tracks", tmp_path / "set", "--output", tmp_path / "model", "--quiet"]
    code, _, err = run(capsys, "rehearse", *SHORT, *options)
    assert code == 2 and "the train split has none of the 3 songs with stems" in err and "--about" in err


def test_a_folder_that_holds_something_else_or_cannot_be_written(root, tmp_path, capsys):
    dm.DiffMST("tiny").save_pretrained(tmp_path / "model")
    (tmp_path / "file").write_text("in the way")
    for output, says in (
        (tmp_path / "model", "holds a model"),
        (tmp_path / "file" / "x", "cannot write there"),
    ):
        code, _, err = run(capsys, "rehearse", *SHORT, "--tracks", root, "--output", output, "--quiet")
        assert code == 2 and len(err.splitlines()) == 1 and says in err, err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--steps", "0"],
        ["--moments", "0"],
        ["--preset", "huge"],
        ["--seed", "-1"],
        ["--output", ""],
        ["--recipe", "af-16"],
    ],
)
def test_options_that_argparse_refuses(root, tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        run(capsys, "rehearse", "--tracks", root, "--output", tmp_path, *arguments)
    assert caught.value.code == 2


def test_a_model_of_its_own_from_a_file(root, tmp_path, capsys):
    (tmp_path / "mine.json").write_text('{"base": "tiny", "width": 16, "name": "mine"}')
    options = ["--preset", tmp_path / "mine.json", *SHORT[2:], "--tracks", root, "--seconds", "2"]
    first, second = tmp_path / "first", tmp_path / "second"
    code, _, err = run(capsys, "rehearse", *options, "--output", first)
    assert code == 0 and "note: mine: trained with the settings of small" in err, err
    assert dm.DiffMST.from_pretrained(first).config.width == 16
    code, _, err = run(capsys, "rehearse", *options, "--init", first, "--output", second, "--quiet")
    constants = [dm.DiffMST.from_pretrained(x).style.standardize.mean for x in (first, second)]
    assert code == 0 and torch.equal(*constants), err
    options = [*SHORT, "--tracks", root, "--init", first, "--output", tmp_path / "third", "--quiet"]
    code, _, err = run(capsys, "rehearse", *options)
    assert code == 2 and "another model than --preset tiny: width 16, now 32" in err


def test_the_books_own_songs(data, tmp_path, capsys):
    """They last 13 s: no two moments of 6 s have a place in them, and the refusal says what helps."""
    options = [*SHORT, "--tracks", data, "--output", tmp_path / "model", "--quiet"]
    code, _, err = run(capsys, "rehearse", *options)
    assert code == 2 and "two moments of 6 s" in err and "--seconds" in err, err
    code, _, err = run(capsys, "rehearse", *options, "--seconds", "1", "--learning-rate", "0.001")
    assert code == 0, err
    assert dm.DiffMST.from_pretrained(tmp_path / "model").config.name == "tiny"
    with safe_open(tmp_path / "model" / "checkpoint.safetensors", "pt") as file:
        identity = json.loads(file.metadata()["about"])["identity"]
    assert (identity["seconds"], identity["learning_rate"]) == (1.0, 0.001)


def test_stopping_says_how_to_go_on(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("diffmst_lib.training.rehearsing.LOG_EVERY", 1)
    model, returned = tmp_path / "model", threading.Event()
    watcher = threading.Thread(target=stop_when, args=((model / "log.csv").is_file, returned))
    watcher.start()
    options = ["--tracks", root, "--output", model, "--quiet"]
    try:
        code, _, err = run(capsys, "rehearse", *SHORT, "--steps", "100000", *options)
    finally:
        returned.set()
        watcher.join()
    assert code == 130 and re.match(r"diffmst: stopped after step \d+ of 100000", err) and "--resume" in err
    with safe_open(model / "checkpoint.safetensors", "pt") as file:
        about = json.loads(file.metadata()["about"])
    assert about["identity"]["name"] == "rehearsal" and 0 < about["progress"]["step"] < 100_000
