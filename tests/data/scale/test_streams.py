"""Streams from shards draw the same segments as the indexed samplers, and tell what is wrong with a shard."""

import gc
import itertools
import sys
from dataclasses import replace

import pytest
import torch
import webdataset
from audio_helpers import one_line
from shard_helpers import RATE, SAMPLING, files, same, samples, summary, take, write
from torch.utils.data import DataLoader

import diffmst_lib as dm
from diffmst_lib.audio.loudness import level_stems
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.scale.streams import PackedFile, ShardedMethod1, ShardedMethod2, stream_pieces
from diffmst_lib.inputs import InputError
from diffmst_lib.options import KINDS


def test_examples_are_segments_of_the_songs(index, written):
    examples = take(ShardedMethod1(written[0], SAMPLING, seed=1), 20)
    assert {example.song for example in examples} == {"one", "two", "three"}
    for example in examples:
        stems = {stem.name: stem for stem in index[example.song].stems}
        read = [
            dm.data.read_segment(stems[name], example.start_s, 2, sample_rate=RATE).expand(2, -1)
            for name in example.names
        ]
        expected, _ = level_stems(torch.stack(read), sample_rate=RATE)
        assert len(example.names) >= 2
        assert (example.tracks - expected).abs().max() < 1e-3 * expected.abs().max()
    assert any(example.start_s > 8 for example in examples) and len({e.start_s for e in examples}) > 10


def test_references_come_from_other_places_of_real_songs(index, written):
    for example in take(ShardedMethod2(*written, SAMPLING, seed=2), 10):
        mix = index[example.reference_song].mix
        original = dm.data.read_segment(mix, example.reference_start_s, 2, sample_rate=RATE)
        original = original - original.mean(dim=-1, keepdim=True)
        assert torch.corrcoef(torch.stack([example.reference[0], original[0]]))[0, 1] > 0.9  # Vorbis
        assert dm.loudness(example.reference, sample_rate=RATE) == pytest.approx(-16, abs=0.01)


def test_a_song_is_never_its_own_reference(tmp_path, index):
    songs = [replace(song, mix=index[f"{song.name} alone"].mix) for song in index.multitracks()]
    both = [write(SongIndex(songs), tmp_path, kind=kind) for kind in KINDS]
    examples = take(ShardedMethod2(*both, SAMPLING), 30)
    assert all(example.song != example.reference_song for example in examples)
    assert len({example.reference_song for example in examples}) == 3
    one = [write(SongIndex(songs[:1]), tmp_path / "one", kind=kind) for kind in KINDS]
    with pytest.raises(InputError) as caught:
        next(iter(ShardedMethod2(*one, SAMPLING)))
    assert one_line(caught, "a reference of another song")


def test_stems_of_mixed_songs_come_from_anywhere(written):
    sampling = replace(SAMPLING, mixed_songs=1)
    examples = take(ShardedMethod1(written[0], sampling), 10)
    assert max(len({name.split("/")[0] for name in example.names}) for example in examples) == 3


def test_collate_takes_the_examples(written):
    loader = DataLoader(
        ShardedMethod2(*written, SAMPLING), batch_size=3, collate_fn=dm.data.collate, num_workers=2
    )
    batch = next(iter(loader))
    assert batch.tracks.shape[0] == 3 and batch.reference.shape == (3, 2, 2 * RATE)
    assert batch.mask.sum(1).tolist() == [len(names) for names in batch.names]


def test_the_same_seed_gives_the_same_stream(written):
    first, again, other = (take(ShardedMethod1(written[0], SAMPLING, seed=seed), 12) for seed in (3, 3, 4))
    assert same(first, again) and not same(first, other)


def test_the_same_number_of_workers_gives_the_same_stream(written):
    def stream(workers):
        examples = ShardedMethod1(written[0], SAMPLING, seed=3, buffer=3)
        return take(DataLoader(examples, batch_size=None, num_workers=workers), 12)

    two = stream(2)
    assert same(two, stream(2)) and not same(two, stream(0))
    assert not same(two[::2], two[1::2])


@pytest.fixture
def worker(monkeypatch):
    """worker(rank, nodes, worker, workers): be a part of a cluster, as torchrun and DataLoader would say."""

    def worker(*place):
        for name, value in zip(("RANK", "WORLD_SIZE", "WORKER", "NUM_WORKERS"), place, strict=True):
            monkeypatch.setenv(name, str(value))

    return worker


