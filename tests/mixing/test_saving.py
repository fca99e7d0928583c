"""A finished mix as files: what they hold, where their sessions find the stems, and all of them or none."""

import json
import math
import os
import re
import warnings
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import soundfile
import torch
from mix_helpers import RATE

from diffmst_lib import (
    ConsoleParams,
    InputError,
    InputNote,
    MixingConsole,
    MixResult,
    Multitrack,
    equal_loudness,
    load_audio,
    load_multitrack,
    unity,
)
from diffmst_lib.console.automation import Automation
from diffmst_lib.mixing.saving import save_result, saved_files

# Of an excerpt, whose stems are written beside the sessions.
DOCUMENTS = ["mix.wav", "params.csv", "params.json", "report.json"]
SESSIONS = [
    *("Effects", "channels.csv", "channels.md", "diffmst_master.jsfx", "diffmst_strip.jsfx"),
    *("session.RPP", "session.dawproject"),
]
FILES = sorted([*DOCUMENTS, *SESSIONS, "audio"])


@pytest.fixture
def stems(write, noise, tmp_path):
    """A folder with two stems of 0.2 s, one with a name to quote."""
    write('song/it\'s a "kick".wav', noise(1, 8820))
    write("song/pad.wav", noise(2, 8820, seed=1))
    return load_multitrack(tmp_path / "song")


def files_in(session):
    """The files that a session for Reaper plays, as they stand there."""
    text = (session / "session.RPP").read_text("utf-8")
    return [path for _, path in re.findall(r"^ *FILE ([`'\"])(.*)\1$", text, re.MULTILINE)]


# The mix and its documents


def sent(song):
    """A mix whose kick and synthesizer are sent to the reverb."""
    result = unity(song)
    result.params.track("kick")["send_db"] = -6.0
    result.params.track("minilogue_synth")["send_db"] = -12.0
    return result.remix()


def test_saved_files_hold_the_mix(song, tmp_path):
    result = unity(song)
    folder = result.save(tmp_path / "new" / "folder")
    assert sorted(os.listdir(folder)) == FILES
    info = soundfile.info(folder / "mix.wav")
    assert (info.samplerate, info.channels, info.frames, info.subtype) == (
        RATE,
        2,
        song.audio.shape[-1],
        "FLOAT",
    )
    assert torch.equal(load_audio(folder / "mix.wav"), result.audio)
    params = ConsoleParams.from_json((folder / "params.json").read_text("utf-8"))
    assert params.names == song.names
    torch.testing.assert_close(params.tracks, result.params.tracks, rtol=0, atol=1e-5)
    torch.testing.assert_close(params.master_bus_values, result.params.master_bus_values, rtol=0, atol=1e-5)
    rows = pd.read_csv(folder / "params.csv", index_col="strip")
    assert rows.index.tolist() == [*song.names, "fx_bus", "master_bus"]
    assert rows.loc["kick", "pan"] == 0.5


def test_the_report_that_is_saved_is_the_reports_own(fitted, tmp_path):
    fitted.save(tmp_path)
    text = (tmp_path / "report.json").read_text("utf-8")
    assert "NaN" not in text and "Infinity" not in text
    want = fitted.report()
    assert json.loads(text) == json.loads(json.dumps(want.to_dict()))
    other = unity(fitted.song).report()
    fitted.save(tmp_path, report=other)
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == json.loads(
        json.dumps(other.to_dict())
    )


def test_saved_stems_are_those_of_the_mix(song, tmp_path):
    result = sent(song)
    result.save(tmp_path, stems=True)
    assert sorted(os.listdir(tmp_path)) == sorted([*FILES, "stems"])
    sounds = result.stems() | {"fx_return": result.fx_return()}
    assert sorted(os.listdir(tmp_path / "stems")) == sorted(f"{name}.wav" for name in sounds)
    for name, sound in sounds.items():
        path = tmp_path / "stems" / f"{name}.wav"
        assert torch.equal(load_audio(path), sound) and soundfile.info(path).subtype == "FLOAT"


def test_no_stem_overwrites_another_or_leaves_its_folder(song, tmp_path):
    names = ["fx_return", "../../mix", "Fx_Return"]
    result = unity(Multitrack(names, song.audio))
    result.params.track("../../mix")["send_db"] = 0.0
    result.save(tmp_path / "out", stems=True)
    assert os.listdir(tmp_path) == ["out"]
    files = sorted(os.listdir(tmp_path / "out" / "stems"))
    assert files == sorted(["fx_return.wav", "_.._mix.wav", "Fx_Return_2.wav", "fx_return_3.wav"])
    assert torch.equal(load_audio(tmp_path / "out/stems/fx_return_3.wav"), result.fx_return())


