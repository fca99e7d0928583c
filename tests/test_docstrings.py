"""The examples in the docstrings run, everything public has a docstring, and tools can parse it."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import diffmst_lib

MODULES = [module.name for module in pkgutil.walk_packages(diffmst_lib.__path__, "diffmst_lib.")]
PUBLIC = {
    name: getattr(diffmst_lib, name) for name in diffmst_lib.__all__ if callable(getattr(diffmst_lib, name))
}
WITH_EXAMPLE = [
    "ConsoleParams",
    "MixingConsole",
    "Multitrack",
    "audio_feature_loss",
    "check",
    "data_dir",
    "equal_loudness",
    "load_audio",
    "load_multitrack",
    "loudness",
    "mrstft_loss",
    "normalize_loudness",
    "optimize_mix",
    "param_table",
    "unity",
]


SECTIONS = ["Attributes", "Args", "Returns", "Yields", "Raises", "Example"]  # of Google style, in this order
LIBRARY = Path(diffmst_lib.__file__).parent


def functions() -> dict[str, ast.FunctionDef]:
    """Every function and method of the library by its place."""
    found = {}

    def walk(node, name):
        for inner in node.body:
            if isinstance(inner, ast.ClassDef):
                walk(inner, f"{name}{inner.name}.")
            elif isinstance(inner, ast.FunctionDef):
                found[f"{name}{inner.name}"] = inner

    for path in sorted(LIBRARY.rglob("*.py")):
        walk(ast.parse(path.read_text("utf-8")), f"{path.relative_to(LIBRARY).as_posix()}: ")
    return found


FUNCTIONS = functions()


def arguments(function: ast.FunctionDef) -> list[ast.arg]:
    of = function.args
    every = [*of.posonlyargs, *of.args, *([of.vararg] if of.vararg else []), *of.kwonlyargs]
    return [one for one in [*every, *([of.kwarg] if of.kwarg else [])] if one.arg not in ("self", "cls")]


def sections(text: str) -> dict[str, str]:
    """The parts of a docstring that have a heading, without their indentation."""
    parts = re.findall(r"^([A-Z]\w+):\n((?:    .*\n|\n)*)", f"{text}\n", re.MULTILINE)
    return {heading: inspect.cleandoc(f"\n{body}") for heading, body in parts}


def entries(text: str) -> list[str]:
    """The names that a section explains, one a line."""
    return re.findall(r"^\*{0,2}(\w+): \S", text, re.MULTILINE)


def test_sections_are_found():
    text = "One line.\n\nArgs:\n    a: First\n        line: goes on.\n    *b: Rest.\n\nReturns:\n    Both."
    assert sections(text) == {"Args": "a: First\n    line: goes on.\n*b: Rest.", "Returns": "Both."}
    assert entries(sections(text)["Args"]) == ["a", "b"]
    assert len(FUNCTIONS) > 500 and "audio/loudness.py: loudness" in FUNCTIONS


def test_docstrings_are_in_google_style():
    wrong = []
    for name, function in FUNCTIONS.items():
        text = ast.get_docstring(function) or ""
        found = sections(text)
        given = [one.arg for one in arguments(function)]
        if sorted(found, key=lambda one: SECTIONS.index(one) if one in SECTIONS else -1) != list(found):
            wrong.append(f"{name}: sections {', '.join(found)}")
        if set(found) - set(SECTIONS):
            wrong.append(f"{name}: no sections of ours: {', '.join(set(found) - set(SECTIONS))}")
        if "Args" in found and entries(found["Args"]) != given:
            wrong.append(f"{name}: explains {entries(found['Args'])}, takes {given}")
        if ">>>" in text and ">>>" not in found.get("Example", ""):
            wrong.append(f"{name}: an example without its heading")
    assert wrong == []


def test_functions_have_annotations():
    bare = [
        name
        for name, function in FUNCTIONS.items()
        if any(one.annotation is None for one in arguments(function))
        or (function.returns is None and function.name != "__init__")
    ]
    assert [
        name for name in bare if not name.startswith("console/engines/ballistics_gpu.py")
    ] == []  # Triton's


@pytest.mark.parametrize("name", ["diffmst_lib", *MODULES])
def test_examples_run(name):
    if name.endswith("_gpu"):
        pytest.importorskip("triton", reason="comes with torch for CUDA")
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it holds"
    assert doctest.testmod(module).failed == 0


def test_modules_are_found():
    assert {"diffmst_lib.audio.loading", "diffmst_lib.command.main", "diffmst_lib.notebook.desk.desk"} <= set(
        MODULES
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_public_things_have_a_docstring(name):
    assert inspect.getdoc(PUBLIC[name])
    if inspect.isfunction(PUBLIC[name]) and inspect.signature(PUBLIC[name]).parameters:
        assert list(inspect.signature(PUBLIC[name]).parameters) == entries(
            sections(inspect.getdoc(PUBLIC[name]))["Args"]
        )
    members = vars(PUBLIC[name]).items() if inspect.isclass(PUBLIC[name]) else []
    for method, function in members:
        if not method.startswith("_") and (
            inspect.isfunction(function) or isinstance(function, (property, classmethod))
        ):
            assert inspect.getdoc(getattr(PUBLIC[name], method)), f"{name}.{method}"


@pytest.mark.parametrize("name", diffmst_lib.effects.__all__)
def test_effects_have_an_example(name):
    assert ">>> " in getattr(diffmst_lib.effects, name).__doc__


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_main_things_have_an_example(name):
    assert ">>> " in PUBLIC[name].__doc__
