"""What `make sync` derives and the address are up to date; MyST becomes Markdown that Colab can show."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from colab import Converter
from layout import ROOT, address, chapters, setup_cell
from myst_nb.core.read import myst_nb_reader_plugin
from sync import derived, orphans

OTHERS = {"googlecolab/backend-info"}  # tells what Colab has installed

each_chapter = pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.stem)


def tracked() -> list[Path]:
    """Return the files that are, or soon will be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_derived_files_are_up_to_date():
    stale = [
        path.name for path, text in derived().items() if not path.exists() or path.read_text("utf-8") != text
    ]
    assert stale + orphans() == [], "run `make sync`"


@each_chapter
def test_code_cells_equal_those_of_the_source(chapter):
    source = [cell for cell in myst_nb_reader_plugin(str(chapter)).cells if cell.cell_type == "code"]
    copy = [
        cell for cell in nbformat.read(chapter.with_suffix(".ipynb"), 4).cells if cell.cell_type == "code"
    ]
    assert [cell.source for cell in copy] == [cell.source for cell in source]
    assert [cell.metadata.get("tags", []) for cell in copy] == [
        cell.metadata.get("tags", []) for cell in source
    ]
    assert copy[0].source == setup_cell()


@each_chapter
def test_notebook_is_valid_and_without_outputs(chapter):
    notebook = nbformat.read(chapter.with_suffix(".ipynb"), 4)
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@each_chapter
def test_notebook_has_no_myst_syntax(chapter):
    for cell in nbformat.read(chapter.with_suffix(".ipynb"), 4).cells:
        if cell.cell_type == "markdown":
            assert not re.search(
                r"^[ >]*([`:~]{3,})\{|^[ >]*:::|\{[\w:-]+\}`|^\([\w:-]+\)=|^%", cell.source, re.MULTILINE
            )


def convert(text: str) -> str:
    """Convert the Markdown of a page that has two labels."""
    page = ROOT / "book" / "page.md"
    front = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n"
    whole = f"{front}(top)=\n# Page\n\n{text}"
    bibtex = "@book{key, author = {Doe, Jane and Roe, Richard}, title = {T}, year = {1999}, doi = {10.1/2}}"
    converter = Converter({page: whole}, bibtex, "https://github.com/a/b", ROOT)
    return "\n\n".join(cell.source for cell in converter.notebook("page", whole).cells).removeprefix(
        "# Page\n\n"
    )


@pytest.mark.parametrize(
    "myst, markdown",
    [
        ("```{note}\nOne\n\ntwo\n```", "> **Note**\n>\n> One\n>\n> two"),
        (":::{admonition} At a `glance`\n:class: tip\nOne\n:::", "> **At a `glance`**\n>\n> One"),
        ("````{tip}\n```{math}\na\n```\n````", "> **Tip**\n>\n> $$\n> a\n> $$"),
        ("```{math}\n:label: e\na\n```\n\n{eq}`e`", "$$\na\n\\tag{1}\n$$\n\n(1)"),
        ("$$a$$ (e)\n\nSee {eq}`e`.", "$$a\\tag{1}$$\n\nSee (1)."),
        (
            "{cite:t}`key`, {cite:p}`key`",
            "[Doe and Roe (1999)](https://doi.org/10.1/2), ([Doe and Roe, 1999](https://doi.org/10.1/2))",
        ),
        ("{ref}`top`, {ref}`up <top>`", "Page, up"),
        ("A `{role}` and `x[0](y)`, $f[a](b)$", "A `{role}` and `x[0](y)`, $f[a](b)$"),
        (
            "```{exercise-start} Name\n:label: x\n```\nDo.\n```{exercise-end}\n```\n"
            "```{solution-start} x\n:class: dropdown\n```\nSo.\n```{solution-end}\n```\nOn, after {ref}`x`.",
            "### Exercise 1: Name\n\nDo.\n\n#### Solution to exercise 1\n\n"
            "<details>\n<summary>Show it</summary>\n\nSo.\n\n</details>\n\nOn, after Exercise 1.",
        ),
        ("```python\n% no {comment}`x`\n```", "```python\n% no {comment}`x`\n```"),
        ("% comment\ntext", "text"),
        ("- {ref}`up\n  there <top>` and\n  `{ref}`", "- up there and\n  `{ref}`"),
        (
            "> {ref}`top`\n\n| a | b |\n| --- | --- |\n| {ref}`top` | c |",
            "> Page\n\n| a | b |\n| --- | --- |\n| Page | c |",
        ),
        (
            "[see {ref}`top`](../pyproject.toml)",
            "[see Page](https://github.com/a/b/blob/main/pyproject.toml)",
        ),
        ("[code](../pyproject.toml)", "[code](https://github.com/a/b/blob/main/pyproject.toml)"),
    ],
)
def test_converts(myst, markdown):
    assert convert(myst) == markdown


@pytest.mark.parametrize(
    "myst",
    [
        "```{unheard-of}\n```",
        "{unheard-of}`x`",
        "{ref}`nowhere`",
        "![](none.png)",
        "[x](none.md)",
        "- a list\n\n  ```{note}\n  x\n  ```",
        "(loose)=\n\nno heading",
        "```{solution-start} top\n```\nopen",
    ],
)
def test_refuses(myst):
    with pytest.raises(ValueError, match="page: "):
        convert(myst)


def test_addresses_are_ours():
    places = r"(?:git\+https://github\.com|colab\.research\.google\.com/github|raw\.githubusercontent\.com)/([\w.-]+/[\w-]+)"
    ours = address().removeprefix("https://github.com/")
    for path in tracked():
        if path.suffix in {".md", ".ipynb", ".yml", ".cff"} and "data" not in path.parts:
            assert set(re.findall(places, path.read_text("utf-8"))) <= {ours, *OTHERS}, path
    for name in ("_config.yml", "CITATION.cff"):
        assert address() in (ROOT / name).read_text("utf-8"), name


def test_the_project_can_move(tmp_path):
    for path in tracked():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for name in ("pyproject.toml", "_config.yml", "CITATION.cff"):
        moved = (
            (tmp_path / name).read_text("utf-8").replace(address(), "https://github.com/someone/some-fork")
        )
        (tmp_path / name).write_text(moved, "utf-8")
    subprocess.run([sys.executable, "book/_tools/sync.py"], cwd=tmp_path, check=True)
    ours = address().removeprefix("https://github.com/").encode()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and ours in path.read_bytes()] == []
    for chapter in chapters():
        for path in (chapter, chapter.with_suffix(".ipynb")):
            copy = (tmp_path / path.relative_to(ROOT)).read_text("utf-8")
            assert "git+https://github.com/someone/some-fork" in copy
