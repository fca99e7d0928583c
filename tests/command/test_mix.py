"""`diffmst mix`: what it writes, what it says, and that bad input costs one line and no file."""

import dataclasses
import math
import os
import re
import resource
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch
from command_helpers import DIFFMST, MIX_FILES, notes, tree
from hanging import HANGS_S

import diffmst_lib as dm
from diffmst_lib import ConsoleParams, load_audio, loudness

# Good runs


@pytest.mark.parametrize("arguments", ["--reference ref.wav --steps 2", "--method equal-loudness"])
def test_mix_writes_three_files_and_reports_levels(inputs, diffmst, arguments):
    code, out, err = diffmst("mix stems --output out/new", arguments)
    assert code == 0 and notes(err) == []
    assert sorted(os.listdir("out/new")) == MIX_FILES
    mix = load_audio("out/new/mix.wav")
    assert mix.shape == (2, 22050) and loudness(mix) == pytest.approx(-16, abs=0.01)
    params = ConsoleParams.from_json(Path("out/new/params.json").read_text("utf-8"))
    assert params.names == ["bass", "keys.L", "keys.R"]
    assert pd.read_csv("out/new/params.csv").shape[0] == 5
    report = " ".join(out)
    assert f"2 stems, 0.5 s, -16.0 LUFS, peak {mix.abs().max():.2f}" in report
    assert ("audio-feature loss" in report) == ("--reference" in arguments)
    assert out[-1] == "written: out/new/mix.wav, params.json, params.csv"


def test_fit_seconds_and_steps_reach_the_fit(inputs, diffmst):
    code, out, err = diffmst("mix stems --reference ref.wav --output out --steps 3 --fit-seconds 0.25")
    assert code == 0 and any("3/3" in line for line in err)
    song, reference = dm.load_multitrack("stems"), load_audio("ref.wav")
    want = dm.optimize_mix(song, reference, steps=3, fit_seconds=0.25)
    torch.testing.assert_close(load_audio("out/mix.wav"), want.audio, rtol=0, atol=1e-6)
    first, best = want.history["total"].iloc[0], want.history["total"].min()
    reported = re.fullmatch(r"audio-feature loss ([\d.]+) -> ([\d.]+)", out[1])
    assert [float(number) for number in reported.groups()] == pytest.approx([first, best], rel=1e-3)


def test_the_baseline_is_compared_with_a_reference(inputs, diffmst):
    code, out, _ = diffmst("mix stems --reference ref.wav --output out --method equal-loudness")
    mix, reference = load_audio("out/mix.wav"), load_audio("ref.wav")
    target = dm.normalize_loudness(reference, loudness(mix))
    want = dm.audio_feature_loss(mix, target)["total"].item()
    assert code == 0 and float(out[1].removeprefix("audio-feature loss ")) == pytest.approx(want, rel=1e-3)


@pytest.fixture
def model(inputs):
    """The folder of a model whose heads are not neutral."""
    torch.manual_seed(0)
    tiny = dm.DiffMST("tiny")
    torch.nn.init.normal_(tiny.controller.heads["track"][-1].weight, std=0.1)
    return tiny.save_pretrained("tiny")


def test_mix_by_a_model(model, diffmst):
    code, out, err = diffmst("mix stems --reference ref.wav --output out --model tiny --quiet")
    assert (code, out, err) == (0, [], []) and sorted(os.listdir("out")) == MIX_FILES
    song, reference = dm.load_multitrack("stems"), load_audio("ref.wav")
    want = dm.DiffMST.from_pretrained("tiny").mix(song, reference)
    assert (
        ConsoleParams.from_json(Path("out/params.json").read_text("utf-8")).to_json() == want.params.to_json()
    )
    assert torch.equal(load_audio("out/mix.wav"), want.audio)
    code, out, _ = diffmst("mix stems --reference ref.wav --output out --model tiny --refine 0")
    loss = dm.audio_feature_loss(want.audio, dm.normalize_loudness(reference))["total"].item()
    assert code == 0 and float(out[1].removeprefix("audio-feature loss ")) == pytest.approx(loss, rel=1e-3)


def test_refining_starts_from_the_models_console(model, diffmst):
    code, out, _ = diffmst(
        "mix stems --reference ref.wav --output out --model tiny --refine 3 --fit-seconds 0.5"
    )
    start, end = map(float, out[1].removeprefix("audio-feature loss ").split(" -> "))
    assert code == 0 and end < start
    song = dm.load_multitrack("stems")
    mix = dm.DiffMST.from_pretrained("tiny").mix(song, load_audio("ref.wav"), refine_steps=3)
    torch.testing.assert_close(load_audio("out/mix.wav"), mix.audio, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--model nowhere", "nowhere: no such folder with a model"),
        ("--model stems", "stems: no model, config.json is missing"),
        ("--model tiny", "tiny/model.safetensors: not a whole safetensors file"),
        ("--model tiny --method optimize", "--model has no meaning with --method optimize"),
        ("--refine 2 --method equal-loudness", "--refine has no meaning with --method equal-loudness"),
        ("--model tiny --steps 2", "--steps has no meaning with --method model"),
        ("--refine 0 --method optimize", "--refine has no meaning with --method optimize"),
        ("--model tiny --fit-seconds 2", "--fit-seconds has no meaning with --method model without --refine"),
    ],
)
def test_bad_models_and_options_cost_one_line(model, inputs, diffmst, arguments, message):
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    before = tree(inputs)
    code, out, err = diffmst("mix stems --reference ref.wav --output out", arguments)
    assert (code, out, len(err)) == (2, [], 1) and err[0].startswith("diffmst: error: ") and message in err[0]
    assert tree(inputs) == before


