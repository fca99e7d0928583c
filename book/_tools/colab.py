"""Turn the MyST Markdown of the chapters into notebooks whose Markdown Colab and Jupyter can show.

Every directive and role that the chapters use has its rule here; one without a rule is an error, not raw text.
"""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import nbformat
from layout import title
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from pybtex.database import Entry, parse_string
from pybtex.richtext import Text

ADMONITIONS = "attention caution danger error hint important note seealso tip warning".split()
HIDING_TAGS = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
FENCE = re.compile(r"^( *)(`{3,}|~{3,}|:{3,})(?:\{([\w:-]+)\} *(.*)|([^`]*))$")
TARGET = re.compile(r"^\(([\w:-]+)\)= *$", re.MULTILINE)
COMMENT = re.compile(r"^%.*(?:\n|\Z)", re.MULTILINE)
MATH_LABEL = re.compile(r"^(.*)\$\$ *\(([\w:-]+)\) *$", re.MULTILINE)
# Formulas and code come first: what looks like a link in them is none.
INLINE = re.compile(
    r"(?P<math>\$\$.+?\$\$|\$[^$]+\$)"
    r"|(?:\{(?P<role>[\w:-]+)\})?(?P<ticks>`+)(?!`)(?P<content>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<image>!?)\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]+)\)",
    re.DOTALL,
)


@dataclass
class Block:
    """A piece of Markdown: "text", a fenced "code" block, or a "directive" with its options and body."""

    kind: str
    text: str
    name: str = ""
    argument: str = ""
    options: dict[str, str] = field(default_factory=dict)


def split(text: str) -> list[Block]:
    """Split Markdown into text, code blocks and directives; a directive's body is left whole."""
    blocks, plain, lines = [], [], text.split("\n")
    while lines:
        line = lines.pop(0)
        fence = FENCE.match(line)
        if not fence or (fence[2][0] == ":" and not fence[3]):
            plain.append(line)
            continue
        end = re.compile(rf" *{fence[2][0]}{{{len(fence[2])},}} *$")
        body = []
        while lines and not end.match(lines[0]):
            body.append(lines.pop(0))
        last = lines.pop(0) if lines else fence[2]
        blocks.append(Block("text", "\n".join(plain)))
        plain = []
        if not fence[3]:
            blocks.append(Block("code", "\n".join([line, *body, last])))
        elif fence[1]:
            raise ValueError(f"an indented directive has no rule: {line.strip()}")
        else:
            options = {}
            while body and (option := re.match(r":([\w-]+):(?: +(.*))?$", body[0])):
                options[option[1]] = option[2] or ""
                body.pop(0)
            blocks.append(
                Block("directive", "\n".join(body).strip("\n"), fence[3], fence[4].strip(), options)
            )
    return [*blocks, Block("text", "\n".join(plain))]


@dataclass
class Label:
    """What a label stands for: the page it is on, its words and, if it has one, its number."""

    page: str
    text: str
    number: int = 0


class Bibliography:
    """The entries of references.bib as readable text."""

    def __init__(self, bibtex: str):
        self.entries = parse_string(bibtex, "bibtex").entries

    def names(self, entry: Entry) -> str:
        """Return "A", "A and B" or "A et al."."""
        names = [
            str(Text.from_latex(" ".join([*person.prelast_names, *person.last_names])))
            for person in entry.persons["author"]
        ]
        return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)

    def url(self, entry: Entry) -> str:
        """Return where the work is to be found, "" if we do not say."""
        if "doi" in entry.fields:
            return f"https://doi.org/{entry.fields['doi']}"
        if "eprint" in entry.fields:
            return f"https://arxiv.org/abs/{entry.fields['eprint']}"
        return entry.fields.get("url", "")

    def cite(self, keys: str, form: str) -> str:
        """Return a citation, each work linked: textual "A (2024)" or, in one pair of parentheses, "(A, 2024)"."""
        cited = []
        for key in keys.split(","):
            entry = self.entries[key.strip()]
            words = form.format(names=self.names(entry), year=entry.fields["year"])
            cited.append(f"[{words}]({self.url(entry)})" if self.url(entry) else words)
        return "; ".join(cited)

    def list(self) -> str:
        """Return every entry, one a line, by name."""
        lines = []
        for entry in self.entries.values():
            work = str(Text.from_latex(entry.fields["title"]))
            where = f"[{work}]({self.url(entry)})" if self.url(entry) else work
            lines.append(f"- {self.names(entry)} ({entry.fields['year']}). {where}.")
        return "\n".join(sorted(lines))


