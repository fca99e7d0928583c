"""The wheel works without the checkout, and what stands in several files agrees."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest
import yaml
from hanging import HANGS_S
from layout import ROOT, chapters, files
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import diffmst_lib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DATA = "diffmst_lib/_data/"

RUN_CELLS = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for source in json.load(open(sys.argv[1])):
    shell.run_cell(source).raise_error()
import diffmst_lib
print(json.dumps([diffmst_lib.__file__, str(diffmst_lib.data_dir())]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", ".", *offline, "-w", folder], cwd=ROOT, check=True
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Return an environment that has the wheel, and the dependencies from the environment of the tests."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Python does not read .pth files in a folder added this way, and so does not find the editable checkout.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """Return a function that runs a command of the installed environment in an empty folder."""

    def run_command(command, *arguments):
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        env |= {"MPLBACKEND": "agg", "IPYTHONDIR": str(tmp_path / "ipython")}
        folder = tmp_path / "empty"
        folder.mkdir()
        return subprocess.run(
            [installed / "bin" / command, *arguments],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=HANGS_S,
        )

    return run_command


def test_wheel_holds_the_data_and_the_widgets(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert DATA + "SOURCES.md" in names
    assert any(name.startswith(DATA + "multitracks/") for name in names)
    assert any(name.startswith(DATA + "references/") for name in names)
    assert DATA + "weights/small/model.safetensors" in names and "diffmst_lib/py.typed" in names
    library = {path.relative_to(ROOT).as_posix() for path in files(ROOT / "diffmst_lib")}
    assert any(name.endswith(".js") for name in library)
    assert {name for name in names if not name.startswith(DATA) and ".dist-info/" not in name} == library


def test_command_is_installed(run):
    result = run("diffmst", "--help")
    assert result.returncode == 0, result.stderr
    assert "mix" in result.stdout


def test_first_chapter_runs_with_the_wheel_alone(run, installed, tmp_path):
    notebook = nbformat.read(chapters()[0].with_suffix(".ipynb"), 4)
    cells = tmp_path / "cells.json"
    cells.write_text(
        json.dumps([cell.source for cell in notebook.cells if cell.cell_type == "code"]), "utf-8"
    )
    result = run("python", "-c", RUN_CELLS, cells)
    assert result.returncode == 0, result.stdout + result.stderr
    package, data = map(Path, json.loads(result.stdout.splitlines()[-1]))
    assert installed in package.parents
    assert data == package.parent / "_data" and data.is_dir()


def test_editable_installation_copies_nothing():
    assert not (Path(sysconfig.get_path("purelib")) / "diffmst_lib").exists()


def test_conda_environment_has_the_same_dependencies():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    assert dependencies[:3] == [f"python{PROJECT['requires-python']}", "pip", "jupyterlab"]
    assert dependencies[3]["pip"] == [*PROJECT["dependencies"], "-e .[book,test]"]


def test_constraints_are_within_the_bounds():
    lines = (ROOT / ".ci" / "constraints.txt").read_text("utf-8").splitlines()
    exact = dict(line.split("==") for line in lines if not line.startswith("#"))
    exact = {canonicalize_name(name): version for name, version in exact.items()}
    extras = PROJECT["optional-dependencies"].values()
    for requirement in map(
        Requirement, [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]
    ):
        version = exact.get(canonicalize_name(requirement.name))
        assert version and requirement.specifier.contains(version, prereleases=True), requirement


def test_the_version_is_the_same_everywhere(wheel):
    version = diffmst_lib.__version__
    assert PROJECT["dynamic"] == ["version"] and wheel.name.startswith(f"diffmst_lib-{version}-")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == version
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"^## \[(.+)\] - \d{4}-\d{2}-\d{2}$", changes, re.MULTILINE)[1] == version


def test_repository_is_small():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    sizes = {
        name: (ROOT / name).stat().st_size for name in listed.split("\0") if name and (ROOT / name).is_file()
    }
    assert sum(sizes.values()) < 60_000_000
    assert sum(size for name, size in sizes.items() if name.startswith("data/")) < 34_000_000
