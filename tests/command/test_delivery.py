"""The options of a mix's files."""

import argparse

import pytest

from diffmst_lib.audio import encoding
from diffmst_lib.command.delivery import FORMATS, add_delivery_arguments, at_level, save_options


def parsed(words=""):
    parser = argparse.ArgumentParser()
    add_delivery_arguments(parser)
    return parser.parse_args(words.split())


def test_words_of_formats_are_those_of_the_library():
    assert tuple(encoding.FORMATS) == FORMATS


def test_defaults():
    options = parsed()
    assert save_options(options) == {"format": "wav", "ceiling_dbtp": None}
    assert options.lufs is None


def test_what_is_given_reaches_the_files():
    options = parsed("--format mp3 --lufs -9.5 --ceiling -0.3")
    assert save_options(options) == {"format": "mp3", "ceiling_dbtp": -0.3} and options.lufs == -9.5


@pytest.mark.parametrize(
    ("words", "default", "asked"),
    [
        ("", -16.0, None),
        ("--lufs -14", -16.0, (-14.0, None)),
        ("--ceiling -1", -16.0, (-16.0, -1.0)),
        ("--ceiling -1", None, None),
        ("--lufs -14 --ceiling -1", None, (-14.0, -1.0)),
    ],
)
def test_the_level_is_moved_where_it_is_asked_for(monkeypatch, words, default, asked):
    def bring_to(result, lufs, *, ceiling_dbtp):
        return (lufs, ceiling_dbtp)

    monkeypatch.setattr("diffmst_lib.mixing.level.bring_to", bring_to)
    assert at_level(None, parsed(words), default) == asked


@pytest.mark.parametrize(
    ("words", "message"),
    [
        *[
            (f"--lufs={text}", f"must be a number from -60 to -5 (LUFS), not {text}")
            for text in ("3", "-90", "nan", "x")
        ],
        *[
            (f"--ceiling={text}", f"must be a number from -30 to 0 (dBTP), not {text}")
            for text in ("1", "-inf", "")
        ],
        *[(f"--format={text}", "invalid choice") for text in ("ogg", "WAV", "")],
    ],
)
def test_bad_options_cost_one_line(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        parsed(words)
    assert stop.value.code == 2 and message in capsys.readouterr().err