def test_failing_to_save_stems_leaves_nothing(song, tmp_path, monkeypatch):
    def fail(path, *_, **__):
        raise InputError(f"{path.name}: not written")

    result = unity(song)
    (tmp_path / "stems").mkdir()
    (tmp_path / "stems" / "kick.wav").write_text("earlier")
    monkeypatch.setattr("diffmst_lib.audio.delivery.save_audio", fail)
    for place in (tmp_path, tmp_path / "new"):
        with pytest.raises(InputError, match="not written"):
            result.save(place, stems=True)
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == [
        "stems",
        "stems/kick.wav",
    ]
    assert (tmp_path / "stems" / "kick.wav").read_text() == "earlier"


def test_saving_replaces_the_files_of_an_earlier_mix_and_no_others(song, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    equal_loudness(song).save(tmp_path)
    result = unity(song)
    result.save(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == sorted([*FILES, "notes.txt"])
    assert torch.equal(load_audio(tmp_path / "mix.wav"), result.audio)
    trims = [
        strip["input_gain_db"]
        for strip in json.loads((tmp_path / "params.json").read_text("utf-8"))["tracks"].values()
    ]
    assert len(set(trims)) == 1  # those of the second mix


@pytest.fixture(params=["not finite", "interrupted"])
def failing(request, song, monkeypatch):
    """A mix that cannot be saved, and the error that says so."""
    result = unity(song)
    report = result.report()
    if request.param == "not finite":
        result.audio = result.audio * math.nan
        return result, report, InputError

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupt)  # of the third file
    return result, report, KeyboardInterrupt


def test_failing_save_leaves_no_folder(failing, tmp_path):
    result, report, error = failing
    with pytest.raises(error):
        result.save(tmp_path / "new" / "folder", report=report)
    assert os.listdir(tmp_path) == []


def test_failing_save_leaves_an_earlier_mix_as_it_was(failing, tmp_path):
    result, report, error = failing
    (tmp_path / "mix.wav").write_text("earlier")
    with pytest.raises(error):
        result.save(tmp_path, report=report)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"mix.wav": "earlier"}


def test_a_file_that_outgrows_the_disk(song, tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    result = unity(song)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"^mix.wav: not written"):
            result.save(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_a_folder_in_the_place_of_a_file(song, tmp_path):
    (tmp_path / "params.json").mkdir()
    with pytest.raises(InputError, match=r"params.json: is a folder"):
        unity(song).save(tmp_path)
    assert os.listdir(tmp_path) == ["params.json"]


@pytest.mark.parametrize("target", ["file", "file/below"])
def test_saving_where_there_is_a_file(song, tmp_path, target):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=f"^[^\n]*{target}: cannot write there[^\n]*$"):
        unity(song).save(tmp_path / target)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_mix_that_is_not_finite_is_not_saved(song, tmp_path):
    result = unity(song)
    result.audio = result.audio * math.nan
    with pytest.raises(InputError, match="NaN"):
        result.save(tmp_path / "new")
    assert os.listdir(tmp_path) == []


# Sessions


def test_sessions_play_the_stems_from_where_they_lie(stems, tmp_path):
    folder = unity(stems).save(tmp_path / "mixes" / "first")
    assert sorted(os.listdir(folder)) == [name for name in FILES if name != "audio"]
    assert files_in(folder) == ['../../song/it\'s a "kick".wav', "../../song/pad.wav"]
    assert all((folder / file).is_file() for file in files_in(folder))
    with zipfile.ZipFile(folder / "session.dawproject") as archive:
        assert sorted(archive.namelist()) == ["metadata.xml", "project.xml"]
    strips = pd.read_csv(folder / "channels.csv")
    assert set(stems.names) <= set(strips.astype(str).to_numpy().ravel())
    assert all((folder / file).is_file() for file in saved_files() if "reverb" not in file)


