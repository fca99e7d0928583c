"""An evaluation: its files, what goes on after a stop, what is refused, what fails without ending it."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from evaluation_helpers import DIES, deadly, thirds

import diffmst_lib as dm
from diffmst_lib.data.index import SongIndex
from diffmst_lib.evaluation import running, working
from diffmst_lib.evaluation.metrics import METRICS
from diffmst_lib.evaluation.pairs import all_pairs, random_pairs
from diffmst_lib.evaluation.running import evaluate, prepare, read_run
from diffmst_lib.evaluation.store import read_embeddings, read_pairs
from diffmst_lib.evaluation.systems import register_system
from diffmst_lib.evaluation.working import COLUMNS, RECORD
from diffmst_lib.inputs import InputError, InputNote
from diffmst_lib.training.lock import locked

FILES = ["embeddings.npz", "evaluation.png", "pairs.csv", "run.json", "summary.csv", "summary.md"]
TIMES = ["seconds_used", "memory_mb"]


@pytest.fixture(scope="module")
def index():
    return SongIndex.load(dm.data_dir())


@pytest.fixture
def data(index):
    """Two songs and two records of the tiny data."""
    return [index["caesium"], index["rubidium"]], [index["its_simple"], index["vibe_ace"]]


def run(data, folder, systems=("equal-loudness", "sum"), **options):
    options = {"seconds": 1.0, "embedding": thirds} | options
    return evaluate(*data, list(systems), folder, **options)


@pytest.fixture
def own(monkeypatch):
    """Systems of one's own for a test: own(name, function)."""
    from diffmst_lib.evaluation.systems import REGISTRY

    monkeypatch.setattr(REGISTRY, "added", {})
    return register_system


def test_files_rows_and_summary(data, tmp_path):
    found = run(data, tmp_path / "out", keep_audio=True)
    folder = tmp_path / "out"
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == FILES
    table = read_pairs(folder)
    assert list(table.columns) == list(COLUMNS) and len(table) == 8 and found.failed == 0
    pd.testing.assert_frame_equal(table, found.pairs)
    assert list(zip(table["pair"], table["system"], strict=True))[:3] == [
        (1, "equal-loudness"),
        (1, "sum"),
        (2, "equal-loudness"),
    ]
    assert table["af_mean"].to_numpy() == pytest.approx(table["af_sum"].to_numpy() / 5)
    assert (table["loudness_lufs"] + 16).abs().max() < 0.1 and (table["seconds"] == 1).all()
    of_sum = found.summary.set_index("system").loc["sum"]
    assert of_sum["af_mean"] == pytest.approx(table[table["system"] == "sum"]["af_mean"].mean())
    assert of_sum["af_mean_low"] <= of_sum["af_mean"] <= of_sum["af_mean_high"]
    assert (of_sum["pairs"], of_sum["songs"], of_sum["failed"]) == (4, 2, 0)
    assert np.isfinite(of_sum["fad"]) and np.isfinite(of_sum["kad_set"])
    text = (folder / "summary.md").read_text("utf-8")
    for part in ("seed 0", "thirds", "| rubidium |", "Table 1", run_date(folder), "CPU: "):
        assert part in text
    assert read_embeddings(folder)["sum", 1].shape == (3, 4)
    assert (RECORD, -1) in read_embeddings(folder)
    kept = folder / "mixes" / "001"
    assert sorted(path.name for path in kept.iterdir()) == [
        "equal-loudness.flac",
        "pair.json",
        "record.flac",
        "sum.flac",
    ]
    about = json.loads((kept / "pair.json").read_text())
    assert (about["song"], about["record"], about["start_s"]) == tuple(
        table.loc[0, ["song", "record", "start_s"]]
    )
    audio, rate = soundfile.read(kept / "sum.flac")
    level = dm.loudness(torch.from_numpy(audio.T.copy()))
    assert (rate, len(audio)) == (44100, 44100) and level == pytest.approx(working.KEPT_LUFS, abs=0.05)


def run_date(folder):
    return read_run(folder)["date"]


