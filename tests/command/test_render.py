"""`diffmst render`: settings in, the files of a mix out."""

import json
import os

import pytest
import soundfile
import torch
from command_helpers import notes, tree

from diffmst_lib import ConsoleParams, load_audio
from diffmst_lib.console.automation import Automation

MIX = "mix stems --reference ref.wav --steps 1 --quiet --output mixed"


@pytest.fixture
def mixed(inputs, diffmst):
    """The folder of a mix of stems/."""
    assert diffmst(MIX)[0] == 0
    return inputs / "mixed"


def edit(mixed, path, **knobs):
    """Change knobs of the strip `keys` in a copy of the mix's params.json."""
    settings = json.loads((mixed / "params.json").read_text("utf-8"))
    settings["tracks"]["keys"] |= knobs
    path.write_text(json.dumps(settings), encoding="utf-8")
    return settings


def close(x, y):
    """To within rounding: -110 dB."""
    torch.testing.assert_close(x, y, rtol=0, atol=3e-6 * float(y.abs().max()))
    return True


@pytest.mark.parametrize("settings", ["mixed/params.json", "mixed"])
def test_settings_of_a_mix_make_the_mix_again_with_all_its_files(mixed, inputs, diffmst, settings):
    code, out, _ = diffmst(f"render stems {settings} --output again")
    assert code == 0 and out[0].startswith("2 stems, 0.5 s, -16.0 LUFS, peak ")
    assert close(load_audio(inputs / "again/mix.wav"), load_audio(mixed / "mix.wav"))
    assert set(os.listdir(inputs / "again")) == set(os.listdir(mixed)) >= {"mix.wav", "report.json"}
    for name in ("params.json", "params.csv"):
        assert (inputs / "again" / name).read_bytes() == (mixed / name).read_bytes()
    assert out[-1].startswith("written: again/mix.wav, params.json")


def test_an_edit_is_heard_and_nothing_is_normalized(mixed, inputs, diffmst):
    edit(mixed, inputs / "edited.json", fader_db=-60.0)
    code, out, _ = diffmst("render stems edited.json --output again")
    assert code == 0 and not out[0].startswith("2 stems, 0.5 s, -16.0 LUFS")
    assert not torch.allclose(load_audio(inputs / "again/mix.wav"), load_audio(mixed / "mix.wav"), atol=1e-3)
    assert json.loads((inputs / "again/params.json").read_text())["tracks"]["keys"]["fader_db"] == -60.0


def test_the_files_of_a_mix_can_be_edited_in_place(mixed, inputs, diffmst):
    edit(mixed, mixed / "params.json", pan=0.0)
    before = tree(mixed)
    code, _, err = diffmst("render stems mixed/params.json --output mixed")
    assert code == 2 and len(err) == 1 and "replace with --overwrite" in err[0] and tree(mixed) == before
    assert diffmst("render stems mixed/params.json --output mixed --overwrite --quiet")[:2] == (0, [])
    assert (mixed / "mix.wav").read_bytes() != before["mix.wav"]
    assert json.loads((mixed / "params.json").read_text())["tracks"]["keys"]["pan"] == 0.0


def test_level_format_stems_and_ceiling(mixed, inputs, diffmst):
    words = "--output out --format flac --lufs -8 --ceiling -2 --stems"
    code, _, err = diffmst(f"render stems mixed/params.json {words}")
    assert code == 0 and soundfile.info(inputs / "out/mix.flac").subtype == "PCM_24"
    assert sorted(os.listdir(inputs / "out/stems")) == ["bass.flac", "keys.flac"]
    assert any("mix.flac: the limiter is on, at -2 dBTP" in one for one in notes(err))
    assert load_audio(inputs / "out/mix.flac").abs().max() <= 10 ** (-2 / 20) + 1e-6
    moved, old = (
        ConsoleParams.from_json((inputs / name / "params.json").read_text()) for name in ("out", "mixed")
    )
    assert moved.master_bus["output_gain_db"] > old.master_bus["output_gain_db"] + 7.9  # no gain is hidden
    assert not (inputs / "out/mix.wav").exists()


def test_a_mix_in_another_format_is_told_and_not_clipped(mixed, inputs, diffmst):
    code, _, err = diffmst("render stems mixed/params.json --output out --format wav16 --lufs -6 --quiet")
    (told,) = [one for one in notes(err) if "turned down" in one]
    assert code == 0 and told.startswith("mix.wav: turned down by ") and "to -1 dBTP" in told
    assert load_audio(inputs / "out/mix.wav").abs().max() < 0.9


def test_a_reference_is_compared(mixed, inputs, diffmst):
    code, out, _ = diffmst("render stems mixed --output out --reference ref.wav")
    assert code == 0 and any(line.startswith("whole mix: audio-feature loss") for line in out)
    assert json.loads((inputs / "out/report.json").read_text())["mix"]
    assert close(load_audio(inputs / "out/mix.wav"), load_audio(mixed / "mix.wav"))


