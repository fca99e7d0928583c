"""Segments and examples: energy, silence, levels, sides, numbers of tracks, seeds, workers, batches."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from audio_helpers import one_line
from sound_files import music, write_sound

import diffmst_lib as dm
from diffmst_lib.data import examples as examples_module
from diffmst_lib.data.examples import Example, Method1, Method2, Sampling, collate, loader
from diffmst_lib.data.index import SongIndex, build_index
from diffmst_lib.data.segments import find_windows, read_segment
from diffmst_lib.data.songs import FoundSong, Source
from diffmst_lib.inputs import InputError, InputNote

SHORT = Sampling(track_lufs=-30, seconds=2, min_tracks=2, max_tracks=6)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Three songs of 12 s: stereo, mono and mixed stems, gaps, other rates; three finished songs, one of them mono."""
    folder = tmp_path_factory.mktemp("set")
    stems = {
        "stereo": {
            "drums.wav": music(12, seed=1),
            "keys.flac": music(12, seed=2, gap_s=(0, 8)),
            "pad.ogg": music(12, seed=3),
        },
        "mono": {
            f"{name}.wav": music(12, channels=1, seed=i)
            for i, name in enumerate(["bass", "vox", "guitar", "hat"])
        },
        "both": {
            "drums.m4a": music(12, 48000, seed=4),
            "vox.wav": music(12, 48000, 1, seed=5),
            "silent.wav": np.zeros((2, 48000 * 12)),
            "left.wav": music(12, 48000, seed=6) * [[1], [0]],
        },
    }
    found = []
    for song, files in stems.items():
        for name, sound in files.items():
            write_sound(folder / song / name, sound, 48000 if song == "both" else 44100)
        found.append(
            FoundSong(
                song, song, "folders", stems={f.split(".")[0]: Source(folder / song / f) for f in files}
            )
        )
    for i, name in enumerate(["record a", "record b", "mono record"]):
        sound = music(9, channels=1 if "mono" in name else 2, seed=10 + i) + 0.05  # an offset
        found.append(FoundSong(name, name, "songs", mix=Source(write_sound(folder / f"{name}.wav", sound))))
    return build_index(found, folder)


def examples(index, sampling=SHORT, **options):
    return Method2(index.multitracks(), index.references(), sampling, **options)


# Windows


def test_windows_reach_the_energy(index):
    """Whole seconds exactly, and starts between two good seconds but for what one second can hold."""
    for song in index.multitracks():
        for energy in (1e-4, 0.003, 0.008):
            windows = find_windows(song, 3, energy=energy)
            mix = sum(read_segment(stem, 0, 12).expand(2, -1) for stem in song.stems)
            power = [mix[:, s * 44100 : (s + 3) * 44100].square().mean().item() for s in range(10)]
            assert windows.starts.tolist() == [s for s in range(10) if power[s] >= energy]
            assert [s for s, more in zip(windows.starts, windows.slack_s) if more and s < 9] == [
                s for s in range(9) if min(power[s : s + 2]) >= energy
            ]


def test_the_energy_is_the_papers(index):
    """0.001, on the mix."""
    song = index["stereo"]
    quiet = replace(song, power_db=np.array([-31.0] * 6 + [-29.0] * 6, np.float32))
    assert find_windows(quiet, 1).starts.tolist() == [6, 7, 8, 9, 10, 11]
    assert find_windows(quiet, 1, energy=10**-3.2).starts.tolist() == list(range(12))
    assert find_windows(quiet, 4).starts.tolist() == [4, 5, 6, 7, 8]  # two of each: 1.03e-3
    assert find_windows(quiet, 1.5).starts.tolist() == [
        6,
        7,
        8,
        9,
        10,
    ]  # at 5 one second below, half a second above


def test_silent_stems_do_not_sound(index):
    windows = find_windows(index["both"], 2)
    silent = [stem.name for stem in index["both"].stems].index("silent")
    assert not windows.sounding[silent].any() and windows.sounding[:silent].all()
    keys = [stem.name for stem in index["stereo"].stems].index("keys")
    assert find_windows(index["stereo"], 2).sounding[keys].tolist() == [False] * 7 + [True] * 4
    assert find_windows(index["stereo"], 2, min_tracks=6).starts.tolist() == [7, 8, 9, 10]


