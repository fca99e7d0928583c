"""Drawing: starts, levels, pans, numbers of stems and of channels, references."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from data_miniatures import CHANNELS, SHORT

import diffmst_lib as dm
from diffmst_lib.audio.loudness import BUS_LUFS
from diffmst_lib.audio.spreading import spread_pans
from diffmst_lib.data.examples import Method1, Method2
from diffmst_lib.data.index import SongIndex
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


def test_stems_keep_their_balance_and_their_sum_reaches_the_bus(index):
    """Not a gain of its own for any stem: the song as in the files, brought to -20 LUFS."""
    for item in range(12):
        example = examples(index)[item]
        assert example.tracks.shape[1:] == (2, 2 * 44100)
        assert dm.loudness(example.tracks.sum(dim=0)) == pytest.approx(BUS_LUFS, abs=0.01)
        stems = {stem.name: stem for stem in index[example.song].stems}
        raw = [read_segment(stems[name], example.start_s, 2).expand(2, -1) for name in example.names]
        gain = example.tracks[0].norm() / raw[0].norm()
        assert torch.allclose(example.tracks, gain * torch.stack(raw), atol=1e-5)


def test_stems_at_equal_loudness(index):
    for item in range(6):
        example = examples(index, replace(SHORT, balance="equal"))[item]
        levels = [dm.loudness(stem) for stem in example.tracks]
        assert max(levels) - min(levels) < 0.05
        assert dm.loudness(example.tracks.sum(dim=0)) == pytest.approx(BUS_LUFS, abs=0.01)


def test_levels_of_channels_and_references(index):
    for item in range(20):
        example = examples(index, CHANNELS)[item]
        for track in example.tracks:
            assert dm.loudness(track) == pytest.approx(-30, abs=0.1)
        assert dm.loudness(example.reference) == pytest.approx(-16, abs=0.1)
        assert example.reference.mean(dim=-1).abs().max() < 1e-4  # without its offset
    assert dm.loudness(
        Method1(index.multitracks(), replace(CHANNELS, track_lufs=-48))[0].tracks[0]
    ) == pytest.approx(-48, abs=0.1)


def test_numbers_and_names_of_stems(index):
    drawn = [examples(index)[item] for item in range(60)]
    assert {len(example.names) for example in drawn} == {2, 3, 4}
    for example in drawn:
        assert len(example.tracks) == len(example.pans) == len(example.names) == len(set(example.names))
        assert set(example.names) <= {stem.name for stem in index[example.song].stems} - {"silent"}
    assert {example.song for example in drawn} == {"stereo", "mono", "both"}
    assert {example.reference_song for example in drawn} == {"record a", "record b"}  # not the mono one
    assert len({example.start_s for example in drawn}) > 30


def test_numbers_and_names_of_channels(index):
    drawn = [examples(index, CHANNELS)[item] for item in range(80)]
    assert {2, 3, 4} <= {len(example.names) for example in drawn} <= {2, 3, 4, 6}
    for example in drawn:
        assert example.tracks.shape == (len(example.names), 2 * 44100)
        assert len(example.names) == len(set(example.names)) and 2 <= len(example.names) <= 6
        assert not {"silent.L", "silent.R", "left.R"} & set(
            example.names
        )  # nothing to hear, nothing to raise
        stereo = {name[:-2] for name in example.names if name.endswith(".L")}
        assert {name[:-2] for name in example.names if name.endswith(".R")} == stereo - {"left"}


def test_pans_start_spread_where_all_stems_are_mono(index):
    spread = 0
    for item in range(30):
        example = examples(index)[item]
        if example.song == "mono":
            wanted = spread_pans(example.names, example.tracks)
            assert example.pans.tolist() == pytest.approx(wanted)
            spread += len(set(wanted)) > 1
            assert all(torch.equal(left, right) for left, right in example.tracks)
        else:
            assert example.pans.tolist() == [0.5] * len(example.names)
        assert set(examples(index, CHANNELS)[item].pans.tolist()) == {0.5}
    assert spread > 3


def test_the_channels_are_the_songs(index):
    example = examples(index, CHANNELS)[3]
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
    """Songs of stereo stems alone, and odd numbers of channels."""
    drawn = Method1([index["stereo"]], replace(CHANNELS, min_tracks=numbers[0], max_tracks=numbers[1]))
    if counts:
        assert {len(drawn[item].names) for item in range(12)} == counts
    else:
        with pytest.raises(InputError, match="3 tracks that sound"):
            drawn[0]


def test_songs_are_brought_to_one_level_before_their_stems_are_mixed(index):
    """A song 30 dB quieter than the others gives stems as loud as in its own mix, not 30 dB below the others."""
    song = index["mono"]
    quiet = replace(
        song,
        name="quiet",
        stems=[replace(stem, gain=10**-1.5, loudness_lufs=stem.loudness_lufs - 30) for stem in song.stems],
    )
    drawn = Method1([song, quiet], replace(SHORT, mixed_songs=1.0, min_tracks=4, energy=1e-6))
    for item in range(8):
        example = drawn[item]
        levels = {name: dm.loudness(stem) for name, stem in zip(example.names, example.tracks, strict=True)}
        for name, level in levels.items():
            owner, stem = name.split("/")
            twin = levels.get(f"{'mono' if owner == 'quiet' else 'quiet'}/{stem}")
            assert twin is None or abs(level - twin) < 3  # other moments of one stem
        assert max(levels.values()) - min(levels.values()) < 15
    assert any("quiet" in name for name in drawn[0].names + drawn[1].names)


def test_stems_from_anywhere(index):
    drawn = [examples(index, replace(SHORT, mixed_songs=1.0))[item] for item in range(10)]
    owners = [{name.split("/")[0] for name in example.names} for example in drawn]
    assert max(map(len, owners)) > 1
    halves = [examples(index, replace(SHORT, mixed_songs=0.5))[item] for item in range(30)]
    assert 5 < sum("/" in example.names[0] for example in halves) < 25


def test_an_index_draws_the_same_before_and_after_it_is_loaded(index, tmp_path):
    """Levels decide how loud the stems of several songs are, and a saved index has them rounded."""
    loaded = SongIndex.load(index.save(tmp_path / "index.json"))
    mixed = replace(SHORT, mixed_songs=1.0)
    for item in range(4):
        one, other = (Method1(where.multitracks(), mixed)[item] for where in (index, loaded))
        assert one.names == other.names and torch.equal(one.tracks, other.tracks)


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
        {"balance": "loud"},
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
