"""The page of the library's names lists them all, with docstrings that Sphinx can show."""

import re
from operator import attrgetter

import docstrings
import pytest
from api import listing
from layout import BOOK

import diffmst_lib as dm

LISTED = re.findall(r"^(?:\.\. auto(?:class|function):: dm|### `dm)\W+([\w.:]+)", listing(), re.MULTILINE)


def test_every_public_name_is_listed_once():
    names = [name for name in dm.__all__ if not name.startswith("_")]
    assert sorted(name for name in LISTED if ":" not in name and "." not in name) == sorted(names)
    assert len(LISTED) == len(set(LISTED))


@pytest.mark.parametrize("name", [name for name in LISTED if ":" in name])
def test_names_in_modules_exist(name):
    module, inner = name.split("::")
    assert callable(attrgetter(f"{module}.{inner}")(dm))


@pytest.mark.parametrize(
    "line, shown",
    [
        ("a*b |x| t_ `*args`", r"a\*b \|x\| t\_ `*args`"),
        ("gain_db in `dB`", "gain_db in `dB`"),
        ("a \\ b", "a \\\\ b"),
    ],
)
def test_docstrings_are_plain_text(line, shown):
    assert docstrings.escaped(line) == shown


def test_a_chapter_is_a_link():
    lines = ["Source: a book.", "Chapters: Data, Method 1."]
    docstrings.process(None, "function", "x", None, {}, lines)
    assert [line for line in lines if line] == [
        "Source: a book.",
        "Chapters: :doc:`Data <data>`, :doc:`Method 1 <method-1>`.",
    ]
    assert lines[2] == "", "a paragraph of its own"


def test_examples_stay_as_they_are():
    lines = ["Example:", ">>> 2 * 3", "6*", "", "after*"]
    docstrings.process(None, "function", "x", None, {}, lines)
    assert lines == ["Example:", ">>> 2 * 3", "6*", "", r"after\*"]


def test_every_chapter_that_a_docstring_names_exists():
    titles = docstrings.links()
    for path in sorted((BOOK.parent / "diffmst_lib").rglob("*.py")):
        for named in re.findall(r"Chapters?: ([A-Z][^.\n\"]*)", path.read_text("utf-8")):
            assert set(named.split(", ")) <= set(titles), f"{path}: {named}"
