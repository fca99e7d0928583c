"""A Sphinx extension that completes the page `api` with the library's names and their docstrings.

Docstrings are plain text and not reStructuredText. Objects are named as their readers write them,
`dm.load_audio`; "Chapter: TITLE." becomes a link to the chapter.
"""

import importlib
import re
import sys
from functools import cache
from operator import attrgetter

from api import listing, modules
from layout import chapters, title
from sphinx.application import Sphinx

CODE = re.compile(r"(`[^`]*`)")
OWN_PARAGRAPH = re.compile(r"\s*(Chapters?|Source): ")
CHAPTER = re.compile(r"\bChapters?: [^.]+")


def escaped(line: str) -> str:
    """Return a line of prose in which only `code` is marked up."""
    pieces = CODE.split(line)
    pieces[::2] = [re.sub(r"([\\*|]|_(?!\w))", r"\\\1", piece) for piece in pieces[::2]]
    return "".join(pieces)


@cache
def links() -> dict[str, str]:
    """Return a link for the title of each chapter, without what follows a colon in the title."""
    titles = {chapter: title(chapter.read_text(encoding="utf-8")).partition(":")[0] for chapter in chapters()}
    return {words: f":doc:`{words} <{chapter.stem}>`" for chapter, words in titles.items()}


def linked(line: str) -> str:
    """Return a line with the titles of chapters as links, where it says "Chapter: TITLE"."""
    titles = re.compile("|".join(map(re.escape, links())))
    return CHAPTER.sub(lambda named: titles.sub(lambda words: links()[words[0]], named[0]), line)


def process(app: Sphinx, what: str, name: str, obj: object, options: dict, lines: list[str]) -> None:
    """Prepare a docstring before Napoleon reads its sections; examples stay as they are."""
    example, prepared = False, []
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if OWN_PARAGRAPH.match(line):
            prepared.append("")
        prepared.append(line if example else linked(escaped(line)))
    lines[:] = prepared


def complete(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the names to the page that introduces them."""
    if docname == "api":
        source[0] += f"\n{listing()}"


def setup(app: Sphinx) -> dict:
    """Register with Sphinx, and the library and its modules under the short name."""
    library = sys.modules["dm"] = importlib.import_module("diffmst_lib")
    for name in modules():
        sys.modules[f"dm.{name}"] = attrgetter(name)(library)
    app.connect("source-read", complete)
    app.connect("autodoc-process-docstring", process, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
