"""A finished mix: what it carries, remixed and saved."""

import json
import math
import os
from types import SimpleNamespace

import pandas as pd
import pytest
import soundfile
import torch
from mix_helpers import CENTER_DB, RATE, contributions, is_what_the_console_makes

from diffmst_lib import (
    ConsoleParams,
    InputError,
    MixResult,
    audio_feature_loss,
    equal_loudness,
    load_audio,
    loudness,
    normalize_loudness,
    unity,
)


def test_remix_follows_an_edit(song):
    result = equal_loudness(song)
    result.params.track("kick")["input_gain_db"] += 6
    result.params.track("bgvox_main")["pan"] = 0.0
    remixed = result.remix()
    assert is_what_the_console_makes(remixed)
    assert loudness(remixed.audio) > loudness(result.audio) + 1  # the level follows, nothing is normalized
    assert not torch.equal(remixed.audio[0], remixed.audio[1])
    levels = dict(zip(song.names, contributions(remixed), strict=True))
    assert [levels["kick.L"], levels["kick.R"]] == pytest.approx([-42.0 + CENTER_DB] * 2, abs=0.05)


def test_remix_leaves_the_old_result_alone(song):
    old = equal_loudness(song)
    new = old.remix()
    new.params.track("kick")["pan"] = 0.9
    assert old.params.track("kick")["pan"].tolist() == [0.5, 0.5]


def test_a_result_carries_its_loudness_and_its_loss(song, reference, fitted):
    assert fitted.loudness_lufs == pytest.approx(loudness(fitted.audio), abs=0.01)
    terms = audio_feature_loss(normalize_loudness(fitted.audio), normalize_loudness(reference))
    assert fitted.loss == pytest.approx({name: term.item() for name, term in terms.items()}, rel=1e-3)
    louder = fitted.params.clone()
    louder.master_bus["output_gain_db"] += 3.0
    remixed = MixResult(fitted.audio, louder, song, fitted.history).remix()
    assert remixed.loudness_lufs == pytest.approx(fitted.loudness_lufs + 3.0, abs=0.01)
    assert remixed.loss is None  # the console is another one
    assert equal_loudness(song, lufs=-23.0).loudness_lufs == pytest.approx(-23.0, abs=0.01)
    assert equal_loudness(song).loss is None


def test_saved_files_are_three_and_hold_the_mix(song, tmp_path):
    result = unity(song)
    folder = result.save(tmp_path / "new" / "folder")
    assert sorted(os.listdir(folder)) == ["mix.wav", "params.csv", "params.json"]
    info = soundfile.info(folder / "mix.wav")
    assert (info.samplerate, info.channels, info.frames, info.subtype) == (
        RATE,
        2,
        song.audio.shape[1],
        "FLOAT",
    )
    assert torch.equal(load_audio(folder / "mix.wav"), result.audio)
    params = ConsoleParams.from_json((folder / "params.json").read_text("utf-8"))
    assert params.names == song.names
    torch.testing.assert_close(params.tracks, result.params.tracks, rtol=0, atol=1e-5)
    torch.testing.assert_close(params.master_bus_values, result.params.master_bus_values, rtol=0, atol=1e-5)
    rows = pd.read_csv(folder / "params.csv", index_col="strip")
    assert rows.index.tolist() == [*song.names, "fx_bus", "master_bus"]
    assert rows.loc["kick.L", "pan"] == pytest.approx(0.18)


def test_saving_replaces_the_files_of_an_earlier_mix_and_no_others(song, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    equal_loudness(song).save(tmp_path)
    result = unity(song)
    result.save(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["mix.wav", "notes.txt", "params.csv", "params.json"]
    assert torch.equal(load_audio(tmp_path / "mix.wav"), result.audio)
    assert json.loads((tmp_path / "params.json").read_text("utf-8"))["tracks"]["kick.L"]["input_gain_db"] == 0


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture(params=["not finite", "interrupted"])
def failing(request, song):
    """A mix that cannot be saved, and the error that says so."""
    result = unity(song)
    if request.param == "not finite":
        return MixResult(result.audio * math.nan, result.params, song), InputError
    params = SimpleNamespace(to_json=result.params.to_json, to_frame=interrupt)  # the last of the three files
    return MixResult(result.audio, params, song), KeyboardInterrupt


def test_failing_save_leaves_no_folder(failing, tmp_path):
    result, error = failing
    with pytest.raises(error):
        result.save(tmp_path / "new" / "folder")
    assert os.listdir(tmp_path) == []


def test_failing_save_leaves_an_earlier_mix_as_it_was(failing, tmp_path):
    result, error = failing
    (tmp_path / "mix.wav").write_text("earlier")
    with pytest.raises(error):
        result.save(tmp_path)
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
