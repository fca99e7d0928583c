"""Calibrating: what is measured against what, of which songs, and the table as a file."""

import numpy as np
import pandas as pd
import pytest
import torch

import diffmst_lib as dm
from diffmst_lib.evaluation import calibration
from diffmst_lib.evaluation.calibration import (
    ALL,
    KEYS,
    calibrate,
    calibrate_records,
    calibrate_song,
    read_calibration,
    together,
    write_calibration,
)
from diffmst_lib.evaluation.damage import LADDERS
from diffmst_lib.evaluation.distances import frechet_distance, kernel_distance

FEW = ["voice_down", "clipping"]


def level_and_balance(audio, sample_rate):
    """An embedding of two features in pieces of a quarter of a second."""
    pieces = audio.unfold(-1, sample_rate // 4, sample_rate // 4).double()  # (2, patches, samples)
    left, right = pieces.square().mean(dim=-1).sqrt()
    return torch.stack([left + right, left - right], dim=-1)


def noisy(seed, names=("vox", "drums", "keys")):
    """A second of stems of noise, whose loudness goes up and down."""
    generator = torch.Generator().manual_seed(seed)
    sound = 0.05 * torch.randn(len(names), 2, 44100, generator=generator)
    swell = 1 + 0.5 * torch.rand(len(names), 1, 4, generator=generator).repeat_interleave(11025, dim=-1)
    return dm.Multitrack(list(names), sound * swell, 44100, "noise")


@pytest.fixture(scope="module")
def songs():
    return {"one": [noisy(1), noisy(2)], "two": [noisy(3), noisy(4), noisy(5)]}


@pytest.fixture(scope="module")
def table(songs):
    return calibrate(songs, ladders=FEW, embedding=level_and_balance)


@pytest.fixture
def asked(monkeypatch):
    """What `measure` is asked: (mix, task)."""
    asked = []

    def measure(mix, task):
        asked.append((mix, task))
        return {"af_sum": float(len(asked))}

    monkeypatch.setattr(calibration, "measure", measure)
    return asked


def test_a_row_a_metric_and_mix(table):
    assert list(table.columns) == [*KEYS, "metric", "value"]
    assert table["value"].notna().all() and not table.duplicated([*KEYS, "metric"]).any()
    rows = table[table["metric"] == "af_sum"]
    assert len(rows) == 5 * (1 + 3 + 3)  # five moments: undamaged, and three rungs of two ladders
    of_two = rows.query("song == 'two' and moment == 1")
    assert of_two[["ladder", "amount", "stem"]].values.tolist() == [
        ["none", 0.0, ""],
        *(["voice_down", amount, "vox"] for amount in (3.0, 6.0, 12.0)),
        *(["clipping", amount, ""] for amount in (3.0, 6.0, 12.0)),
    ]


def test_the_record_is_the_good_mix_of_the_next_moment(asked, songs):
    calibrate_song("two", songs["two"], ladders=["clipping"], embedding=None)
    good = [dm.unity(moment).audio for moment in songs["two"]]
    records = [task.record for _, task in asked]
    assert len(records) == 3 * (1 + 3)
    for number, (mix, task) in enumerate(asked):
        moment = number if number < 3 else (number - 3) // 3
        assert torch.equal(task.record, good[(moment + 1) % 3])
        assert task.song is songs["two"][moment]
        if number < 3:
            assert torch.equal(mix.audio, good[moment])


def test_a_console_is_measured_where_there_is_one(asked, songs):
    calibrate_song("one", songs["one"], ladders=FEW, embedding=None)
    assert [type(mix) for mix, _ in asked[:5]] == [dm.MixResult] * 5  # undamaged, and the first voice
    assert sum(isinstance(mix, torch.Tensor) for mix, _ in asked) == 2 * 3
    faders = [mix.params.track("vox")["fader_db"] for mix, _ in asked[2:5]]
    assert faders == pytest.approx([-3.0, -6.0, -12.0])


def test_every_moment_has_a_disturbance_of_its_own(songs):
    moment = songs["one"][0]
    measured = calibrate_song("one", [moment, moment], ladders=["balance"], embedding=None)
    again = calibrate_song("one", [moment, moment], ladders=["balance"], embedding=None)
    rows = {(row["moment"], row["amount"]): row["af_sum"] for row in measured.rows}
    assert rows[0, 0.0] == rows[1, 0.0] and rows[0, 8.0] != rows[1, 8.0]
    assert [row["af_sum"] for row in again.rows] == [row["af_sum"] for row in measured.rows]


def test_distances_of_all_songs_and_of_all_but_one(songs, table):
    pooled = table.query("moment == @ALL and ladder == 'clipping'").set_index(["metric", "amount", "song"])

    def embedded(names, amount, half):
        moments = [moment for name in names for moment in songs[name][half::2]]
        return np.concatenate(
            [level_and_balance(LADDERS["clipping"](moment, amount), 44100) for moment in moments]
        )

    for amount in (0.0, 12.0):
        for left_out, names in {"": ["one", "two"], "one": ["two"], "two": ["one"]}.items():
            pairs = [(embedded(names, amount, half), embedded(names, 0.0, 1 - half)) for half in (0, 1)]
            for metric, distance in (("fad", frechet_distance), ("kad", kernel_distance)):
                wanted = np.mean([distance(*pair) for pair in pairs])
                assert pooled["value"][metric, amount, left_out] == pytest.approx(wanted, rel=1e-3, abs=1e-6)
    assert pooled["value"]["fad", 0.0, ""] > 0.0  # no moment is compared with itself


def test_the_distance_of_embeddings(songs):
    measured = calibrate_song("one", songs["one"], ladders=[], embedding=level_and_balance)
    mean = [level_and_balance(dm.unity(moment).audio, 44100).mean(dim=0) for moment in songs["one"]]
    apart = float((mean[0] - mean[1]).norm())
    assert [row["embedding_distance"] for row in measured.rows] == pytest.approx([apart, apart])


def test_without_an_embedding_there_is_none(songs):
    table = calibrate(songs, ladders=["clipping"], embedding=None)
    assert not {"embedding_distance", "fad", "kad"} & set(table["metric"])


def test_one_song_alone(songs):
    table = calibrate({"one": songs["one"]}, ladders=["clipping"], embedding=level_and_balance)
    pooled = table[table["moment"] == ALL]
    assert set(pooled["song"]) == {""} and set(pooled["metric"]) == {"fad", "kad"}


def test_what_a_song_has_no_use_for_is_left_out_and_told(songs):
    mono = [noisy(seed) for seed in (6, 7)]
    for moment in mono:
        moment.audio = moment.audio[:, :1].repeat(1, 2, 1)
    with pytest.warns(dm.InputNote, match="mono: narrow is left out: noise: its sum is mono") as notes:
        one = calibrate_song("mono", mono, ladders=["narrow", "clipping"], embedding=level_and_balance)
    assert len(notes) == 1
    assert {row["ladder"] for row in one.rows} == {"none", "clipping"}
    other = calibrate_song("one", songs["one"], ladders=["narrow", "clipping"], embedding=level_and_balance)
    pooled = together([one, other]).query("metric == 'fad'")
    # The floor of a ladder is that of its own songs.
    alone = together([other]).query("metric == 'fad' and song == ''")
    assert pooled.query("ladder == 'narrow'")["song"].tolist() == [""] * 5
    values = [part.query("ladder == 'narrow' and amount == 0")["value"].item() for part in (pooled, alone)]
    assert values[0] == values[1]
    assert sorted(pooled.query("ladder == 'clipping' and amount == 0")["song"]) == ["", "mono", "one"]


def test_records_beside_themselves(songs):
    records = {name: [moment.audio.sum(dim=0) for moment in moments] for name, moments in songs.items()}
    table = calibrate_records(records, embedding=level_and_balance)
    assert set(table["ladder"]) == {"records"} and set(table["amount"]) == {0.0}
    rows = table[table["metric"] == "af_sum"].set_index(["song", "moment"])["value"]
    assert len(rows) == 5
    good = [dm.normalize_loudness(audio) for audio in records["two"]]
    loss = dm.audio_feature_loss(good[0], good[1])["total"].item()
    assert rows["two", 0] == pytest.approx(loss, rel=1e-3)
    assert (table[table["metric"] == "fad"]["value"] > 0.0).all()
    louder = calibrate_records(
        {name: [4 * audio for audio in some] for name, some in records.items()}, embedding=level_and_balance
    )
    assert louder[louder["metric"] == "fad"]["value"].tolist() == pytest.approx(
        table[table["metric"] == "fad"]["value"].tolist(), rel=1e-3
    )


def test_written_and_read(table, tmp_path):
    path = tmp_path / "calibration.csv"
    write_calibration(table, path)
    again = read_calibration(path)
    order = [*KEYS, "metric"]
    pd.testing.assert_frame_equal(
        again.sort_values(order, ignore_index=True), table.sort_values(order, ignore_index=True)
    )
    first = path.read_text("utf-8")
    write_calibration(again, path)
    assert path.read_text("utf-8") == first and first.startswith(",".join(KEYS))


def test_names_that_look_like_something_else(songs, tmp_path):
    table = calibrate({"NA": songs["one"], "1": songs["one"]}, ladders=["clipping"], embedding=None)
    write_calibration(table, tmp_path / "t.csv")
    assert set(read_calibration(tmp_path / "t.csv")["song"]) == {"NA", "1"}


# Bad input


def test_bad_songs(songs):
    with pytest.raises(dm.InputError, match="no songs to calibrate with"):
        calibrate({})
    with pytest.raises(dm.InputError, match="one: two moments are needed"):
        calibrate({"one": songs["one"][:1]})
    with pytest.raises(dm.InputError, match="no ladder louder: there are voice_down, "):
        calibrate(songs, ladders=["louder"])
    silent = dm.Multitrack(["vox", "drums"], torch.zeros(2, 2, 44100))
    with pytest.raises(dm.InputError, match="all 2 stems are silent"):
        calibrate({"one": [silent, silent]})
    with pytest.raises(dm.InputError, match="no records to calibrate with"):
        calibrate_records({})
    with pytest.raises(dm.InputError, match="one: two moments are needed"):
        calibrate_records({"one": [torch.zeros(2, 100)]})


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", ",".join(KEYS) + "\n", "\x00\x01"])
def test_files_that_are_no_table(text, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(dm.InputError, match="no table of a calibration"):
        read_calibration(path)
    with pytest.raises(dm.InputError, match="no such file"):
        read_calibration(tmp_path / "none.csv")
