"""The published list of the open set: what is in it, its splits, its licenses, and where each file comes from."""

import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest

from diffmst_lib.data.index import SongIndex
from diffmst_lib.data.names import letters
from diffmst_lib.data.open_set.gathering import MIDI_FOLDERS, published_list
from diffmst_lib.options import SPLITS

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


def test_debians_midi_songs_are_those_of_the_list(published):
    folder = Path(MIDI_FOLDERS[0])
    if not folder.is_dir():
        pytest.skip("openttd-openmsx is not installed: the hashes of its songs were not compared")
    there = {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.mid")}
    assert {song["files"][0]["sha256"] for song in published["midi"]} <= there
