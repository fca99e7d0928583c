"""`diffmst mix`: what it writes, what it says, and what its options reach."""

import dataclasses
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from command_helpers import IN_SESSIONS, MIX_FILES, notes, tree
from sound_files import stamp

import diffmst_lib as dm
from diffmst_lib import ConsoleParams, load_audio, loudness

FARTHER = "the mix is farther from its record than the plain sum of the stems"
LED_FARTHER = "the network's console led farther from the record than the plain sum of the stems is"
pytestmark = pytest.mark.filterwarnings(f"ignore:{FARTHER}", f"ignore:{LED_FARTHER}")

# Good runs


@pytest.mark.parametrize("arguments", ["--reference ref.wav --steps 2", "--method equal-loudness"])
def test_mix_writes_its_files_and_prints_the_report(inputs, diffmst, arguments):
    code, out, err = diffmst("mix stems --output out/new", arguments)
    assert code == 0 and notes(err) == []
    assert sorted(os.listdir("out/new")) == MIX_FILES
    mix = load_audio("out/new/mix.wav")
    assert mix.shape == (2, 22050) and loudness(mix) == pytest.approx(-16, abs=0.01)
    params = ConsoleParams.from_json(Path("out/new/params.json").read_text("utf-8"))
    assert params.names == ["bass", "keys"]
    assert pd.read_csv("out/new/params.csv").shape[0] == 4
    assert out[0].startswith(f"2 stems, 0.5 s, -16.0 LUFS, peak {mix.abs().max():.2f}")
    assert any(line.startswith("whole mix: audio-feature loss 0.") for line in out) == (
        "--reference" in arguments
    )
    printed = "\n".join(out)
    assert all(words in printed for words in ("bass", "keys", "loudness (LUFS)", "true peak (dBTP)"))
    saved = json.loads(Path("out/new/report.json").read_text("utf-8"))
    assert list(saved["stems"]) == ["bass", "keys"]
    assert saved["mix"]["mix"]["loudness_lufs"] == pytest.approx(-16, abs=0.01)
    for warning in saved["warnings"]:
        assert f"! {warning['message']}" in out
    assert out[-1] == (
        "written: out/new/mix.wav, params.json, params.csv, report.json, session.RPP, diffmst_strip.jsfx, "
        "diffmst_master.jsfx, Effects/, session.dawproject, channels.md, channels.csv"
    )


def test_fit_seconds_and_steps_reach_the_fit(inputs, diffmst):
    code, out, err = diffmst("mix stems --reference ref.wav --output out --steps 3 --fit-seconds 0.25")
    assert code == 0 and any("3/3" in line for line in err)
    song, reference = dm.load_multitrack("stems"), load_audio("ref.wav")
    want = dm.optimize_mix(song, reference, steps=3, fit_seconds=0.25)
    torch.testing.assert_close(load_audio("out/mix.wav"), want.audio, rtol=0, atol=1e-6)
    losses = want.history["total"]
    first, best = losses.iloc[0], losses[(losses + want.history["pull"]).idxmin()]
    reported = re.fullmatch(r"fit: audio-feature loss ([\d.]+) -> ([\d.]+)", out[1])
    assert [float(number) for number in reported.groups()] == pytest.approx([first, best], abs=6e-5)
    assert float(out[2].removeprefix("whole mix: audio-feature loss ")) == pytest.approx(
        want.loss["total"], abs=6e-5
    )


def test_the_baseline_is_compared_with_a_reference(inputs, diffmst):
    code, out, _ = diffmst("mix stems --reference ref.wav --output out --method equal-loudness")
    mix, reference = load_audio("out/mix.wav"), load_audio("ref.wav")
    target = dm.normalize_loudness(reference, loudness(mix))
    want = dm.audio_feature_loss(mix, target)["total"].item()
    assert code == 0 and float(out[1].removeprefix("whole mix: audio-feature loss ")) == pytest.approx(
        want, rel=1e-3
    )


@pytest.fixture
def model(inputs):
    """The folder of a model whose heads are not neutral."""
    torch.manual_seed(0)
    tiny = dm.DiffMST("tiny")
    torch.nn.init.normal_(tiny.controller.heads["track"][-1].weight, std=0.1)
    return tiny.save_pretrained("tiny")


