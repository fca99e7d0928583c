"""The tables that are kept in the repository: they can be read, and say what their summaries and README say."""

import json

import numpy as np
import pandas as pd
import pytest

import diffmst_lib as dm
from diffmst_lib.evaluation import read_calibration, read_pairs, song_interval, table_1
from diffmst_lib.evaluation.running import read_run

KEPT = dm.data_dir() / "evaluation"
FOLDERS = {"table-1": "table-1", "fits": "table-1", "table-2": "table-2"}  # and the published list


@pytest.mark.parametrize("folder", FOLDERS)
def test_summaries_are_those_of_the_rows(folder):
    pairs, summary = read_pairs(KEPT / folder), pd.read_csv(KEPT / folder / "summary.csv")
    assert pairs["pair"].max() == read_run(KEPT / folder)["pairs"]
    assert not (pairs["error"] != "").any()
    for system, rows in pairs.groupby("system"):
        mean, low, high = song_interval(rows, "af_sum")
        assert low <= mean <= high
        assert summary.set_index("system").loc[system, "af_sum"] == pytest.approx(mean)


@pytest.mark.parametrize("folder", FOLDERS)
def test_pairs_are_the_first_of_the_published_list(folder):
    lists = json.loads((dm.data_dir() / "test_list.json").read_text("utf-8"))["lists"]
    listed = lists[FOLDERS[folder]]["pairs"]
    keys = ["song", "start_s", "record", "record_start_s"]
    rows = read_pairs(KEPT / folder).drop_duplicates("pair").sort_values("pair")
    assert len(rows) == {"table-1": 100, "fits": 20, "table-2": 3}[folder]
    assert rows[keys].to_dict("records") == [{key: row[key] for key in keys} for row in listed[: len(rows)]]


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


def test_the_record_explains_more_than_the_song():
    rows = read_pairs(KEPT / "table-1")
    rows = rows[rows["system"] == "small"]
    loss = np.log(rows["af_mean"])
    rest = {by: (loss - loss.groupby(rows[by]).transform("mean")).var() for by in ("record", "song")}
    shares = {by: 1 - value / loss.var() for by, value in rest.items()}
    assert shares == pytest.approx({"record": 0.60, "song": 0.20}, abs=0.01)


def test_tables_of_stems_and_of_sections_are_whole():
    stems = pd.read_csv(KEPT / "stems.csv")
    assert stems.groupby("allowed")["pair"].nunique().to_dict() == dict.fromkeys((4, 8, 16, 32), 10)
    assert (stems["stems"] <= stems["allowed"]).all()
    tracks = pd.read_csv(KEPT / "more_tracks.csv")
    once = tracks[tracks["copies"] == 1].set_index(["pair", "system"])["tracks"]
    for copies in (2, 4):
        more = tracks[tracks["copies"] == copies].set_index(["pair", "system"])["tracks"]
        assert (more == copies * once).all()
    parts = pd.read_csv(KEPT / "whole_or_section.csv")
    assert parts.groupby(["song", "record", "part"])["console"].nunique().eq(3).all()
    assert np.isfinite(parts[["af_mean", "octave_db", "moved_db"]]).all(axis=None)


def test_the_calibration_has_all_songs():
    table = read_calibration(KEPT / "calibration.csv")
    named = table[(table["ladder"] == "none") & (table["moment"] >= 0)]
    assert named["song"].nunique() == 12
