"""What users add by name: kept once, found again, and never in the place of ours."""

from dataclasses import dataclass

import pytest

from diffmst_lib import InputError
from diffmst_lib.registry import Registry, same_entry


def test_entries_are_found_by_name_and_ours_come_first():
    parts = Registry("encoder", own={"channels": 1, "stems": 2})
    parts.register("mine", 3)
    parts.register("my-other", 4)
    assert parts.names() == ("channels", "stems", "mine", "my-other")
    assert [parts.get(name) for name in parts.names()] == [1, 2, 3, 4]


def test_a_name_that_nobody_registered_says_what_there_is():
    parts = Registry("encoder", own={"channels": 1})
    parts.register("mine", 3)
    for name in ("yours", ["mine"], None, 7):
        with pytest.raises(InputError) as error:
            parts.get(name)
        assert f"{error.value}".startswith(f"no encoder is registered as {name!r} (known: channels, mine)")
        assert "import the module that registers it" in f"{error.value}"


def test_a_name_is_given_once():
    parts = Registry("feature", own={"rms": 1})
    with pytest.raises(InputError, match="'rms' is one of ours"):
        parts.register("rms", 1)
    parts.register("mine", (print, 0.5))
    parts.register("mine", (print, 0.5))
    with pytest.raises(InputError, match="another feature is registered as 'mine'"):
        parts.register("mine", (print, 0.6))
    assert parts.get("mine") == (print, 0.5)


@pytest.mark.parametrize("name", ["", "two words", "../mine", "3d", "a.b", None, 7])
def test_a_name_is_a_word(name):
    with pytest.raises(InputError, match="the name of a feature must be a word such as 'my_feature'"):
        Registry("feature", own={}).register(name, print)


CELL = """
from dataclasses import dataclass
from functools import partial

import torch

@dataclass(frozen=True)
class Effect:
    name: str
    run: object

def drive(x):
    return {number} * x

def make(k):
    return lambda x: k * x

effect = Effect("drive", drive)
inner = make({number})
default = lambda x, k={number}: k * x
sums = make(torch.full((2,), {number}))
part = partial(drive, k={number})
"""


def run_cell(number: int) -> dict:
    names = {"__name__": "__main__"}
    exec(CELL.replace("{number}", str(number)), names)  # as a notebook runs a cell
    return names


def test_a_cell_that_is_run_again_registers_the_same():
    first, again, edited = run_cell(2), run_cell(2), run_cell(3)
    assert first["drive"] is not again["drive"] and first["effect"] != again["effect"]
    for name in ("drive", "Effect", "effect", "inner", "default", "sums", "part"):
        assert same_entry(first[name], again[name])
        assert same_entry([first[name], 1], [again[name], 1])
    parts = Registry("feature", own={})
    parts.register("mine", first["drive"])
    parts.register("mine", edited["drive"])
    assert parts.get("mine")(1) == 3  # what is written there now
    for name in ("inner", "default", "sums", "part"):  # another number, in the same code
        assert not same_entry(first[name], edited[name])


def test_different_entries_are_told_apart():
    @dataclass
    class Part:
        size: int

    different = [
        print,
        len,
        lambda x: x,
        lambda x: 2 * x,
        Part,
        Part(1),
        Part(2),
        1,
        1.0,
        "1",
        (1,),
        [1],
        None,
    ]
    for i, one in enumerate(different):
        assert [same_entry(one, other) for other in different] == [i == j for j in range(len(different))]