def test_mix_by_a_model(model, diffmst):
    code, out, err = diffmst("mix stems --reference ref.wav --output out --model tiny --quiet")
    assert (code, out) == (0, []) and sorted(os.listdir("out")) == MIX_FILES
    assert {note.split(":")[0] for note in notes(err)} <= {FARTHER, LED_FARTHER}  # it is untrained
    song, reference = dm.load_multitrack("stems"), load_audio("ref.wav")
    want = dm.DiffMST.from_pretrained("tiny").mix(song, reference)
    assert (
        ConsoleParams.from_json(Path("out/params.json").read_text("utf-8")).to_json() == want.params.to_json()
    )
    assert torch.equal(load_audio("out/mix.wav"), want.audio)
    code, out, _ = diffmst("mix stems --reference ref.wav --output again --model tiny --refine 0")
    loss = dm.audio_feature_loss(want.audio, dm.normalize_loudness(reference))["total"].item()
    assert code == 0 and float(out[1].removeprefix("whole mix: audio-feature loss ")) == pytest.approx(
        loss, rel=1e-3
    )


def test_refining_starts_from_the_models_console(model, diffmst):
    code, out, _ = diffmst(
        "mix stems --reference ref.wav --output out --model tiny --refine 3 --fit-seconds 0.5"
    )
    start, end = map(float, out[1].removeprefix("fit: audio-feature loss ").split(" -> "))
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
        ("--model tiny --keep 2", "--keep has no meaning with --method model without --refine, but for 0"),
        ("--method equal-loudness --keep 1", "--keep has no meaning with --method equal-loudness"),
        ("--method equal-loudness --lock bass", "--lock has no meaning with --method equal-loudness"),
        ("--method equal-loudness --amount 1", "--amount has no meaning with --method equal-loudness"),
        ("--method equal-loudness --balance equal", "--balance has no meaning with --method equal-loudness"),
        ("--method equal-loudness --center bass", "--center has no meaning with --method equal-loudness"),
        ("--model tiny --amount 1.5", "amount must be from 0 to 1, got 1.5"),
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
    assert code == 2 and "argument --model: is empty" in err[-1] and not Path("out").exists()


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
    code, out, err = diffmst("mix stems --output out --quiet", arguments)
    assert (code, out, notes(err)) == (0, [], []) and all(line.startswith(IN_SESSIONS) for line in err)
    assert sorted(os.listdir("out")) == MIX_FILES


BASELINE = "mix stems --output out --method equal-loudness"


INSIDE = ["stems/bass.wav", "Effects/diffmst_strip.jsfx"]


@pytest.mark.parametrize("file", [*(file for file in MIX_FILES if file != "Effects"), *INSIDE])
@pytest.mark.parametrize("kind", ["edited", "read-only", "a link", "a link to nothing"])
def test_files_of_an_earlier_mix_are_refused_before_anything_is_read(inputs, diffmst, file, kind):
    earlier = Path("out", file)
    earlier.parent.mkdir(parents=True)
    Path("mine").write_text("mine")
    if kind.startswith("a link"):
        earlier.symlink_to(Path("mine" if kind == "a link" else "nowhere").resolve())
    else:
        earlier.write_text("mine")
        earlier.chmod(0o444 if kind == "read-only" else 0o644)
    before = tree(inputs)
    code, out, err = diffmst(BASELINE, "--stems")
    assert (code, out) == (2, []) and err == [
        f"diffmst: error: out: holds {file}; replace with --overwrite, or name another folder for the mix"
    ]
    assert tree(inputs) == before
    code, _, err = diffmst(BASELINE, "--stems --overwrite")
    assert code == 0 and not any("error" in line for line in err)
    assert Path("mine").read_text() == "mine" and not earlier.is_symlink()
    assert load_audio("out/mix.wav").shape == (2, 22050)


def test_overwriting_replaces_a_mix_and_leaves_other_files(inputs, diffmst, write):
    write("out/mix.wav", torch.zeros(2, 10))
    Path("out/notes.txt").write_text("mine")
    assert diffmst(BASELINE)[0] == 2
    assert diffmst(BASELINE, "--overwrite")[0] == 0
    assert sorted(os.listdir("out")) == sorted([*MIX_FILES, "notes.txt"])
    assert load_audio("out/mix.wav").shape == (2, 22050)


def test_a_mix_written_in_the_meantime_is_not_replaced(inputs, diffmst, monkeypatch):
    report = dm.MixResult.report

    def slow(*given):
        Path("out/params.csv").write_text("theirs")
        return report(*given)

    monkeypatch.setattr(dm.MixResult, "report", slow)
    code, _, err = diffmst(BASELINE)
    assert code == 2 and "out: holds params.csv" in err[-1]
    assert os.listdir("out") == ["params.csv"] and Path("out/params.csv").read_text() == "theirs"


def test_stems_of_another_mix_that_stay_are_named(inputs, diffmst, write, noise):
    assert diffmst(BASELINE, "--stems")[0] == 0
    write("stems/vox.wav", noise(1, 22050, seed=5))
    Path("stems/keys.wav").unlink()
    _, _, err = diffmst(BASELINE, "--stems --overwrite")
    assert notes(err) == ["out/stems: stems that are not of this mix stay there: keys.wav"]
    _, _, err = diffmst(BASELINE, "--overwrite")
    assert notes(err) == ["out/stems: stems that are not of this mix stay there: bass.wav, keys.wav, vox.wav"]


