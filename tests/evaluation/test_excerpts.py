"""What systems are given: which samples of which file, which stems, and whose seed."""

import pytest
import torch
from audio_helpers import RATE, one_line
from evaluation_helpers import written_song

from diffmst_lib.evaluation.excerpts import Sounds, human_mixes
from diffmst_lib.evaluation.pairs import Pair
from diffmst_lib.inputs import InputError


@pytest.fixture
def stems(noise):
    """2 s of a loud mono stem, a silent one, a quiet and a medium one in stereo."""
    return {
        "loud": noise(1, 2 * RATE),
        "silent": torch.zeros(1, 2 * RATE),
        "quiet": 0.1 * noise(2, 2 * RATE, seed=1),
        "medium": 0.3 * noise(2, 2 * RATE, seed=2),
    }


@pytest.fixture
def song(write, stems):
    return written_song(write, "song", stems)


@pytest.fixture
def record(write, noise):
    """1.5 s with an offset."""
    return written_song(write, "record", mix=noise(2, 3 * RATE // 2, seed=3) + 0.25)


def sounds(*songs, humans=None, **options):
    by_name = {song.name: song for song in songs}
    return Sounds(by_name, by_name, humans or {}, **options)


def test_the_samples_of_a_moment(song, stems):
    read = sounds(song, seconds=1.0).song("song", 0.5)
    assert read.names == ["loud", "quiet", "medium"] and read.sample_rate == RATE
    part = slice(RATE // 2, RATE // 2 + RATE)
    for name, audio in zip(read.names, read.audio, strict=True):
        torch.testing.assert_close(audio, stems[name][:, part].expand(2, -1), rtol=0, atol=1e-6)


def test_the_loudest_stems_stay_in_their_order(song):
    assert sounds(song, max_stems=2).song("song", 0.0).names == ["loud", "medium"]
    assert sounds(song, max_stems=1).song("song", 0.0).names == ["loud"]


def test_an_offset_of_a_record_is_taken_away(record, noise):
    read = sounds(record, seconds=1.0).record("record", 0.0)
    wanted = noise(2, 3 * RATE // 2, seed=3)[:, :RATE]
    torch.testing.assert_close(read, wanted - wanted.mean(dim=-1, keepdim=True), rtol=0, atol=1e-6)


def test_what_ends_earlier_is_shorter(song, record):
    both = sounds(song, record, seconds=1.0)
    assert both.song("song", 1.75).audio.shape == (3, 2, RATE // 4)
    assert both.record("record", 1.25).shape == (2, RATE // 4)


def test_after_the_end_there_is_nothing(song, record):
    both = sounds(song, record)
    for read, name, length in ((both.song, "song", 2.0), (both.record, "record", 1.5)):
        with pytest.raises(InputError) as caught:
            read(name, length)
        assert one_line(caught, name, "ends after")


def test_a_moment_without_sound(write, noise):
    late = torch.cat([torch.zeros(1, RATE), noise(1, RATE)], dim=-1)
    of_late = sounds(written_song(write, "late", {"one": late}), seconds=1.0)
    with pytest.raises(InputError, match="late: no stem sounds at"):
        of_late.song("late", 0.0)
    assert of_late.song("late", 1.0).names == ["one"]


def test_a_task_is_its_pair(song, record, write, noise):
    other = written_song(write, "other", mix=noise(1, RATE, seed=4))
    of_all = sounds(song, record, other, humans={"song": record.mix}, seconds=0.5)
    pair = Pair(1, "song", 0.25, "record", 0.5, "other", 0.0)
    task, wrong = of_all.task(pair), of_all.task(pair, wrong=True)
    assert torch.equal(task.record, of_all.record("record", 0.5))
    assert torch.equal(wrong.record, of_all.record("other", 0.0)) and wrong.record.shape == (2, RATE // 2)
    assert task.song is wrong.song and task.seed == wrong.seed
    # The human mix begins with the stems, keeps its offset, and is as long as the song's moment.
    start = RATE // 4
    human = (noise(2, 3 * RATE // 2, seed=3) + 0.25)[:, start : start + RATE // 2]
    torch.testing.assert_close(task.human, human, rtol=0, atol=1e-6)


def test_without_a_human_mix_there_is_none(song, record):
    assert sounds(song, record, seconds=0.5).task(Pair(1, "song", 0.0, "record", 0.0)).human is None


def test_the_seed_is_that_of_evaluation_and_pair(song, record):
    def seed(number, seed):
        return sounds(song, record, seconds=0.5, seed=seed).task(Pair(number, "song", 0, "record", 0)).seed

    assert seed(1, 0) == seed(1, 0)
    assert len({seed(1, 0), seed(2, 0), seed(1, 1), seed(0, 1)}) == 4


def test_files_are_read_once(song, record, monkeypatch):
    from diffmst_lib.evaluation import excerpts

    read, real = [], excerpts.read_segment
    monkeypatch.setattr(excerpts, "read_segment", lambda *args: read.append(args[0].name) or real(*args))
    both = sounds(song, record, seconds=0.5)
    for number in range(3):
        both.task(Pair(number, "song", 0.0, "record", 0.0))
    assert read == ["loud", "silent", "quiet", "medium", "mix"]


def test_whose_mix_is_human(write, noise):
    tone = noise(1, 100)
    own = written_song(write, "own", {"a": tone}, tone)
    bare, alone = (written_song(write, name, {"a": tone}) for name in ("bare", "alone"))
    theirs = {f"human_mixes/{name}": written_song(write, name, mix=tone) for name in ("own", "bare")}
    songs = {one.name: one for one in (own, bare, alone)}
    assert human_mixes(songs, theirs) == {"own": own.mix, "bare": theirs["human_mixes/bare"].mix}
    assert human_mixes({"alone": alone}, {"alone": own}) == {}