def test_any_two_runs_give_the_same_table_and_a_process_that_dies_is_a_failed_mix(
    data, tmp_path, monkeypatch
):
    (tmp_path / "dies").touch()
    monkeypatch.setenv(DIES, str(tmp_path / "dies"))
    systems, options = ["sum", "random"], {"embedding": deadly, "seed": 5}
    other = run(data, tmp_path / "b", systems, workers=1, **options)
    assert other.pairs["error"].tolist() == ["the process that mixed ended (signal 9)"] + [""] * 7
    one = run(data, tmp_path / "a", systems, **options)
    lost, there = other.pairs.drop(columns=TIMES), one.pairs.drop(columns=TIMES)
    pd.testing.assert_frame_equal(there[1:], lost[1:], rtol=1e-4)
    again = run(
        data, tmp_path / "b", systems, **options
    )  # here it is only the failed mix that is tried again
    pd.testing.assert_frame_equal(there, again.pairs.drop(columns=TIMES), rtol=1e-4)
    assert again.pairs.loc[1:, TIMES].equals(other.pairs.loc[1:, TIMES])
    assert one.summary["kad"].to_numpy() == pytest.approx(again.summary["kad"].to_numpy(), rel=1e-3)
    third = run(data, tmp_path / "c", ["random"], embedding=None, seed=6)
    random = one.pairs[one.pairs["system"] == "random"]
    assert third.pairs["af_mean"].tolist() != random["af_mean"].tolist()


def test_a_stopped_run_goes_on(data, tmp_path, own):
    mixed = []

    def stops(task):
        mixed.append(task.song.title)
        if len(mixed) == 3:
            raise KeyboardInterrupt
        return task.song.audio.sum(dim=0)

    own("stops", stops)
    with pytest.raises(KeyboardInterrupt, match="stopped after 5 of 8 mixes: the same command goes on"):
        run(data, tmp_path, ["sum", "stops"])
    with (tmp_path / "pairs.csv").open("ab") as file:  # what a killed process may leave
        file.write(b"3,rubidium,5.0")
    with (tmp_path / "embeddings.jsonl").open("ab") as file:
        file.write(b'{"system": "su')
    before = read_pairs(tmp_path)
    assert len(before) == 5
    found = run(data, tmp_path, ["sum", "stops"])
    assert len(mixed) == 5 and len(found.pairs) == 8 and found.failed == 0
    pd.testing.assert_frame_equal(found.pairs.head(5), before)
    assert not (tmp_path / "embeddings.jsonl").exists()
    assert {(name, pair) for name in ("sum", "stops") for pair in range(1, 5)} <= set(
        read_embeddings(tmp_path)
    )
    again = run(data, tmp_path, ["sum", "stops"])
    assert len(mixed) == 5
    pd.testing.assert_frame_equal(again.pairs, found.pairs)


def test_a_failure_is_a_row_and_is_tried_again(data, tmp_path, own):
    broken = [True]

    def fails(task):
        if task.song.title == "caesium" and broken:
            raise RuntimeError("no\nluck")
        return task.song.audio.sum(dim=0)

    own("fails", fails)
    found = run(data, tmp_path, ["fails", "sum"])
    wrong = found.pairs[found.pairs["error"] != ""]
    assert found.failed == 2 and set(wrong["error"]) == {"RuntimeError: no luck"}
    assert wrong[list(METRICS)].isna().all(axis=None) and len(found.pairs) == 8
    assert found.summary.set_index("system").loc["fails", ["pairs", "failed"]].tolist() == [2, 2]
    assert "- fails: RuntimeError: no luck (2)" in (tmp_path / "summary.md").read_text("utf-8")
    broken.clear()
    assert run(data, tmp_path, ["fails", "sum"]).failed == 0


def test_systems_that_fit_get_the_first_pairs(data, tmp_path):
    found = run(data, tmp_path, ["sum", "optimize"], fits=1, steps=1, embedding=None)
    counts = found.pairs["system"].value_counts()
    assert counts.to_dict() == {"sum": 4, "optimize": 1}
    assert math.isnan(found.summary["kad"][0]) and not (tmp_path / "embeddings.npz").exists()


def test_a_wrong_record_shows_who_listens(data, tmp_path, own):
    own("copies", lambda task: task.record)
    found = run(data, tmp_path, ["copies", "sum"], wrong=True, embedding=None)
    copies = found.pairs[found.pairs["system"] == "copies"]
    assert (copies["af_wrong"] > 10 * copies["af_mean"]).all()
    assert found.pairs[found.pairs["system"] == "sum"]["af_wrong"].isna().all()
    ratios = found.summary.set_index("system")["wrong_ratio"]
    assert ratios["copies"] > 10 and math.isnan(ratios["sum"])