def test_a_reference_that_is_no_record_is_named(inputs, diffmst, write, noise):
    assert diffmst(BASELINE)[0] == 0
    mix = "mix stems --steps 1 --quiet --output"
    _, _, err = diffmst(mix, "a --reference out/mix.wav")
    assert "out/mix.wav: the reference is no record but an earlier mix: params.json lies beside it" in notes(
        err
    )
    for name in ("bass", "keys"):
        write(f"stems/{name}.wav", noise(2, 50000, seed=ord(name[0])))
    write("copy.wav", load_audio("stems/keys.wav"))
    for reference in ("stems/keys.wav", "copy.wav"):
        _, _, err = diffmst(mix, f"{reference[:4]} --reference {reference}")
        assert notes(err) == ["the reference is the stem keys of the song, not a finished record"]
    _, _, err = diffmst(mix, "b --reference ref.wav")
    assert notes(err) == []


def test_stems_of_opposite_polarity_are_named(inputs, diffmst, write, noise):
    write("stems/mic.wav", -0.4 * load_audio("stems/keys.wav"))
    code, out, err = diffmst(BASELINE)
    assert code == 0 and "-16.0 LUFS" in out[0]
    assert len(notes(err)) == 1 and "cancel each other: keys and mic (correlation -1.00)" in err[0]


