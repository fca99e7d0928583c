"""GitHub's workflows and forms cannot run here: they parse, and what they name is there."""

import re

import pytest
import yaml
from layout import ROOT, chapters, title

GITHUB = ROOT / ".github"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in GITHUB.glob("workflows/*.yml")}
FORMS = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in GITHUB.glob("ISSUE_TEMPLATE/*.yml")}
STEPS = [
    (f"{name}: {job}", step)
    for name, workflow in WORKFLOWS.items()
    for job, about in workflow["jobs"].items()
    for step in about["steps"]
]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = re.findall(r"^([\w./-]+):", MAKEFILE, re.MULTILINE)


def test_there_is_one_for_each_purpose():
    assert set(WORKFLOWS) == {"test", "versions", "pages", "release"}
    assert set(WORKFLOWS["versions"]["jobs"]) == {"lowest", "newest-torch", "colab"}
    systems = {one["os"] for one in WORKFLOWS["test"]["jobs"]["test"]["strategy"]["matrix"]["include"]}
    assert systems == {"ubuntu-latest", "macos-latest"}
    assert WORKFLOWS["versions"][True]["schedule"]  # YAML reads the word "on" as True
    assert WORKFLOWS["release"][True] == {"push": {"tags": ["v*"]}}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_may_do_little_and_end(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"} and workflow[True]
    for about in workflow["jobs"].values():
        assert about["timeout-minutes"] <= 60 and about["runs-on"] and about["steps"]
        assert set(about.get("permissions", ())) <= {"pages", "id-token"}


def test_actions_are_pinned_to_a_major_version():
    used = [step["uses"] for _, step in STEPS if "uses" in step]
    assert used and all(re.fullmatch(r"[\w.-]+/[\w.-]+@(release/)?v\d+", one) for one in used), used


def test_they_call_make_by_targets_that_exist():
    called = {(job, word) for job, step in STEPS for word in re.findall(r"^make (\S+)", step.get("run", ""))}
    assert {target for _, target in called} <= set(TARGETS)
    assert {job for job, target in called if target == "test"} >= {
        "test: test",
        "versions: newest-torch",
        "release: build",
        "pages: build",
    }


def test_the_files_they_name_exist():
    words = " ".join(step.get("run", "") for _, step in STEPS) + WORKFLOWS["versions"]["env"]["TESTS"]
    named = set(re.findall(r"(?:\.ci|book|tests)/[\w./-]+\w", words))
    assert {".ci/colab_packages.py", "book/first-mix.ipynb", "tests/book"} <= named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_make_test_looks_at_style_and_types_first():
    assert re.search(r"^test: lint$", MAKEFILE, re.MULTILINE)
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    assert "ruff check" in lint and "ruff format --check" in lint and "mypy" in lint
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    assert hook["entry"] == "make lint" and hook["pass_filenames"] is False


def test_forms_have_what_github_asks_for():
    assert set(FORMS) == {"config", "bug", "question", "chapter"}
    for name, form in FORMS.items():
        if name != "config":
            assert form["name"] and form["description"] and form["body"]
            ids = [part["id"] for part in form["body"]]
            assert len(set(ids)) == len(ids) and all(part["attributes"]["label"] for part in form["body"])


def test_the_form_for_chapters_names_all_of_them():
    offered = FORMS["chapter"]["body"][0]["attributes"]["options"]
    assert offered[:-1] == [title(chapter.read_text("utf-8")) for chapter in chapters()]


def test_colabs_packages_are_read():
    code = (ROOT / ".ci" / "colab_packages.py").read_text("utf-8")
    names = {"__name__": "colab_packages"}
    exec(compile(code, "colab_packages.py", "exec"), names)
    freeze = "numpy==2.0.2\nlazy_loader==0.4\ntensorflow==2.19.0\nPyYAML==6.0.2\n# torch\n"
    freeze += "torch @ https://download.pytorch.org/whl/cu126/torch-2.8.0%2Bcu126-cp312-cp312-manylinux_2_28_x86_64.whl#sha256=f7\n"
    freeze += "torch==2.13.0+cpu\n-e git+https://example.org/x#egg=x\n"
    assert names["packages"](freeze, (ROOT / "pyproject.toml").read_text("utf-8")) == [
        "numpy==2.0.2",
        "lazy-loader==0.4",
        "pyyaml==6.0.2",
        "torch==2.8.0",
        "torch==2.13.0",
    ]
