"""Names: spellings, splits, versions of a song."""

from types import SimpleNamespace

import pytest

from diffmst_lib.data.names import letters, same_song, split_of


def test_proportions():
    names = [f"artist {i}" for i in range(5000)]
    shares = {
        split: sum(split_of(name) == split for name in names) / len(names)
        for split in ("train", "validation", "test")
    }
    assert shares == pytest.approx({"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.015)


def test_the_same_for_ever():
    """Written down: weights that were trained rely on it."""
    assert [
        split_of(name) for name in ("Ane Brun", "The Band", "Software-Entwicklungskit", "!!!", "椎名林檎")
    ] == ["train", "train", "validation", "test", "test"]


@pytest.mark.parametrize(
    "other",
    [
        "AClassicEducation",
        "a classic education",
        "A_Classic-Education",
        "Á Classic Education",
        "A Classic Education feat. Somebody",
        "A Classic Education (ft. X)",
    ],
)
def test_spelling_does_not_count(other):
    assert split_of(other) == split_of("A Classic Education")


def test_names_without_letters_are_names():
    assert len({split_of("!" * n) for n in range(1, 40)}) == 3


def song(name, artist="", title=""):
    return SimpleNamespace(name=name, artist=artist, title=title)


def test_letters_of_two_spellings():
    assert letters("Sigur R\u00f3s (feat. Somebody)") == letters("sigur_ros") == "sigurros"
    assert letters("!!!") == "!!!"


def test_versions_of_a_song():
    first = song("a", "The Band", "A Song")
    assert same_song(first, song("b", "the band", "A Song (master)"))
    assert not same_song(first, song("b", "The Band", "Another Song"))
    assert not same_song(song("a"), song("b"))  # by nobody knows whom
    assert same_song(song("a"), song("a", "The Band", "A Song"))