def test_embedded_stems_lie_beside_the_sessions(stems, tmp_path):
    result = unity(stems)
    folder = result.save(tmp_path / "out", embed=True)
    assert sorted(os.listdir(folder)) == FILES
    assert files_in(folder) == ["audio/it's a _kick_.wav", "audio/pad.wav"]
    for file, stem, channels in zip(files_in(folder), stems.audio, (1, 2), strict=True):
        assert torch.equal(load_audio(folder / file), stem[:channels])
    with zipfile.ZipFile(folder / "session.dawproject") as archive:
        assert sum(name.startswith("audio/") for name in archive.namelist()) == 2


def test_what_is_no_file_as_it_lies_is_written_beside(stems, tmp_path):
    stems.audio[1] *= -0.5
    (tmp_path / "song" / 'it\'s a "kick".wav').unlink()
    folder = unity(stems).save(tmp_path / "out")
    assert sorted(os.listdir(folder / "audio")) == ["it's a _kick_.wav", "pad.wav"]
    assert torch.equal(load_audio(folder / "audio" / "pad.wav"), stems.audio[1])


def test_what_saving_says(stems, tmp_path):
    result = unity(stems)
    result.params.master_bus["width"] = 1.5
    result.params.track("pad")["send_db"] = -12.0
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputNote)
        saved = save_result(result.remix(), tmp_path, stems=True, embed=True, format="flac")
    assert saved.folder == tmp_path and saved.mix.path == tmp_path / "mix.flac"
    assert saved.files == [
        *("mix.flac", "params.json", "params.csv", "report.json", "audio/", "session.RPP"),
        *("diffmst_strip.jsfx", "diffmst_master.jsfx", "Effects/", "session.dawproject"),
        *("channels.md", "channels.csv", "stems/"),
    ]
    assert any("width" in line for line in saved.notes) and any("reverb" in line for line in saved.notes)
    assert sorted(os.listdir(tmp_path / "stems")) == ["fx_return.flac", "it's a _kick_.flac", "pad.flac"]
    assert sorted(os.listdir(tmp_path / "Effects")) == sorted(
        Path(file).name for file in saved_files() if file.startswith("Effects/")
    )


class Louder(MixingConsole):
    """A console that no other program has."""

    def render(self, *given, **options):
        return 1.1 * super().render(*given, **options)


def test_a_mix_that_no_session_can_hold_has_none(stems, tmp_path):
    old = ConsoleParams.neutral(stems.as_channels()[0], preset="reference")
    alone = MixResult(stems.audio.sum(0), old, stems)
    own = MixResult(stems.audio.sum(0), ConsoleParams.neutral(stems.names), stems, console=Louder(RATE))
    for result, reason in ((alone, "a strip a channel"), (own, "made by a Louder")):
        with pytest.warns(InputNote, match=f"^no session is written: .*{reason}"):
            result.save(tmp_path / reason)
        there = sorted(os.listdir(tmp_path / reason))
        assert there == ["mix.wav", "params.csv", "params.json", "report.json"]


def test_sections_are_saved_with_the_mix(stems, tmp_path):
    verse, chorus = (ConsoleParams.neutral(stems.names) for _ in range(2))
    chorus.track("pad")["fader_db"] = 3.0
    moving = Automation([0.0, 0.1], [verse, chorus], ["verse", "chorus"], fade_s=0.05, loudest=1)
    result = MixResult(stems.audio.sum(0), chorus, stems, automation=moving)
    folder = result.save(tmp_path / "out", report=unity(stems).report())
    assert len(json.loads((folder / "params.json").read_text("utf-8"))["sections"]["parts"]) == 2
    text = (folder / "session.RPP").read_text("utf-8")
    assert re.search(r"MARKER 2 0\.1 \"?chorus", text) and "VOLENV2" in text


def test_the_folder_of_an_earlier_mix_is_no_song_but_its_embedded_stems_are(stems, tmp_path):
    result = unity(stems)
    result.save(tmp_path / "song" / "mix one", embed=True, stems=True)
    with pytest.warns(InputNote, match=r"^left out: mix one \(an earlier mix: params.json lies beside it\)$"):
        again = load_multitrack(tmp_path / "song")
    assert again.names == stems.names
    with pytest.warns(InputNote, match=r"^left out: mix.wav \(an earlier mix: params.json lies beside it\)$"):
        sent = load_multitrack(tmp_path / "song" / "mix one")
    assert torch.equal(sent.audio, stems.audio) and sent.names == ["it's a _kick_", "pad"]
    unity(again).save(tmp_path / "song", embed=True)  # beside the stems themselves
    with pytest.warns(InputNote):
        assert load_multitrack(tmp_path / "song").names == stems.names