def test_sections_are_rendered(mixed, inputs, diffmst):
    verse, chorus = (ConsoleParams.from_json((mixed / "params.json").read_text("utf-8")) for _ in range(2))
    chorus.track("keys")["fader_db"] -= 12.0
    settings = Automation([0.0, 0.25], [verse, chorus], ["verse", "chorus"], fade_s=0.05)
    (inputs / "moving.json").write_text(settings.to_json(), encoding="utf-8")
    assert diffmst("render stems moving.json --output out --quiet")[0] == 0
    sound, before = load_audio(inputs / "out/mix.wav"), load_audio(mixed / "mix.wav")
    assert close(sound[:, :9_000], before[:, :9_000])
    assert not torch.allclose(sound[:, -9_000:], before[:, -9_000:], atol=1e-3)
    assert json.loads((inputs / "out/params.json").read_text("utf-8"))["sections"]


def test_the_channel_sheet_is_read_as_well(mixed, inputs, diffmst):
    assert diffmst("render stems mixed/channels.csv --output out --quiet")[0] == 0
    sheet = ConsoleParams.from_json((inputs / "out/params.json").read_text("utf-8"))
    exact = ConsoleParams.from_json((mixed / "params.json").read_text("utf-8"))
    assert sheet.names == exact.names
    for name in exact.names:
        assert sheet.track(name)["fader_db"] == pytest.approx(exact.track(name)["fader_db"], abs=0.26)


# Bad input


BAD = {
    "no song": ("nowhere mixed/params.json", "nowhere: no such folder"),
    "no settings": ("stems nowhere.json", "nowhere.json: there is no such file"),
    "a folder without settings": ("stems stems", "params.json: there is no such file"),
    "a sound as settings": ("stems ref.wav", "ref.wav: not a text"),
    "text as settings": ("stems text.json", "text.json: "),
    "another table": ("stems mixed/params.csv", "mixed/params.csv: not a channel sheet"),
    "another song": ("others mixed/params.json", "mixed/params.json: tracks.keys: no such stem, did you mean 'kys'?"),
    "a stem too many": ("more mixed/params.json", "mixed/params.json: tracks.vox is missing"),
    "out of range": ("stems loud.json", "loud.json: tracks.keys.fader_db: 99 dB is outside"),
    "not a number": ("stems words.json", "words.json: tracks.keys.fader_db"),
    "no reference": ("stems mixed --reference nowhere.wav", "nowhere.wav: no such file"),
    "output is the song": ("stems mixed --output stems", "stems: holds the stems"),
}  # fmt: skip


@pytest.fixture
def bad(mixed, inputs, write, noise):
    for folder, names in {"others": ("bass", "kys"), "more": ("bass", "keys", "vox")}.items():
        for name in names:
            write(f"{folder}/{name}.wav", noise(1, 2000))
    (inputs / "text.json").write_text("{'tracks': 1}")
    edit(mixed, inputs / "loud.json", fader_db=99)
    edit(mixed, inputs / "words.json", fader_db="loud")
    return inputs


def test_bad_input_costs_one_line_and_writes_nothing(bad, diffmst):
    before = tree(bad)
    for name, (words, message) in BAD.items():
        output = "" if "--output" in words else "--output out"
        code, out, err = diffmst(f"render {words} {output}")
        assert code == 2 and out == [], name
        assert len(err) == 1 and err[0].startswith("diffmst: error: ") and message in err[0], (name, err)
    assert tree(bad) == before


@pytest.mark.parametrize("words", ["--lufs 3", "--lufs nan", "--ceiling 1", "--format ogg"])
def test_bad_options_are_refused_before_anything_is_read(diffmst, words):
    code, out, err = diffmst(f"render nowhere nothing.json --output out {words}")
    assert code == 2 and out == [] and err[-1].startswith("diffmst render: error: argument --")


def test_a_disk_that_is_full_leaves_nothing(mixed, inputs, diffmst):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        code, out, err = diffmst("render stems mixed/params.json --output out --quiet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2 and out == [] and "not written (File too large)" in err[-1]
    assert not (inputs / "out").exists()


@pytest.mark.parametrize("format", ["wav", "mp3"])
def test_control_c_while_saving_leaves_an_earlier_mix_as_it_was(mixed, diffmst, monkeypatch, format):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    before = tree(mixed)
    monkeypatch.setattr("diffmst_lib.audio.delivery.encode", interrupted)
    code, _, err = diffmst(f"render stems mixed/params.json --output mixed --overwrite --format {format}")
    assert code == 130 and err[-1] == "diffmst: stopped" and tree(mixed) == before
