"""The tree is what CONTRIBUTING says: few files, floors, no circles, and docstrings that lead to the book."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hanging import HANGS_S
from layout import BOOK, ROOT, chapters, files, title

import diffmst_lib
from diffmst_lib.command.main import VERBS

LIBRARY = ROOT / "diffmst_lib"
FLOORS = [  # from top to bottom: a room imports from its own floor and those below it
    ["command", "__main__"],
    ["bench", "notebook"],
    ["evaluation"],
    ["training"],
    ["model"],
    ["data", "mixing"],
    ["audio", "network", "export", "plots"],
    ["console", "style"],
    ["disk"],
    ["inputs", "options", "registry"],
    ["__init__"],  # loads nothing, and is loaded before everything
]
HEIGHT = {room: -depth for depth, rooms in enumerate(FLOORS) for room in rooms}
MOST_LINES = 450


def module_name(path: Path) -> str:
    """The dotted name of a file below the library; a package's is that of its `__init__`."""
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for path in sorted(LIBRARY.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in PATHS.items()}


def room(name: str) -> str:
    """The folder or file at the top of the library that a module is in."""
    return name.split(".")[1] if "." in name else "__init__"


def package(name: str) -> str:
    return name if PATHS[name].name == "__init__.py" else name.rpartition(".")[0]


