"""The command itself: help, versions, exit codes, readers that leave, loading."""

import os
import subprocess
import sys

import pytest
from command_helpers import DIFFMST, IN_SESSIONS, MIX_FILES

import diffmst_lib


@pytest.mark.parametrize(
    "verb",
    ["", "mix", "rehearse", "train", "data", "data index", "data cache", "data open", "data shard", "bench"],
)
def test_help(diffmst, verb):
    code, out, err = diffmst(f"{verb} --help")
    assert code == 0 and not err
    assert " ".join(out).startswith(f"usage: diffmst {verb}".strip())


def test_help_of_the_command_names_every_verb(diffmst):
    _, out, _ = diffmst("--help")
    assert all(f"    {verb} " in "\n".join(out) for verb in ("mix", "rehearse", "train", "data", "bench"))


def test_version(diffmst):
    assert diffmst("--version") == (0, [f"diffmst {diffmst_lib.__version__}"], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "required: command"),
        ("master", "invalid choice: 'master'"),
        ("--loud mix stems --output out --method equal-loudness", "unrecognized arguments: --loud"),
        ("data", "required: COMMAND"),
    ],
)
def test_words_that_are_no_verb(inputs, diffmst, arguments, message):
    code, out, err = diffmst(arguments)
    assert (code, out) == (2, []) and message in err[-1]


@pytest.mark.parametrize("name", ["two\nlines", "a\x1b[31mred", "a\u2028b", "return\r"])
def test_an_error_is_one_line_whatever_a_name_holds(inputs, diffmst, name):
    code, _, err = diffmst("data index", [name])
    assert (code, len(err)) == (2, 1) and err[0] == f"diffmst: error: {repr(name)[1:-1]}: no such folder"


@pytest.mark.parametrize(
    "arguments",
    [
        ["mix", "", "--output", "out"],
        ["mix", "stems", "--reference", "", "--output", "out"],
        ["mix", "stems", "--model", "", "--reference", "ref.wav", "--output", "out"],
        ["data", "index", ""],
        ["data", "index", "stems", "--output", ""],
        ["data", "index", "stems", "--about", ""],
        ["data", "cache", "", "--output", "out"],
        ["train", "--tracks", "", "--output", "out"],
        ["train", "--tracks", "stems", "--references", "", "--output", "out"],
        ["rehearse", "--tracks", "stems", "--init", "", "--output", "out"],
    ],
    ids=" ".join,
)
def test_an_empty_name_is_not_the_current_folder(inputs, diffmst, arguments):
    """As an empty variable of the shell makes it."""
    code, _, err = diffmst(arguments)
    assert code == 2 and ": is empty: name a " in err[-1], err


def test_as_a_module(inputs):
    command = [
        sys.executable,
        "-m",
        "diffmst_lib",
        "mix",
        "nowhere",
        "--output",
        "out",
        "--method",
        "equal-loudness",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr == "diffmst: error: nowhere: no such folder of stems\n"


def test_the_reader_of_the_report_may_leave_and_the_terminal_may_know_no_umlauts(inputs):
    command = [DIFFMST, "mix", "stems", "--method", "equal-loudness", "--output", "Mischung für Zoë"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        process.stdout.close()
        lines = process.stderr.read().decode("ascii").splitlines()
    assert process.returncode == 0 and all(line.startswith(IN_SESSIONS) for line in lines)
    assert sorted(os.listdir("Mischung für Zoë")) == MIX_FILES
