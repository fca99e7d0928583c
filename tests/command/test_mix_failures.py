"""`diffmst mix`: bad input costs one line and no file, and so does being stopped."""

import math
import os
import resource
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch
from command_helpers import DIFFMST, tree
from hanging import HANGS_S

# Bad input

MIX = "mix stems --output out "
OPTIMIZE = MIX + "--reference ref.wav --steps 1"
WAVE = torch.sin(torch.arange(22050) / 20)
BAD_INPUT = {
    "no folder": (None, "mix nowhere --output out --method equal-loudness", "nowhere: no such folder"),
    "a file as folder": (None, "mix ref.wav --output out --method equal-loudness", "ref.wav: no such folder"),
    "an empty folder": ("empty/", "mix empty --output out --method equal-loudness", "empty: no audio files"),
    "only text": ("texts/a.txt", "mix texts --output out --method equal-loudness", "texts: no audio files"),
    "garbage stem": ("stems/kick.wav", OPTIMIZE, "stems/kick.wav: not an audio file"),
    "m4a stem": ("stems/kick.m4a", OPTIMIZE, "stems/kick.m4a: not an audio file that can be read here"),
    "empty stem": (("stems/kick.wav", torch.zeros(2, 0)), OPTIMIZE, "stems/kick.wav: no audio in it"),
    "stem with NaN": (
        ("stems/kick.wav", torch.tensor([0.1, math.nan])),
        OPTIMIZE,
        "stems/kick.wav: holds NaN",
    ),
    "infinite stem": (
        ("stems/kick.wav", torch.tensor([0.1, math.inf])),
        OPTIMIZE,
        "stems/kick.wav: holds NaN or inf",
    ),
    "stem of 6 channels": (("stems/kick.wav", torch.ones(6, 10)), OPTIMIZE, "stems/kick.wav: 6 channels"),
    "stem twice": (("stems/keys.aiff", torch.ones(2, 10)), OPTIMIZE, "stems: several files are named keys"),
    "silence": (
        ("quiet/kick.wav", torch.zeros(2, 999)),
        "mix quiet --output out --method equal-loudness",
        "quiet: all 1 stems are silent",
    ),
    "stems that cancel": (
        ("twins/a.wav", WAVE),
        "mix twins --output out --method equal-loudness",
        "twins: the stems cancel, their sum is silent",
    ),
    "a loud click": (
        ("stems/kick.wav", torch.eye(1, 22050) * 1e30),
        OPTIMIZE,
        "stems: stem kick peaks at 1e+30 times full scale, too loud for any console",
    ),
    "a loud stem": (
        ("stems/kick.wav", WAVE * 1e17),
        "mix stems --output out --method equal-loudness",
        "stems: stem kick peaks at 1e+17 times full scale",
    ),
    "unknown lock": (None, OPTIMIZE + " --lock bas", "lock: no stem or knob 'bas': did you mean 'bass'?"),
    "unknown knob": (None, OPTIMIZE + " --lock keys.pam", "did you mean 'keys.pan'?"),
    "unknown lock of a model": (
        None,
        MIX + "--reference ref.wav --model small --lock drums",
        "lock: no stem or knob",
    ),
    "unknown center": (
        None,
        OPTIMIZE + " --center drums",
        "stems: center names no stem drums: there are bass, keys",
    ),
    "amount above 1": (None, OPTIMIZE + " --amount 1.01", "amount must be from 0 to 1, got 1.01"),
    "amount below 0": (None, OPTIMIZE + " --amount tone=-0.1", "amount must be from 0 to 1, got -0.1"),
    "unknown aspect": (
        None,
        OPTIMIZE + " --amount color=1",
        "amount has no aspect 'color': there are balance,",
    ),
    "no reference": (None, MIX, "--method optimize needs a --reference"),
    "no such reference": (None, MIX + "--reference r.wav", "r.wav: no such file"),
    "folder as reference": (None, MIX + "--reference stems", "stems: a folder, not a file"),
    "garbage reference": ("r.wav", MIX + "--reference r.wav", "r.wav: not an audio file"),
    "empty reference": (("r.wav", torch.zeros(2, 0)), MIX + "--reference r.wav", "r.wav: no audio in it"),
    "mono reference": (
        ("r.wav", torch.ones(1, 10)),
        MIX + "--reference r.wav",
        "r.wav: the reference has 1 channel;",
    ),
    "reference of 6 channels": (
        ("r.wav", torch.ones(6, 10)),
        MIX + "--reference r.wav",
        "r.wav: the reference has 6 ch",
    ),
    "silent reference": (
        ("r.wav", torch.zeros(2, 999)),
        MIX + "--reference r.wav",
        "r.wav: the reference is silent",
    ),
    "short reference": (
        ("r.wav", torch.rand(2, 4000) - 0.5),
        MIX + "--reference r.wav",
        "r.wav: the reference is 0.091 s long, at least 0.1 s are needed",
    ),
    "reference without sound": (
        ("r.wav", torch.full((2, 22050), 0.3)),
        MIX + "--reference r.wav",
        "r.wav: the reference is nothing but a DC offset",
    ),
    "reference with NaN": (
        ("r.wav", torch.full((2, 9), math.nan)),
        MIX + "--reference r.wav",
        "r.wav: holds NaN",
    ),
    "infinite reference": (
        ("r.wav", torch.full((2, 9), math.inf)),
        MIX + "--reference r.wav",
        "r.wav: holds NaN or inf",
    ),
    "output is a file": (
        None,
        "mix stems --output ref.wav --method equal-loudness",
        "ref.wav: cannot write there",
    ),
    "output below a file": (
        None,
        "mix stems --output ref.wav/a/b --method equal-loudness",
        "ref.wav/a/b: cannot write",
    ),
    "output has a long name": (
        None,
        f"mix stems --output new/{300 * 'n'} --method equal-loudness",
        "cannot write there",
    ),
    "output holds a folder": ("out/mix.wav/", MIX + "--method equal-loudness", "out/mix.wav: is a folder"),
    "names too long": (
        None,
        f"mix {300 * 'n'} --output out --method equal-loudness",
        "n: File name too long",
    ),
}


