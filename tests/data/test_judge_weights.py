"""The script that judges weights: what it writes, and that it goes on where it stopped."""

import importlib.util

import pandas as pd
import pytest
import torch

import diffmst_lib as dm

SCRIPT = dm.data_dir() / "judge_weights.py"
FILES = ("pairs.csv", "strips.csv", "balance.csv", "summary.md")
FEW = ["--seconds", "2", "--moments", "1", "--draws", "2", "--tasks", "2", "--split", "test"]
FEW += ["--records", "its_simple,vibe_ace"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("judge_weights", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def judge(script, tmp_path_factory):
    model = dm.DiffMST("tiny").save_pretrained(tmp_path_factory.mktemp("tiny"))

    def judge(folder, *options):
        threads = torch.get_num_threads()
        try:
            script.main([str(dm.data_dir()), "--model", str(model), "--output", str(folder), *FEW, *options])
        finally:
            torch.set_num_threads(threads)
        return {name: (folder / name).read_text("utf-8") for name in FILES}

    return judge


@pytest.fixture(scope="module")
def whole(judge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, judge(folder)


def test_the_tables(whole):
    folder, texts = whole
    pairs, strips, balance = (pd.read_csv(folder / name) for name in FILES[:3])
    assert pairs[["song", "record", "refine_steps"]].values.tolist() == [
        ["caesium", "its_simple", 0],
        ["caesium", "vibe_ace", 0],
    ]
    assert (pairs["stems"] >= 4).all() and pairs["wrong"].notna().all()
    assert strips[["song", "draw"]].values.tolist() == [["caesium", 0], ["caesium", 1]]
    assert balance["disturbed"].to_numpy() == pytest.approx(5.0)
    assert len(balance) == 2 and not balance["equal"].duplicated().any()  # two pairs of moments
    lines = texts["summary.md"].splitlines()
    assert f"| audio-feature loss, mean | 0.06 | {pairs['right'].mean():.3g} | missed |" in lines
    assert any(line.startswith("| kept by one mean strip | 0.7 |") for line in lines)
    assert any(line.startswith("| disturbed balance, what remains (dB) | 2.4 |") for line in lines)
    assert "steps" not in "".join(lines).replace("refine_steps", "")


def test_a_second_run_goes_on(whole, judge, script, tmp_path, monkeypatch):
    """Rows that are there are not made again, and the others come out as in one run."""
    _, texts = whole
    mixed = []
    mix = dm.DiffMST.mix
    monkeypatch.setattr(dm.DiffMST, "mix", lambda *a, **options: mixed.append(options) or mix(*a, **options))
    folder = tmp_path / "exam"
    judge(folder, "--draws", "1", "--tasks", "1")
    lines = (folder / "pairs.csv").read_text("utf-8").splitlines(keepends=True)
    (folder / "pairs.csv").write_text("".join(lines[:-1]), "utf-8")  # as if stopped before the last pair
    mixed.clear()
    assert judge(folder) == texts
    assert len(mixed) == 4  # a pair with the right and the wrong record, a task of strips, one of balance
    mixed.clear()
    refined = judge(folder, "--refine", "1", "--every", "2")
    assert [options["refine_steps"] for options in mixed] == [1] * 3
    assert refined["strips.csv"] == texts["strips.csv"]
    assert "| audio-feature loss after 1 steps, mean | 0.02 |" in refined["summary.md"]
    table = pd.read_csv(folder / "balance.csv")
    without, after = (table[table["refine_steps"] == steps] for steps in (0, 1))
    assert without["equal"].tolist() == after["equal"].tolist()  # the same tasks


def test_a_folder_of_another_exam_is_refused(whole, judge):
    folder, texts = whole
    with pytest.raises(SystemExit, match="holds an exam with other seconds; choose another --output"):
        judge(folder, "--seconds", "3")
    assert all((folder / name).read_text("utf-8") == text for name, text in texts.items())


def test_names_that_are_not_there(judge, tmp_path):
    with pytest.raises(SystemExit, match="no song atlantis in this split: there are caesium"):
        judge(tmp_path, "--songs", "atlantis")
    with pytest.raises(SystemExit, match=r"no record atlantis in this split: there are .*its_simple"):
        judge(tmp_path, "--records", "vibe_ace,atlantis")
