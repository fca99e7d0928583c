"""The open set: gathering it from whatever folder the files lie in."""

import hashlib
import os
import sys
import warnings
from pathlib import Path

import pytest

from diffmst_lib import InputError, InputNote
from diffmst_lib.data.open_set import gathering as module
from diffmst_lib.data.open_set.gathering import build_open_set, published_list
from diffmst_lib.data.songs import Problem


def test_an_album_is_what_its_package_holds_but_for_listed_songs(source, output, small, tmp_path):
    for name, content in {
        "1.2/music/b.ogg": b"new",
        "1.2/music/cd 1/c.mp3": b"also new",
        "1.2/music/a.ogg": b"a record",
        "1.2/music/cover.png": b"no sound",
    }.items():
        (tmp_path / "games" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "games" / name).write_bytes(content)
    album = listed("game") | {"folders": [f"{tmp_path}/games/*/music"], "source": "Debian package game-music"}
    small["albums"] = [album, album | {"name": "other", "folders": [f"{tmp_path}/nowhere"]}]
    for _ in range(2):
        songs, problems = build_open_set(source, output, published=small)
        found = {song.name: song for song in songs if song.name.startswith("game/")}
        assert {name: song.mix.path.read_bytes() for name, song in found.items()} == {
            "game/b": b"new",
            "game/cd 1_c": b"also new",
        }
    assert {(song.artist, song.license, song.split) for song in found.values()} == {
        ("Artist of game", "CC0 1.0", "train")
    }
    assert [(p.path, p.reason) for p in problems if p.path == "other"] == [
        ("other", "missing; get it from Debian package game-music: apt install game-music")
    ]
    (output / "references" / "game" / "b.ogg").write_bytes(b"cut")
    build_open_set(source, output, published=small)
    assert "game/b" in (output / "SOURCES.md").read_text()