def test_nodes_and_workers_share_the_shards(index, tmp_path, worker):
    path = write(index, tmp_path, shard_bytes=1)  # nine shards of one piece
    seen = []
    for rank, number in itertools.product(range(2), range(2)):
        worker(rank, 2, number, 2)
        stream = stream_pieces(files(path), "multitracks", SAMPLING, seed=0)
        seen.append(
            [(piece.name, piece.offset_s) for piece, _ in take(stream, (3, 2, 2, 2)[2 * number + rank])]
        )
    assert len({piece for part in seen for piece in part}) == 9
    worker(0, 1, 0, 1)
    stream = stream_pieces(files(path), "multitracks", SAMPLING, seed=0)
    first, second = ([(piece.name, piece.offset_s) for piece, _ in take(stream, 9)] for _ in range(2))
    assert first != second and sorted(first) == sorted(second)


def test_seeds_nodes_and_workers_draw_differently_from_the_same_shard(written, worker):
    shard = written[0].parent / summary(written[0])["shards"][0]
    streams = []
    for seed, rank, number in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        worker(rank, 2, number, 2)
        streams.append(take(ShardedMethod1([shard] * 4, SAMPLING, seed=seed), 4))
    assert not any(same(a, b) for a, b in itertools.combinations(streams, 2))


def test_fewer_shards_than_workers_are_told(index, tmp_path, worker):
    path = write(index, tmp_path, shard_bytes=1e9)
    worker(0, 2, 0, 1)
    with pytest.raises(InputError) as caught:
        next(iter(ShardedMethod1(path, SAMPLING)))
    assert one_line(caught, "1 shards cannot feed 2 x 1 workers")


def test_memory_holds_a_buffer_of_pieces(written):
    stream = iter(ShardedMethod1(written[0], SAMPLING, draws=3, buffer=4))
    for _ in range(40):
        next(stream)
    gc.collect()
    held = sum(type(thing) is PackedFile for thing in gc.get_objects())
    assert 4 <= held <= 3 * 4 + 3


