"""The text of a console's settings: what is checked before a console is made of it, and short messages."""

import json

import pytest
import torch

from diffmst_lib.console.params import ConsoleParams
from diffmst_lib.console.reading import LONGEST, in_one_line, quoted, read_settings, shortest


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_as_few_digits_as_give_back_the_same(dtype, noise):
    row = (100.0 * noise(200)).to(dtype)
    assert torch.equal(torch.tensor(shortest(row), dtype=dtype), row)
    assert shortest(torch.tensor([0.1, 19845.0], dtype=dtype)) == [0.1, 19845.0]


def test_json_says_no_nan():
    params = ConsoleParams.neutral(["kick"])
    params.tracks[0, 0] = float("inf")
    with pytest.raises(ValueError, match=r"^tracks\.kick\.input_gain_db is inf, which JSON cannot say$"):
        params.to_json()


def test_a_text_with_sections_is_checked_but_for_them():
    data = json.loads(ConsoleParams.neutral(["kick"]).to_json()) | {"sections": 3}
    assert read_settings(json.dumps(data))["sections"] == 3
    for version in (3, 4):
        assert read_settings(json.dumps(data | {"version": version}))["version"] == version