def test_windows_end_with_the_song(index):
    assert find_windows(index["stereo"], 12).starts.tolist() == [0]
    assert find_windows(index["stereo"], 12.5).starts.tolist() == []
    assert find_windows(index["stereo"], 1.5).starts.tolist() == list(range(11))
    with pytest.raises(ValueError, match="at least 1 s"):
        find_windows(index["stereo"], 0.5)


def test_every_place_is_as_likely(index):
    """Starts of 2 s in 12 s: 251 places, the first and the last among them."""
    drawn = Method1([index["mono"]], replace(SHORT, min_tracks=4, max_tracks=4))
    windows = find_windows(index["mono"], 2)
    rng, starts = np.random.default_rng(0), []
    for _ in range(20_000):
        at, start_s = examples_module._cut(index["mono"], windows, 2, rng)
        assert 0 <= start_s - windows.starts[at] < 1
        starts.append(round(start_s * 25))
    counts = np.bincount(starts, minlength=251)
    assert len(counts) == 251 and counts.min() > 40 and counts.max() < 130
    assert drawn[0].start_s * 25 == pytest.approx(round(drawn[0].start_s * 25))
    windows = find_windows(index["mono"], 10.5)  # the last one starts at 1.5 s
    starts = {examples_module._cut(index["mono"], windows, 10.5, rng)[1] for _ in range(2000)}
    assert sorted(round(start * 25) for start in starts) == list(range(38))


def test_songs_need_enough_tracks(index):
    assert len(find_windows(index["mono"], 2, min_tracks=4).starts) == 11
    assert len(find_windows(index["mono"], 2, min_tracks=5).starts) == 0


# Reading


def test_a_segment_is_that_part_of_the_song(index):
    (folder,) = {stem.source.path.parent for stem in index["mono"].stems}
    song = dm.load_multitrack(folder)
    for stem in index["mono"].stems:
        audio = read_segment(stem, 3.52, 2.0)
        whole = song.audio[song.names.index(stem.name)]
        assert torch.equal(audio[0], whole[round(3.52 * 44100) : round(5.52 * 44100)])


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 32000, 48000, 88200, 96000, 192_000])
def test_every_rate_is_in_place(tmp_path, rate):
    """One second of a sine: its phase tells a shift of a hundredth of a sample."""
    t = np.arange(4 * rate) / rate
    write_sound(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * t)[None], rate)
    songs = build_index([FoundSong("a", "a", "folders", stems={"a": Source(tmp_path / "a.wav")})], tmp_path)
    for start_s in (0.0, 0.04, 0.12, 1.0, 1.92):
        segment = read_segment(songs["a"].stems[0], start_s, 1.0)[0].numpy()
        expected = 0.5 * np.sin(2 * np.pi * 440 * (np.arange(44100) / 44100 + start_s))
        assert np.abs(segment - expected)[500:-500].max() < 2e-3


