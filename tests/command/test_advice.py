"""What `diffmst train`, `rehearse` and `data` advise is done as they say it, on small folders, and then it works."""

import json
import re
import shlex

import pytest
from sound_files import music, write_sound

from diffmst_lib.command.main import main
from diffmst_lib.data.index import SongIndex

SHORT = "--preset tiny --seconds 1 --steps 1 --batch-size 1 --workers 0 --validation-examples 2 --quiet"


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """In the current folder: `my stems`, one song; `songs` with two; `records`; `mono`, a record."""
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("kick", "bass", "vox", "keys")):
        write_sound(tmp_path / "my stems" / f"{name}.wav", music(2, channels=1 + i % 2, seed=i))
        for song in ("one", "two"):
            write_sound(tmp_path / "songs" / song / f"{name}.wav", music(2, seed=10 * len(song) + i))
    for i in range(4):
        write_sound(tmp_path / "records" / f"record {i}.wav", music(2, seed=100 + i))
    write_sound(tmp_path / "mono" / "record.wav", music(2, channels=1, seed=200))
    return tmp_path


@pytest.fixture
def diffmst(capsys):
    def run(words):
        code = main(words if isinstance(words, list) else shlex.split(words))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def follow(diffmst, folders):
    """Run the command of a message on the folders, with the about.json of the message; its other words stay."""

    def run(message, **names):
        (command,) = re.findall(r"`diffmst ([^`]+)`", message)
        if about := re.search(r"\{.*\}\}", message):
            text = about[0].replace("RECORD", names.pop("record", "RECORD"))
            (folders / "about.json").write_text(text, encoding="utf-8")
        words = [names.get(word.lower(), word) for word in shlex.split(command)]
        code, _, err = diffmst(words)
        assert code == 0, err

    return run


def split(index, **names):
    """Give songs of an index a split; all others become "test"."""
    index = SongIndex.load(index)
    for song in index:
        song.split = next((split for split, name in names.items() if name == song.name), "test")
    return index


def errors(text):
    return [line for line in text.splitlines() if line.startswith("diffmst: error: ")]


def test_a_flat_folder_of_stems(diffmst, follow):
    """Neither its notes nor its error point to an option that `train` has not; nothing is written."""
    train = f"train {SHORT} --tracks 'my stems' --references records --output model"
    code, _, err = diffmst(train)
    assert (code, err.count("\n")) == (2, 1) and "there are no songs with stems" in err
    assert "--about about.json` makes it" in err
    follow(err)
    (song,) = SongIndex.load("my stems")
    assert (song.name, song.split, len(song.stems)) == ("my stems", "train", 4)
    follow_records = "data index records --layout songs --about about.json"
    with open("about.json", "w") as file:
        json.dump({"record 0": {"split": "train"}}, file)
    assert diffmst(follow_records)[0] == 0
    code, _, err = diffmst(train)
    assert code == 0, err


def test_flat_folders_side_by_side(diffmst, follow, folders):
    for name in ("kick", "bass", "vox", "keys"):
        for song in ("00", "01"):  # numbers, as those of MTG-Jamendo
            write_sound(folders / "numbered" / song / f"{name}.wav", music(2, seed=len(name)))
    train = f"train {SHORT} --method 1 --seconds 2 --tracks numbered --output model"
    code, _, err = diffmst(train)
    assert code == 2 and "there are no songs with stems" in err
    follow(err, songs="numbered")
    assert [len(song.stems) for song in SongIndex.load("numbered")] == [4, 4]


def test_without_references(diffmst, follow):
    train = f"train {SHORT} --tracks songs --output model"
    assert diffmst("data index songs --quiet")[0] == 0
    split("songs", train="one").save("songs/index.json")
    code, _, err = diffmst(train)
    assert code == 2 and "there are no references" in err and "--references RECORDS" in err
    assert "--about about.json" in err
    follow(err, songs="songs", records="records", record="record 1")
    index = SongIndex.load("songs")
    assert index["record 1"].split == "train" and len(index.references()) == 4
    if not index.multitracks("train"):  # the index was made anew, and the names have their own splits
        split("songs", train="one").save("songs/index.json")
    code, _, err = diffmst(f"{train} --references records")
    assert code == 0 or "the train split has none of the 4 references" in err


def test_mono_records_are_called_so(diffmst):
    code, _, err = diffmst(f"train {SHORT} --tracks songs --references mono --output model")
    if "train split has none" not in err:  # where the names of the songs give them
        assert code == 2 and "the finished songs are mono (1), and a reference must be stereo" in err


@pytest.mark.parametrize("verb", ["train", "rehearse"])
def test_a_split_without_songs_and_one_without_records(diffmst, follow, folders, verb):
    """Both are mended one after the other, and the only song to train on is never taken away."""
    options = SHORT if verb == "train" else "--preset tiny --seconds 1 --steps 1 --moments 2 --quiet"
    for song in ("one", "two"):
        for i, name in enumerate(("kick", "bass", "vox", "keys")):  # places for two moments of 3 s
            write_sound(folders / "songs" / song / f"{name}.wav", music(8, seed=10 * len(song) + i))
    for i in range(4):
        write_sound(folders / "records" / f"record {i}.wav", music(8, seed=100 + i))
    for folder, layout in (("songs", "auto"), ("records", "songs")):
        assert diffmst(f"data index {folder} --layout {layout} --quiet")[0] == 0
        split(folder).save(f"{folder}/index.json")
    run = f"{verb} {options} --tracks songs --references records --output model"
    told = []
    for _ in range(3):
        code, _, err = diffmst(run)
        if code == 0:
            break
        told += errors(err)
        follow(told[-1], songs="songs", records="records")
        folder = "records" if "references" in told[-1] else "songs"
        about = json.loads((folders / "about.json").read_text(encoding="utf-8"))
        assert all(SongIndex.load(folder)[name].split == fact["split"] for name, fact in about.items())
    assert code == 0 and len(told) <= 2, told


