"""A model's configuration as a JSON file: what is read, and one line for the rest."""

import dataclasses
import json

import pytest
from audio_helpers import one_line

import diffmst_lib as dm
from diffmst_lib.command.model_file import read_config
from diffmst_lib.inputs import FIRST_EDITION, InputError
from diffmst_lib.network.checkpoint import VERSION
from diffmst_lib.network.config import PRESETS


def written(folder, content):
    path = folder / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("preset", list(PRESETS))
def test_all_fields(tmp_path, preset):
    config = dataclasses.replace(PRESETS[preset], name="mine", window_seconds=5.0)
    assert read_config(written(tmp_path, dataclasses.asdict(config))) == config


def test_what_differs_from_a_preset(tmp_path):
    found = read_config(written(tmp_path, {"base": "small", "width": 64, "name": "mine"}))
    assert found == dataclasses.replace(PRESETS["small"], width=64, name="mine")
    assert read_config(written(tmp_path, {"base": "tiny", "layers": 1})).name == "tiny"


def test_the_file_of_a_saved_model(tmp_path):
    config = dataclasses.replace(PRESETS["tiny"], width=16, name="mine")
    folder = dm.DiffMST(config).save_pretrained(tmp_path)
    assert read_config(folder / "config.json") == config


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ([1], "must hold a model's configuration"),
        ({"base": "large"}, "base must be one of tiny, small, paper, not 'large'"),
        ({"base": ["small"]}, "base must be one of"),
        ({"base": "small", "depth": 3}, "has no depth"),
        ({"width": 64}, "lacks "),
        ({"base": "small", "width": 63}, "8 heads do not divide a width of 63"),
        ({"base": "small", "width": "wide"}, "width cannot be 'wide'"),
        ('{"base": "tiny", "width": ' + "[" * 480 + "]" * 480 + "}", "width cannot be [["),
        ('{"base": ' + "[" * 480 + "]" * 480 + "}", "base must be one of tiny, small, paper, not [["),
        ('{"base": "tiny", "width": ' + "1" * 5000 + "}", "width cannot be inf"),
        ({"base": "tiny", "x" * 5000: 1}, "has no xxx"),
        ({"base": "small", "console": "nobody_registered_this"}, "nobody_registered_this"),
        ({"base": "small", "encoder": "nobody_registered_this"}, "nobody_registered_this"),
        ({"format": "diffmst-model", "version": 2, "config": {}}, "version 2"),
        ({"format": "diffmst-model", "version": VERSION, "config": None}, "must hold"),
        ({"base": "small", "console": FIRST_EDITION, "track_lufs": -48.0}, "no console is registered as"),
    ],
)
def test_what_is_none(tmp_path, content, why):
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_config(path)
    assert one_line(caught, path, why) and len(str(caught.value)) < len(str(path)) + 400


def test_no_file(tmp_path):
    with pytest.raises(InputError) as caught:
        read_config(tmp_path / "mine.json")
    assert one_line(caught, "mine.json", "No such file")
