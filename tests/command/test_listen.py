"""`diffmst listen`: a page from an evaluation, and a table from what listeners saved."""

import json

import pandas as pd
import pytest
from command_helpers import notes, tree
from listening_tests import keep_mixes, saved_sitting


@pytest.fixture
def evaluation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return keep_mixes(tmp_path / "out", songs=("one", "two"))


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """saved("aa", ...): a file as a listener saves it, in the current folder's files/."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()

    def write(listener, **options):
        path = tmp_path / "files" / f"{listener}.json"
        path.write_text(json.dumps(saved_sitting(listener, **options)), "utf-8")
        return path

    return write


def test_a_page_is_built(diffmst, evaluation):
    code, out, err = diffmst(
        "listen out --pages 2 --seconds 1.5 --systems small --seed 3 --format flac --title", ["My test"]
    )
    page = evaluation / "listening" / "index.html"
    assert code == 0 and out[0].startswith("out/listening/index.html: ") and "--collect" in out[1]
    assert notes(err) == []
    text = page.read_text("utf-8")
    assert "<title>My test</title>" in text and text.count("data-sound=") == 2 * 4 + text.count(
        'script[data-sound="'
    )


def test_quiet_and_another_folder(diffmst, evaluation, tmp_path):
    before = tree(evaluation)
    code, out, err = diffmst("listen out --pages 1 --format flac --quiet --output page/here")
    assert (code, out) == (0, []) and len(err) == len(notes(err)) == 1
    assert [path.name for path in (tmp_path / "page/here").iterdir()] == ["index.html"]
    assert tree(evaluation) == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("listen", "name an evaluation's folder, or files after --collect"),
        ("listen nowhere", "nowhere: no such folder"),
        ("listen out/mixes", "out/mixes: no mixes in it; make them with diffmst evaluate --keep-audio"),
        (
            "listen out --systems small,mst",
            "no mixes by mst; there are some by equal-loudness, human, rules, small",
        ),
        ("listen out --collect a.json", "--collect takes files alone, not DIR"),
        ("listen --collect a.json --pages 3 --seed 0", "--collect takes files alone, not --pages, --seed"),
        ("listen --collect a.json", "a.json: no such file or folder"),
        ("listen --collect out/mixes/001/record.flac", "no ratings in out/mixes/001/record.flac"),
        ("listen out --output out/mixes/001/record.flac", "cannot write there"),
    ],
)
def test_bad_input_is_one_line(diffmst, evaluation, words, line):
    before = tree(evaluation)
    code, out, err = diffmst(f"{words} --quiet")
    errors = [one for one in err if not one.startswith("diffmst: note: ")]
    assert (
        (code, out, len(errors)) == (2, [], 1)
        and errors[0].startswith("diffmst: error: ")
        and line in errors[0]
    )
    assert tree(evaluation) == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--seconds 0.5", "must be a number between 1 and 60, not 0.5"),
        ("--seconds nan", "must be a number between 1 and 60, not nan"),
        ("--pages 0", "must be a whole number of at least 1, not 0"),
        ("--format mp3", "invalid choice: 'mp3'"),
        ("--systems ,", "is empty: name systems"),
        ("--collect", "expected at least one argument"),
    ],
)
def test_wrong_options(diffmst, words, line):
    code, _, err = diffmst(f"listen out {words}")
    assert code == 2 and line in err[-1]


def test_ratings_are_collected(diffmst, saved, tmp_path):
    saved("aa", rating=95)
    saved("bb", rating=40, finished=False)
    (tmp_path / "files" / "broken.json").write_text("{")
    code, out, err = diffmst("listen --collect files --output tables/ratings.csv")
    assert code == 0 and "files/broken.json: left out" in notes(err)[0] and len(err) == 1
    assert out[0] == "2 listeners, 1 of them not at the end"
    assert out[1] == "left out by ITU-R BS.1534-3: aa, bb (the table keeps all)"
    assert out[2] == "left out for a human mix below the anchor: aa, bb (the table keeps all)"
    assert out[-1] == "tables/ratings.csv: 24 ratings"
    table = pd.read_csv(tmp_path / "tables" / "ratings.csv", dtype={"pair": str})
    assert (
        len(table) == 24 and set(table["listener"]) == {"aa", "bb"} and set(table["pair"]) == {"001", "002"}
    )


def test_ratings_are_collected_quietly_and_again(diffmst, saved, tmp_path):
    saved("aa")
    assert diffmst("listen --quiet --collect files") == (0, [], [])
    first = (tmp_path / "ratings.csv").read_bytes()
    saved("bb")
    assert diffmst("listen --quiet --collect files")[0] == 0
    assert len((tmp_path / "ratings.csv").read_bytes()) > len(first)


def test_a_table_that_cannot_be_written(diffmst, saved, tmp_path):
    saved("aa")
    (tmp_path / "ratings.csv").mkdir()
    code, out, err = diffmst("listen --collect files")
    assert (code, out) == (2, []) and "is a folder, cannot be replaced by a file" in err[0]