@cache
def stub(name: str) -> dict[str, str]:
    """Where a lazy package's stub takes each name from."""
    path = PATHS[name].with_suffix(".pyi")
    nodes = ast.parse(path.read_text("utf-8")).body if path.is_file() else []
    return {
        alias.asname or alias.name: ".".join(filter(None, [name, node.module]))
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def named(tree: ast.AST, name: str) -> list[tuple[str, str]]:
    """What a module imports of this library: (module, name in it), wherever in the file it stands."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = package(name).split(".")
            base = ".".join([*base[: len(base) - node.level + 1], *filter(None, [node.module])])
            module = base if node.level else node.module
            found += [(module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return [pair for pair in found if pair[0].split(".")[0] == "diffmst_lib"]


def imports(name: str) -> set[str]:
    """The modules that a module makes Python run: those it names, and the packages on the way to them."""
    targets = set()
    for module, member in named(TREES[name], name):
        inner = f"{module}.{member}"
        target = inner if inner in PATHS else stub(module).get(member, module) if module in PATHS else ""
        assert target in PATHS, f"{name} imports {member} of {module}, which is not there"
        parts = target.split(".")
        on_the_way = {".".join(parts[:n]) for n in range(1, len(parts))}
        targets |= {target} | {one for one in on_the_way if not f"{name}.".startswith(f"{one}.")}
    return targets


@cache
def arrows() -> dict[str, set[str]]:
    return {name: imports(name) - {name} for name in PATHS}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that reach each other."""
    reached = {}
    for start in graph:
        seen, queue = set(), list(graph[start])
        while queue:
            if (node := queue.pop()) not in seen:
                seen.add(node)
                queue += graph.get(node, ())
        reached[start] = seen
    groups = {frozenset(b for b in reached[a] if a in reached[b]) for a in graph if a in reached[a]}
    return sorted(map(sorted, groups))


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_imports_are_found_wherever_they_stand():
    tree = ast.parse(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from ..style.losses import loss_table\n"
        "def f():\n    from .. import disk\n    import diffmst_lib.inputs\n"
    )
    assert sorted(named(tree, "diffmst_lib.console.effects")) == [
        ("diffmst_lib", "disk"),
        ("diffmst_lib.inputs", ""),
        ("diffmst_lib.style.losses", "loss_table"),
    ]


def test_no_two_files_and_no_more_import_each_other():
    assert circles(arrows()) == []


def test_no_two_rooms_import_each_other():
    rooms = {room(name): set() for name in PATHS}
    for name, targets in arrows().items():
        rooms[room(name)] |= {room(target) for target in targets} - {room(name)}
    assert circles(rooms) == []


def test_every_room_has_a_floor():
    assert {room(name) for name in PATHS} <= set(HEIGHT)


def test_no_import_runs_upward():
    upward = [
        f"{name} -> {target}"
        for name, targets in arrows().items()
        for target in sorted(targets)
        if HEIGHT[room(target)] > HEIGHT[room(name)]
    ]
    assert upward == []


def test_imports_name_the_module_that_holds_the_thing():
    through_a_stub = [
        f"{name}: {member} of {module}"
        for name, tree in TREES.items()
        for module, member in named(tree, name)
        if module in PATHS and member in stub(module) and f"{module}.{member}" not in PATHS
    ]
    absolute = [
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if (
            isinstance(node, ast.Import)
            and any(one.name.split(".")[0] == "diffmst_lib" for one in node.names)
        )
        or (
            isinstance(node, ast.ImportFrom) and not node.level and node.module.split(".")[0] == "diffmst_lib"
        )
    ]
    assert through_a_stub == [] and absolute == []


def test_few_files_lie_at_the_top():
    assert len(list(LIBRARY.glob("*.py"))) <= 8


def test_no_file_is_long():
    places = (LIBRARY, ROOT / "tests", BOOK / "_tools", BOOK / "_style", ROOT / "data")
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in files(*places)
        if path.suffix in (".py", ".pyi", ".js", ".css")
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


# Words that lead a reader: chapters and equations


def docstrings(tree: ast.Module) -> list[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [text for node in ast.walk(tree) if isinstance(node, kinds) and (text := ast.get_docstring(node))]


def chapters_named(text: str) -> list[str]:
    """The titles after "Chapter:" or "Chapters:", up to the end of the line or the sentence."""
    return [one.strip() for line in re.findall(r"Chapters?: ([^.\n]+)", text) for one in line.split(",")]


def titles() -> set[str]:
    """The chapters' titles, also without what follows a colon."""
    long = {title(page.read_text("utf-8")) for page in chapters()}
    return long | {one.partition(":")[0] for one in long}


def test_only_the_table_of_contents_numbers_chapters():
    texts = [
        *BOOK.glob("*.md"),
        *BOOK.glob("figures/*.svg"),
        *(ROOT / "tests").rglob("*.py"),
        *ROOT.glob("*.md"),
    ]
    texts += [path for path in files(LIBRARY) if path.suffix in (".py", ".pyi", ".js", ".css")]
    numbered = {
        path.relative_to(ROOT).as_posix(): hits
        for path in texts
        if (hits := re.findall(r"[Cc]hapters?\s\d.*", path.read_text("utf-8")))
    }
    assert numbered == {}


def equations_named(text: str) -> set[int]:
    """The numbers after "equation" and "equations": 5; 3 and 4; 3 to 7."""
    numbers = set()
    for first, word, last in re.findall(r"[Ee]quations? (\d)(?: (to|and) (\d))?", text):
        last = last or first
        numbers |= set(range(int(first), int(last) + 1)) if word == "to" else {int(first), int(last)}
    return numbers


def test_docstrings_name_chapters_that_the_book_has():
    named = {
        (name, one)
        for name, tree in TREES.items()
        for text in docstrings(tree)
        for one in chapters_named(text)
    }
    assert {(name, one) for name, one in named if one not in titles()} == set()


def test_every_chapter_about_code_is_named_where_its_code_is():
    named = {one for tree in TREES.values() for text in docstrings(tree) for one in chapters_named(text)}
    about_code = [title(page.read_text("utf-8")).partition(":")[0] for page in chapters()]
    assert set(about_code) - {"The ledger"} <= named


MAP = re.findall(r"^ *(\d)  +(\S.*?)  +(\S+\.py)  +(\S.*?)$", diffmst_lib.__doc__, re.MULTILINE)


def test_the_map_has_every_equation_of_the_paper():
    assert sorted(int(number) for number, *_ in MAP) == list(range(1, 9))


@pytest.mark.parametrize(("number", "file", "chapter"), [(n, file, chapter) for n, _, file, chapter in MAP])
def test_the_map_leads_to_the_equations(number, file, chapter):
    assert chapter in titles()
    text = "\n".join(docstrings(ast.parse((LIBRARY / file).read_text("utf-8"))))
    assert int(number) in equations_named(text), f"{file} does not name equation {number} in a docstring"


# Loading


def python(code: str, **environment: str) -> str:
    """What a fresh process prints."""
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=HANGS_S
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def foreign(code: str) -> set[str]:
    """The packages that a piece of code loads in a fresh process, but for Python's own."""
    found = "{name.partition('.')[0] for name in sys.modules.keys() - before} - sys.stdlib_module_names"
    printed = python(f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*{found})")
    return set(printed.rpartition("\n")[0].rpartition("\n")[2].split())


def test_packages_that_are_loaded_are_found():
    assert "numpy" in foreign("import numpy.fft") and foreign("import json") == set()


@pytest.mark.parametrize(
    "code",
    [
        "import diffmst_lib",
        "from diffmst_lib import training, data, plots, bench",
        "import diffmst_lib as dm; dm.data_dir(); dm.InputError",
    ],
)
def test_nothing_is_loaded_before_it_is_used(code):
    assert foreign(code) == {"diffmst_lib", "lazy_loader"}


@pytest.mark.parametrize(
    "words",
    ["--help", "--version"]
    + [f"{verb} --help" for verb in VERBS]
    + [f"data {what} --help" for what in ("index", "cache", "open", "shard")]
    + [
        "mix stems",
        "train --recipe mine",
        "rehearse --preset huge",
        "data index songs --layout none",
        "bench 3",
    ],
)
def test_help_and_wrong_options_load_nothing(words):
    code = (
        "from contextlib import suppress\nfrom diffmst_lib.command.main import main\n"
        f"with suppress(SystemExit):\n    main({words.split()})\n    raise AssertionError"
    )
    assert foreign(code) == {"diffmst_lib", "lazy_loader"}


def test_every_public_name_is_there():
    names = python(
        "import diffmst_lib as dm; print(*[n for n in dm.__all__ if getattr(dm, n) is None])",
        EAGER_IMPORT="1",
    )
    assert names.split() == []
    assert callable(diffmst_lib.desk) and callable(diffmst_lib.check) and callable(diffmst_lib.compare)
    assert {"desk", "listen", "check", "checker", "compare", "explore_pan", "DiffMST"} <= set(
        diffmst_lib.__all__
    )
