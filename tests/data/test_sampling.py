"""Drawing: starts, levels, sides, numbers of tracks, references."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from data_miniatures import SHORT

import diffmst_lib as dm
from diffmst_lib.data.examples import Method1, Method2
from diffmst_lib.data.sampling import draw_start
from diffmst_lib.data.segments import find_windows, read_segment
from diffmst_lib.inputs import InputError


def examples(index, sampling=SHORT, **options):
    return Method2(index.multitracks(), index.references(), sampling, **options)


def test_every_place_is_as_likely(index):
    """Starts of 2 s in 12 s: 251 places, the first and the last among them."""
    drawn = Method1([index["mono"]], replace(SHORT, min_tracks=4, max_tracks=4))
    windows = find_windows(index["mono"], 2)
    rng, starts = np.random.default_rng(0), []
    for _ in range(20_000):
        at, start_s = draw_start(index["mono"], windows, 2, rng)
        assert 0 <= start_s - windows.starts[at] < 1
        starts.append(round(start_s * 25))
    counts = np.bincount(starts, minlength=251)
    assert len(counts) == 251 and counts.min() > 40 and counts.max() < 130
    assert drawn[0].start_s * 25 == pytest.approx(round(drawn[0].start_s * 25))
    windows = find_windows(index["mono"], 10.5)  # the last one starts at 1.5 s
    starts = {draw_start(index["mono"], windows, 10.5, rng)[1] for _ in range(2000)}
    assert sorted(round(start * 25) for start in starts) == list(range(38))


def test_levels(index):
    for item in range(20):
        example = examples(index)[item]
        for track in example.tracks:
            assert dm.loudness(track) == pytest.approx(-30, abs=0.1)
        assert dm.loudness(example.reference) == pytest.approx(-16, abs=0.1)
        assert example.reference.mean(dim=-1).abs().max() < 1e-4  # without its offset
    assert dm.loudness(
        Method1(index.multitracks(), replace(SHORT, track_lufs=-48))[0].tracks[0]
    ) == pytest.approx(-48, abs=0.1)


def test_numbers_and_names_of_tracks(index):
    drawn = [examples(index)[item] for item in range(80)]
    assert {2, 3, 4} <= {len(example.names) for example in drawn} <= {2, 3, 4, 6}
    for example in drawn:
        assert len(example.tracks) == len(example.sides) == len(example.names) == len(set(example.names)) <= 6
        assert len(example.names) >= 2
        assert not {"silent.L", "silent.R", "left.R"} & set(
            example.names
        )  # nothing to hear, nothing to raise
        stereo = {name[:-2] for name in example.names if name.endswith(".L")}
        assert {name[:-2] for name in example.names if name.endswith(".R")} == stereo - {"left"}
    assert {example.song for example in drawn} == {"stereo", "mono", "both"}
    assert {example.reference_song for example in drawn} == {"record a", "record b"}  # not the mono one
    assert len({example.start_s for example in drawn}) > 30


def test_sides_are_those_of_a_song(index):
    for item in range(30):
        example = examples(index)[item]
        channels = [{".L": "left", ".R": "right"}.get(name[-2:], "mono") for name in example.names]
        assert (
            example.sides.tolist() == dm.Multitrack(example.names, example.tracks, channels=channels).sides()
        )
        if example.song == "mono":
            assert set(example.sides.tolist()) == {-1, 1}


def test_the_tracks_are_the_songs(index):
    example = examples(index)[3]
    for name, track in zip(example.names, example.tracks, strict=True):
        stem = next(
            stem
            for stem in index[example.song].stems
            if stem.name == name.removesuffix(".L").removesuffix(".R")
        )
        raw = read_segment(stem, example.start_s, 2)[1 if name.endswith(".R") else 0]
        assert torch.allclose(track / track.norm(), raw / raw.norm(), atol=1e-5)


@pytest.mark.parametrize(
    ("numbers", "counts"), [((3, 3), set()), ((3, 4), {4}), ((2, 3), {2}), ((5, 6), {6}), ((4, 5), {4})]
)
def test_a_stereo_stem_is_never_split(index, numbers, counts):
    """Songs of stereo stems alone, and odd numbers."""
    song = replace(index["stereo"], stems=[stem for stem in index["stereo"].stems] * 1)
    drawn = Method1([song], replace(SHORT, min_tracks=numbers[0], max_tracks=numbers[1]))
    if counts:
        assert {len(drawn[item].names) for item in range(12)} == counts
    else:
        with pytest.raises(InputError, match="3 tracks that sound"):
            drawn[0]


def test_stems_from_anywhere(index):
    drawn = [examples(index, replace(SHORT, mixed_songs=1.0))[item] for item in range(10)]
    owners = [{name.split("/")[0] for name in example.names} for example in drawn]
    assert max(map(len, owners)) > 1
    halves = [examples(index, replace(SHORT, mixed_songs=0.5))[item] for item in range(30)]
    assert 5 < sum("/" in example.names[0] for example in halves) < 25


def test_references_end_with_their_mix(index):
    """A song of 12 s whose mix has 9 s, and a mix that falls silent."""
    song = replace(
        index["stereo"], name="other", mix=index["record a"].mix, power_db=index["record a"].power_db
    )
    drawn = Method2([index["mono"]], [song], SHORT)
    assert all(drawn[item].reference_start_s <= 7 for item in range(40))
    silent = replace(index["record a"], mix=index["both"].stems[-2])
    assert silent.mix.name == "silent"
    with pytest.raises(InputError, match="not silent"):
        Method2([index["mono"]], [silent], SHORT)[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0.5},
        {"min_tracks": 0},
        {"min_tracks": 40},
        {"mixed_songs": 2},
        {"energy": 0},
        {"sample_rate": 0},
        {"track_lufs": 30},
        {"reference_lufs": 1},
    ],
)
def test_sampling_that_makes_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(SHORT, **wrong)


def test_examples_with_too_few_tracks_are_drawn_again(index):
    quiet = next(stem for stem in index["both"].stems if stem.name == "silent")
    song = index["mono"]
    stems = [*song.stems[:2], *(replace(quiet, name=f"silent {i}") for i in range(3))]
    stems = [replace(stem, mono=True, loudness_lufs=song.stems[0].loudness_lufs) for stem in stems]
    two = replace(SHORT, max_tracks=2)
    drawn = Method1([replace(song, stems=stems)], two)  # a draw in ten has both of the sounding ones
    assert all(set(drawn[i].names) == {stem.name for stem in song.stems[:2]} for i in range(5))
    with pytest.raises(InputError, match="50 draws in a row without 2 tracks that sound"):
        Method1([replace(song, stems=stems[1:])], two)[0]


def test_silent_references_are_drawn_again(index):
    record = index["record a"]
    quiet = next(stem for stem in index["both"].stems if stem.name == "silent")
    silent = [replace(record, name=f"silent {i}", mix=replace(quiet, mono=False)) for i in range(3)]
    drawn = Method2(index.multitracks(), [*silent, record], SHORT)
    assert all(drawn[i].reference_song == "record a" and drawn[i].reference.any() for i in range(5))
