"""What is missing for a training, and the command that mends it. Chapter: Training at scale."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from ..data.index import SongIndex
from ..data.songs import Song
from ..disk import printable
from ..inputs import InputError

# Splits from which a song can be taken for another, the one that misses it least first.
_GIVES = {"train": ("test", "validation"), "validation": ("test", "train"), "test": ("train", "validation")}


def no_stems(files: Iterable[Path]) -> InputError:
    """Say what to do when no song has stems: what was found are finished songs, maybe stems without a folder.

    Args:
        files: Their files.

    Returns:
        The error, in one line.

    Example:
        >>> advice = str(no_stems([Path("flat/kick.wav"), Path("flat/bass.wav")]))
        >>> "`diffmst data index flat --layout folders --about about.json` makes it" in advice
        True
    """
    folders = {path.parent for path in files}
    if not folders:
        return InputError("there are no songs with stems, nor any others")
    if len(folders) > 1:
        return InputError(
            "there are no songs with stems: what was found was taken for finished songs; `diffmst data index "
            "SONGS --layout folders` takes the files of each folder for the stems of a song"
        )
    (folder,) = folders
    name = printable(os.path.basename(os.path.abspath(folder)))
    place = printable(str(folder))
    return InputError(
        f"there are no songs with stems: what is in {place} was taken for finished songs; if they are the stems "
        f"of one song, `diffmst data index {shlex.quote(place)} --layout folders --about about.json` makes it, "
        f"with {_about(name, 'train')} in about.json"
    )


def no_records(index: SongIndex, references: SongIndex | None) -> InputError:
    """Say what to do when there are no references at all, in one line."""
    mono = [song for song in references or index if song.mix and song.mix.mono]
    if mono:
        return InputError(
            f"there are no references: the finished songs are mono ({len(mono)}), and a reference must be stereo"
        )
    if references:
        return InputError(
            "there are no references: what is given for them holds no finished songs; `diffmst data index RECORDS "
            "--layout songs` takes every file of a folder for one"
        )
    return InputError(
        "there are no references: name a folder of finished songs (references=, --references RECORDS), or index it "
        "with the songs: `diffmst data index SONGS --references RECORDS --about about.json`, with "
        f"{_about('RECORD', 'train')} in about.json for a record to train on"
    )


def none_in_split(what: str, split: str, elsewhere: list[Song], references: SongIndex | None) -> InputError:
    """Say how a split gets a song of its own, if another split can spare one.

    Args:
        what: What is missing, "songs with stems" or "references".
        split: The split that has none.
        elsewhere: What the other splits have.
        references: A separate index of the references, if they are missing.

    Returns:
        The error, in one line.
    """
    message = f"the {split} split has none of the {len(elsewhere)} {what}"
    spare = next((songs for giver in _GIVES[split] if (songs := _spare(giver, elsewhere))), [])
    if not spare:
        return InputError(message)
    if spare[-1].layout == "open":
        return InputError(f"{message}; `diffmst data open` gathers more of the set, which has its own splits")
    of_records = what == "references" and spare[-1].layout == "songs"
    if references:
        folders = "RECORDS --layout songs" if of_records else "RECORDS"
    else:
        folders = "SONGS --references RECORDS" if of_records else "SONGS"
    return InputError(
        f"{message}; `diffmst data index {folders} --about about.json`, with other options as before, puts one "
        f"there, with {_about(spare[-1].name, split)} in about.json"
    )


def _spare(split: str, songs: list[Song]) -> list[Song]:
    """List the songs of a split, but not the only one to train on."""
    found = [song for song in songs if song.split == split]
    return [] if split == "train" and len(found) == 1 else found


def _about(name: str, split: str) -> str:
    return json.dumps({name: {"split": split}}, ensure_ascii=False)
