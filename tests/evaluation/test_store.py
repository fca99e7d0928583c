"""Rows and embeddings on disk: to the last digit, and whole whatever stopped the process."""

import json
import math
import os

import numpy as np
import pytest
from audio_helpers import one_line

from diffmst_lib.evaluation.store import TEXTS, Embeddings, Rows, read_embeddings, read_pairs
from diffmst_lib.inputs import InputError

COLUMNS = ["pair", *TEXTS, "value"]


def row(system="sum", pair=1, value=0.5, **more):
    about = {"song": "song", "record": "record", "protocol": "default", "error": ""}
    return about | {"system": system, "pair": pair, "value": value} | more


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-300, -7.0, math.inf, -math.inf, np.float32(0.1)])
def test_numbers_come_back_to_the_last_digit(tmp_path, value):
    Rows(tmp_path / "pairs.csv", COLUMNS).write({})
    Rows(tmp_path / "pairs.csv", COLUMNS).add(row(value=value))
    assert read_pairs(tmp_path)["value"].tolist() == [float(value)]


def test_what_was_not_measured_is_nan(tmp_path):
    rows = Rows(tmp_path / "pairs.csv", COLUMNS)
    rows.write({})
    rows.add(row(value=math.nan))
    assert (tmp_path / "pairs.csv").read_text().splitlines()[1].endswith(",")
    assert math.isnan(read_pairs(tmp_path)["value"][0])


@pytest.mark.parametrize("name", ["NA", "nan", "1", "", 'a, "b"', "sôul; ü 12″", " x "])
def test_names_stay_as_they_are(tmp_path, name):
    rows = Rows(tmp_path / "pairs.csv", COLUMNS)
    rows.write({})
    rows.add(row(song=name, error=name))
    table = read_pairs(tmp_path / "pairs.csv")
    assert table[["song", "error"]].to_numpy().tolist() == [[name, name]]


def test_what_failed_is_not_done_and_is_replaced(tmp_path):
    rows = Rows(tmp_path / "pairs.csv", COLUMNS)
    rows.write({})
    rows.add(row(pair=2))
    rows.add(row(pair=3, error="no luck"))
    assert rows.done() == {("sum", 2)}
    again = Rows(tmp_path / "pairs.csv", COLUMNS)
    assert again.done() == {("sum", 2)} and again.rows["sum", 3]["error"] == "no luck"
    again.add(row(pair=3, value=4.0))
    assert len(read_pairs(tmp_path)) == 3  # at the end of the file, the later row holds
    again.write({})
    assert read_pairs(tmp_path)[["pair", "error", "value"]].to_numpy().tolist() == [
        [2, "", 0.5],
        [3, "", 4.0],
    ]


def test_rows_are_in_order_of_pairs_then_systems(tmp_path):
    rows = Rows(tmp_path / "pairs.csv", COLUMNS)
    rows.write({})
    for system, pair in (("b", 10), ("z", 2), ("b", 2), ("a", 2), ("y", 2)):
        rows.add(row(system, pair))
    rows.write({"b": 0, "a": 1})
    keys = read_pairs(tmp_path)[["pair", "system"]].to_numpy().tolist()
    assert keys == [[2, "b"], [2, "a"], [2, "y"], [2, "z"], [10, "b"]]


def test_half_a_line_is_cut_off(tmp_path):
    path = tmp_path / "pairs.csv"
    rows = Rows(path, COLUMNS)
    rows.write({})
    rows.add(row())
    whole = path.read_bytes()
    path.write_bytes(whole + b"2,song,rec")
    assert len(read_pairs(path)) == 1 and path.read_bytes() != whole  # who reads changes nothing
    Rows(path, COLUMNS).add(row(pair=2))
    assert read_pairs(path)["pair"].tolist() == [1, 2]


def test_other_columns_are_refused(tmp_path):
    Rows(tmp_path / "pairs.csv", COLUMNS).write({})
    with pytest.raises(InputError, match="has other columns than this version writes"):
        Rows(tmp_path / "pairs.csv", [*COLUMNS, "more"])


