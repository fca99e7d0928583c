"""The text of a console's settings: what is checked before a console is made of it, and short messages."""

import json

import pytest

from diffmst_lib.console.params import ConsoleParams
from diffmst_lib.console.reading import LONGEST, in_one_line, quoted, read_settings


def test_numbers_come_as_they_are_and_rates_as_whole_numbers():
    data = json.loads(ConsoleParams.neutral(["kick"]).to_json())
    data["tracks"]["kick"]["fader_db"] = 3
    data["sample_rate"] = 48000.0
    read = read_settings(json.dumps(data))
    assert read["tracks"] == data["tracks"] and type(read["sample_rate"]) is int
    assert read["sample_rate"] == 48000


@pytest.mark.parametrize("digits", [16, 400, 5000])
def test_whole_numbers_of_any_length_are_read(digits):
    text = ConsoleParams.neutral(["kick"]).to_json().replace('"pan": 0.5', f'"pan": {"9" * digits}')
    assert read_settings(text)["tracks"]["kick"]["pan"] == float("9" * digits)


def test_messages_are_short_and_in_one_line():
    long = in_one_line("first " + 1000 * "x" + "\n last")
    assert len(long) <= LONGEST and long.startswith("first ") and long.endswith(" last")
    nested = []
    for _ in range(500):
        nested = [nested]
    assert len(quoted(nested)) < 100 and quoted("kick") == "'kick'"
