"""Options that name records: weights, parts, names with colons, and what is refused."""

import argparse
import math

import pytest
import torch

from diffmst_lib import InputError, InputNote, save_audio
from diffmst_lib.command.references import (
    AskedReference,
    add_reference_arguments,
    asked_references,
    clock_time,
    load_references,
    reference_paths,
)

RATE = 44100


def asked(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_reference_arguments(parser)
    return asked_references(parser.parse_args([*arguments]))


def named(*paths):
    return [part for path in paths for part in ("--reference", path)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def record(here, noise):
    save_audio("a.wav", noise(2, 3 * RATE))
    return noise(2, 3 * RATE)


TIMES = {"0:45": 45, "1:02:03.5": 3723.5, "90": 90, "0": 0, "75:00": 4500, " 1:00 ": 60, "45.5": 45.5}


@pytest.mark.parametrize("text", TIMES)
def test_times(text):
    assert clock_time(text) == TIMES[text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "1:",
        ":30",
        "-1",
        "-0:30",
        "1:60",
        "1:60:00",
        "0:1:2:3",
        "nan",
        "inf",
        "1:inf",
        "1.5:30",
        "²:30",
        "a",
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be a time such as 0:45"):
        clock_time(text)


def test_none_one_and_several(here):
    assert asked() == [] and load_references([], sample_rate=RATE) is None
    assert asked(*named("a.wav")) == [AskedReference("a.wav")]
    assert asked(*named("a.wav:0.7", "b.wav:3e-1", "c.wav")) == [
        AskedReference("a.wav", 0.7),
        AskedReference("b.wav", 0.3),
        AskedReference("c.wav", 1.0),
    ]
    assert reference_paths(asked(*named("a.wav"))) == {"reference": "a.wav"}
    assert reference_paths(asked(*named("a.wav", "b.wav")))["reference 2"] == "b.wav"


def test_colons_in_names_and_drive_letters(here):
    (here / "song:2").touch()
    (here / "take:1.wav").touch()
    (here / "mix:0.5").touch()
    for text, path, weight in (
        ("song:2", "song:2", 1.0),
        ("song:2:2", "song:2", 2.0),
        ("take:1.wav", "take:1.wav", 1.0),
        ("take:1.wav:0.25", "take:1.wav", 0.25),
        ("mix:0.5", "mix:0.5", 1.0),
        (r"C:\x.wav", r"C:\x.wav", 1.0),
        (r"C:\x.wav:0.5", r"C:\x.wav", 0.5),
        ("no:such.wav", "no:such.wav", 1.0),
        (":0.5", ":0.5", 1.0),
    ):
        assert asked(*named(text)) == [AskedReference(path, weight)]


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "-inf", "0,5", "half", ""])
def test_weights_are_numbers_above_0(record, weight):
    with pytest.raises(InputError, match=r"^a.wav: the weight of a reference must be a number above 0, not "):
        asked(*named(f"a.wav:{weight}"))


def test_times_hold_for_all_or_for_each(here):
    both = named("a.wav", "b.wav")
    assert [one.from_s for one in asked(*both, "--reference-from", "0:45")] == [45, 45]
    each = asked(*both, "--reference-from", "1", "--reference-from", "2", "--reference-to", "1:00")
    assert [(one.from_s, one.to_s) for one in each] == [(1, 60), (2, 60)]
    assert asked(*named("a.wav"), "--reference-to", "9")[0].to_s == 9
    three = ["--reference-to", "1", "--reference-to", "2", "--reference-to", "3"]
    with pytest.raises(
        InputError, match=r"^--reference-to is given 3 times for 2 references: give it once, or"
    ):
        asked(*both, *three)
    with pytest.raises(InputError, match=r"^--reference-from needs a --reference$"):
        asked("--reference-from", "1")


@pytest.mark.parametrize(("start", "end"), [("1:15", "0:45"), ("45", "0:45.0")])
def test_a_part_ends_after_it_begins(here, start, end):
    with pytest.raises(InputError, match=r"^a.wav: the part from \d:\d\d to 0:45 ends before it begins$"):
        asked(*named("a.wav"), "--reference-from", start, "--reference-to", end)


def test_parts_are_cut(record):
    part = load_references(
        asked(*named("a.wav"), "--reference-from", "0.5", "--reference-to", "0:02"), sample_rate=RATE
    )
    torch.testing.assert_close(part, record[:, RATE // 2 : 2 * RATE], rtol=0, atol=1e-6)
    assert part.untyped_storage().nbytes() == 4 * part.numel()  # the rest of the record is not kept
    whole, late = load_references(
        asked(*named("a.wav:2", "a.wav"), "--reference-from", "0", "--reference-from", "1"), sample_rate=RATE
    )
    assert whole[1] == 2.0 and torch.equal(
        whole[0], load_references(asked(*named("a.wav")), sample_rate=RATE)
    )
    torch.testing.assert_close(late[0], record[:, RATE:], rtol=0, atol=1e-6)


def test_rates_are_brought_to_one(here, noise):
    save_audio("slow.wav", noise(2, 48000), sample_rate=48000)
    with pytest.warns(InputNote, match="resampled from 48000 Hz"):
        part = load_references(asked(*named("slow.wav"), "--reference-to", "0.5"), sample_rate=RATE)
    assert part.shape == (2, RATE // 2)


def test_parts_beyond_the_end(record):
    with pytest.raises(
        InputError, match=r"^a.wav: the part from 0:03 on begins after the record's end at 0:03$"
    ):
        load_references(asked(*named("a.wav"), "--reference-from", "3"), sample_rate=RATE)
    with pytest.warns(InputNote, match=r"^a.wav: ends at 0:03, before 1:15: its part ends there$"):
        part = load_references(
            asked(*named("a.wav"), "--reference-from", "1", "--reference-to", "1:15"), sample_rate=RATE
        )
    assert part.shape[-1] == 2 * RATE and math.isfinite(part.sum())


def test_files_that_are_none(here):
    (here / "text.wav").write_text("no sound")
    for path, says in (("gone.wav", "no such file"), ("text.wav", "not an audio file")):
        with pytest.raises(InputError, match=rf"^{path}: {says}"):
            load_references(asked(*named(path)), sample_rate=RATE)
