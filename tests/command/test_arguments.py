"""The types of arguments: what they take, and the message for the rest."""

import argparse

import pytest

from diffmst_lib.command.arguments import count, count_from_zero, folder, seconds


def test_good_words():
    assert (count("3"), count_from_zero("0"), count("2", least=2)) == (3, 0, 2)
    assert (seconds("0.1"), seconds("3600"), folder("a b")) == (0.1, 3600.0, "a b")


@pytest.mark.parametrize(
    ("read", "word"),
    [(count, "0"), (count, "1.5"), (count, "-1"), (count, ""), (count_from_zero, "-1"), (folder, "")]
    + [(seconds, word) for word in ("0", "0.09", "3601", "nan", "inf", "long")],
)
def test_bad_words(read, word):
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be|is empty"):
        read(word)