def test_validation_takes_no_song_from_training(diffmst, follow):
    """The other song is in "test": it moves to "validation", though its name comes first."""
    assert diffmst("data index songs --quiet")[0] == 0
    split("songs", train="two").save("songs/index.json")
    code, _, err = diffmst(f"train {SHORT} --method 1 --seconds 2 --tracks songs --output model")
    assert code == 0 and '{"one": {"split": "validation"}}' in err, err
    follow(err, songs="songs")
    assert SongIndex.load("songs")["one"].split == "validation"


def test_the_index_of_a_cache(diffmst):
    """It is made anew from the songs, and what was decoded stays."""
    assert diffmst("data index songs --quiet")[0] == 0
    cache = "data cache songs --sample-rate 22050 --output cache --quiet"
    assert diffmst(cache)[0] == 0
    code, _, err = diffmst("data index cache")
    assert code == 2 and "index the songs that it was made from, and cache them again" in err
    with open("about.json", "w") as file:
        json.dump({"one": {"split": "validation"}}, file)
    assert diffmst("data index songs --about about.json --quiet")[0] == 0
    assert diffmst(cache)[0] == 0
    assert SongIndex.load("cache")["one"].split == "validation"


def test_a_file_of_a_cache_that_was_cut(diffmst, folders):
    """Indexing again would not help: the file is removed, and the cache built again."""
    from diffmst_lib.data.segments import read_segment
    from diffmst_lib.inputs import InputError

    assert diffmst("data index songs --quiet")[0] == 0
    cache = "data cache songs --sample-rate 22050 --output cache --quiet"
    assert diffmst(cache)[0] == 0
    stem = SongIndex.load("cache")["one"].stems[0]
    stem.source.path.write_bytes(stem.source.path.read_bytes()[:30_000])
    with pytest.raises(InputError, match="remove it from the cache and build that again"):
        read_segment(stem, 0.0, 2.0, sample_rate=22050)
    stem.source.path.unlink()
    assert diffmst(cache)[0] == 0
    stem = SongIndex.load("cache")["one"].stems[0]
    assert read_segment(stem, 0.0, 2.0, sample_rate=22050).shape[-1] == 44100


def test_shards_are_written_again(diffmst, folders):
    assert diffmst("data index records --layout songs --quiet")[0] == 0
    split("records", train="record 0").save("records/index.json")
    shard = "data shard records --seconds 1 --piece-seconds 2 --output shards --quiet"
    assert diffmst(shard)[0] == 0
    code, _, err = diffmst(shard)
    (path,) = re.findall(r"error: (\S+): these shards are finished; remove this file", err)
    assert code == 2
    (folders / path).unlink()
    assert diffmst(shard)[0] == 0


def test_both_beside_and_inside_folders(diffmst, folders):
    """`train` has no --layout: the one of `data index` makes an index, which it reads."""
    write_sound(folders / "songs" / "alone.wav", music(2, seed=1))
    write_sound(folders / "songs" / "also.wav", music(2, seed=2))
    code, _, err = diffmst(f"train {SHORT} --tracks songs --method 1 --output model")
    if code == 2 and "name the layout" in err:
        assert "(`diffmst data index --layout`)" in err
        for layout in ("folders", "instruments", "songs"):
            assert diffmst(f"data index songs --layout {layout} --quiet")[0] == 0


def test_a_rehearsal_says_how_to_go_on(diffmst, folders):
    """The command that it prints runs as it is."""
    for i, name in enumerate(("kick", "bass", "vox", "keys")):
        write_sound(folders / "songs" / "one" / f"{name}.wav", music(8, seed=i))
    for i in range(4):
        write_sound(folders / "records" / f"record {i}.wav", music(8, seed=100 + i))
    for folder, layout, name in (("songs", "auto", "one"), ("records", "songs", "record 1")):
        assert diffmst(f"data index {folder} --layout {layout} --quiet")[0] == 0
        split(folder, train=name).save(f"{folder}/index.json")
    options = "--preset tiny --seconds 1 --steps 1 --moments 14 --output 'my rehearsal'"
    code, out, err = diffmst(f"rehearse {options} --tracks songs --references records")
    assert code == 0, err
    (command,) = re.findall(r"`diffmst ([^`]+)`", out)
    code, _, err = diffmst(f"{command} {SHORT.removeprefix('--preset tiny')}")
    assert code == 0, err


def test_a_link_to_itself_is_left_out(diffmst, folders):
    """Among stems, records and the songs of a cache; as a reference it is named."""
    for place in ("songs/one", "records"):
        (folders / place / "loop.wav").symlink_to("loop.wav")
    code, out, err = diffmst("data index songs --references records")
    assert code == 0 and out.count("loop.wav: Too many levels of symbolic links") == 2, err
    assert diffmst("data cache songs --output cache --quiet")[0] == 0
    (folders / "loop").symlink_to("loop")
    code, _, err = diffmst("mix songs/two --reference loop --output mix --steps 1")
    assert (code, len(errors(err)), len(err.splitlines())) == (2, 1, 1), err
