"""Write what is derived from pyproject.toml, the table of contents and the chapters.

That is the .ipynb beside each chapter, the README's list of chapters, and every copy of the repository's address.
"""

import re
import sys
from pathlib import Path

import nbformat
import yaml
from colab import Converter
from layout import BOOK, ROOT, address, chapters, files, pages, parts, title

CHAPTER_LIST = re.compile(r"(<!-- chapters:start -->\n).*?(<!-- chapters:end -->)", re.DOTALL)
TEXT_FILES = {".md", ".py", ".js", ".yml", ".cff"}


def readdressed() -> dict[Path, str]:
    """Return the text files of the tree, with the address that _config.yml still has replaced by pyproject.toml's."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    old = config["repository"]["url"].removeprefix("https://github.com/")
    new = address().removeprefix("https://github.com/")
    folders = [BOOK, ROOT / "diffmst_lib", ROOT / "tests", ROOT / "data"]
    paths = [path for path in files(*folders) if "_vendor" not in path.parts]
    texts = {}
    for path in [path for path in ROOT.iterdir() if path.is_file()] + paths:
        if path.suffix in TEXT_FILES:
            texts[path] = re.sub(rf"(?<=[/]){re.escape(old)}(?![\w-])", new, path.read_text(encoding="utf-8"))
    return texts


def chapter_list(texts: dict[Path, str], converter: Converter) -> str:
    """Return the README's table of chapters."""
    rows = ["| Part | Chapter | |", "| --- | --- | --- |"]
    captions = parts()
    for chapter in chapters():
        link = f"[{title(texts[chapter])}](book/{chapter.name})"
        rows.append(f"| {captions[chapter.stem]} | {link} | [Open in Colab]({converter.url(chapter.name)}) |")
    return "\n".join(rows) + "\n"


def derived() -> dict[Path, str]:
    """Return the text of every file that sync writes."""
    texts = readdressed()
    bibtex = (BOOK / "references.bib").read_text(encoding="utf-8")
    converter = Converter({page: texts[page] for page in pages()}, bibtex, address(), ROOT)
    readme = ROOT / "README.md"
    if not CHAPTER_LIST.search(texts[readme]):
        raise SystemExit(
            "README.md: no place for the chapters, <!-- chapters:start --> and <!-- chapters:end -->"
        )
    texts[readme] = CHAPTER_LIST.sub(
        lambda match: match[1] + chapter_list(texts, converter) + match[2], texts[readme]
    )
    for chapter in chapters():
        notebook = converter.notebook(chapter.stem, texts[chapter])
        nbformat.validate(notebook)
        texts[chapter.with_suffix(".ipynb")] = nbformat.writes(notebook) + "\n"
    return texts


def orphans() -> list[Path]:
    """Return the notebooks that belong to no chapter."""
    wanted = {chapter.with_suffix(".ipynb") for chapter in chapters()}
    return [path for path in sorted(BOOK.glob("*.ipynb")) if path not in wanted]


def sync() -> None:
    """Write the derived files that are not up to date, and remove notebooks without a chapter."""
    texts = derived()
    # The old address is read from _config.yml, so that goes last: an interrupted run can be repeated.
    for path in sorted(texts, key=lambda path: path.name == "_config.yml"):
        if not path.exists() or path.read_text(encoding="utf-8") != texts[path]:
            path.write_text(texts[path], encoding="utf-8", newline="\n")
            print(f"wrote {path.relative_to(ROOT)}")
    for path in orphans():
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        sync()
    except ValueError as error:
        sys.exit(f"nothing written: {error}")
