"""Errors, notes and limits: what every floor says of its input."""

import math
import pickle
from dataclasses import dataclass

import pytest

import diffmst_lib as dm
from diffmst_lib import InputError, InputNote
from diffmst_lib.inputs import check_limits, check_rate, limited, one_of


def test_an_error_says_what_it_is_about_and_can_travel():
    error = InputError("track kick is silent", about="song")
    assert (str(error), error.about) == ("track kick is silent", "song")
    assert str(pickle.loads(pickle.dumps(error))) == "track kick is silent"  # as from a loader's process
    assert isinstance(error, ValueError) and InputError("x").about == ""


def test_a_note_points_at_the_line_of_the_user(noise, song):
    """However deep in the library it was written."""
    record = noise(2, 49999) + 0.5
    for call in (
        lambda: dm.compare(noise(2, 9999), record),
        lambda: dm.optimize_mix(song, record, steps=0),
        lambda: dm.DiffMST("tiny").analyze(song, record),
        lambda: dm.DiffMST("tiny").attention(song, record),
    ):
        with pytest.warns(InputNote, match="DC offset") as notes:
            call()
        assert [note.filename for note in notes] == [__file__]


@dataclass
class Knobs:
    gain_db: float = limited(-60, 12, default=0.0)
    ratio: float = limited(1, default=1.0)
    bands: int = limited(1, 6, whole=True, default=6)
    rate: float = limited(0, above=True, default=1.0)
    clip: float | None = limited(0, optional=True, default=None)
    law: str = one_of(("linear", "power"), default="power")
    muted: bool = one_of((False, True), default=False)

    def __post_init__(self):
        check_limits(self, " on this desk")


@pytest.mark.parametrize(
    "values",
    [
        {"gain_db": 12},
        {"ratio": 1e9},
        {"bands": 1},
        {"rate": 1e-9},
        {"clip": 0},
        {"law": "linear"},
        {"muted": True},
    ],
)
def test_what_lies_within_its_limits(values):
    assert all(getattr(Knobs(**values), name) == value for name, value in values.items())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gain_db", 12.1),
        ("gain_db", math.nan),
        ("gain_db", "0"),
        ("gain_db", None),
        ("gain_db", True),
        ("ratio", 0.9),
        ("ratio", math.inf),
        ("bands", 7),
        ("bands", 6.0),
        ("bands", True),
        ("rate", 0),
        ("clip", -1),
        ("law", "cubic"),
        ("law", []),
        ("muted", 1),
        ("muted", "false"),
    ],
)
def test_what_does_not(name, value):
    with pytest.raises(ValueError, match=f"^{name} cannot be .* on this desk$"):
        Knobs(**{name: value})


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, True, "44100", None])
def test_rates_that_are_none(rate):
    with pytest.raises(ValueError, match="sample_rate must be a number above 0 Hz"):
        check_rate(rate)
