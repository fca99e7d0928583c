"""`diffmst data`: whole runs, reports, one line for bad input."""

import json

import pytest
from sound_files import music, stamp, write_sound

from diffmst_lib.command.main import main
from diffmst_lib.data.index import SongIndex


@pytest.fixture
def songs(tmp_path):
    """Two songs of two stems, a record, a broken file, a record of the same name as a song."""
    for song in ("one", "two"):
        for i, stem in enumerate(["kick.wav", "vox.flac"]):
            write_sound(tmp_path / "songs" / song / stem, music(2, seed=i))
    (tmp_path / "songs" / "two" / "broken.ogg").write_bytes(b"nothing")
    for record in ("record.ogg", "one.mp3"):
        write_sound(tmp_path / "records" / record, music(3, seed=5))
    return tmp_path


def run(capsys, *arguments):
    code = main(["data", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_index(songs, capsys):
    about = songs / "about.json"
    about.write_text(json.dumps({"two": {"split": "test", "license": "CC0 1.0"}}))
    code, out, err = run(
        capsys,
        "index",
        songs / "songs",
        "--references",
        songs / "records",
        "--about",
        about,
        "--output",
        songs / "set.json",
    )
    assert code == 0 and "song/s" in err  # a progress bar
    index = SongIndex.load(songs / "set.json")
    assert [song.name for song in index.songs] == ["one", "record", "records/one", "two"]
    assert [song.name for song in index.multitracks("test")] == ["two"]
    assert "left out, 1:" in out and "broken.ogg: " in out
    assert "folders (2), songs (2)" in out and "licenses: CC0 1.0 (1)" in out


def test_names_from_several_folders(songs, capsys):
    write_sound(songs / "more" / "records" / "one.wav", music(2, channels=1))
    code, out, _ = run(
        capsys,
        "index",
        songs / "songs",
        "--references",
        songs / "records",
        songs / "more" / "records",
        "--output",
        songs / "set.json",
    )
    names = [song.name for song in SongIndex.load(songs / "set.json").songs]
    assert code == 0 and names == ["one", "record", "records/one", "records/one (2)", "two"]
    assert "mono, so no references: records/one (2)" in out


def test_quiet(songs, capsys):
    assert run(capsys, "index", songs / "songs", "--quiet") == (0, "", "")
    assert len(SongIndex.load(songs / "songs")) == 2
    assert run(capsys, "cache", songs / "songs", "--output", songs / "cache", "--quiet") == (0, "", "")
    assert len(SongIndex.load(songs / "cache")) == 2


def test_cache_says_its_size_first(songs, capsys):
    run(capsys, "index", songs / "songs", "--quiet")
    code, out, _ = run(capsys, "cache", songs / "songs" / "index.json", "--output", songs / "cache")
    assert code == 0 and out.startswith("2 songs take 0.00 GB")
    cached = SongIndex.load(songs / "cache")["one"].stems
    assert [stem.source.path.parent.parent for stem in cached] == [
        songs / "songs",
        songs / "cache",
    ]  # WAV stays


def test_an_index_and_a_cache_inside_the_folder_are_no_songs(songs, capsys):
    for _ in range(2):
        run(capsys, "index", songs / "songs", "--quiet")
        assert len(SongIndex.load(songs / "songs")) == 2


def test_a_cache_and_the_open_set_keep_their_index(songs, capsys):
    run(capsys, "index", songs / "songs", "--quiet")
    run(capsys, "cache", songs / "songs", "--output", songs / "cache", "--quiet")
    before = (songs / "cache" / "index.json").read_text()
    for arguments in ([songs / "cache"], [songs / "songs", "--output", songs / "cache"]):
        code, _, err = run(capsys, "index", *arguments)
        assert code == 2 and "a cache, which has its index" in err
    assert (songs / "cache" / "index.json").read_text() == before
    (songs / "songs" / "index.json").write_text(before.replace('"layout": "folders"', '"layout": "open"'))
    code, _, err = run(capsys, "index", songs / "songs")
    assert code == 2 and "diffmst data open" in err
    (songs / "songs" / "index.json").write_text("damaged")
    assert run(capsys, "index", songs / "songs", "--quiet") == (0, "", "")


def test_a_cache_at_another_rate(songs, capsys):
    run(capsys, "index", songs / "songs", "--quiet")
    run(capsys, "cache", songs / "songs", "--output", songs / "cache", "--sample-rate", "22050", "--quiet")
    assert {stem.sample_rate for song in SongIndex.load(songs / "cache") for stem in song.stems} == {22050}


def test_songs_without_an_artist_are_told(songs, capsys):
    write_sound(songs / "songs" / "Band - Three" / "kick.wav", music(2))
    _, out, _ = run(capsys, "index", songs / "songs")
    assert "artist unknown, split by title: 2 of 3 songs" in out


def test_shard(songs, capsys):
    for song in ("one", "two"):
        write_sound(songs / "songs" / song / "kick.wav", music(12))
        write_sound(songs / "songs" / song / "vox.flac", music(12, seed=3))
    run(capsys, "index", songs / "songs", "--references", songs / "records", "--quiet")
    split = SongIndex.load(songs / "songs")["one"].split
    arguments = ["shard", songs / "songs", "--output", songs / "shards", "--split", split, "--seconds", "2"]
    code, out, _ = run(capsys, *arguments, "--kind", "multitracks")
    assert code == 0 and out.startswith("multitracks: ") and "shards: 1" in out
    assert (songs / "shards" / f"{split}-multitracks-000000.tar").is_file()
    code, _, err = run(capsys, *arguments, "--kind", "multitracks")
    assert code == 2 and "finished" in err
    code, _, err = run(capsys, *arguments, "--seconds", "40")
    assert code == 2 and "segments of 40 s do not fit into pieces of 30 s" in err
    code, out, _ = run(capsys, *arguments, "--kind", "references", "--quiet")
    assert (code, out) == (0, "")


def test_a_split_without_songs(songs, capsys):
    about = songs / "about.json"
    about.write_text(json.dumps({name: {"split": "train"} for name in ("one", "two")}))
    run(capsys, "index", songs / "songs", "--about", about, "--quiet")
    code, out, err = run(capsys, "shard", songs / "songs", "--output", songs / "shards", "--split", "test")
    assert (code, out) == (2, "") and err.endswith("songs: no songs in the split test\n")
    assert not (songs / "shards").exists()


def test_long_lists_are_cut(songs, capsys):
    for i in range(22):
        (songs / "songs" / "one" / f"broken {i}.wav").write_bytes(b"nothing")
        write_sound(songs / "mono" / f"record {i}.wav", music(2, channels=1, seed=i))
    code, out, _ = run(capsys, "index", songs / "songs", "--references", songs / "mono")
    assert code == 0 and "left out, 23:" in out and "  and 3 more, listed in the index" in out
    (mono,) = [line for line in out.splitlines() if line.startswith("mono, so no references: ")]
    assert mono.endswith(", ...") and mono.count("record") == 20


@pytest.mark.parametrize("arguments", ["cache songs", "shard songs", "open --source songs"])
def test_an_empty_name_is_no_folder(songs, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        run(capsys, *arguments.split(), "--output", "")
    assert caught.value.code == 2
    assert "--output: is empty: name a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["index", "nowhere"], "nowhere: no such folder"),
        (["index", "empty"], "no audio"),
        (["index", "songs", "--references", "nowhere"], "nowhere: no such folder"),
        (["index", "songs", "--about", "nowhere.json"], "nowhere.json: No such file"),
        (["index", "songs", "--layout", "medleydb"], "songs"),
        (["index", "songs", "--output", "songs/one/kick.wav/x.json"], "kick.wav"),
        (["cache", "songs", "--output", "out"], "no such index"),
        (["index", "songs", "--references", "songs"], "songs: holds stems of the songs"),
        (["shard", "songs", "--output", "out"], "no such index"),
        (["open", "--source", "nowhere", "--output", "out"], "nowhere: no such folder"),
        (
            ["open", "--source", "songs", "--output", "out"],
            "songs: no finished song of the open set is in it",
        ),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_bad_input(songs, capsys, monkeypatch, arguments, why):
    monkeypatch.chdir(songs)
    (songs / "empty").mkdir()
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == ""
    errors = [line for line in err.splitlines() if line.startswith("diffmst: error: ")]
    assert len(errors) == 1 and why in errors[0]


def test_what_a_folder_was_taken_for_is_told(songs, capsys):
    song = songs / "songs" / "one"
    for name in ("Drums/tom.wav", "Vocals/lead.wav"):
        write_sound(song / name, music(1))
    _, out, err = run(capsys, "index", songs / "songs")
    assert "taken for instruments of the song above them: one/Drums, one/Vocals" in err
    assert "instruments (1)" in out and "folders (1)" in out
    assert len(SongIndex.load(songs / "songs")["one"].stems) == 4
    run(capsys, "index", songs / "songs", "--layout", "folders")
    assert [one.name for one in SongIndex.load(songs / "songs")] == ["one", "one/Drums", "one/Vocals", "two"]
    _, _, err = run(capsys, "index", song / "Drums", "--layout", "auto")
    assert "taken for" not in err  # a single file
    write_sound(song / "Drums" / "hat.wav", music(1))
    _, _, err = run(capsys, "index", song / "Drums")
    assert "2 files taken for finished songs; layout folders takes them" in err


def test_timestamps(songs, capsys):
    for name, start_s in (("kick.wav", 0), ("snare.wav", 1.5)):
        stamp(write_sound(songs / "songs" / "one" / name, music(2)), start_s)
    _, _, err = run(capsys, "index", songs / "songs")
    assert "time stamps say that files begin at different times" in err and err.count("time stamps") == 1
    run(capsys, "index", songs / "songs", "--timestamps")
    stems = {stem.name: stem.duration_s for stem in SongIndex.load(songs / "songs")["one"].stems}
    assert stems == {"kick": 2, "snare": 3.5, "vox": 2}
    code, _, err = run(capsys, "index", songs / "records", "--timestamps")
    assert code == 2 and "no file has a time stamp" in err
