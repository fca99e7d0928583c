"""Read the book's MyST Markdown with the site's own parser: what stands where, and what is labelled."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import yaml
from layout import ROOT
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline, image, link
from markdown_it.token import Token
from mdit_py_plugins.myst_role.index import myst_role
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

EXTENSIONS = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["parse"]["myst_enable_extensions"]
PARSER = create_md_parser(MdParserConfig(enable_extensions=set(EXTENSIONS)), RendererHTML)


class Directive(NamedTuple):
    """A directive as it was written."""

    name: str
    argument: str
    options: dict[str, str]
    body: str

    @property
    def label(self) -> str:
        """What the directive can be referred to by, "" if by nothing."""
        return self.options.get("label") or self.options.get("name") or ""


def directive(token: Token) -> Directive | None:
    """Return the directive that a token stands for, None if it stands for something else."""
    match = re.match(r"\{([\w:-]+)\} *(.*)", token.info) if token.type in ("fence", "colon_fence") else None
    if not match:
        return None
    options = re.match(r"(?::[\w-]+:.*\n)*", token.content)[0]
    named = dict(re.findall(r"^:([\w-]+): *(.*)$", options, re.MULTILINE))
    return Directive(match[1], match[2].strip(), named, token.content[len(options) :].strip("\n"))


def noting(rule: Callable) -> Callable:
    """Return an inline rule that also notes in `env["spans"]` its token and where that stands."""

    def note(state: StateInline, silent: bool) -> bool:
        start, before = state.pos, len(state.tokens)
        matched = rule(state, silent)
        if matched and not silent and state.src == state.env.get("whole"):
            token = next(token for token in state.tokens[before:] if token.type != "text")
            state.env["spans"].append((start, state.pos, token))
        return matched

    return note


for inline_rule in (myst_role, link, image):
    PARSER.inline.ruler.at(inline_rule.__name__, noting(inline_rule))


def spans(text: str) -> list[tuple[int, int, Token]]:
    """Return start, end and token of a paragraph's roles, links and images; what ends last comes first."""
    env = {"spans": [], "whole": text}
    PARSER.inline.parse(text, PARSER, env, [])
    return sorted(env["spans"], key=lambda span: -span[1])


class Label(NamedTuple):
    """What a label stands for: the page it is on, its words and, if it has one, its number."""

    page: str
    words: str
    number: int = 0


def labels(pages: dict[str, str]) -> dict[str, Label]:
    """Return the labels of the whole book, numbered as on the site.

    Args:
        pages: Text of each page by its name, in the order of the book.
    """
    found: dict[str, Label] = {}
    counts = {"math": 0, "figure": 0, "exercise": 0}
    for page, text in pages.items():
        for cell in read_myst_markdown_notebook(text).cells:
            if cell.cell_type == "markdown":
                for kind, label, words in labelled(page, cell.source):
                    counts[kind] = counts.get(kind, 0) + 1
                    words = {"math": f"({counts[kind]})", "exercise": f"Exercise {counts[kind]}"}.get(
                        kind, words
                    )
                    found[label] = Label(page, words, counts[kind])
    return found


def labelled(page: str, text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the label and the words of what is labelled in some Markdown."""
    tokens = PARSER.parse(text)
    for i, token in enumerate(tokens):
        if token.type == "myst_target":
            if i + 1 == len(tokens) or tokens[i + 1].type != "heading_open":
                raise ValueError(f"{page}: ({token.content})= must stand before a heading")
            yield "heading", token.content, tokens[i + 2].content
        elif token.type == "math_block_label":
            yield "math", token.info, ""
        elif found := directive(token):
            kind = found.name.removesuffix("-start")
            if found.label:
                yield kind, found.label, found.body.split("\n\n")[0] if kind == "figure" else found.argument
            if kind != "math":
                yield from labelled(page, found.body)