class Converter:
    """Converts the pages of a book; labels, numbers and citations are those of the whole book, as on the site."""

    def __init__(self, pages: dict[Path, str], bibtex: str, address: str, root: Path):
        """Take the pages' paths and texts, in the order of the book."""
        self.root = root
        self.repository = address.removeprefix("https://github.com/")
        self.pages = {path.stem: path for path in pages}
        self.titles = {path.stem: title(text) for path, text in pages.items()}
        self.notebooks = {path.stem for path, text in pages.items() if is_myst_markdown_notebook(text)}
        self.bibliography = Bibliography(bibtex)
        self.labels: dict[str, Label] = {}
        self.page = ""
        self.solution = ""
        counts = {"math": 0, "figure": 0, "exercise": 0}
        for path, text in pages.items():
            for cell in read_myst_markdown_notebook(text).cells:
                if cell.cell_type == "markdown":
                    self.collect(path.stem, cell.source, counts)

    def collect(self, page: str, text: str, counts: dict[str, int]) -> None:
        """Note the labels in some Markdown and number what they stand for."""
        for block in split(text):
            if block.kind == "text":
                for target in TARGET.finditer(block.text):
                    heading = re.match(r"\s*#+ (.+)", block.text[target.end() :])
                    if not heading:
                        raise ValueError(f"{page}: ({target[1]})= must stand before a heading")
                    self.labels[target[1]] = Label(page, heading[1].strip())
                for equation in MATH_LABEL.finditer(block.text):
                    counts["math"] += 1
                    self.labels[equation[2]] = Label(page, "", counts["math"])
            elif block.kind == "directive":
                label = block.options.get("label") or block.options.get("name")
                name = block.name.removesuffix("-start")
                if name == "exercise" and not label:
                    raise ValueError(f"{page}: an exercise without a label")
                if {"math": label, "figure": block.text, "exercise": True}.get(name):
                    counts[name] += 1
                if label:
                    caption = block.text.split("\n\n")[0]
                    words = {"exercise": f"Exercise {counts['exercise']}", "figure": caption}.get(
                        name, block.argument
                    )
                    self.labels[label] = Label(page, words, counts.get(name, 0))
                if block.name not in ("math", "code-block"):
                    self.collect(page, block.text, counts)

    def url(self, target: str) -> str:
        """Return the public address of a path in the book's folder: a chapter opens in Colab."""
        path, _, _ = target.partition("#")
        file = (self.root / "book" / path).resolve()
        if not file.exists():
            raise ValueError(f"{self.page}: no such file: {target}")
        if file.suffix == ".md" and file.stem in self.notebooks and file.parent == self.root / "book":
            return (
                f"https://colab.research.google.com/github/{self.repository}/blob/main/book/{file.stem}.ipynb"
            )
        return (
            f"https://github.com/{self.repository}/blob/main/{quote(file.relative_to(self.root).as_posix())}"
        )

    def image(self, target: str, alt: str) -> str:
        """Return a Markdown image that loads from the public repository."""
        file = (self.root / "book" / target).resolve()
        if not file.exists() or not alt:
            raise ValueError(f"{self.page}: the image {target} needs a file and an alternative text")
        path = quote(file.relative_to(self.root).as_posix())
        return f"![{alt}](https://raw.githubusercontent.com/{self.repository}/main/{path})"

    def refer(self, label: Label, words: str) -> str:
        """Return words for something labelled, linked if it is on another page."""
        return words if label.page == self.page else f"[{words}]({self.url(f'{label.page}.md')})"

    def role(self, name: str, content: str) -> str:
        """Return what a role shows."""
        explicit = re.match(r"(.+?)\s*<([^>]+)>$", content, re.DOTALL)
        words, target = (explicit[1], explicit[2]) if explicit else ("", content)
        match name:
            case "math":
                return f"${content}$"
            case "cite:t":
                return self.bibliography.cite(content, "{names} ({year})")
            case "cite" | "cite:p":
                return f"({self.bibliography.cite(content, '{names}, {year}')})"
            case "doc":
                return self.refer(Label(target, ""), words or self.titles[target])
            case "ref" | "numref" | "eq" if target not in self.labels:
                raise ValueError(f"{self.page}: no label {target}")
            case "ref":
                return self.refer(self.labels[target], words or self.inline(self.labels[target].text))
            case "numref":
                return self.refer(self.labels[target], f"Fig. {self.labels[target].number}")
            case "eq":
                return self.refer(self.labels[target], f"({self.labels[target].number})")
        raise ValueError(f"{self.page}: the role {{{name}}} has no rule in colab.py")

    def inline(self, text: str) -> str:
        """Convert roles, and links and images that are relative to the book."""

        def convert(match: re.Match) -> str:
            if match["role"]:
                return self.role(match["role"], match["content"])
            if match["target"] is None or re.match(r"\w+:|#", match["target"]):
                return match[0]
            if match["image"]:
                return self.image(match["target"], match["words"])
            return f"[{match['words']}]({self.url(match['target'])})"

        return INLINE.sub(convert, text)

    def prose(self, text: str) -> str:
        """Convert Markdown that holds no directives."""
        text = COMMENT.sub("", TARGET.sub("", text))
        text = MATH_LABEL.sub(lambda match: f"{match[1]}\\tag{{{self.labels[match[2]].number}}}$$", text)
        return re.sub(r"\n{3,}", "\n\n", self.inline(text)).strip("\n")

    def directive(self, block: Block) -> str:
        """Convert a directive."""
        match block.name:
            case "math":
                label = self.labels.get(block.options.get("label"))
                tag = f"\n\\tag{{{label.number}}}" if label else ""
                return f"$$\n{block.text}{tag}\n$$"
            case "figure" | "image":
                image = self.image(block.argument, block.options.get("alt", ""))
                label = self.labels.get(block.options.get("name"))
                number = f"Fig. {label.number}: " if label else ""
                return f"{image}\n\n*{number}{self.prose(block.text)}*" if block.text else image
            case "exercise" | "exercise-start":
                heading = self.labels[block.options["label"]].text + (
                    f": {block.argument}" if block.argument else ""
                )
                return f"### {heading}\n\n{self.markdown(block.text)}".strip()
            case "exercise-end":
                return ""
            case "solution":
                return (
                    self.solution_heading(block.argument)
                    + "\n\n"
                    + details("Show it", self.markdown(block.text))
                )
            case "dropdown":
                return details(block.argument, self.markdown(block.text))
            case "code-block":
                return f"```{block.argument}\n{block.text}\n```"
            case "bibliography":
                return self.bibliography.list()
            case "admonition":
                return quoted(self.inline(block.argument), self.markdown(block.text))
            case name if name in ADMONITIONS:
                return quoted(
                    "See also" if name == "seealso" else name.capitalize(), self.markdown(block.text)
                )
        raise ValueError(f"{self.page}: the directive {{{block.name}}} has no rule in colab.py")

    def solution_heading(self, label: str) -> str:
        """Return the heading of the solution to a labelled exercise."""
        return f"#### Solution to {self.labels[label].text.lower()}"

    def markdown(self, text: str) -> str:
        """Convert Markdown with directives. What stands between the marks of a solution is folded away."""
        pieces, folded = [], []
        for block in split(text):
            if block.kind == "directive" and block.name == "solution-start":
                self.solution = block.argument
                pieces.append(self.solution_heading(block.argument))
            elif block.kind == "directive" and block.name == "solution-end":
                pieces.append(details("Show it", "\n\n".join(filter(None, folded))))
                self.solution, folded = "", []
            else:
                converted = {"text": self.prose, "code": str}.get(
                    block.kind, lambda _: self.directive(block)
                )(block.text)
                (folded if self.solution else pieces).append(converted)
        pieces.append(details("Show it", "\n\n".join(filter(None, folded))))
        if self.solution:  # still open: its code is the next cell
            pieces.append("*The code is folded away: open the next cell.*")
        return "\n\n".join(filter(None, pieces))

    def notebook(self, page: str, text: str) -> nbformat.NotebookNode:
        """Convert a chapter to a notebook without outputs."""
        self.page, self.solution = page, ""
        source = read_myst_markdown_notebook(text)
        cells, seen = [], set()
        for cell in source.cells:
            if cell.cell_type == "markdown":
                markdown = self.markdown(cell.source)
                new = nbformat.v4.new_markdown_cell(markdown) if markdown else None
            else:
                new = nbformat.v4.new_code_cell(
                    cell.source, metadata=self.code_metadata(cell.metadata.get("tags", []))
                )
            if new:
                new.id = cell_id(new, seen)
                cells.append(new)
        if self.solution:
            raise ValueError(f"{page}: solution-start of {self.solution} without solution-end")
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        return nbformat.v4.new_notebook(
            cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
        )

    def code_metadata(self, tags: list[str]) -> dict:
        """Return a code cell's metadata: its tags and, for code that the site hides or solutions, hidden code.

        Colab goes by cellView and Jupyter by source_hidden. Both hide a cell by itself: folding the section
        below a heading instead would also hide the prose after a solution.
        """
        hidden = {"cellView": "form", "jupyter": {"source_hidden": True}}
        return ({"tags": tags} if tags else {}) | (hidden if self.solution or HIDING_TAGS & set(tags) else {})


def quoted(heading: str, text: str) -> str:
    """Return a block quote with a bold heading."""
    return "\n".join(f"> {line}".rstrip() for line in [f"**{heading}**", "", *text.split("\n")])


def details(summary: str, text: str) -> str:
    """Return collapsed text, nothing if there is no text."""
    return f"<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>" if text.strip() else ""


def cell_id(cell: nbformat.NotebookNode, seen: set[str]) -> str:
    """Return an id that depends on the cell alone, so that inserting one cell leaves the others' ids as they are."""
    text = f"{cell.cell_type}\n{cell.source}"
    while (digest := hashlib.sha256(text.encode()).hexdigest()[:12]) in seen:
        text += "\nagain"
    seen.add(digest)
    return digest