def test_a_piece_serves_so_many_examples(written):
    stream = take(ShardedMethod1(written[0], SAMPLING, draws=3, buffer=1), 27)
    sources = [(example.song, example.start_s // 4) for example in stream]
    assert all(len(set(sources[i : i + 3])) == 1 for i in range(0, 27, 3))
    assert len(set(sources)) == 9


def test_items_are_running_numbers(written):
    assert [example.item for example in take(ShardedMethod1(written[0], SAMPLING), 5)] == [0, 1, 2, 3, 4]
    batches = list(dm.data.loader(ShardedMethod2(*written, SAMPLING), 2, steps=4, workers=2))
    items = [item for batch in batches for item in batch.items]
    assert sorted(items) == list(range(8))  # two workers, no number twice


@pytest.mark.parametrize("way", ["braces", "list", "path", "pipe"])
def test_ways_to_name_shards(written, way):
    about = summary(written[0])
    folder, last = written[0].parent, len(about["shards"]) - 1
    braces = f"{folder}/train-multitracks-{{000000..{last:06d}}}.tar"
    files = [folder / name for name in about["shards"]]
    shards = {"braces": braces, "list": files, "path": files[0], "pipe": f"pipe:cat {braces}"}[way]
    if way == "pipe" and sys.platform == "win32":
        pytest.skip("there is no cat")
    expected = ShardedMethod1(files[:1] if way == "path" else written[0], SAMPLING)
    assert same(take(expected, 6), take(ShardedMethod1(shards, SAMPLING), 6))


# bad shards


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty"),
        (b"no tar at all" * 1000, "invalid header"),
        ("half", "unexpected end of data"),
        ("no json", "json"),
        ("bad json", "Expecting"),
        ("no file", "00.flac"),
        ("later", "version 2"),
    ],
)
def test_broken_shards_are_told(written, tmp_path, content, reason):
    first = written[0].parent / summary(written[0])["shards"][0]
    bad = tmp_path / "bad.tar"
    if content == "half":
        content = first.read_bytes()[: first.stat().st_size // 2 + 100]
    if isinstance(content, str):
        sample = samples(written[0])[0]
        sample = {
            "no json": {"00.flac": b""},
            "bad json": {"json": b"{"},
            "no file": {"json": sample["json"]},
            "later": {"json": sample["json"] | {"version": 2}},
        }[content]
        with webdataset.TarWriter(str(bad)) as tar:
            tar.write({"__key__": "000000"} | sample)
    else:
        bad.write_bytes(content)
    with pytest.raises(InputError) as caught:
        take(ShardedMethod1([bad], SAMPLING), 100)
    assert one_line(caught, bad, reason) and " @ " not in str(caught.value)


def test_a_file_that_broke_inside_a_shard_is_told_with_its_place(written, tmp_path):
    sample = samples(written[0])[0]
    with webdataset.TarWriter(str(tmp_path / "bad.tar")) as tar:
        files = {key: b"broken" for key in sample if key.endswith(".flac")}
        tar.write({"__key__": "000007", "json": sample["json"]} | files)
    with pytest.raises(InputError) as caught:
        next(iter(ShardedMethod1([tmp_path / "bad.tar"], SAMPLING)))
    assert one_line(caught, "bad.tar/000007.0")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no cat")
def test_a_pipe_that_fails_is_told(written):
    first = written[0].parent / summary(written[0])["shards"][0]
    with pytest.raises(InputError) as caught:
        next(iter(ShardedMethod1([f"pipe:cat {first}; exec >&-; sleep 0.2; exit 3"], SAMPLING, buffer=100)))
    assert one_line(caught, "exit 3")


@pytest.mark.parametrize(
    "shards", ["nowhere-{0..2}.tar", ["nowhere.tar"], "nowhere.json", "bad.json", "lost.json"]
)
def test_missing_shards_are_told_at_once(tmp_path, monkeypatch, shards):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("[]")
    (tmp_path / "lost.json").write_text('{"shards": ["nowhere.tar"]}')
    with pytest.raises(InputError) as caught:
        ShardedMethod1(shards, SAMPLING)
    assert one_line(caught, "bad" if shards == "bad.json" else "nowhere")


def test_a_shard_that_goes_away_is_told(written, tmp_path):
    shard = tmp_path / "gone.tar"
    shard.write_bytes((written[0].parent / summary(written[0])["shards"][0]).read_bytes())
    examples = ShardedMethod1([shard], SAMPLING)
    shard.unlink()
    with pytest.raises(InputError) as caught:
        next(iter(examples))
    assert one_line(caught, shard, "No such file or directory")


def test_a_variable_that_is_not_set_is_told():
    with pytest.raises(InputError) as caught:
        ShardedMethod1("/${nowhere}/train.tar", SAMPLING)
    assert one_line(caught, "${nowhere}", "environment variable")


def test_shards_without_a_fitting_segment_are_told(written):
    longer = replace(SAMPLING, seconds=6)
    with pytest.raises(InputError) as caught:
        next(iter(ShardedMethod1(written[0], longer)))
    assert one_line(caught, "6 s to learn from")


@pytest.mark.parametrize("wrong", [(1, 1), (0, 0)])
def test_shards_of_the_other_kind_are_told(written, wrong):
    with pytest.raises(InputError) as caught:
        next(iter(ShardedMethod2(written[wrong[0]], written[wrong[1]], SAMPLING)))
    needed, other = ("references", "multitracks") if wrong == (0, 0) else ("multitracks", "references")
    assert one_line(caught, f"train-{other}-", f"{needed} are needed, not {other}")


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"buffer": 0}])
def test_wrong_arguments_of_streams(written, wrong):
    with pytest.raises(ValueError, match="at least 1"):
        ShardedMethod1(written[0], SAMPLING, **wrong)


def test_the_loader_takes_streams(written):
    stream = ShardedMethod2(*written, SAMPLING)
    batches = list(dm.data.loader(stream, 2, steps=3))
    assert [len(batch.songs) for batch in batches] == [2, 2, 2]
    assert [song for batch in batches for song in batch.songs] == [
        example.song for example in take(stream, 6)
    ]
    assert len(list(dm.data.loader(stream, 2, steps=3, workers=1))) == 3
    with pytest.raises(ValueError, match="another seed"):
        dm.data.loader(stream, 2, steps=3, first_step=1)