@pytest.mark.parametrize("start_s", [0.0, 0.04, 5.0, 9.96])
def test_resampled_segments_are_in_place(index, start_s):
    """Cut and resampled equals resampled and cut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        song = dm.load_multitrack(index["both"].stems[0].source.path.parent)
    for stem in index["both"].stems:
        part = read_segment(stem, start_s, 2.0)
        whole = song.stems[stem.name][:, round(start_s * 44100) : round((start_s + 2) * 44100)]
        assert (part - whole).abs().max() < 2e-3 * max(whole.abs().max(), 0.1)


def test_beyond_the_end_is_silence(index):
    part = read_segment(index["mono"].stems[0], 11.0, 3.0)
    assert part.shape == (1, 3 * 44100) and part[:, :44100].abs().max() > 0.01 and not part[:, 44200:].any()


def test_a_file_that_was_cut_since(tmp_path):
    path = write_sound(tmp_path / "a.wav", music(10))
    song = build_index([FoundSong("a", "a", "folders", stems={"a": Source(path)})], tmp_path)["a"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert read_segment(song.stems[0], 1, 2).any()
    with pytest.raises(InputError) as caught:
        read_segment(song.stems[0], 4, 2)
    assert one_line(caught, path, "index it again")


def test_a_file_that_has_gone(index, tmp_path):
    stem = replace(index["mono"].stems[0], source=Source(tmp_path / "gone.wav"))
    with pytest.raises(InputError) as caught:
        read_segment(stem, 0, 1)
    assert one_line(caught, tmp_path / "gone.wav")


# Examples


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
    for name, track in zip(example.names, example.tracks):
        stem = next(
            stem
            for stem in index[example.song].stems
            if stem.name == name.removesuffix(".L").removesuffix(".R")
        )
        raw = read_segment(stem, example.start_s, 2)[1 if name.endswith(".R") else 0]
        assert torch.allclose(track / track.norm(), raw / raw.norm(), atol=1e-5)


def test_a_song_is_never_its_own_reference(index):
    both = [replace(song, mix=index["record a"].mix) for song in index.multitracks()]
    drawn = Method2(both, both, SHORT)
    assert all(drawn[item].song != drawn[item].reference_song for item in range(30))
    with pytest.raises(InputError, match="a reference of another song"):
        Method2(both[:1], both[:1], SHORT)[0]


@pytest.mark.parametrize(
    ("artist", "title", "itself"),
    [
        ("The Band", "A Song (master)", True),
        ("the band feat. Her", "A song", True),
        ("The Band", "Another", False),
        ("The Band", "A Song of ours", False),
        ("The Band", "(Intro) A Song", False),
        ("A Band", "A Song", False),
    ],
)
def test_nor_is_its_master(index, artist, title, itself):
    song = replace(index["stereo"], artist="The Band", title="A Song")
    record = replace(index["record a"], artist=artist, title=title)
    drawn = Method2([song], [record], SHORT)
    if itself:
        with pytest.raises(InputError, match="a reference of another song"):
            drawn[0]
    else:
        assert drawn[0].reference_song == "record a"


def test_nor_is_that_of_a_stem_from_anywhere(index):
    songs = [replace(song, artist="Band", title=song.name) for song in index.multitracks()]
    masters = [
        replace(index["record a"], name=f"{song.name}!", artist="Band", title=song.name) for song in songs
    ]
    drawn = Method2(songs, masters, replace(SHORT, mixed_songs=1.0))
    for item in range(20):
        example = drawn[item]
        assert example.reference_song.removesuffix("!") not in {name.split("/")[0] for name in example.names}


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


def test_the_sum_of_an_example():
    tracks = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    example = Example(tracks, torch.tensor([-1.0, 1.0, 0.0]), ["a.L", "a.R", "b"], "song", 0.0)
    assert example.sum().tolist() == [[51.0, 102.0], [60.0, 120.0]]


def test_stems_from_anywhere(index):
    drawn = [examples(index, replace(SHORT, mixed_songs=1.0))[item] for item in range(10)]
    owners = [{name.split("/")[0] for name in example.names} for example in drawn]
    assert max(map(len, owners)) > 1
    halves = [examples(index, replace(SHORT, mixed_songs=0.5))[item] for item in range(30)]
    assert 5 < sum("/" in example.names[0] for example in halves) < 25


def test_mono_records_are_no_references(index):
    assert [song.name for song in index.references()] == ["record a", "record b"]
    assert index["mono record"].mix.mono


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


def test_left_out_songs_are_told(index):
    with pytest.warns(InputNote, match="no segment of 2 s fits: mono") as caught:
        Method1(index.multitracks(), replace(SHORT, min_tracks=5))
    assert caught[0].filename == __file__
    with pytest.raises(InputError) as caught:
        Method1(index.multitracks(), replace(SHORT, energy=10.0))
    assert one_line(caught, "none of 3 songs", "energy 10", "2 tracks")
    with pytest.raises(InputError, match="no references are given"):
        Method2(index.multitracks(), [], SHORT)
    with pytest.raises(InputError, match="no songs with stems"):
        Method1([], SHORT)


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


# Seeds, workers, batches


def same(a, b):
    return (
        torch.equal(a.tracks, b.tracks)
        and torch.equal(a.sides, b.sides)
        and torch.equal(a.mask, b.mask)
        and torch.equal(a.reference, b.reference)
        and a.names == b.names
        and a.songs == b.songs
    )


def test_a_seed_is_a_sequence(index):
    first, again, other = examples(index, seed=1), examples(index, seed=1), examples(index, seed=2)
    assert torch.equal(first[7].tracks, again[7].tracks) and torch.equal(
        first[7].reference, again[7].reference
    )
    assert [first[i].start_s for i in range(6)] != [other[i].start_s for i in range(6)]
    assert len({first[i].start_s for i in range(10)}) > 5


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more than this machine has cores
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_do_not_change_the_batches(index, workers):
    alone = list(loader(examples(index), 3, steps=5))
    together = list(loader(examples(index), 3, steps=5, workers=workers))
    assert len(alone) == len(together) == 5 and all(map(same, alone, together))
    assert not same(alone[0], alone[1])


def test_an_empty_batch(index):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        loader(examples(index), 0, steps=1)


def test_training_goes_on_where_it_was(index):
    whole = list(loader(examples(index), 2, steps=6))
    rest = list(loader(examples(index), 2, steps=6, first_step=4))
    assert len(rest) == 2 and all(map(same, whole[4:], rest))


def test_collation(index):
    drawn = [examples(index)[item] for item in range(6)]
    batch = collate(drawn)
    most = max(len(example.names) for example in drawn)
    assert batch.tracks.shape == (6, most, 2 * 44100) and batch.reference.shape == (6, 2, 2 * 44100)
    for i, example in enumerate(drawn):
        count = len(example.names)
        assert batch.mask[i].tolist() == [True] * count + [False] * (most - count)
        assert torch.equal(batch.tracks[i, :count], example.tracks) and not batch.tracks[i, count:].any()
        assert torch.equal(batch.sides[i, :count], example.sides) and not batch.sides[i, count:].any()
    assert (batch.names[2], batch.songs[2], batch.reference_songs[2]) == (
        drawn[2].names,
        drawn[2].song,
        drawn[2].reference_song,
    )


def test_halves(index):
    batch = collate([Method1(index.multitracks(), SHORT)[i] for i in range(2)])
    a, b = batch.halves()
    assert a.shape == b.shape == (*batch.mask.shape, 44100) and batch.reference is None
    assert torch.equal(torch.cat([a, b], dim=-1), batch.tracks)
    odd = collate([Example(torch.ones(1, 7), torch.zeros(1), ["a"], "song", 0.0)])
    assert [half.shape[-1] for half in odd.halves()] == [3, 3]


def test_to_device(index):
    batch = collate([examples(index)[0]])
    moved = batch.to("meta")
    assert moved.tracks.device.type == moved.mask.device.type == moved.reference.device.type == "meta"
    assert moved.names == batch.names and batch.tracks.device.type == "cpu"


def test_a_batch_is_what_a_model_takes(index):
    """Mask, sides and references of a batch through the tiny model, with gradients."""
    batch = next(iter(loader(examples(index), 3, steps=1)))
    model = dm.DiffMST("tiny")
    mix, params = model(batch.tracks, batch.reference, sides=batch.sides, mask=batch.mask)
    dm.audio_feature_loss(mix, batch.reference)["total"].mean().backward()
    assert mix.shape == (3, 2, 2 * 44100)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_memory_does_not_depend_on_the_songs_length(tmp_path):
    """What one example takes, from a song of 12 s and from one of two minutes."""
    import tracemalloc

    peaks = []
    for seconds in (12, 120):
        for name in "ab":
            write_sound(tmp_path / str(seconds) / f"{name}.wav", music(seconds, seed=seconds))
        stems = {name: Source(tmp_path / str(seconds) / f"{name}.wav") for name in "ab"}
        songs = build_index(
            [FoundSong(str(seconds), "", "folders", stems=stems)], tmp_path / f"{seconds}.json"
        )
        drawn = Method1(songs.multitracks(), SHORT)
        drawn[0]
        tracemalloc.start()
        drawn[1]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_tiny_set_gives_examples_of_both_methods(data):
    tiny, sampling = SongIndex.load(data), Sampling(track_lufs=-30)
    for split in ("train", "validation", "test"):
        songs, references = tiny.multitracks(split), tiny.references(split)
        assert Method1(songs, sampling)[0].tracks.shape[-1] == 441000
        assert Method2(songs, references, sampling)[0].reference.shape == (2, 441000)


def test_ranks_share_a_batch(index):
    """What two GPUs read is what one would with twice the batch, in turn."""

    def starts(**options):
        return [[song for song in batch.names] for batch in loader(examples(index), steps=3, **options)]

    whole, first, second = (
        starts(batch_size=4),
        starts(batch_size=2, rank=0, ranks=2),
        starts(batch_size=2, rank=1, ranks=2),
    )
    assert whole == [a + b for a, b in zip(first, second)]
    assert starts(batch_size=2, rank=1, ranks=2, first_step=1) == second[1:]