def test_the_protocol_of_the_paper(data, tmp_path, own):
    own("copies", lambda task: task.record)
    found = run(data, tmp_path, ["copies"], protocol="paper", embedding=None)
    # 6 dB apart, the Bark term of a copy is 0.1 ln(10^(6/20))^2
    assert found.pairs["bark_spectrum"].to_numpy() == pytest.approx(
        0.1 * math.log(10 ** (6 / 20)) ** 2, rel=0.01
    )
    with pytest.raises(InputError, match="protocol must be one of default, paper"):
        run(data, tmp_path / "other", protocol="mine")


def test_human_mixes_where_there_are_any(index, tmp_path):
    songs = [index["caesium"], index["rubidium"]]
    records = [index["its_simple"], index["human_mixes/caesium"]]
    with pytest.warns(InputNote, match="no human mix, left out there: rubidium"):
        found = run((songs, records), tmp_path, ["human"])
    assert found.pairs[["song", "record"]].to_numpy().tolist() == [["caesium", "its_simple"]]
    assert found.failed == 0


def test_the_loudest_stems_and_more_systems_and_pairs(data, tmp_path):
    pairs = random_pairs(*data, 3, seconds=1.0)
    first = run(data, tmp_path, ["sum"], pairs=pairs[:2], max_stems=3)
    assert (first.pairs["stems"] == 3).all()
    found = run(data, tmp_path, ["equal-loudness", "sum"], pairs=pairs, max_stems=3)
    assert len(found.pairs) == 6
    kept = found.pairs[(found.pairs["system"] == "sum") & (found.pairs["pair"] < 3)]
    assert kept["seconds_used"].tolist() == first.pairs["seconds_used"].tolist()


def test_another_evaluation_in_the_folder_is_refused(data, tmp_path):
    run(data, tmp_path, ["sum"], embedding=None)
    before = (tmp_path / "pairs.csv").read_bytes()
    with pytest.raises(InputError, match=r"another evaluation is there: seconds 1\.0, now 2\.0"):
        run(data, tmp_path, ["sum"], embedding=None, seconds=2.0)
    with pytest.raises(InputError, match="holds mixes of sum too"):
        run(data, tmp_path, ["equal-loudness"], embedding=None)
    with pytest.raises(InputError, match="or more, not 1: ask for as many"):
        run(data, tmp_path, ["sum"], embedding=None, pairs=all_pairs(*data, seconds=1.0)[:1])
    with pytest.raises(InputError, match="pair 1 is caesium after its_simple"):
        run(data, tmp_path, ["sum"], embedding=None, pairs=random_pairs(*data, 4, seconds=1.0, seed=2))
    with pytest.raises(InputError, match=r"data 2 songs, 2 records, .* now 1 songs"):
        run((data[0][:1], data[1]), tmp_path, ["sum"], embedding=None)
    assert (tmp_path / "pairs.csv").read_bytes() == before
    with locked(tmp_path, "evaluation"), pytest.raises(InputError, match="another evaluation runs there"):
        run(data, tmp_path, ["sum"], embedding=None)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "diffmst-evaluation", "version": 9}'])
def test_a_broken_description_is_refused(data, tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="not written by an evaluation"):
        run(data, tmp_path)


def test_a_table_of_somebody_else_is_refused(data, tmp_path):
    (tmp_path / "pairs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="name another folder"):
        run(data, tmp_path)
    assert (tmp_path / "pairs.csv").read_text() == "a,b\n1,2\n"
    with pytest.raises(InputError, match="not the table of an evaluation"):
        read_pairs(tmp_path)


def test_systems_are_known_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "human_mixes", None)
    with pytest.raises(InputError, match=r"'nobody'.*known: equal-loudness"):
        evaluate([], [], ["sum", "nobody"], tmp_path / "out")
    with pytest.raises(InputError, match="no systems"):
        evaluate([], [], [], tmp_path / "out")
    with pytest.raises(InputError, match="the program mine is not among the systems"):
        prepare(["sum"], {"mine": "cp {song}/a.wav {output}"})
    assert not (tmp_path / "out").exists()


def test_nothing_to_evaluate(data, tmp_path):
    with pytest.raises(InputError, match="nothing to evaluate"):
        run(([], data[1]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
