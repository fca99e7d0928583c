"""--sections: "auto", times, or a file of markers."""

import argparse

import pytest

from diffmst_lib.command.sections import add_sections_arguments, chosen_sections, sections
from diffmst_lib.inputs import InputError


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_sections_arguments(parser)
    return parser.parse_args(words)


def test_without_it_nothing_is_chosen():
    assert chosen_sections(parsed()) == {}


def test_auto_times_and_files(tmp_path):
    path = tmp_path / "markers.txt"
    path.write_text("0:00 verse\n0:45 chorus\n")
    assert chosen_sections(parsed("--sections", "auto")) == {"sections": "auto"}
    assert chosen_sections(parsed("--sections", "0:45,1:20, 130.5")) == {"sections": [45.0, 80.0, 130.5]}
    assert chosen_sections(parsed("--sections", str(path))) == {
        "sections": [(0.0, "verse"), (45.0, "chorus")]
    }


@pytest.mark.parametrize(
    ("text", "message"), [(" ", "is empty"), ("0:45,-3", "'-3' is no time"), ("1:70", "below 60")]
)
def test_no_times(text, message, capsys):
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        sections(text)
    with pytest.raises(SystemExit):
        parsed("--sections", text)
    assert "argument --sections: " in capsys.readouterr().err


def test_a_file_that_is_not_there():
    with pytest.raises(InputError, match=r"none.txt: No such file"):
        chosen_sections(parsed("--sections", "none.txt"))
