"""The folders of a data set, and what the names in them say. Chapter: Data."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...audio.loading import AUDIO_SUFFIXES
from ...disk import printable
from ..songs import FoundSong, Problem, Source

MIX_NAMES = ("mix", "mixture", "mixdown", "master")  # the first one there is the mix
STEM_FOLDERS = {"stems", "tracks", "multitrack", "multitracks", "raw", "audio", "wav"}  # of the song above
CACHE_MARK = ".diffmst-cache"  # lies in a folder that `build_cache` has written
Found = tuple[list[FoundSong], list[Problem]]


@dataclass
class Folder:
    """A folder with the names of its files, sorted. `parts` lead to it from the data set, whose own are ()."""

    parts: tuple[str, ...]
    path: Path
    audio: list[str]
    others: list[str]

    @property
    def name(self) -> str:
        return os.path.basename(os.path.abspath(self.path))

    def files(self) -> list[tuple[str, Path]]:
        """Its audio files by stem name."""
        return [(os.path.splitext(name)[0], self.path / name) for name in self.audio]


def scan(root: Path) -> tuple[list[Folder], list[Problem]]:
    """Every folder from `root` down, each once, however many links lead to it."""
    folders, problems, seen = [], [], {_identity(root)}

    def unreadable(error: OSError) -> None:
        problems.append(problem(error.filename, f"cannot be read ({error.strerror})"))

    for path, names, files in os.walk(root, followlinks=True, onerror=unreadable):
        below = [name for name in names if not _is_hidden(name)]
        names.clear()
        if CACHE_MARK in files and Path(path) != root:  # the same songs once more
            continue
        for name in sorted(
            below, key=lambda name: (os.path.islink(os.path.join(path, name)), name)
        ):  # links come last
            try:
                identity = _identity(os.path.join(path, name))
            except OSError as error:
                unreadable(error)
                continue
            if identity not in seen:
                seen.add(identity)
                names.append(name)
        folder = Folder(Path(path).relative_to(root).parts, Path(path), [], [])
        for name in sorted(files):
            if not _is_hidden(name):
                is_audio = os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES
                (folder.audio if is_audio else folder.others).append(name)
        folders.append(folder)
    return sorted(folders, key=lambda folder: folder.parts), problems


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def problem(path: str | Path, reason: str) -> Problem:
    return Problem(printable(str(path)), reason)


def left_out(folder: Folder, names: list[str], why: str) -> list[Problem]:
    """One problem for all these files of a folder."""
    if not names:
        return []
    return [
        problem(
            folder.path,
            f"{len(names)} audio file{'s' * (len(names) > 1)} {why}, such as {printable(names[0])}",
        )
    ]


def unique(name: str, taken) -> str:
    """The name, with a number after it where it is taken."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def place_name(parts: tuple[str, ...], folders: list[Folder]) -> str:
    return printable("/".join(parts) or folders[0].name)


def artist_title(name: str) -> tuple[str, str]:
    """The artist, "" if unknown, and the title in "Artist - Title", "Artist_-_Title" and "01 - Artist - Title"."""
    name = printable(name)
    if "_-_" in name:
        name = name.replace("_", " ")
    name = re.sub(r"^\d{1,2}( -|\.) +(?=\S)", "", name).strip()
    artist, *title = (part.strip() for part in re.split(r" [-–—] ", name, maxsplit=1))
    return (artist, title[0]) if title and artist and title[0] else ("", name)


def words(name: str) -> str:
    """AClassicEducation as "A Classic Education"; names that are not clearly words, such as ANiMAL, as they are."""
    words = re.findall(r"(?:Mc)?[A-Z][a-z]+|[AI](?=[A-Z][a-z])|\d+[a-z]*", name)
    return " ".join(words) if "".join(words) == name else printable(name)


def _mix_rank(name: str, folder: str) -> int:
    """0 for a stem; for a mix of this folder, its place in `MIX_NAMES`, from 1."""
    alone = name.lower().removeprefix(folder.lower()).strip(" _-")
    return next((rank for rank, mix in enumerate(MIX_NAMES, start=1) if mix in (alone, name.lower())), 0)


def found_stems(files: Iterable[tuple[str, Path]]) -> tuple[dict[str, Source], list[Problem]]:
    """Files by name; the second of two files of one name (kick.flac, kick.wav) is a problem."""
    stems, first, problems = {}, {}, []
    for name, path in files:
        if name in first:
            problems.append(problem(path, f"has the name of {printable(first[name].name)}"))
        else:
            first[name] = path
            stems[unique(printable(name), stems)] = Source(path)
    return stems, problems


def found_song(
    parts: tuple[str, ...], files: list[tuple[str, Path]], folders: list[Folder]
) -> tuple[FoundSong, list[Problem]]:
    """The song of a folder: its mix, if one of the files is named so, and its stems."""
    own_name = parts[-1] if parts else folders[0].name
    mixes = sorted((rank, path) for name, path in files if (rank := _mix_rank(name, own_name)))
    stems, problems = found_stems((name, path) for name, path in files if not _mix_rank(name, own_name))
    problems += [problem(path, f"a second mix beside {printable(mixes[0][1].name)}") for _, path in mixes[1:]]
    artist, title = artist_title(own_name)
    mix = Source(mixes[0][1]) if mixes else None
    return FoundSong(place_name(parts, folders), title, "", artist, stems, mix), problems


def song_folder(parts: tuple[str, ...]) -> tuple[str, ...]:
    return parts[:-1] if len(parts) > 1 and parts[-1].lower() in STEM_FOLDERS else parts
