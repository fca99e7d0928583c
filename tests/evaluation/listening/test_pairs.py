"""The pairs of an evaluation, and which of them a test takes."""

from collections import Counter

import pytest
from listening_tests import SYSTEMS, keep_mixes

from diffmst_lib.evaluation.listening.pairs import chosen_pairs, chosen_systems, kept_pairs
from diffmst_lib.inputs import InputError, InputNote

SECONDS = 0.1  # nobody listens here


def test_pairs_are_read(tmp_path):
    pairs = kept_pairs(keep_mixes(tmp_path, seconds=SECONDS))
    assert [(pair.number, pair.song, pair.record, pair.start_s) for pair in pairs] == [
        ("001", "one", "record 1", 30.0),
        ("002", "two", "record 2", 30.0),
        ("003", "one", "record 3", 30.0),
    ]
    assert set(pairs[0].mixes) == set(SYSTEMS) and pairs[0].record_file.name == "record.flac"


def test_folders_without_mixes_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        kept_pairs(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no mixes in it; make them with diffmst evaluate --keep-audio"):
        kept_pairs(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda place: (place / "pair.json").write_text('{"song": '),
            r"001: left out \(pair.json is damaged\)",
        ),
        (lambda place: (place / "pair.json").write_text("[]"), r"001: left out \(pair.json is damaged\)"),
        (lambda place: (place / "pair.json").write_text('{"song": "x"}'), r"001: left out \(no record\)"),
        (lambda place: (place / "pair.json").unlink(), "001: left out, its pair.json cannot be read"),
        (lambda place: (place / "record.flac").unlink(), r"001: left out \(no record\)"),
        (
            lambda place: [(place / f"{name}.flac").unlink() for name in SYSTEMS],
            "001: left out, there is no mix",
        ),
    ],
)
def test_damaged_pairs_are_told_and_the_others_go_on(tmp_path, spoil, told):
    keep_mixes(tmp_path, seconds=SECONDS)
    spoil(tmp_path / "mixes" / "001")
    with pytest.warns(InputNote, match=told):
        assert [pair.number for pair in kept_pairs(tmp_path)] == ["002", "003"]


def test_the_anchor_and_the_human_mix_are_added(tmp_path):
    pairs = kept_pairs(keep_mixes(tmp_path, seconds=SECONDS))
    assert chosen_systems(pairs, None) == sorted(SYSTEMS)
    assert chosen_systems(pairs, ["small"]) == ["small", "equal-loudness", "human"]
    assert chosen_systems(pairs, ["human", "rules", "rules"]) == ["human", "rules", "equal-loudness"]


def test_systems_that_are_not_there_and_too_many(tmp_path):
    pairs = kept_pairs(keep_mixes(tmp_path, seconds=SECONDS))
    with pytest.raises(
        InputError, match=r"no mixes by mst; there are some by equal-loudness, human, rules, small"
    ):
        chosen_systems(pairs, ["rules", "mst"])
    many = keep_mixes(tmp_path / "many", seconds=SECONDS, systems=[f"s{n}" for n in range(11)])
    with (
        pytest.warns(InputNote, match="no hidden anchor"),
        pytest.raises(
            InputError, match=r"11 mixes on a page are too many, 10 are the most: choose some of s0, "
        ),
    ):
        chosen_systems(kept_pairs(many), None)
    with (
        pytest.warns(InputNote, match="no hidden anchor"),
        pytest.raises(InputError, match="here is only s0"),
    ):
        chosen_systems(kept_pairs(many), ["s0"])


def test_every_song_comes_before_any_comes_twice(tmp_path):
    pairs = kept_pairs(keep_mixes(tmp_path, seconds=SECONDS, songs=("a",) * 5 + ("b", "c")))
    for seed in range(5):
        drawn = chosen_pairs(pairs, SYSTEMS, 4, seed)
        assert sorted(Counter(pair.song for pair in drawn).values()) == [1, 1, 2]
    draws = {tuple(pair.number for pair in chosen_pairs(pairs, SYSTEMS, 4, seed)) for seed in range(5)}
    assert len(draws) > 1
    assert chosen_pairs(pairs, SYSTEMS, 4, 3) == chosen_pairs(pairs, SYSTEMS, 4, 3)


def test_complete_pairs_first_and_few_are_told(tmp_path):
    keep_mixes(tmp_path, seconds=SECONDS, songs=("a", "a", "b"))
    (tmp_path / "mixes/001/rules.flac").unlink()
    (tmp_path / "mixes/002/human.flac").unlink()  # a song without a human mix is complete
    pairs = kept_pairs(tmp_path)
    assert {pair.number for pair in chosen_pairs(pairs, SYSTEMS, 2, 0)} == {"002", "003"}
    with pytest.warns(InputNote) as notes:
        drawn = chosen_pairs(pairs, SYSTEMS, 6, 0)
    assert [str(one.message) for one in notes] == [
        "not every system has a mix in pair 001",
        "only 3 of 6 pages: there are no more pairs",
    ]
    assert len(drawn) == 3
    with pytest.raises(InputError, match="no pair has mixes by two of human, mst"):
        chosen_pairs(pairs, ["human", "mst"], 2, 0)
