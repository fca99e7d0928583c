"""List the library's public names, in the boxes of Fig. 1, as directives that Sphinx fills with docstrings.

The names are those of the stub files `__init__.pyi`, so that a new name needs no line here.
"""

import ast
from pathlib import Path

from layout import ROOT

LIBRARY = ROOT / "diffmst_lib"
BOXES = {
    "model": "The system",
    "audio": "Stems, records and loudness",
    "console": "The mixing console",
    "style": "Features and losses",
    "mixing": "Mixing by rule and by gradient descent",
    "network": "Encoders and controller",
    "data": "Data sets",
    "training": "Training",
    "evaluation": "Comparing systems",
    "export": "Sessions for workstations",
    "plots": "Figures",
    "notebook": "Players, explorers, exercises",
    "bench": "Measuring speed",
    "inputs": "Errors",
    "disk": "Files",
}


def public_names(file: Path) -> list[tuple[Path, str]]:
    """Return the public names of a Python file or stub, each with the path that a module of this name has."""
    names, listed = [], None
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and file.suffix == ".pyi":
            folder = file.parent.joinpath(*(node.module or "").split("."))
            names += [(folder / name.name, name.name) for name in node.names]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append((file / node.name, node.name))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = [(file / name, name) for name in ast.literal_eval(node.value)]
    return [(path, name) for path, name in listed or names if name[0] != "_"]


def names_file(path: Path) -> Path | None:
    """Return the file with the names of a public module, None if the path is that of any other name."""
    files = [file for file in (path / "__init__.pyi", path.with_suffix(".py")) if file.exists()]
    return files[0] if files else None


def modules(file: Path = LIBRARY / "__init__.pyi", within: str = "") -> dict[str, Path]:
    """Return the public modules, also those in modules, each with the file that has their names."""
    found = {}
    for path, name in public_names(file):
        if inner := names_file(path):
            found |= {f"{within}{name}": inner} | modules(inner, f"{within}{name}.")
    return found


def entry(name: str) -> str:
    """Return the directive for a class or a function, "" for a constant."""
    module, _, last = f"dm.{name}".rpartition(".")
    if last.isupper():
        return ""
    kind, members = ("autoclass", "\n   :members:") if last[0].isupper() else ("autofunction", "")
    return f".. {kind}:: {module}::{last}{members}"


def block(names: list[str]) -> str:
    """Return the part of the page that shows some names."""
    return "```{eval-rst}\n" + "\n".join(filter(None, map(entry, names))) + "\n```"


def listing() -> str:
    """Return what stands on the page below its introduction, in MyST Markdown."""
    top = public_names(LIBRARY / "__init__.pyi")
    shown = {name for _, name in top}
    pieces = []
    for box, heading in BOXES.items():
        pieces.append(f"## {heading}")
        names = [name for path, name in top if path.relative_to(LIBRARY).parts[0] == box]
        plain = [name for name in names if name not in modules()]
        if plain:
            pieces.append(block(plain))
        for name in names:
            if name in modules():
                pieces += listing_of(name, modules()[name], shown)
    return "\n\n".join(pieces) + "\n"


def listing_of(module: str, file: Path, shown: set[str]) -> list[str]:
    """Return the pieces of the page that list a module, and those of the modules in it."""
    names = [f"{module}.{name}" for _, name in public_names(file) if name not in shown]
    inner = [name for name in names if name in modules()]
    pieces = [f"### `dm.{module}`", block([name for name in names if name not in inner])]
    for name in inner:
        pieces += listing_of(name, modules()[name], shown)
    return pieces