def test_what_was_changed_is_said_on_stderr(inputs, diffmst, write, noise):
    write("stems/vox.wav", noise(1, 12000), 48000)
    write("stems/room.wav", torch.zeros(2, 22050))  # silent: fine, and worth no word
    write("ref.wav", noise(2, 50000) + 0.5 * noise(1, 50000, seed=9), 48000)
    Path("stems/lyrics.txt").touch()
    code, out, err = diffmst("mix stems --reference ref.wav --output out --steps 1 --quiet")
    assert (code, out) == (0, [])
    assert [line for line in err if not line.startswith(IN_SESSIONS)] == [
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
    write("ref.wav", noise(2, 50000) + 0.5 * noise(1, 50000, seed=9) + 0.05)
    for more in ("--steps 1", "--model small --refine 1", "--method equal-loudness"):
        code, _, err = diffmst("mix stems --reference ref.wav --output out --quiet --overwrite", more)
        assert code == 0 and len(notes(err)) == 1 and "the reference has a DC offset of" in notes(err)[0]


@pytest.mark.parametrize("kind", ["a silent channel", "64 stems", "mono in stereo"])
def test_odd_songs_are_mixed(inputs, diffmst, write, noise, kind):
    if kind == "a silent channel":
        write("odd/pad.wav", noise(2, 22050) * torch.tensor([1.0, 0.0])[:, None])
    for number in range({"64 stems": 64, "mono in stereo": 3}.get(kind, 0)):
        write(f"odd/{number}.wav", noise(1, 8000, seed=number).repeat(2, 1))
    code, out, err = diffmst("mix odd --reference ref.wav --output out --steps 1")
    assert code == 0 and "-16.0 LUFS" in out[0] and not any("error" in line for line in err)


# What is kept of the song


def settings(folder="out"):
    return ConsoleParams.from_json(Path(folder, "params.json").read_text("utf-8"))


def test_what_is_kept_reaches_the_fit(inputs, diffmst):
    code, _, _ = diffmst(
        "mix stems --reference ref.wav --output out --steps 2 --quiet --keep 0.5 --lock bass --lock",
        "keys.pan,master_bus.ratio --amount balance=0,tone=0.5 --balance equal",
    )
    want = dm.optimize_mix(
        dm.load_multitrack("stems"),
        load_audio("ref.wav"),
        steps=2,
        keep=0.5,
        lock=["bass", "keys.pan", "master_bus.ratio"],
        amount={"balance": 0, "tone": 0.5},
        balance="equal",
    )
    assert code == 0 and settings().to_json() == want.params.to_json()
    assert (settings().track("keys")["pan"], settings().master_bus["ratio"]) == (0.5, 1.0)


def test_what_is_kept_reaches_the_model(model, diffmst):
    options = "--amount 0.5 --lock keys.peak_1_gain_db --balance equal --refine 1 --keep 2"
    code, _, _ = diffmst("mix stems --reference ref.wav --output out --model tiny --quiet", options)
    want = dm.DiffMST.from_pretrained("tiny").mix(
        dm.load_multitrack("stems"),
        load_audio("ref.wav"),
        amount=0.5,
        lock=["keys.peak_1_gain_db"],
        balance="equal",
        refine_steps=1,
        keep=2.0,
    )
    assert code == 0 and settings().to_json() == want.params.to_json()


@pytest.mark.parametrize("refine", ["", " --refine 0"])
def test_a_model_whose_console_is_taken_as_it_is(model, diffmst, refine):
    code, _, err = diffmst(
        "mix stems --reference ref.wav --output out --model tiny --quiet --keep 0" + refine
    )
    tiny, song, reference = (
        dm.DiffMST.from_pretrained("tiny"),
        dm.load_multitrack("stems"),
        load_audio("ref.wav"),
    )
    assert code == 0 and settings().to_json() == tiny.mix(song, reference, keep=0).params.to_json()
    assert not any("goes" in note for note in notes(err))


def test_center_names_who_stays_in_the_middle_of_a_mono_song(inputs, diffmst, write, noise):
    for seed, name in enumerate("abc"):
        write(
            f"mono/{name}.wav",
            noise(2 if name == "c" else 1, 22050, seed=seed)
            .mean(0, keepdim=True)
            .repeat(1 + (name == "c"), 1),
        )
    command = "mix mono --reference ref.wav --output out --steps 1 --quiet --amount 0 --overwrite"
    for center, middle in (("a,c", "ac"), ("", ""), ("a, b, c", "abc")):
        assert diffmst(command, ["--center", center])[0] == 0
        assert "".join(n for n in "abc" if settings().track(n)["pan"] == 0.5) == middle


def test_a_name_with_a_comma_or_a_dot_is_a_stem_before_it_is_a_list_or_a_knob(inputs, diffmst, write, noise):
    write("stems/kick, in.wav", noise(2, 22050, seed=3))
    write("stems/keys.pan.wav", noise(2, 22050, seed=4))
    given = ["--lock", "kick, in", "--lock", "kick, in.pan", "--lock", "keys.pan, bass.pan"]
    assert diffmst("mix stems --reference ref.wav --output out --steps 2 --quiet", given)[0] == 0
    song, lock = dm.load_multitrack("stems"), ["kick, in", "kick, in.pan", "keys.pan", "bass.pan"]
    want = dm.optimize_mix(song, load_audio("ref.wav"), steps=2, lock=lock)
    assert settings().to_json() == want.params.to_json()


# Stems


@pytest.mark.parametrize("arguments", ["--reference ref.wav --steps 2", "--method equal-loudness"])
def test_stems_sum_to_the_mix_through_the_master_bus(inputs, diffmst, arguments):
    code, out, _ = diffmst("mix stems --output out --stems", arguments)
    assert code == 0 and out[-1].endswith("channels.csv, stems/")
    assert sorted(os.listdir("out")) == sorted([*MIX_FILES, "stems"])
    assert sorted(os.listdir("out/stems")) == ["bass.wav", "keys.wav"]
    total = sum(load_audio(path) for path in Path("out/stems").iterdir())
    mix = dm.MixingConsole(44100).master_bus(total[None], settings())[0]
    assert (mix - load_audio("out/mix.wav")).abs().max() < 10 ** (-90 / 20)


def test_stems_of_an_earlier_mix_are_replaced_and_other_files_stay(inputs, diffmst, write):
    write("out/stems/bass.wav", torch.zeros(2, 10))
    write("out/stems/take 2.wav", torch.zeros(2, 10))
    assert diffmst(BASELINE, "--stems --overwrite")[0] == 0
    assert sorted(os.listdir("out/stems")) == ["bass.wav", "keys.wav", "take 2.wav"]
    assert load_audio("out/stems/bass.wav").shape == (2, 22050)


def test_stems_that_cannot_be_written_leave_nothing(inputs, diffmst, write):
    write("out/mix.wav", torch.zeros(2, 10))
    Path("out/stems/keys.wav").mkdir(parents=True)
    before = tree(inputs)
    code, out, err = diffmst(BASELINE, "--stems --overwrite")
    assert (code, out, err) == (
        2,
        [],
        ["diffmst: error: out/stems/keys.wav: is a folder, cannot be replaced by a file"],
    )
    assert tree(inputs) == before


def test_layout_and_timestamps_reach_the_stems(inputs, write, noise, diffmst):
    write("stems/takes/pad.wav", noise(1, 22050))
    stamp(inputs / "stems" / "bass.wav", 1.0)
    stamp(write("stems/Drums/kick.wav", noise(1, 22050)), 1.5)
    mix = "mix stems --method equal-loudness --output"
    _, out, err = diffmst(mix, "a")
    assert out[0].startswith("3 stems, 0.5 s") and any("takes (a folder of 1" in line for line in err)
    assert any("time stamps say" in line for line in err)
    _, out, _ = diffmst(mix, "b --layout instruments --timestamps")
    assert out[0].startswith("4 stems, 1.0 s")
    _, out, _ = diffmst(mix, "c --layout folders")
    assert out[0].startswith("2 stems, 0.5 s")
