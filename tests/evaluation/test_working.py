"""A pair and its systems: what a row has, what is shown to whom, and what a failure leaves."""

import math

import numpy as np
import pytest
import soundfile
import torch
from audio_helpers import RATE, sine
from evaluation_helpers import written_song

import diffmst_lib as dm
from diffmst_lib.evaluation import working
from diffmst_lib.evaluation.metrics import METRICS
from diffmst_lib.evaluation.pairs import Pair
from diffmst_lib.evaluation.system_kind import System
from diffmst_lib.evaluation.working import COLUMNS, RECORD, Job, Setup, Worker, embedded, save_flac
from diffmst_lib.inputs import InputError, note

PAIR = Pair(7, "song", 0.0, "record", 0.25, "other", 0.5)


@pytest.fixture(scope="module")
def files(tmp_path_factory, noise):
    """A song of two stems, and two records, one with little treble and one with much."""

    def write(name, samples):
        path = tmp_path_factory.getbasetemp() / "working" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples.numpy().T, RATE, subtype="FLOAT")
        return path

    two = {"a": noise(1, 2 * RATE), "b": noise(2, 2 * RATE, seed=1)}
    dull = noise(2, 2 * RATE, seed=2).cumsum(dim=-1)
    dull = 0.1 * (dull - dull.mean(dim=-1, keepdim=True)) / dull.std()
    return (
        {"song": written_song(write, "song", two)},
        {
            "record": written_song(write, "record", mix=dull),
            "other": written_song(write, "other", mix=noise(2, 2 * RATE, seed=3)),
        },
    )


@pytest.fixture
def worker(files, monkeypatch):
    """worker(systems by name, ...): one that knows just them; each is (function, listens)."""

    def make(known, **options):
        monkeypatch.setattr(
            working, "system", lambda name, steps: System(name, "", known[name][0], listens=known[name][1])
        )
        return Worker(Setup(*files, humans={}, seconds=1.0, **options))

    return make


def total(task):
    return task.song.audio.sum(dim=0)


def level(audio, rate):
    return np.full((2, 1), float(dm.loudness(audio, sample_rate=rate)))


def test_a_row_has_every_column_in_order(worker):
    (outcome,) = worker({"sum": (total, False)}, protocol="paper").do(Job(PAIR, ("sum",)))
    row = outcome.row
    assert list(row) == list(COLUMNS) and outcome.number == 7 and outcome.embeddings == {}
    head = {name: row[name] for name in ("pair", "song", "start_s", "record", "record_start_s", "system")}
    assert head == dict(pair=7, song="song", start_s=0.0, record="record", record_start_s=0.25, system="sum")
    assert (row["seconds"], row["stems"], row["protocol"], row["error"]) == (1.0, 2, "paper", "")
    assert row["seconds_used"] >= 0 and math.isfinite(row["af_mean"]) and math.isnan(row["af_wrong"])


def test_a_failure_is_a_row_and_the_others_go_on(worker):
    def fails(task):
        raise RuntimeError("no\n  luck" + 400 * "!")

    def refuses(task):
        raise InputError("too long" + 400 * "!")

    known = {"fails": (fails, False), "refuses": (refuses, False), "sum": (total, False)}
    rows = [one.row for one in worker(known).do(Job(PAIR, tuple(known)))]
    assert [row["system"] for row in rows] == list(known)
    assert rows[0]["error"] == ("RuntimeError: no luck" + 400 * "!")[:300]
    assert rows[1]["error"] == "too long" + 400 * "!" and rows[2]["error"] == ""
    for row in rows[:2]:
        assert list(row) == list(COLUMNS) and row["seconds"] == 1.0
        assert all(math.isnan(row[name]) for name in (*METRICS, "af_wrong", "stems", "seconds_used"))


def test_who_stops_is_no_failure(worker):
    def stops(task):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(worker({"stops": (stops, False)}).do(Job(PAIR, ("stops",))))


