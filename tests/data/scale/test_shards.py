"""Shards: what is written is what the index says, whole or not at all."""

import errno
import itertools
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import webdataset
from audio_helpers import one_line
from shard_helpers import RATE, SAMPLING, pieces, samples, summary, write

import diffmst_lib as dm
from diffmst_lib.data.building import build_index
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.layouts.finding import find_songs
from diffmst_lib.data.scale import shards as module
from diffmst_lib.data.scale.shards import shard_arithmetic, write_shards
from diffmst_lib.inputs import InputError


def members(shard) -> list[tarfile.TarInfo]:
    with tarfile.open(shard) as tar:
        return tar.getmembers()


def test_pieces_hold_the_songs_in_16_bits(index, written):
    found = pieces(written[0])
    assert sorted((piece.name, start_s) for piece, start_s in found) == sorted(
        (song, start_s) for song in ("one", "two", "three") for start_s in (0, 4, 8)
    )
    for piece, start_s in found:
        song = index[piece.name]
        whole = {stem.name: stem for stem in song.stems}
        assert [stem.name for stem in piece.stems] == [
            s.name for s in song.stems if start_s < 8 or s.name != "bass"
        ]
        assert (piece.license, piece.attribution) == ("CC0 1.0", f"{song.name} by nobody")
        assert np.allclose(piece.power_db, song.power_db[start_s : start_s + 4], atol=0.051)
        for stem in piece.stems:
            original = whole[stem.name]
            assert (stem.num_samples, stem.sample_rate, stem.channels) == (
                4 * RATE,
                RATE,
                1 if original.mono else 2,
            )
            assert np.allclose(stem.loudness_lufs, original.loudness_lufs[start_s : start_s + 4], atol=0.051)
            there = dm.data.read_segment(stem, 0, 4, sample_rate=RATE)
            expected = dm.data.read_segment(original, start_s, 4, sample_rate=RATE)
            assert stem.peak == pytest.approx(expected.abs().max().item(), rel=1e-4)
            assert (there - expected).abs().max() < 0.51 * stem.peak / 32767


def test_references_are_vorbis_that_the_features_hardly_notice(data, tmp_path):
    real = SongIndex.load(data)
    path = write_shards(real, tmp_path, dm.data.Sampling(), split="train", kind="references")
    for piece, start_s in pieces(path):
        copy, original = (dm.data.read_segment(song.mix, 2, 6) for song in (piece, real[piece.name]))
        assert (
            dm.audio_feature_loss(copy, original)["total"] < 3e-4
        )  # two halves of a song differ by 1e-3 to 3e-2
        assert (copy - original).square().mean() < 2e-3 * original.square().mean()
        assert (start_s, piece.stems) == (0, [])
    assert 18e3 < summary(path)["bytes"] / summary(path)["seconds"] < 40e3  # bytes a second


def test_encoders_get_little_at_a_time(index, tmp_path, monkeypatch):
    sizes, whole = [], soundfile.SoundFile.write
    monkeypatch.setattr(
        soundfile.SoundFile, "write", lambda self, data: sizes.append(len(data)) or whole(self, data)
    )
    write(index, tmp_path, kind="references", piece_seconds=12)
    assert sum(sizes) == 3 * 12 * RATE and max(sizes) <= 2**17


def test_samples_follow_the_convention(written):
    for path, endings in zip(
        written, ({"json", "00.flac", "01.flac", "02.flac"}, {"json", "mix.ogg"}), strict=True
    ):
        found = samples(path)
        assert len({sample["__key__"] for sample in found}) == len(found) == summary(path)["samples"] == 9
        for sample in found:
            files = {key for key in sample if not key.startswith("__")}
            assert files <= endings and {"json"} < files
            assert len(files) == 1 + len(sample["json"]["song"]["stems"]) + (
                sample["json"]["song"]["mix"] is not None
            )


def test_each_kind_holds_its_own_files(index, tmp_path):
    both = SongIndex([replace(index["one"], mix=index["one alone"].mix)])
    multitracks, references = (write(both, tmp_path, kind=kind) for kind in module.KINDS)
    assert all(piece.mix is None and piece.stems for piece, _ in pieces(multitracks))
    assert all(piece.mix and not piece.stems for piece, _ in pieces(references))


def test_the_summary_counts(written):
    for path, kind in zip(written, ("multitracks", "references"), strict=True):
        about, tars = summary(path), sorted(path.parent.glob(f"train-{kind}-*.tar"))
        assert about["shards"] == [tar.name for tar in tars] and len(tars) > 2
        assert about["bytes"] == sum(tar.stat().st_size for tar in tars)
        assert about["seconds"] == pytest.approx(36) and about["licenses"] == {"CC0 1.0": 9}
        assert (about["kind"], about["split"], about["problems"]) == (kind, "train", [])


def test_a_shard_ends_with_the_piece_that_fills_it(index, tmp_path):
    for shard_bytes in (1, 4e5, 1e9):
        path = write(index, tmp_path / f"{shard_bytes}", shard_bytes=shard_bytes)
        for name in summary(path)["shards"]:
            *_, last = files = members(path.parent / name)
            begin = min(file.offset for file in files if file.name[:6] == last.name[:6])
            assert begin < shard_bytes + tarfile.RECORDSIZE
            assert last.offset_data + last.size >= shard_bytes or name == summary(path)["shards"][-1]


def test_shards_hold_many_songs_and_are_the_same_every_time(index, written, tmp_path):
    again = write(index, tmp_path, shard_bytes=5e5, workers=1)
    for name in summary(again)["shards"]:
        assert (tmp_path / name).read_bytes() == (written[0].parent / name).read_bytes()
    names = [piece.name for piece, _ in pieces(again)]
    assert sum(a != b for a, b in itertools.pairwise(names)) > 3  # in order there would be 2 changes