@pytest.mark.parametrize("existing", [False, True], ids=["new output", "existing output"])
@pytest.mark.parametrize(("made", "arguments", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_costs_one_line_and_writes_nothing(
    inputs, diffmst, write, existing, made, arguments, message
):
    write("twins/b.wav", -WAVE)  # of opposite polarity
    if isinstance(made, tuple):
        write(*made)
    elif made:
        path = Path(made)
        (path if made.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        path.is_dir() or path.write_bytes(b"this is not audio\n" * 99)
    if existing:
        Path("out").mkdir(exist_ok=True)
        Path("out/notes.txt").write_text("mine")
    before = tree(inputs)
    code, out, err = diffmst(arguments)
    assert (code, out) == (2, [])
    assert len(err) == 1 and err[0].startswith("diffmst: error: ") and message in err[0]
    assert tree(inputs) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is Linux's")
@pytest.mark.parametrize("output", ["/proc", "/proc/mixes"])
def test_output_where_nobody_can_write(inputs, diffmst, output):
    code, out, err = diffmst(f"mix stems --method equal-loudness --output {output}")
    assert (code, out, len(err)) == (2, [], 1)
    assert err[0].startswith(f"diffmst: error: {output}: cannot write there (")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("mix stems", "required: --output"),
        ("mix --output out", "required: TRACKS_DIR"),
        (MIX + "--steps 0", "--steps: must be a whole number of at least 1, not 0"),
        (MIX + "--steps -3", "--steps: must be a whole number of at least 1, not -3"),
        (MIX + "--steps 1.5", "--steps: must be a whole number"),
        (MIX + "--steps many", "--steps: must be a whole number"),
        (MIX + "--fit-seconds 0", "--fit-seconds: must be a number between 0.1 and 3600, not 0"),
        (MIX + "--fit-seconds nan", "--fit-seconds: must be a number"),
        (MIX + "--fit-seconds long", "--fit-seconds: must be a number"),
        (MIX + "--method magic", "--method: invalid choice"),
        (MIX + "--keep -1", "--keep: must be a number of at least 0, not -1"),
        (MIX + "--keep much", "--keep: must be a number of at least 0, not much"),
        (MIX + "--amount half", "--amount: must be a number or aspects, as in balance=0,tone=1, not half"),
        (MIX + "--amount tone=1,tone=0", "--amount: names an aspect twice"),
        (MIX + "--balance loud", "--balance: invalid choice"),
        (MIX + "--lock ,", "--lock: is empty: name stems or knobs"),
        (MIX + "--refine -1", "--refine: must be a whole number of at least 0, not -1"),
    ],
)
def test_bad_options(inputs, diffmst, arguments, message):
    before = tree(inputs)
    code, out, err = diffmst(arguments)
    assert (code, out) == (2, [])
    assert sum("error: " in line for line in err) == 1 and message in err[-1]
    assert tree(inputs) == before


@pytest.fixture
def little_room():
    """Files may be no longer than 100 kB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_disk_full(inputs, diffmst, little_room):
    mix = "mix stems --method equal-loudness --output"
    assert diffmst(mix, "out/first")[0] == 0
    little_room()
    code, out, err = diffmst(mix, "out/new")
    assert (code, out, err) == (2, [], ["diffmst: error: mix.wav: not written (File too large)"])
    assert os.listdir("out") == ["first"]


@pytest.mark.parametrize(
    ("output", "reference", "words"),
    [
        ("stems", "ref.wav", "holds the stems"),
        ("", "ref.wav", "--output: is empty"),
        ("out", "out/mix.wav", "would be overwritten"),
        ("out", "out/stems/kick.wav", "would be overwritten"),
        (".", "ref.wav", "stems: holds the stems"),
    ],
)
def test_nothing_of_the_users_is_overwritten(inputs, diffmst, write, output, reference, words):
    write("out/mix.wav", torch.rand(2, 8000) - 0.5)
    write("out/stems/kick.wav", torch.rand(2, 8000) - 0.5)
    before = tree(inputs)
    code, _, err = diffmst(
        "mix stems --stems --overwrite --steps 1 --reference", reference, ["--output", output]
    )
    assert code == 2 and words in err[-1]
    assert tree(inputs) == before


# Being stopped


def stop_while_it_saves(monkeypatch):
    """Ctrl-C arrives after the second of four files."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupt)


def test_control_c_while_saving_removes_the_folders_that_were_made(inputs, diffmst, monkeypatch):
    stop_while_it_saves(monkeypatch)
    code, out, err = diffmst("mix stems --reference ref.wav --steps 1 --quiet --output new/one/two")
    assert (code, out, err) == (130, [], ["diffmst: stopped"])
    assert not Path("new").exists()


def test_control_c_while_saving_leaves_an_existing_folder_as_it_was(inputs, diffmst, monkeypatch):
    stop_while_it_saves(monkeypatch)
    Path("out/deep").mkdir(parents=True)
    Path("out/mix.wav").write_text("earlier")
    before = tree(inputs)
    assert diffmst("mix stems --reference ref.wav --steps 1 --quiet --overwrite --output out")[0] == 130
    assert tree(inputs) == before


@pytest.mark.parametrize("existing", [False, True], ids=["new output", "existing output"])
def test_control_c_while_fitting(inputs, existing):
    if existing:
        Path("out").mkdir()
        Path("out/mix.wav").write_text("earlier")
    before = tree(inputs)
    command = [DIFFMST, "mix", "stems", "--reference", "ref.wav", "--output", "out", "--steps", "100000"]
    command.append("--overwrite")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.read(1)  # the progress bar: the fit has begun
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=HANGS_S)[1]
    assert process.returncode == 130
    assert err.splitlines()[-1] == "diffmst: stopped" and "Traceback" not in err
    assert tree(inputs) == before