def test_an_empty_name_is_no_model(inputs, diffmst):
    code, _, err = diffmst("mix stems --reference ref.wav --output out", ["--model", ""])
    assert code == 2 and len(err) == 1 and not Path("out").exists()


def test_stems_are_read_at_the_models_rate(inputs, diffmst):
    config = dataclasses.replace(dm.ModelConfig.preset("tiny"), sample_rate=22050)
    dm.DiffMST(config).save_pretrained("half")
    code, out, _ = diffmst("mix stems --reference ref.wav --output out --model half --refine 1")
    assert code == 0 and "-16.0 LUFS" in out[0]
    assert load_audio("out/mix.wav", sample_rate=22050).shape == (2, 11025)


def test_a_model_needs_a_reference(model, diffmst):
    assert diffmst("mix stems --output out --model tiny") == (
        2,
        [],
        ["diffmst: error: --method model needs a --reference"],
    )


@pytest.mark.parametrize("arguments", ["--reference ref.wav --steps 2", "--method equal-loudness"])
def test_quiet_prints_nothing(inputs, diffmst, arguments):
    assert diffmst("mix stems --output out --quiet", arguments) == (0, [], [])
    assert sorted(os.listdir("out")) == MIX_FILES


def test_an_earlier_mix_is_replaced_and_other_files_stay(inputs, diffmst, write):
    write("out/mix.wav", torch.zeros(2, 10))
    Path("out/notes.txt").write_text("mine")
    assert diffmst("mix stems --output out --method equal-loudness")[0] == 0
    assert sorted(os.listdir("out")) == sorted([*MIX_FILES, "notes.txt"])
    assert load_audio("out/mix.wav").shape == (2, 22050)


def test_what_was_changed_is_said_on_stderr(inputs, diffmst, write, noise):
    write("stems/vox.wav", noise(1, 12000), 48000)
    write("stems/room.wav", torch.zeros(2, 22050))  # silent: fine, and worth no word
    write("ref.wav", noise(2, 12000), 48000)
    Path("stems/lyrics.txt").touch()
    code, out, err = diffmst("mix stems --reference ref.wav --output out --steps 1 --quiet")
    assert (code, out) == (0, [])
    assert err == [
        "diffmst: note: not audio, left out: lyrics.txt",
        "diffmst: note: resampled to 44100 Hz: vox.wav (48000 Hz)",
        "diffmst: note: padded with silence to 0.50 s: vox.wav",
        "diffmst: note: ref.wav: resampled from 48000 Hz to 44100 Hz",
    ]


def test_level_above_full_scale_is_said_and_kept(diffmst, write, tmp_path, monkeypatch):
    click = torch.zeros(1, 22050)
    click[0, ::4410] = 1.0  # far louder in its peaks than in LUFS
    write("stems/click.wav", click)
    monkeypatch.chdir(tmp_path)
    _, out, _ = diffmst("mix stems --output out --method equal-loudness")
    assert "above full scale: kept" in out[0] and load_audio("out/mix.wav").abs().max() > 1


def test_what_the_reference_is_like_is_said_once(inputs, diffmst, write, noise):
    write("ref.wav", noise(2, 22050) + 0.05)
    for more in ("--steps 1", "--model small --refine 1", "--method equal-loudness"):
        code, _, err = diffmst("mix stems --reference ref.wav --output out --quiet", more)
        assert code == 0 and len(err) == 1 and "the reference has a DC offset of" in notes(err)[0]


# Bad input

MIX = "mix stems --output out "
OPTIMIZE = MIX + "--reference ref.wav --steps 1"
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
        "quiet: all 1 tracks are silent",
    ),
    "no reference": (None, MIX, "--method optimize needs a --reference"),
    "no such reference": (None, MIX + "--reference r.wav", "r.wav: no such file"),
    "folder as reference": (None, MIX + "--reference stems", "stems: no such file"),
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
    if isinstance(made, tuple):
        write(*made)
    elif made:
        path = Path(made)
        (path if made.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        path.is_dir() or path.write_bytes(b"this is not audio\n" * 99)
    if existing:
        Path("out").mkdir(exist_ok=True)
        Path("out/params.json").write_text("mine")
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
    ],
)
def test_nothing_of_the_users_is_overwritten(inputs, diffmst, write, output, reference, words):
    write("out/mix.wav", torch.rand(2, 8000) - 0.5)
    before = tree(inputs)
    code, _, err = diffmst("mix stems --steps 1 --reference", reference, ["--output", output])
    assert code == 2 and words in err[-1]
    assert tree(inputs) == before


# Being stopped


def stop_while_it_saves(monkeypatch):
    """Ctrl-C arrives after the first of three files."""

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
    assert diffmst("mix stems --reference ref.wav --steps 1 --quiet --output out")[0] == 130
    assert tree(inputs) == before


@pytest.mark.parametrize("existing", [False, True], ids=["new output", "existing output"])
def test_control_c_while_fitting(inputs, existing):
    if existing:
        Path("out").mkdir()
        Path("out/mix.wav").write_text("earlier")
    before = tree(inputs)
    command = [DIFFMST, "mix", "stems", "--reference", "ref.wav", "--output", "out", "--steps", "100000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.read(1)  # the progress bar: the fit has begun
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=HANGS_S)[1]
    assert process.returncode == 130
    assert err.splitlines()[-1] == "diffmst: stopped" and "Traceback" not in err
    assert tree(inputs) == before
