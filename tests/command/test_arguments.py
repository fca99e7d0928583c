"""The types of arguments: what they take, and the message for the rest."""

import argparse

import pytest

from diffmst_lib.command.arguments import (
    amount,
    count,
    count_from_zero,
    folder,
    number_from_zero,
    seconds,
    stem_names,
)


def test_good_words():
    assert (count("3"), count_from_zero("0"), count("2", least=2)) == (3, 0, 2)
    assert (seconds("0.1"), seconds("3600"), folder("a b")) == (0.1, 3600.0, "a b")
    assert (number_from_zero("0"), number_from_zero("2.5"), stem_names("a, b")) == (0.0, 2.5, "a, b")
    assert (amount("0.5"), amount("tone=1, image=0.5")) == (0.5, {"tone": 1.0, "image": 0.5})


@pytest.mark.parametrize(
    ("read", "word"),
    [(count, "0"), (count, "1.5"), (count, "-1"), (count, ""), (count_from_zero, "-1"), (folder, "")]
    + [(seconds, word) for word in ("0", "0.09", "3601", "nan", "inf", "long")]
    + [(number_from_zero, word) for word in ("-0.1", "nan", "inf", "much", "")]
    + [
        (amount, word)
        for word in ("", "nan", "half", "tone", "tone=", "tone=high", "tone=1=1", "tone=1,tone=0")
    ]
    + [(stem_names, word) for word in ("", " , ")],
)
def test_bad_words(read, word):
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be|is empty|twice"):
        read(word)