def test_pieces_without_a_segment_are_left_out(tmp_path, write_song):
    song = np.concatenate([0.1 * np.ones(4), np.zeros(4), 0.1 * np.ones(4), 0.1 * np.ones(1)])
    path = write(write_song(song), tmp_path / "out")
    assert sorted(start_s for _, start_s in pieces(path)) == [
        0,
        8,
    ]  # silence; a last second that is too short


@pytest.mark.parametrize(
    "count, starts", [(1, [16]), (2, [8, 24]), (3, [4, 16, 24]), (99, list(range(0, 32, 4)))]
)
def test_some_pieces_a_song_are_spread_evenly(tmp_path, write_song, count, starts):
    path = write(write_song(0.1 * np.ones(32)), tmp_path / "out", pieces_per_song=count)
    assert sorted(start_s for _, start_s in pieces(path)) == starts


@pytest.fixture
def write_song(tmp_path):
    """write_song(levels): the index of a song of two stems of noise, with a level for every second."""

    def write_song(levels):
        rng = np.random.default_rng(1)
        (tmp_path / "in" / "song").mkdir(parents=True)
        for stem in ("a", "b"):
            samples = np.repeat(levels, 8000) * rng.standard_normal(8000 * len(levels))
            soundfile.write(tmp_path / "in" / "song" / f"{stem}.wav", samples, 8000)
        found = find_songs(tmp_path / "in")[0]
        found[0].split = "train"
        return build_index(found, tmp_path / "in")

    return write_song


def test_files_that_have_gone_are_listed_or_fatal_when_all_have(tmp_path, write_song):
    index = write_song(0.1 * np.ones(8))
    (tmp_path / "in" / "song" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError) as caught:
        write(index, tmp_path / "out")
    assert one_line(caught, "none of 2 pieces could be read", "a.wav")
    assert list((tmp_path / "out").iterdir()) == []


def test_one_broken_song_of_several_is_listed(index, tmp_path):
    broken = SongIndex(list(index.songs))
    source = broken["two"].stems[0].source
    lost = dm.data.Source(tmp_path / "gone.wav")
    stems = [s if s.source != source else replace(s, source=lost) for s in broken["two"].stems]
    songs = [replace(s, stems=stems) if s.name == "two" else s for s in broken.songs]
    about = summary(write(SongIndex(songs), tmp_path / "out"))
    assert about["samples"] == 6
    assert {(place, "gone.wav" in why) for place, why in about["problems"]} == {
        (f"two, piece from {start_s} s", True) for start_s in (0, 4, 8)
    }


# calls that break off


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_call_that_breaks_off_leaves_no_half_shard(index, tmp_path, monkeypatch, error):
    whole, count = webdataset.TarWriter.write, itertools.count()

    def write_some(self, sample):
        if next(count) == 3:
            raise error
        return whole(self, sample)

    monkeypatch.setattr(webdataset.TarWriter, "write", write_some)
    with pytest.raises((InputError, KeyboardInterrupt)) as caught:
        write(index, tmp_path, shard_bytes=5e5)
    if isinstance(error, OSError):
        assert one_line(caught, tmp_path, "No space left on device", "not complete")
    left = [path.name for path in tmp_path.iterdir()]
    assert left and all(
        name.endswith(".tar") and not name.startswith(".") for name in left
    )  # no summary, no part
    for name in left:
        assert len(members(tmp_path / name)) > 2
    (tmp_path / "train-multitracks-000099.tar").write_bytes(b"of an earlier call, with more shards")
    monkeypatch.undo()
    about = summary(write(index, tmp_path, shard_bytes=5e5))
    assert sorted(path.name for path in tmp_path.glob("*.tar")) == about["shards"] and about["samples"] == 9


def test_finished_shards_are_not_replaced(index, tmp_path):
    path = write(index, tmp_path, kind="references")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(InputError) as caught:
        write(index, tmp_path, kind="references")
    assert one_line(caught, path, "finished")
    assert before == {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write(index, tmp_path, kind="multitracks")  # the other kind may share the folder
    assert (tmp_path / "train-multitracks.json").exists() and (
        tmp_path / "train-references-000000.tar"
    ).exists()


def test_a_folder_that_cannot_be_written_is_told(index, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        write(index, tmp_path / "file" / "out")
    assert one_line(caught, tmp_path / "file")


def test_nothing_to_write_is_told(index, tmp_path):
    with pytest.raises(InputError) as caught:
        write(index, tmp_path, split="test")
    assert one_line(caught, "none of 0 multitracks for test")
    with pytest.raises(InputError) as caught:
        write(index, tmp_path, replace(SAMPLING, min_tracks=5))
    assert one_line(caught, "none of 3 multitracks")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "songs"},
        {"piece_seconds": 1},
        {"piece_seconds": 4.5},
        {"pieces_per_song": 0},
        {"split": "training"},
    ],
)
def test_wrong_arguments_of_write(index, tmp_path, wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong)))):
        write(index, tmp_path, **wrong)


def test_the_missing_package_is_named(index, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(InputError) as caught:
        write(index, tmp_path)
    assert one_line(caught, "pip install webdataset")


# the arithmetic


def test_arithmetic_by_hand():
    table = shard_arithmetic(1000, 300, 20e3, examples_per_s=40, draws=4)
    assert table.loc["all"].tolist() == pytest.approx([10_000, 1000 / 12, 6, 6, 6, 10_000 / 10 / 3600])
    assert table.loc["three a song", ["pieces", "GB", "shards"]].tolist() == pytest.approx([3000, 1.8, 2])
