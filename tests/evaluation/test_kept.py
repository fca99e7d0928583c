"""The tables that are kept in the repository: they can be read, and say what their summaries and README say."""

import pandas as pd
import pytest

import diffmst_lib as dm
from diffmst_lib.evaluation import read_calibration, read_pairs, song_interval, table_1
from diffmst_lib.evaluation.running import read_run

KEPT = dm.data_dir() / "evaluation"
FOLDERS = ("table-1", "fits")


@pytest.mark.parametrize("folder", FOLDERS)
def test_summaries_are_those_of_the_rows(folder):
    pairs, summary = read_pairs(KEPT / folder), pd.read_csv(KEPT / folder / "summary.csv")
    assert pairs["pair"].max() == read_run(KEPT / folder)["pairs"]
    assert not (pairs["error"] != "").any()
    for system, rows in pairs.groupby("system"):
        mean, low, high = song_interval(rows, "af_sum")
        assert low <= mean <= high
        assert summary.set_index("system").loc[system, "af_sum"] == pytest.approx(mean)


def test_both_are_the_first_pairs_of_the_published_list():
    import json

    listed = json.loads((dm.data_dir() / "test_list.json").read_text("utf-8"))["lists"]["table-1"]["pairs"]
    assert len(listed) == 100
    keys = ["song", "start_s", "record", "record_start_s"]
    for folder in FOLDERS:
        rows = read_pairs(KEPT / folder).drop_duplicates("pair").sort_values("pair")
        assert rows[keys].to_dict("records") == [
            {key: row[key] for key in keys} for row in listed[: len(rows)]
        ]


def test_what_the_readme_says_of_them():
    def loss(folder, system):
        rows = read_pairs(KEPT / folder)
        return rows.loc[rows["system"] == system, "af_mean"].mean()

    of = {name: loss("table-1", name) for name in dm.training.VARIANTS}
    assert min(of, key=of.get) == "af-16"
    for count in (8, 16):
        assert of[f"mrstft+af-{count}"] < 0.75 * of[f"mrstft-{count}"]
    assert loss("fits", "optimize-free") < 0.6 * loss("fits", "optimize")
    moved = read_pairs(KEPT / "fits").groupby("system")["moved_db"].mean()
    assert moved["optimize-free"] > 4 * moved["optimize"]
    assert table_1(read_pairs(KEPT / "table-1")).set_index("Method")["pairs"]["MST"] == 0


def test_the_calibration_has_all_songs():
    table = read_calibration(KEPT / "calibration.csv")
    named = table[(table["ladder"] == "none") & (table["moment"] >= 0)]
    assert named["song"].nunique() == 12