@pytest.mark.parametrize(
    "text", ["", "pair,song\n1,a\n", f"{','.join(COLUMNS)}\nx,a,b,c,d,,1\n", "\x00\n\xff"]
)
def test_what_is_no_table(tmp_path, text):
    (tmp_path / "pairs.csv").write_text(text, encoding="latin-1")
    with pytest.raises(InputError) as caught:
        read_pairs(tmp_path)
    assert one_line(caught, "pairs.csv", "not the table of an evaluation")


def test_no_table_at_all(tmp_path):
    with pytest.raises(InputError, match=r"pairs\.csv: cannot be read"):
        read_pairs(tmp_path)


@pytest.fixture
def vectors():
    """float32 with digits that no decimal has, of 1 to 3 patches."""
    rng = np.random.default_rng(0)
    keys = [("sum", 10), ("sum", 2), ("record", 2), ("record", -1), ("mein System ü", 2)]
    return {key: rng.normal(size=(1 + i % 3, 4)).astype(np.float32) for i, key in enumerate(keys)}


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, one in wanted.items():
        np.testing.assert_array_equal(found[key], one)


def test_embeddings_come_back_bit_by_bit(tmp_path, vectors):
    store = Embeddings(tmp_path)
    for key, one in vectors.items():
        store.add(key, one)
    same(Embeddings(tmp_path).vectors, vectors)  # line by line, as a process that was killed leaves them
    store.write()
    assert [path.name for path in tmp_path.iterdir()] == ["embeddings.npz"]
    same(read_embeddings(tmp_path), vectors)
    later = Embeddings(tmp_path)
    later.add(("sum", 2), np.ones((2, 4), np.float32))
    same(Embeddings(tmp_path).vectors, vectors | {("sum", 2): np.ones((2, 4))})


def test_what_is_there_is_not_added_twice(tmp_path, vectors):
    store = Embeddings(tmp_path)
    for _ in range(2):
        store.add(("sum", 2), vectors["sum", 2])
    assert len((tmp_path / "embeddings.jsonl").read_text().splitlines()) == 1
    store.add(("sum", 2), vectors["sum", 2] + 1)
    assert len((tmp_path / "embeddings.jsonl").read_text().splitlines()) == 2


def test_half_an_embedding_is_cut_off(tmp_path, vectors):
    store = Embeddings(tmp_path)
    store.add(("sum", 2), vectors["sum", 2])
    with (tmp_path / "embeddings.jsonl").open("ab") as file:
        file.write(b'{"system": "su')
    again = Embeddings(tmp_path)
    again.add(("sum", 10), vectors["sum", 10])
    same(Embeddings(tmp_path).vectors, {key: vectors[key] for key in (("sum", 2), ("sum", 10))})


def test_no_embeddings_are_no_file(tmp_path):
    assert read_embeddings(tmp_path) == {}
    Embeddings(tmp_path).write()
    assert list(tmp_path.iterdir()) == []


def test_broken_embeddings(tmp_path, vectors):
    (tmp_path / "embeddings.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError) as caught:
        Embeddings(tmp_path)
    assert one_line(caught, "embeddings.npz", "broken", "remove it")


@pytest.mark.parametrize(
    "line", ["{}", "nothing", json.dumps({"system": "a", "pair": 1, "shape": [1], "vectors": "?"})]
)
def test_broken_lines_of_embeddings(tmp_path, line):
    (tmp_path / "embeddings.jsonl").write_text(line + "\n")
    with pytest.raises(InputError) as caught:
        Embeddings(tmp_path)
    assert one_line(caught, "embeddings.jsonl", "broken", "remove it")


def test_a_file_that_cannot_grow(tmp_path):
    (tmp_path / "pairs.csv").mkdir()
    with pytest.raises(InputError) as caught:
        Rows(tmp_path / "pairs.csv", COLUMNS).add(row())
    assert one_line(caught, "pairs.csv", "not written")


def test_a_disk_that_takes_a_part_of_a_line(tmp_path, monkeypatch):
    rows = Rows(tmp_path / "pairs.csv", COLUMNS)
    rows.write({})
    real = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, data: real(file, data[:5]))
        with pytest.raises(InputError, match=r"pairs\.csv: not written \(No space left"):
            rows.add(row())
    Rows(tmp_path / "pairs.csv", COLUMNS).add(row(pair=2))
    assert read_pairs(tmp_path)["pair"].tolist() == [2]
