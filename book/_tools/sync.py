"""Write what is derived from the chapters, their order and the repository's address.

That is the .ipynb beside each chapter, the README's list of chapters, and the address in cells that install the
library.
"""

import re
import sys
from pathlib import Path

import nbformat
from colab import Converter
from layout import BOOK, ROOT, address, chapters, pages, parts, title

CHAPTER_LIST = re.compile(r"(<!-- chapters:start -->\n).*?(<!-- chapters:end -->)", re.DOTALL)
INSTALLED_FROM = re.compile(r"(?<=git\+)https://github\.com/[\w.-]+/[\w-]+")


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
    texts = {page: INSTALLED_FROM.sub(address(), page.read_text("utf-8")) for page in pages()}
    bibtex = (BOOK / "references.bib").read_text(encoding="utf-8")
    converter = Converter(texts, bibtex, address(), ROOT)
    readme = ROOT / "README.md"
    listed, count = CHAPTER_LIST.subn(
        lambda match: match[1] + chapter_list(texts, converter) + match[2], readme.read_text(encoding="utf-8")
    )
    if not count:
        raise SystemExit(
            "README.md: no place for the chapters, <!-- chapters:start --> and <!-- chapters:end -->"
        )
    written = {readme: listed}
    for chapter in chapters():
        written[chapter] = texts[chapter]
        notebook = converter.notebook(chapter.stem, texts[chapter])
        nbformat.validate(notebook)
        written[chapter.with_suffix(".ipynb")] = nbformat.writes(notebook) + "\n"
    return written


def orphans() -> list[Path]:
    """Return the notebooks that belong to no chapter."""
    wanted = {chapter.with_suffix(".ipynb") for chapter in chapters()}
    return [path for path in sorted(BOOK.glob("*.ipynb")) if path not in wanted]


def sync() -> None:
    """Write the derived files that are not up to date, and remove notebooks without a chapter."""
    for path, text in derived().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote {path.relative_to(ROOT)}")
    for path in orphans():
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        sync()
    except ValueError as error:
        sys.exit(f"nothing written: {error}")
