"""What users say about sections, and which part of the record each follows."""

import pytest
import torch

from diffmst_lib import InputError, Multitrack, Section, loudness
from diffmst_lib.mixing.references import check_reference
from diffmst_lib.mixing.section_plan import match_sections, part_of_record, plan_sections

RATE = 8000


def noise(*levels, seconds=6):
    """Stereo noise, so many seconds at each level in dB."""
    x = torch.randn(2, seconds * RATE * len(levels), generator=torch.Generator().manual_seed(1))
    gains = torch.tensor([10 ** (db / 20) for db in levels]).repeat_interleave(seconds * RATE)
    return x * gains


@pytest.fixture(scope="module")
def song():
    return Multitrack(["pad"], noise(-36, -20, -36, -20)[None], RATE, "four parts")


def sections(*labels, seconds=6):
    return [Section(i * seconds, (i + 1) * seconds, label) for i, label in enumerate(labels)]


def as_pairs(planned):
    return [(section.start_s, section.label) for section in planned]


def test_names_and_times_are_taken(song):
    planned = plan_sections([(0, "verse 1"), (6, " the  chorus ")], song)
    assert as_pairs(planned) == [(0, "verse 1"), (6, "the chorus")] and planned[-1].end_s == 24
    assert as_pairs(plan_sections([(6, "chorus")], song)) == [(0, "start"), (6, "chorus")]
    assert plan_sections(planned, song) == planned


def test_times_alone_get_letters_by_their_sound(song):
    assert as_pairs(plan_sections([6.0, 12, 18], song)) == [(0, "A"), (6, "B"), (12, "A"), (18, "B")]
    assert as_pairs(plan_sections([0, 12], song)) == [(0, "A"), (12, "A")]  # the user's boundary stays


def test_a_file_is_read(song, tmp_path):
    path = tmp_path / "markers.txt"
    path.write_text("0:00 verse\n0:06 chorus\n")
    assert (
        as_pairs(plan_sections(path, song))
        == as_pairs(plan_sections(str(path), song))
        == [(0, "verse"), (6, "chorus")]
    )
    path.write_text("0:00 verse\n0:30 chorus\n")
    with pytest.raises(InputError, match=r"markers.txt: 30 s lies after the end of the song of 24.0 s"):
        plan_sections(path, song)


def test_auto_finds_them(song):
    loud = Multitrack(["pad"], noise(-40, -20, seconds=12)[None], RATE)
    assert [section.label for section in plan_sections("auto", loud)] == ["A", "B"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "sections: no times are given"),
        ([-5, 6], "sections: -5 s lies before the song"),
        ([6, 24], "sections: 24 s lies after the end of the song of 24.0 s"),
        ([12, 6], "sections: 6 s comes after 12 s: times must ascend"),
        ([6, 6], "sections: 6 s stands there twice"),
        ([6, 6.5], "section from 6 s to 6.5 s is too short"),
        ([6, 23.5], "section from 23.5 s to 24 s is too short"),
        ([0.4], "section from 0 s to 0.4 s is too short"),
        ([float("nan")], "nan is no time in seconds"),
        (["6"], "'6' is no time in seconds"),
        ([True], "True is no time in seconds"),
        ([(6, 7)], r"\(6, 7\) is no time in seconds"),
        ("none.txt", "none.txt: No such file"),
    ],
)
def test_bad_sections_are_refused_in_one_line(song, given, message):
    with pytest.raises(InputError, match=message) as error:
        plan_sections(given, song)
    assert "\n" not in str(error.value)


def follows(song, labels, record, record_labels):
    record = check_reference(record, sample_rate=RATE)
    found = match_sections(song, sections(*labels), record, sections(*record_labels))
    return {match.group: match.follows for match in found}


def test_verse_follows_verse_and_chorus_chorus(song):
    record = noise(-10, -16, -10)
    assert follows(song, "ABAB", record, "ABA") == {"a": "B 6-12 s", "b": "A 0-6, 12-18 s"}


def test_one_between_the_two_follows_the_nearest():
    song = Multitrack(["pad"], noise(-36, -22, -20)[None], RATE)
    assert follows(song, "ABC", noise(-16, -10), "AB") == {"a": "A 0-6 s", "b": "B 6-12 s", "c": "B 6-12 s"}


def test_without_two_kinds_of_sections_all_follow_the_whole_record(song):
    assert follows(song, "ABAB", noise(-10, -10), "AA") == {"a": "whole", "b": "whole"}
    assert follows(song, "AAAA", noise(-10, -16), "AB") == {"a": "whole"}
    equal = Multitrack(["pad"], noise(-20, -20.5)[None], RATE)
    assert follows(equal, "AB", noise(-10, -16), "AB") == {"a": "whole", "b": "whole"}


def test_what_is_quiet_follows_nothing_and_is_not_followed():
    song = Multitrack(["pad"], noise(-60, -30, -20)[None], RATE)
    assert follows(song, "ABC", noise(-60, -16, -10), "ABC") == {"a": "", "b": "B 6-12 s", "c": "C 12-18 s"}


def test_several_records_are_followed_as_a_whole(song):
    records = check_reference([noise(-10, -16), noise(-16, -10)], sample_rate=RATE)
    found = match_sections(song, sections(*"ABAB"), records, sections("A", "B"))
    assert all(match.record is records for match in found)


def test_a_part_of_a_record_is_a_record_at_its_level():
    record = check_reference(noise(-10, -16, -10), sample_rate=RATE)
    part = part_of_record(record, sections(*"ABA")[::2], RATE)
    assert part.audio.shape[-1] == 12 * RATE
    lufs = loudness(part.audio, sample_rate=RATE)
    assert part.distance(part.audio, lufs, sample_rate=RATE)["total"] == pytest.approx(0.0, abs=1e-6)
