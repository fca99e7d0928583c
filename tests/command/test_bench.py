"""`diffmst bench`: one table a number of tracks, one line for bad input."""

import numpy as np
import pytest
from sound_files import music, write_sound

from diffmst_lib.command.bench import plan
from diffmst_lib.command.main import build_parser


@pytest.mark.parametrize(
    ("arguments", "function", "given", "tracks"),
    [
        ("", "console_table", {"seconds": 10.0, "repeats": 3}, [None]),
        ("--tracks 1 2 --seconds 0.2 --repeats 1", "console_table", {"seconds": 0.2, "repeats": 1}, [None]),
        ("--loss --seconds 2", "loss_times", {"seconds": 2.0, "repeats": 3}, [None]),
        ("--model tiny small --tracks 4 8", "model_table", {"seconds": 10.0, "repeats": 3}, [4, 8]),
        ("--render --repeats 7", "render_table", {"seconds": 60.0, "repeats": 7}, [16]),
        ("--train paper", "step_table", {"seconds": 5.0, "repeats": 3}, [8]),
    ],
)
def test_what_is_measured(arguments, function, given, tracks):
    jobs = plan(build_parser("bench").parse_args(["bench", *arguments.split()]))
    assert [job.func.__name__ for job in jobs] == [function] * len(tracks)
    assert [job.keywords.get("num_tracks") for job in jobs] == tracks
    assert all(given.items() <= job.keywords.items() for job in jobs)
    positional = {
        "console_table": [[4, 8], [1, 2]],
        "model_table": [["tiny", "small"]],
        "step_table": ["paper"],
    }
    assert all(job.args == () or job.args[0] in positional[function] for job in jobs)


@pytest.mark.parametrize(
    ("arguments", "header", "rows"),
    [
        (
            "--loss --seconds 0.5",
            "times faster",
            ["reference, filterbank built anew", "reference", "default"],
        ),
        ("--train tiny --tracks 2 --seconds 1", "console", ["default", "reference"]),
    ],
)
def test_tables(diffmst, arguments, header, rows):
    code, out, _ = diffmst("bench --repeats 1", arguments)
    assert code == 0 and "torch" in out[0] and header in out[1]
    for row in rows:
        numbers = next(line for line in out if line.startswith(row)).split()[1:]
        assert all(float(number) >= 0 for number in numbers if number.replace(".", "").isdigit())


def test_a_loader(diffmst, tmp_path):
    for song in ("one", "two"):
        write_sound(tmp_path / "songs" / song / "kick.wav", music(3))
        write_sound(tmp_path / "songs" / song / "vox.flac", music(3, seed=3))
    for record in ("record.ogg", "other.ogg"):
        write_sound(tmp_path / "records" / record, music(3, seed=5))
    index = ["data", "index", tmp_path / "songs", "--references", tmp_path / "records", "--quiet"]
    assert diffmst(index)[0] == 0
    code, out, _ = diffmst("bench --tracks 2 --seconds 1 --data", tmp_path / "songs")
    assert code == 0 and "step / loader" in "\n".join(out) and "waiting in training (%)" in "\n".join(out)
    rows = [line.split() for line in out if line[:1] in ("0", "1", "2") and len(line.split()) == 5]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert all(np.isfinite(float(cell)) and float(cell) >= 0 for row in rows for cell in row)


def test_the_loss_takes_no_tracks(diffmst):
    code, out, err = diffmst("bench --loss --tracks 4")
    assert code == 2 and not out and len(err) == 1 and "--tracks has no meaning with --loss" in err[0]


def test_an_index_that_is_not_there(diffmst):
    code, _, err = diffmst("bench --data nowhere")
    assert code == 2 and len(err) == 1 and "nowhere" in err[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--model huge", "--model: invalid choice"),
        ("--tracks 0", "--tracks: must be a whole number"),
        ("--loss --render", "not allowed with"),
        ("--seconds 0", "--seconds: must be a number"),
    ],
)
def test_bad_options(diffmst, arguments, message):
    code, out, err = diffmst("bench", arguments)
    assert (code, out) == (2, []) and message in err[-1]
