"""What the repository holds: the book's pages, its address, and what the chapters' results depend on."""

import hashlib
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from myst_nb.core.read import is_myst_markdown_notebook

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"


def pages() -> list[Path]:
    """Return every page of the book, in the order of the table of contents."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [BOOK / f"{name}.md" for name in [toc["root"], *chapters]]


def parts() -> dict[str, str]:
    """Return the caption of the part that each page, by its name, belongs to."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    return {chapter["file"]: part["caption"] for part in toc["parts"] for chapter in part["chapters"]}


def chapters() -> list[Path]:
    """Return the pages that are notebooks."""
    return [page for page in pages() if is_myst_markdown_notebook(page.read_text(encoding="utf-8"))]


def title(text: str) -> str:
    """Return the first heading of a page."""
    return re.search(r"^# (.+)$", text, re.MULTILINE)[1].strip()


def address() -> str:
    """Return the repository's public address, `https://github.com/OWNER/NAME`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    url = project["urls"]["Repository"].rstrip("/")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise SystemExit(
            f"pyproject.toml: Repository must look like https://github.com/OWNER/NAME, not {url}"
        )
    return url


def setup_cell() -> str:
    """Return the first code cell of every chapter."""
    return (
        "try: import diffmst_lib as dm\n"
        f'except ImportError: get_ipython().run_line_magic("pip", "install -q git+{address()}"); import diffmst_lib as dm'
    )


def files(*folders: Path) -> Iterator[Path]:
    """Yield the files in some folders, without what Python and Jupyter leave behind."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not {"__pycache__", ".ipynb_checkpoints", "_build"} & set(
                path.relative_to(ROOT).parts
            ):
                yield path


def digest(paths: Iterable[Path]) -> str:
    """Return a hash of the names and contents of some files."""
    total = hashlib.sha256(sys.version.encode())
    for path in paths:
        total.update(f"\0{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def results_digest() -> str:
    """Return a hash of what every chapter's results depend on, beside its own cells."""
    return digest([ROOT / ".ci" / "constraints.txt", *files(ROOT / "diffmst_lib", ROOT / "data")])


def site_digest() -> str:
    """Return a hash of everything that the built site depends on."""
    return digest(
        [
            ROOT / "_config.yml",
            ROOT / ".ci" / "constraints.txt",
            *files(ROOT / "diffmst_lib", ROOT / "data", BOOK),
        ]
    )