def listed(name, split="train", source="https://github.com/a/b, commit 12345678, c/", **files):
    return {
        "name": name,
        "title": name.title(),
        "artist": f"Artist of {name}",
        "license": "CC0 1.0",
        "split": split,
        "attribution": f"{name} is mine",
        "source": source,
        "files": [
            {"file": f"{stem}.wav", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for stem, content in files.items()
        ],
    }


@pytest.fixture
def small():
    return {
        "songs": [listed("anna", kick=b"kick", vox=b"voice"), listed("berta", kick=b"other kick")],
        "references": [listed("record", "test", record=b"a record")],
        "midi": [],
        "albums": [],
    }


@pytest.fixture
def source(tmp_path):
    """The small list's files, called otherwise, some of them very deep."""
    folder = tmp_path / "music"
    for name, content in {
        "src/1.Anna/1.Anna_Stem_KICK é.wav": b"kick",
        "src/1.Anna/'VOX LEAD'.m4a": b"voice",
        "x/y/z/b": b"other kick",
        "a record.wav": b"a record",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def output(tmp_path):
    return tmp_path / "open"


def everything(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_files_are_recognized_whatever_they_are_called(source, output, small, monkeypatch):
    monkeypatch.setenv("PATH", "")  # without FluidSynth, which this list does not need
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        songs, problems = build_open_set(source, output, published=small)
    assert problems == []
    assert everything(output) == {
        "multitracks/anna/kick.wav",
        "multitracks/anna/vox.wav",
        "multitracks/berta/kick.wav",
        "references/record.wav",
        "SOURCES.md",
    }
    anna, _berta, record = songs
    assert (anna.name, anna.title, anna.artist, anna.license, anna.attribution, anna.split, anna.layout) == (
        "anna",
        "Anna",
        "Artist of anna",
        "CC0 1.0",
        "anna is mine",
        "train",
        "open",
    )
    assert {name: stem.path.read_bytes() for name, stem in anna.stems.items()} == {
        "kick": b"kick",
        "vox": b"voice",
    }
    assert anna.mix is None and record.stems == {} and record.split == "test"
    assert record.mix.path.read_bytes() == b"a record"
    assert all(song.attribution in (output / "SOURCES.md").read_text() for song in songs)


def test_links_to_folders_are_followed_once(source, output, small, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    (links / "music").symlink_to(source)
    (source / "loop").symlink_to(source)
    (links / "nowhere.wav").symlink_to(tmp_path / "nowhere")
    assert len(build_open_set(links, output, published=small)[0]) == 3
    assert len(list(module.files_below(links))) == 4


def test_a_second_call_writes_nothing_again_and_mends_what_is_damaged(source, output, small):
    songs, _ = build_open_set(source, output, published=small)
    vox, kick = (songs[0].stems[name].path for name in ("vox", "kick"))
    vox.write_bytes(b"VOICE")  # of the right size
    kick.write_bytes(b"ki")
    before = list(output.rglob("*.wav"))
    for path in before:
        os.utime(path, ns=(0, 0))
    assert build_open_set(source, output, published=small)[0] == songs
    assert {path for path in before if path.stat().st_mtime_ns} == {vox, kick}
    assert (vox.read_bytes(), kick.read_bytes()) == (b"voice", b"kick")


def test_another_source_adds_to_what_is_there(source, output, small, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (source / "x/y/z/b").rename(other / "b")
    songs, problems = build_open_set(source, output, published=small)
    assert [song.name for song in songs] == ["anna", "record"] and len(problems) == 1
    songs, problems = build_open_set(other, output, published=small)
    assert [song.name for song in songs] == ["anna", "berta", "record"] and problems == []


def test_what_is_missing_is_told_by_song_with_where_to_get_it(source, output, small):
    (source / "src/1.Anna/'VOX LEAD'.m4a").unlink()
    small["references"].append(listed("lost", source="Debian package lost 1", lost=b"lost"))
    songs, problems = build_open_set(source, output, published=small)
    assert [song.name for song in songs] == ["berta", "record"]
    assert problems == [
        Problem(
            "anna",
            "1 of 2 files are missing: vox.wav; get it from https://github.com/a/b, commit 12345678, c/",
        ),
        Problem("lost", "missing; get it from Debian package lost 1"),
    ]
    assert not (output / "multitracks" / "anna").exists()  # half a song is none


def test_damaged_files_are_not_recognized_and_that_is_told(source, output, small):
    (source / "src/1.Anna/1.Anna_Stem_KICK é.wav").write_bytes(b"kicK")
    (source / "a record, cut.wav").write_bytes(b"a rec")
    (source / "notes.txt").write_text("of no interest")
    with pytest.warns(InputNote, match="2 files were not recognized") as notes:
        songs, problems = build_open_set(source, output, published=small)
    assert [song.name for song in songs] == ["berta", "record"]
    assert [problem.path for problem in problems] == ["anna"]
    assert Path(notes[0].filename) == Path(__file__)


@pytest.mark.parametrize(
    ("lost", "what"),
    [(["a record.wav"], "finished song"), (["x/y/z/b", "src/1.Anna/'VOX LEAD'.m4a"], "song with stems")],
)
def test_a_song_and_a_finished_song_are_needed(lost, what, source, output, small):
    for name in lost:
        (source / name).unlink()
    with pytest.raises(
        InputError, match=f"no {what} of the open set is in it; get some from https://github.com/a/b$"
    ):
        build_open_set(source, output, published=small)


def test_folders_that_cannot_be_are_refused(source, output, small, tmp_path):
    before = everything(tmp_path)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        build_open_set(tmp_path / "nowhere", output, published=small)
    with pytest.raises(InputError, match="no_midi: no such folder"):
        build_open_set(source, output, midi=tmp_path / "no_midi", published=small)
    with pytest.raises(InputError, match=r"nowhere\.sf2: cannot read this SoundFont"):
        build_open_set(source, output, soundfont=tmp_path / "nowhere.sf2", published=small)
    for other in (source, source / "below", tmp_path):
        with pytest.raises(InputError, match="choose a folder for the open set"):
            build_open_set(source, other, published=small)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write there"):
        build_open_set(source, tmp_path / "file" / "below", published=small)
    assert everything(tmp_path) == before | {"file"}
    assert not output.exists() and not (source / "below").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_file_that_cannot_be_written_is_one_line_and_the_others_stay_whole(source, output, small):
    """The system itself refuses in the middle of a file, as it does when a disk is full."""
    import resource

    small["songs"][1] = listed("berta", kick=bytes(10_000))
    (source / "x/y/z/b").write_bytes(bytes(10_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
        with pytest.raises(InputError, match=r"stopped \(File too large\); what is written") as error:
            build_open_set(source, output, published=small)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    assert everything(output) == {"multitracks/anna/kick.wav", "multitracks/anna/vox.wav"}
    assert len(build_open_set(source, output, published=small)[0]) == 3


MIDI = b"MThd and so on"


@pytest.fixture
def with_midi(small, tmp_path, monkeypatch):
    """The small list with two MIDI songs, of which one lies in a folder `midi`; rendering is a stand-in."""
    small["midi"] = [
        listed("rag", source="Debian package music 1", rag=MIDI),
        listed("waltz", waltz=b"not there"),
    ]
    (tmp_path / "midi").mkdir()
    (tmp_path / "midi" / "first.mid").write_bytes(MIDI)

    def render_songs(songs, output, *, soundfont, progress):
        assert output == tmp_path / "open" / "multitracks"
        stems = {name: {"drums": output / name / "drums.flac"} for name in songs}
        return stems, [Problem("a", "could not be rendered")]

    monkeypatch.setattr(module, "render_songs", render_songs)
    monkeypatch.setattr(module, "missing_tools", lambda soundfont: [])
    monkeypatch.setattr(module, "find_soundfont", lambda: Path("fonts", "FluidR3_GM.sf2"))
    return small


def test_midi_songs_carry_the_licenses_of_score_and_soundfont(source, output, with_midi, tmp_path):
    songs, problems = build_open_set(source, output, midi=tmp_path / "midi", published=with_midi)
    rag = songs[2]
    assert rag.name == "rag" and list(rag.stems) == ["drums"] and rag.mix is None
    assert rag.license == "CC0 1.0 (MIDI), MIT (SoundFont)"
    assert rag.attribution == (
        "rag is mine; rendered with FluidSynth and the SoundFont FluidR3_GM.sf2 (MIT, by Frank Wen)"
    )
    assert [problem.path for problem in problems] == ["waltz", "a"]
    songs, _ = build_open_set(
        source, output, midi=tmp_path / "midi", published=with_midi, soundfont="mine.sf2"
    )
    assert songs[2].license == "CC0 1.0 (MIDI), a license of its own (SoundFont)"


def test_without_midi_or_tools_the_rest_goes_on(source, output, with_midi, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MIDI_FOLDERS", (str(tmp_path / "nowhere"),))
    songs, problems = build_open_set(source, output, published=with_midi)
    assert len(songs) == 3
    assert problems == [
        Problem(
            "MIDI songs",
            "all 2 are missing; get them from Debian package music 1: apt install openttd-openmsx",
        )
    ]
    monkeypatch.setattr(
        module, "missing_tools", lambda soundfont: [Problem("fluidsynth", "apt install fluidsynth")]
    )
    songs, problems = build_open_set(source, output, midi=tmp_path / "midi", published=with_midi)
    assert len(songs) == 3 and [problem.path for problem in problems] == ["waltz", "fluidsynth"]


def test_midi_is_found_in_the_source_and_where_debian_puts_it(
    source, output, with_midi, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "MIDI_FOLDERS", (str(tmp_path / "midi"),))
    assert "rag" in [song.name for song in build_open_set(source, output, published=with_midi)[0]]
    monkeypatch.setattr(module, "MIDI_FOLDERS", ())
    (tmp_path / "midi" / "first.mid").rename(source / "renamed.bin")
    assert "rag" in [song.name for song in build_open_set(source, output, published=with_midi)[0]]


def test_originals_give_the_whole_set(output):
    originals = os.environ.get("DIFFMST_ORIGINALS")
    if not originals:
        pytest.skip("DIFFMST_ORIGINALS does not name the folder with the full songs")
    songs, problems = build_open_set(
        originals, output, published=published_list() | {"midi": [], "albums": []}
    )
    assert len(songs) == 25 and [problem.path for problem in problems] in ([], ["MIDI songs"])
