"""The open set: its published list, and gathering it from whatever folder the files lie in."""

import hashlib
import os
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest

from diffmst_lib import InputError, InputNote
from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.names import letters
from diffmst_lib.data.open_set import gathering as module
from diffmst_lib.data.open_set.gathering import build_open_set, published_list
from diffmst_lib.data.songs import SPLITS, Problem

GROUPS = ("songs", "references", "midi")
LICENSES = {
    "CC0 1.0": "creativecommons.org/publicdomain/zero/1.0/",
    "CC BY 3.0": "creativecommons.org/licenses/by/3.0/",
    "CC BY-SA 3.0": "creativecommons.org/licenses/by-sa/3.0/",
    "GPL-2": "gnu.org/licenses/old-licenses/gpl-2.0",
    "CC BY-SA 3.0 or GPL-2+": "creativecommons.org/licenses/by-sa/3.0/",
    "GPL-2+": "gnu.org/licenses/old-licenses/gpl-2.0",
    "public domain": "creativecommons.org/publicdomain/mark/1.0/",
}
HELD_OUT = {
    "validation": {"rubidium", "hungarian_dance", "hamster_haven", "busy_schedule", "the_fast_route"},
    "test": {
        "caesium",
        "caesium_master",
        "its_simple",
        "lets_go_fishin",
        "sugar_plum_fairy",
        "vibe_ace",
        "keep_on_rolling",
        "modern_motion",
        "openttd_journey",
    },
}


@pytest.fixture(scope="module")
def published():
    return published_list()


@pytest.fixture(scope="module")
def entries(published):
    return [entry for group in GROUPS for entry in published[group]]


def test_list_has_four_songs_with_stems_21_finished_and_31_midi_songs(published):
    assert {song["name"]: len(song["files"]) for song in published["songs"]} == {
        "caesium": 16,
        "francium": 26,
        "potassium": 19,
        "rubidium": 9,
    }
    assert [len(published[group]) for group in GROUPS] == [4, 21, 31]


def test_splits_are_as_published(entries):
    for split in ("validation", "test"):
        assert {entry["name"] for entry in entries if entry["split"] == split} == HELD_OUT[split]
    assert {entry["split"] for entry in entries} == set(SPLITS)


def test_no_artist_is_in_two_splits_but_the_one_that_the_note_names(published, entries):
    splits = {}
    for entry in entries:
        splits.setdefault(entry["artist"], set()).add(entry["split"])
    in_several = [artist for artist, found in splits.items() if len(found) > 1]
    assert in_several == ["Software-Entwicklungskit"]
    assert in_several[0] in published["note"]


def test_albums_are_for_training_and_by_nobody_who_is_held_out(published, entries):
    held_out = {letters(entry["artist"]) for entry in entries if entry["split"] != "train"}
    for album in published["albums"]:
        assert album["split"] == "train" and album["source"].startswith("Debian package ")
        for fact in (
            album["title"],
            album["artist"],
            f"{album['license']} (http",
            LICENSES.get(album["license"], "gpl-3.0"),
        ):
            assert fact in album["attribution"]
        assert not held_out & {letters(artist) for artist in re.split(", | & ", album["artist"])}
        assert all(Path(folder).is_absolute() for folder in album["folders"])


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


def test_no_title_name_or_file_is_there_twice(entries):
    for key in ("title", "name"):
        assert Counter(entry[key].lower() for entry in entries).most_common(1)[0][1] == 1
    hashes = [file["sha256"] for entry in entries for file in entry["files"]]
    assert len(set(hashes)) == len(hashes) == 122


def test_every_entry_is_complete(entries):
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", entry["name"])
        title, license = f'"{entry["title"]}" by {entry["artist"]}, ', entry["license"]
        for fact in (title, f"{license} (http", LICENSES[license]):
            assert fact in entry["attribution"], entry["name"]
        assert re.match(
            r"https://github\.com/[\w-]+/[\w-]+, commit [0-9a-f]{8}, |Debian package [\w-]+ \d",
            entry["source"],
        )
        for file in entry["files"]:
            assert re.fullmatch(r"[0-9a-f]{64}", file["sha256"])
            assert re.fullmatch(r"\w+\.(m4a|mp3|ogg|opus|mid)", file["file"])
            assert file["bytes"] > 1000


def test_stems_have_names_of_their_own_and_finished_songs_that_of_their_entry(published):
    for song in published["songs"]:
        assert len({Path(file["file"]).stem for file in song["files"]}) == len(song["files"])
    for record in published["references"]:
        assert [Path(file["file"]).stem for file in record["files"]] == [record["name"]]
    assert {len(song["files"]) for song in published["midi"]} == {1}


def test_the_tiny_data_have_the_splits_of_the_songs_that_they_are_cut_from(entries, data):
    split = {entry["name"]: entry["split"] for entry in entries} | {"human_mixes/caesium": "test"}
    tiny = SongIndex.load(data).songs
    assert {song.name: song.split for song in tiny} == {song.name: split[song.name] for song in tiny}


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


def test_debians_midi_songs_are_those_of_the_list(published):
    folder = Path(module.MIDI_FOLDERS[0])
    if not folder.is_dir():
        pytest.skip("openttd-openmsx is not installed: the hashes of its songs were not compared")
    there = {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.mid")}
    assert {song["files"][0]["sha256"] for song in published["midi"]} <= there


def test_originals_give_the_whole_set(output, published):
    originals = os.environ.get("DIFFMST_ORIGINALS")
    if not originals:
        pytest.skip("DIFFMST_ORIGINALS does not name the folder with the full songs")
    songs, problems = build_open_set(originals, output, published=published | {"midi": [], "albums": []})
    assert len(songs) == 25 and [problem.path for problem in problems] in ([], ["MIDI songs"])
