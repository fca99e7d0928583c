"""Files that listeners saved become one table; what cannot be used is named, and the rest goes on."""

import json

import pytest
from listening_tests import saved_sitting

from diffmst_lib.evaluation.listening.collecting import collect_ratings
from diffmst_lib.evaluation.listening.simulation import simulate_listeners
from diffmst_lib.inputs import InputError, InputNote


@pytest.fixture
def save(tmp_path):
    """save("a.json", listener="bb", ...): a file as the page saves it; a dict or a text is written as it is."""

    def write(name, content=None, **options):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        content = saved_sitting(**options) if content is None else content
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return path

    return write


@pytest.mark.filterwarnings("error")
def test_one_row_a_rating(save):
    table = collect_ratings([save("a.json"), save("b.json", listener="bb", rating=70, finished=False)])
    assert len(table) == 2 * 2 * 3 * 2
    assert list(table.columns) == list(simulate_listeners({"a": 1, "b": 2}, listeners=1).columns)
    first = table.iloc[0]
    assert first[["listener", "pair", "song", "place", "system", "role"]].tolist() == [
        "aa",
        "001",
        "song 1",
        1,
        "human",
        "human",
    ]
    assert first["headphones_right"] == 5 and first["headphones"] == "headphones"
    own = table[(table["listener"] == "bb") & (table["scale"] == "overall")]
    assert set(own["rating"]) == {70.0} and not own["finished"].any() and not own["simulated"].any()
    assert table.groupby("system")["heard_s"].max().to_dict() == {
        "equal-loudness": 2.5,
        "human": 0,
        "rules": 0,
    }


def test_folders_are_searched_and_a_file_counts_once(save, tmp_path):
    file = save("inner/a.json")
    save("inner/b.json", listener="bb")
    assert len(collect_ratings([tmp_path, file, file])) == 24


def test_of_two_files_of_a_listener_the_later_counts(save):
    old = save("old.json", rating=10, saved="2026-01-01T10:00:00.000Z")
    new = save("new.json", rating=90, saved="2026-01-02T09:00:00.000Z")
    for paths in ([old, new], [new, old]):
        with pytest.warns(InputNote, match=r"old.json: left out, .*new.json is of the same listener"):
            table = collect_ratings(paths)
        assert set(table.loc[table["scale"] == "overall", "rating"]) == {90.0}


def test_files_of_another_test_are_refused(save):
    files = [save("a.json"), save("x.json", listener="xx", seed=1), save("b.json", listener="bb")]
    with pytest.warns(InputNote, match=r"x.json: left out, it is of test \w{12}, not of \w{12}"):
        table = collect_ratings(files)
    assert set(table["listener"]) == {"aa", "bb"} and table["test"].nunique() == 1


def changed(**parts):
    return {**saved_sitting("zz"), **parts}


def with_rating(value):
    sitting = saved_sitting("zz")
    sitting["pages"][0]["ratings"]["m11"]["overall"] = value
    return sitting


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "broken off or changed at character 0"),
        (json.dumps(saved_sitting("zz"))[:700], "broken off or changed at character"),
        ("[]", "another kind of file"),
        ({"song": "x"}, "another kind of file"),
        (changed(version=2), "version 2 of the page"),
        (changed(sealed="abc"), "the key is damaged"),
        (changed(listener=""), "no listener"),
        (changed(saved=None), "no listener"),
        ({k: v for k, v in saved_sitting("zz").items() if k != "pages"}, "pages is missing"),
        (changed(pages=[{"page": "p9"}]), "p9 is missing"),
        (changed(pages=[{"page": "p1", "order": ["m11"]}]), "other mixes than on the page"),
        (changed(headphones={"attempts": [3]}), "a part of it is not what it should be"),
        (with_rating(101), "overall: 101"),
        (with_rating("much"), "overall: much"),
        (with_rating(True), "overall: True"),
        (with_rating(None), "overall: None"),
    ],
)
def test_damaged_files_are_named_and_the_rest_goes_on(save, content, told):
    with pytest.warns(
        InputNote, match=f"z.json: left out, no ratings of a listening page, or damaged .*{told}"
    ):
        table = collect_ratings([save("a.json"), save("z.json", content)])
    assert set(table["listener"]) == {"aa"}
    with pytest.warns(InputNote), pytest.raises(InputError, match=r"no ratings in .*z\.json"):
        collect_ratings([save("z.json", content)])


def test_bytes_that_are_no_text(save, tmp_path):
    (tmp_path / "z.json").write_bytes(b"\xff\xfe\x00")
    with pytest.warns(InputNote, match=r"z.json: left out"):
        collect_ratings([save("a.json"), tmp_path / "z.json"])


def test_paths_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"nobody.json: no such file or folder"):
        collect_ratings([tmp_path / "nobody.json"])
    with pytest.raises(InputError, match="no ratings in"):
        collect_ratings([tmp_path])