def test_only_who_listens_is_shown_the_wrong_record(worker):
    shown = {"copies": [], "deaf": []}

    def copies(task):
        shown["copies"].append(task.record)
        return task.record

    def deaf(task):
        shown["deaf"].append(task.record)
        return task.record

    one = worker({"copies": (copies, True), "deaf": (deaf, False)}, wrong=True)
    rows = [outcome.row for outcome in one.do(Job(PAIR, ("copies", "deaf")))]
    right, wrong = one.sounds.record("record", 0.25), one.sounds.record("other", 0.5)
    for found, wanted in ((shown["copies"], [right, wrong]), (shown["deaf"], [right])):
        assert len(found) == len(wanted) and all(map(torch.equal, found, wanted))
    assert rows[0]["af_wrong"] > 10 * rows[0]["af_mean"] and math.isnan(rows[1]["af_wrong"])


def test_notes_of_systems_are_left_out(worker, recwarn):
    def remarks(task):
        note("it is quiet")
        return total(task)

    (outcome,) = worker({"remarks": (remarks, False)}).do(Job(PAIR, ("remarks",)))
    assert outcome.row["error"] == "" and not recwarn.list


def test_a_system_is_made_once(worker, monkeypatch):
    one, made = worker({"sum": (total, False)}), []
    find = working.find_system
    monkeypatch.setattr(working, "find_system", lambda *about: made.append(about) or find(*about))
    for _ in range(2):
        list(one.do(Job(PAIR, ("sum",))))
    assert made == [("sum", {}, 50)]


def test_sounds_are_embedded_at_one_level_and_records_once(worker):
    calls = []

    def hears(audio, rate):
        calls.append(audio)
        return level(audio, rate)

    one = worker({"sum": (total, False), "half": (lambda task: total(task) / 2, False)}, embedding=hears)
    outcomes = [*one.do(Job(PAIR, ("sum", "half"))), *one.do(Job(Pair(-1, "", 0.0, "record", 0.25)))]
    assert [list(outcome.embeddings) for outcome in outcomes] == [[RECORD, "sum"], [RECORD, "half"], [RECORD]]
    assert outcomes[2].row is None and len(calls) == 3
    for outcome in outcomes:
        for vectors in outcome.embeddings.values():
            assert vectors.dtype == np.float32 and vectors == pytest.approx(np.full((2, 1), -16), abs=0.05)


def test_an_embedding_of_one_vector_is_one_patch(noise):
    assert embedded(lambda audio, rate: [1.0, 2.0], noise(2, RATE), RATE).tolist() == [[1.0, 2.0]]


def test_a_record_that_cannot_be_read_is_left_out_of_the_set(worker):
    one = worker({}, embedding=level)
    assert list(one.do(Job(Pair(-1, "", 0.0, "record", 99.0)))) == []


def test_systems_are_found_by_name():
    mine = working.find_system("mine", {"mine": "true {song} {output}"}, 50)
    assert (mine.name, mine.fits, mine.listens) == ("mine", True, False)
    assert working.find_system("sum", {"mine": "true {song} {output}"}, 50).name == "sum"
    with pytest.raises(InputError, match="nobody"):
        working.find_system("nobody", {}, 50)


def test_kept_sounds_have_one_level(tmp_path, noise):
    for gain in (0.01, 1.0, 30.0):
        save_flac(tmp_path / "a.flac", gain * noise(2, RATE), RATE)
        audio, rate = soundfile.read(tmp_path / "a.flac")
        assert rate == RATE and soundfile.info(tmp_path / "a.flac").subtype == "PCM_24"
        assert dm.loudness(torch.from_numpy(audio.T.copy())) == pytest.approx(working.KEPT_LUFS, abs=0.01)


def test_peaks_of_kept_sounds_are_never_cut(tmp_path):
    clicks = 1e-4 * sine(1000.0).expand(2, -1).clone()
    clicks[:, ::4410] = 1.0
    save_flac(tmp_path / "a.flac", clicks, RATE)
    audio = torch.from_numpy(soundfile.read(tmp_path / "a.flac")[0].T.copy())
    assert audio.abs().max() < 1 and audio.abs().max() > 0.99
    torch.testing.assert_close(audio / audio.max(), clicks.double(), rtol=0, atol=1e-6)


def test_memory_is_that_of_the_peak():
    working.settle_memory()
    block = np.ones(8_000_000)  # 64 MB
    del block
    used = working.memory_used_mb()
    assert math.isnan(used) or 60 < used < 128
