"""`diffmst train`: folders in, a model out; one line for bad input."""

import json
import re
import threading

import pytest
from command_helpers import stop_when
from safetensors import safe_open
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
        (["--preset", "nowhere.json"], ["nowhere.json: cannot be read"]),
        (["--pull", "-1"], ["pull cannot be -1"]),
        (["--method", "1", "--soft-limit", "none"], ["--soft-limit has no meaning with the loss mrstft"]),
        (["--preset", "paper", "--balance", "equal"], ["--balance has no meaning with paper"]),
        (["--seconds", "100"], ["100 s"]),
        (["--compile"], ["CNN", "tiny"]),
        (["--method", "1", "--varied", "0.5"], ["--varied has no meaning with method 1"]),
        (["--method", "1", "--known", "0.5"], ["--known has no meaning with method 1"]),
        (["--known", "2"], ["known cannot be 2"]),
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
        ["--schedule", "linear"],
        ["--clip-norm", "-1"],
        ["--soft-limit", "soft"],
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


def recipe_of(folder):
    """The recipe that a checkpoint remembers."""
    with safe_open(folder / "checkpoint.safetensors", "pt") as file:
        return json.loads(file.metadata()["about"])["identity"]


def test_settings_as_options(root, tmp_path, capsys):
    short = [*SHORT, "--tracks", root, "--quiet"]
    given = ["--pull", "0.01", "--soft-limit", "0.5", "--schedule", "constant", "--clip-norm", "2"]
    code, _, err = run(capsys, *short, *given, "--output", tmp_path / "one")
    found = recipe_of(tmp_path / "one")
    values = [found[name] for name in ("pull", "soft_limit", "schedule", "clip_norm")]
    assert code == 0 and values == [0.01, 0.5, "constant", 2.0], err
    for number, off in enumerate(("none", "0")):
        folder = tmp_path / f"off {number}"
        run(capsys, *short, "--soft-limit", off, "--clip-norm", off, "--pull", "0", "--output", folder)
        found = recipe_of(folder)
        assert [found[name] for name in ("pull", "soft_limit", "clip_norm")] == [0.0, None, None]


def test_as_the_released_code_does(root, tmp_path, capsys):
    options = [*SHORT, "--tracks", root, "--released", "--method", "1", "--seconds", "2"]
    code, out, err = run(capsys, *options, "--output", tmp_path / "model")
    found = recipe_of(tmp_path / "model")
    assert code == 0 and "mrstft-16-released, tiny: 2 updates" in out, err
    assert [found[name] for name in ("normalize", "loss_preset", "keep")] == [False, "reference", 0.0]
    code, out, err = run(capsys, *options, "--loss", "af", "--output", tmp_path / "fine")
    assert code == 2 and "goes on from a model trained as mrstft-16-released" in err


def test_a_model_of_its_own_from_a_file_to_a_finer_training(root, tmp_path, capsys):
    """Only the fields that differ; then the configuration that was saved, as a preset and as a start."""
    path, first = tmp_path / "mine.json", tmp_path / "first"
    path.write_text('{"base": "tiny", "width": 16, "name": "mine"}')
    options = [*SHORT[2:], "--tracks", root]
    code, out, err = run(capsys, *options, "--preset", path, "--output", first)
    assert code == 0 and "af-16, mine: 2 updates" in out, err
    assert "note: mine: trained with the settings of small" in err
    assert dm.DiffMST.from_pretrained(first).config.width == 16
    second = [*options, "--preset", first / "config.json", "--init", first, "--output", tmp_path / "second"]
    assert run(capsys, *second)[0] == 0
    code, _, err = run(capsys, *options, "--preset", "tiny", "--init", first, "--output", tmp_path / "no")
    assert code == 2 and "another model than --preset tiny: width 16, now 32" in err
    assert len([line for line in err.splitlines() if "note:" not in line]) == 1


def test_weights_of_the_first_edition_are_no_start(root, tmp_path, capsys):
    path = dm.DiffMST("tiny").save_pretrained(tmp_path / "old") / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2}))
    options = ["--tracks", root, "--output", tmp_path / "model", "--init", tmp_path / "old"]
    code, _, err = run(capsys, *SHORT, *options)
    assert code == 2 and len(err.splitlines()) == 1 and "old/config.json: weights of the first edition" in err


def test_resumed_with_more_steps_with_nothing_to_do_and_with_other_songs(tmp_path, capsys):
    songs, records = folders_of_audio(tmp_path)
    options = [*SHORT, "--tracks", songs, "--references", records, "--output", tmp_path / "model", "--resume"]
    assert run(capsys, *options)[0] == 0
    code, _, err = run(capsys, *options)
    assert code == 0 and "note:" in err and "finished, all 2 steps are done" in err and "step/s" not in err
    code, _, err = run(capsys, *options, "--steps", 3)
    assert code == 0 and "goes on from step 2 to 3, not to 2; the learning rate goes on at" in err
    code, _, err = run(capsys, *options, "--steps", 1)
    assert code == 2 and "3 steps are done, more than the 1 asked for" in err
    for i in range(4):
        write_sound(songs / "Zeta" / f"stem {i}.wav", music(2, channels=1, seed=i))
    code, _, err = run(capsys, *options, "--steps", 3)
    assert code == 2 and "data 17 songs, names and splits" in err and "now 18 songs" in err
    assert "another folder (--init" in err and "step/s" not in err


def test_a_folder_without_songs(tmp_path, capsys):
    write_sound(tmp_path / "set" / "alone.wav")
    for folder in (tmp_path / "nothing", tmp_path / "set"):
        code, _, err = run(capsys, *SHORT, "--tracks", folder, "--output", tmp_path / "model", "--quiet")
        assert code == 2 and len(err.splitlines()) == 1, err


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
