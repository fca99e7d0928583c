"""Sections that are there by construction are found, and where there are none, none is."""

import math

import numpy as np
import pytest
import torch

from diffmst_lib import InputError, Multitrack, Section, find_sections
from diffmst_lib.audio.section_finding import HOP_S, _letter, describe, name_sections, novelty

RATE = 16000


def noise(seconds, *, dull=False, seed=0, level=0.1):
    """Stereo noise, also through a filter that takes its treble."""
    x = level * torch.randn(2, round(seconds * RATE), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool1d(x[None], 9, 1, 4)[0] if dull else x


def found(sound, **options):
    return find_sections(sound, sample_rate=RATE, **options)


def starts(sections):
    return [section.start_s for section in sections]


def letters(sections):
    return "".join(section.label for section in sections)


def test_verse_and_chorus_are_found_and_those_alike_have_one_letter():
    song = torch.cat(
        [noise(12, dull=True), noise(10), noise(11, dull=True, seed=1), noise(12, seed=1)], dim=1
    )
    sections = found(song)
    assert letters(sections) == "ABAB"
    assert starts(sections) == pytest.approx([0, 12, 22, 33], abs=0.1)
    assert sections[-1].end_s == 45.0
    assert [a.end_s for a in sections[:-1]] == starts(sections[1:])
    assert found(song) == sections


def test_level_and_width_make_sections_too():
    wide = noise(30)
    quiet = wide * torch.cat([torch.full((10 * RATE,), 0.2), torch.ones(20 * RATE)])
    narrow = torch.cat(
        [wide[:, : 10 * RATE].mean(dim=0, keepdim=True).expand(2, -1), wide[:, 10 * RATE :]], dim=1
    )
    for song in (quiet, narrow):
        assert starts(found(song)) == pytest.approx([0, 10], abs=0.1)


def test_what_does_not_change_is_one_section():
    beat = noise(40) * (torch.arange(40 * RATE) % (RATE // 2) < RATE // 8)  # four strokes in two seconds
    for song in (noise(40), beat, torch.zeros(2, 30 * RATE), torch.ones(2, 100), noise(10, dull=True)):
        assert letters(found(song)) == "A"
    assert found(noise(10))[0] == Section(0.0, 10.0, "A")


def test_sections_are_not_shorter_than_asked_for():
    song = torch.cat([noise(10), noise(3, dull=True), noise(10), noise(10, dull=True)], dim=1)
    assert starts(found(song)) == pytest.approx([0, 23], abs=1.5)  # the fill is none
    assert starts(found(song, shortest_s=2.0)) == pytest.approx([0, 10, 13, 23], abs=0.2)


def test_a_song_is_the_sum_of_its_stems():
    parts = torch.cat([noise(12, dull=True), noise(12)], dim=1)
    song = Multitrack(["one", "two"], torch.stack([0.25 * parts, 0.75 * parts]), RATE)
    assert find_sections(song) == found(parts)


def test_novelty_is_the_energy_distance_of_what_lies_around():
    frames = np.random.default_rng(0).normal(size=(20, 3))
    reach = 4
    found = novelty(frames, reach * HOP_S)
    away = np.arange(reach) + 0.5
    weight = np.exp(-0.5 * (away / (reach / 2)) ** 2)
    weight /= weight.sum()

    def distance(a, b):
        return weight @ np.linalg.norm(a[:, None] - b[None], axis=-1) @ weight

    assert len(found) == 21
    for boundary in range(21):
        if reach <= boundary <= 20 - reach:
            before, after = frames[boundary - reach : boundary][::-1], frames[boundary : boundary + reach]
            expected = 2 * distance(before, after) - distance(before, before) - distance(after, after)
            assert found[boundary] == pytest.approx(expected, rel=1e-9)
        else:
            assert found[boundary] == 0


def test_frames_are_in_db():
    quiet, loud = (describe(noise(4, level=level), sample_rate=RATE) for level in (0.01, 0.1))
    np.testing.assert_allclose((loud - quiet)[:, 24], 20.0, atol=0.01)
    np.testing.assert_allclose(
        np.linalg.norm((loud - quiet)[:, :24], axis=1), 20.0 * math.sqrt(23 / 24), atol=0.5
    )
    assert quiet.shape == (16, 26)


def test_parts_get_letters_in_their_order():
    frames = np.zeros((12, 2))
    frames[4:8] = 50.0
    named = name_sections([0.0, 1.0, 2.0], 3.0, frames)
    assert letters(named) == "ABA" and [part.duration_s for part in named] == [1.0, 1.0, 1.0]
    assert [_letter(number) for number in (0, 25, 26, 52)] == ["A", "Z", "AA", "BA"]


def test_a_number_at_the_end_makes_no_difference():
    groups = [Section(0, 1, label).group for label in ("Verse 1", "verse 2", "verse", "1", "A")]
    assert groups == ["verse", "verse", "verse", "1", "a"]


@pytest.mark.parametrize("sound", [torch.ones(2, 0), torch.ones(1, 9), torch.ones(9), "song.wav"])
def test_what_is_no_stereo_sound_is_refused(sound):
    with pytest.raises(InputError, match="sections need a song or stereo audio"):
        find_sections(sound)


def test_what_is_not_finite_is_refused():
    with pytest.raises(InputError, match="NaN or infinite"):
        find_sections(torch.full((2, 100), math.nan))
