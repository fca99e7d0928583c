"""Turn the chapters into notebooks whose Markdown Colab and Jupyter can show.

Every directive and role that the chapters use has its rule here. One without a rule is an error, not raw
text.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import nbformat
from layout import title
from myst import PARSER, Directive, Label, directive, labels, spans
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from pybtex.database import parse_string
from pybtex.richtext import Text

HIDING_TAGS = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WORK_ADDRESSES = {"doi": "https://doi.org/", "eprint": "https://arxiv.org/abs/", "url": ""}


class Converter:
    """Converts a page. Labels, numbers and citations are those of the whole book, as on the site."""

    def __init__(self, pages: dict[Path, str], bibtex: str, address: str, root: Path):
        """Take the pages' paths and texts, in the order of the book."""
        self.root = root
        self.repository = address.removeprefix("https://github.com/")
        self.titles = {path.stem: title(text) for path, text in pages.items()}
        self.notebooks = {path.stem for path, text in pages.items() if is_myst_markdown_notebook(text)}
        self.works = parse_string(bibtex, "bibtex").entries
        self.labels = labels({path.stem: text for path, text in pages.items()})
        self.page = self.solution = ""

    def path(self, target: str) -> tuple[Path, str]:
        """Return a file that is named from the book's folder, and its quoted path in the repository."""
        file = (self.root / "book" / target.partition("#")[0]).resolve()
        if not file.exists():
            raise ValueError(f"{self.page}: no such file: {target}")
        return file, quote(file.relative_to(self.root).as_posix())

    def url(self, target: str) -> str:
        """Return the public address of a path in the book's folder: a chapter opens in Colab."""
        file, path = self.path(target)
        if file.suffix == ".md" and file.stem in self.notebooks and file.parent == self.root / "book":
            notebook = f"{self.repository}/blob/main/book/{file.stem}.ipynb"
            return f"https://colab.research.google.com/github/{notebook}"
        return f"https://github.com/{self.repository}/blob/main/{path}"

    def image(self, target: str, alt: str) -> str:
        """Return a Markdown image that loads from the public repository."""
        if not alt:
            raise ValueError(f"{self.page}: the image {target} needs an alternative text")
        return f"![{alt}](https://raw.githubusercontent.com/{self.repository}/main/{self.path(target)[1]})"

    def cite(self, keys: str, form: str) -> str:
        """Return works, each linked, with the names "A", "A and B" or "A et al." and the year in a form."""
        cited = []
        for key in keys.split(","):
            work = self.works[key.strip()]
            people = [[*person.prelast_names, *person.last_names] for person in work.persons["author"]]
            names = [str(Text.from_latex(" ".join(person))) for person in people]
            short = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
            words = form.format(names=short, year=work.fields["year"])
            urls = [
                start + work.fields[name] for name, start in WORK_ADDRESSES.items() if name in work.fields
            ]
            cited.append(f"[{words}]({urls[0]})" if urls else words)
        return "; ".join(cited)

    def role(self, name: str, content: str) -> str:
        """Return what a role shows, linked if it is on another page."""
        explicit = re.match(r"(.+?) *<([^>]+)>$", content := " ".join(content.split()))
        words, target = (explicit[1], explicit[2]) if explicit else ("", content)
        match name:
            case "cite:t":
                return self.cite(content, "{names} ({year})")
            case "cite" | "cite:p":
                return f"({self.cite(content, '{names}, {year}')})"
            case "doc" if target in self.titles:
                label = Label(target, self.titles[target])
            case "ref" | "eq" if target in self.labels:
                label = self.labels[target]
            case _:
                raise ValueError(f"{self.page}: no rule in colab.py, or no label, for {{{name}}}`{content}`")
        words = words or self.inline(label.words)
        return words if label.page == self.page else f"[{words}]({self.url(f'{label.page}.md')})"

    def inline(self, text: str) -> str:
        """Convert roles, and links and images that are relative to the book."""
        for start, end, token in spans(text):
            target = token.attrGet("href") or token.attrGet("src") or ""
            if token.type == "myst_role":
                text = text[:start] + self.role(token.meta["name"], token.content) + text[end:]
            elif token.type == "image":
                text = text[:start] + self.image(target, token.content) + text[end:]
            elif not re.match(r"[a-z]+:|#", target):
                text = text[: text.rindex("](", start, end)] + f"]({self.url(target)})" + text[end:]
        return text

    def directive(self, written: Directive) -> str:
        """Convert a directive."""
        label = self.labels.get(written.label)
        match written.name:
            case "math":
                tag = f"\n\\tag{{{label.number}}}" if label else ""
                return f"$$\n{written.body}{tag}\n$$"
            case "figure":
                number = f"Fig. {label.number}: " if label else ""
                caption = f"\n\n*{number}{self.markdown(written.body)}*" if written.body else ""
                return self.image(written.argument, written.options.get("alt", "")) + caption
            case "exercise-start" if label:
                return f"### {label.words}" + (f": {written.argument}" if written.argument else "")
            case "exercise-end":
                return ""
            case "admonition":
                return quoted(self.inline(written.argument), self.markdown(written.body))
            case "note" | "tip" | "important" | "warning" as name:
                return quoted(name.capitalize(), self.markdown(written.body))
        raise ValueError(f"{self.page}: the directive {{{written.name}}} has no rule in colab.py")

    def pieces(self, text: str) -> Iterator[str | Directive]:
        """Yield converted Markdown, and directives as they were written."""
        lines, done = text.split("\n"), 0
        for token in PARSER.parse(text):
            found = directive(token)
            if token.type == "inline":
                start, end = token.map
                lines[start:end] = [self.inline("\n".join(lines[start:end])), *[None] * (end - start - 1)]
            elif found or token.type in ("myst_target", "myst_line_comment", "math_block_label"):
                if token.level:
                    raise ValueError(f"{self.page}: no rule in a list or a quote for {lines[token.map[0]]}")
                yield "\n".join(line for line in lines[done : token.map[0]] if line is not None).strip("\n")
                done = token.map[1]
                if found:
                    yield found
                elif token.type == "math_block_label":
                    yield f"$${token.content}\\tag{{{self.labels[token.info].number}}}$$"
        yield "\n".join(line for line in lines[done:] if line is not None).strip("\n")

    def markdown(self, text: str) -> str:
        """Convert Markdown with directives. What stands between the marks of a solution is folded away."""
        shown, folded = [], []
        for piece in self.pieces(text):
            match piece:
                case Directive("solution-start", label):
                    self.solution = label
                    shown.append(f"#### Solution to {self.labels[label].words.lower()}")
                case Directive("solution-end"):
                    shown.append(details(folded))
                    self.solution, folded = "", []
                case _:
                    converted = piece if isinstance(piece, str) else self.directive(piece)
                    (folded if self.solution else shown).append(converted)
        shown.append(details(folded))
        if self.solution:  # still open: its code is the next cell
            shown.append("*The code is folded away: open the next cell.*")
        return "\n\n".join(filter(None, shown))

    def notebook(self, page: str, text: str) -> nbformat.NotebookNode:
        """Convert a chapter to a notebook without outputs."""
        self.page, self.solution = page, ""
        cells, ids = [], set()
        for cell in read_myst_markdown_notebook(text).cells:
            if cell.cell_type == "code":
                metadata = self.metadata(cell.metadata.get("tags", []))
                new = nbformat.v4.new_code_cell(cell.source, metadata=metadata)
            elif markdown := self.markdown(cell.source):
                new = nbformat.v4.new_markdown_cell(markdown)
            else:
                continue
            new.id = cell_id(new, ids)
            cells.append(new)
        if self.solution:
            raise ValueError(f"{page}: solution-start of {self.solution} without solution-end")
        return nbformat.v4.new_notebook(cells=cells, metadata=NOTEBOOK_METADATA)

    def metadata(self, tags: list[str]) -> dict:
        """Return a code cell's metadata: its tags, and its code hidden where the site hides it or it is a solution.

        Colab goes by cellView and Jupyter by source_hidden. Both hide a cell by itself: folding the section
        below a heading instead would also hide the prose after a solution.
        """
        hidden = {"cellView": "form", "jupyter": {"source_hidden": True}}
        return ({"tags": tags} if tags else {}) | (hidden if self.solution or HIDING_TAGS & set(tags) else {})


def quoted(heading: str, text: str) -> str:
    """Return a block quote with a bold heading."""
    return "\n".join(f"> {line}".rstrip() for line in [f"**{heading}**", "", *text.split("\n")])


def details(pieces: list[str]) -> str:
    """Return collapsed text, nothing if there is no text."""
    text = "\n\n".join(filter(None, pieces))
    return f"<details>\n<summary>Show it</summary>\n\n{text}\n\n</details>" if text else ""


def cell_id(cell: nbformat.NotebookNode, seen: set[str]) -> str:
    """Return an id that depends on the cell alone, so that a new cell leaves the others' ids as they are."""
    text = f"{cell.cell_type}\n{cell.source}"
    while (digest := hashlib.sha256(text.encode()).hexdigest()[:12]) in seen:
        text += "\nagain"
    seen.add(digest)
    return digest
