"""Folders of a data set, and the meaning of the names in them. Chapter: Data."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ...audio.loading import AUDIO_SUFFIXES
from ...audio.song_folder import STEM_FOLDERS, UNREAD_SUFFIXES, is_earlier_mix, mix_rank, pair_sides
from ...disk import composed, printable, why
from ..songs import FoundSong, Problem, Source

CACHE_MARK = ".diffmst-cache"  # a file that marks a folder as written by `build_cache`
SongsAndProblems = tuple[list[FoundSong], list[Problem]]


@dataclass
class Folder:
    """A folder with the names of its files.

    Attributes:
        parts: Names of the folders on the way from the data set to this one, () for the data set itself.
        path: Path of the folder.
        audio: Names of its audio files, sorted.
        others: Names of its other files, sorted.
    """

    parts: tuple[str, ...]
    path: Path
    audio: list[str]
    others: list[str]

    @property
    def name(self) -> str:
        """The name of the folder, also for the path "."."""
        return os.path.basename(os.path.abspath(self.path))

    def files(self) -> list[tuple[str, Path]]:
        """List the names, without suffix, and the paths of its audio files."""
        return [(os.path.splitext(name)[0], self.path / name) for name in self.audio]


def scan(root: Path) -> tuple[list[Folder], list[Problem]]:
    """List `root` and every folder below it. A folder with several links to it is listed once.

    Hidden folders and files, __MACOSX and caches of `build_cache` below `root` are skipped.

    Args:
        root: Folder of a data set.

    Returns:
        Folders, `root` first, and what was left out: folders that cannot be read, earlier mixes, hidden
        sounds, sounds of kinds that are not read.
    """
    folders, problems, seen = [], [], {_identity(root)}

    def unreadable(error: OSError) -> None:
        problems.append(problem(error.filename, f"cannot be read ({why(error)})"))

    for path, names, files in os.walk(root, followlinks=True, onerror=unreadable):
        below = [name for name in names if not _is_hidden(name)]
        names.clear()
        if CACHE_MARK in files and Path(path) != root:  # a cache holds the same songs again
            continue
        if is_earlier_mix(files):
            problems.append(problem(Path(path, "mix.wav"), "an earlier mix (params.json beside it), no song"))
            files = [name for name in files if name != "mix.wav"]
            below = [name for name in below if name != "stems"]
        links = {name for name in below if os.path.islink(os.path.join(path, name))}
        for name in [*sorted(set(below) - links), *sorted(links)]:
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
            is_audio = _is_audio(name)
            if not _is_hidden(name):
                (folder.audio if is_audio else folder.others).append(name)
                if os.path.splitext(name)[1].lower() in UNREAD_SUFFIXES:
                    problems.append(problem(folder.path / name, "not read here, convert it to WAV or FLAC"))
            elif is_audio and not name.startswith("._"):  # macOS keeps facts about x.wav in ._x.wav
                problems.append(problem(folder.path / name, "a hidden file"))
        folders.append(folder)
    used = {folder.parts[:end] for folder in folders if folder.audio for end in range(len(folder.parts) + 1)}
    for folder in folders:
        if _is_audio(folder.name) and folder.parts not in used:
            problems.append(problem(folder.path, "a folder with the name of a sound file"))
    return sorted(folders, key=lambda folder: folder.parts), problems


def _is_audio(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def problem(path: str | Path, reason: str) -> Problem:
    """Make a `Problem` whose path can be printed."""
    return Problem(printable(str(path)), reason)


def left_out(folder: Folder, names: list[str], reason: str) -> list[Problem]:
    """Make one problem for several files of a folder, or none without files."""
    if not names:
        return []
    files = f"{len(names)} audio file{'s' * (len(names) > 1)}"
    return [problem(folder.path, f"{files} {reason}, such as {printable(names[0])}")]


def unique(name: str, taken: Container[str]) -> str:
    """Return the name, with a number after it where it is taken."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def name_of_song(parts: tuple[str, ...], folders: list[Folder]) -> str:
    """Name a song after the folders that lead to it, or after its own folder in a data set of one song."""
    return printable("/".join(parts) or folders[0].name)


def artist_title(name: str) -> tuple[str, str]:
    """Split a name into the artist, "" if unknown, and the title.

    Names are "Artist - Title", "Artist_-_Title" or "01 - Artist - Title".
    """
    name = printable(name)
    if "_-_" in name:
        name = name.replace("_", " ")
    name = re.sub(r"^\d{1,2}( -|\.) +(?=\S)", "", name).strip()
    artist, *title = (part.strip() for part in re.split(r" [-\u2013\u2014] ", name, maxsplit=1))
    return (artist, title[0]) if title and artist and title[0] else ("", name)


def words(name: str) -> str:
    """Split AClassicEducation into "A Classic Education". Names such as ANiMAL stay as they are."""
    words = re.findall(r"(?:Mc)?[A-Z][a-z]+|[AI](?=[A-Z][a-z])|\d+[a-z]*", name)
    return " ".join(words) if "".join(words) == name else printable(name)


def stems_by_name(files: Iterable[tuple[str, Path]]) -> tuple[dict[str, Source], list[Problem]]:
    """Collect files as stems. The second of two files with the same name (kick.flac, kick.wav) is a problem.

    Args:
        files: Names and paths of files.

    Returns:
        Sources by printable names, and problems.
    """
    stems: dict[str, Source] = {}
    first: dict[str, Path] = {}
    problems = []
    for name, path in files:
        name = composed(name)
        if name in first:
            problems.append(problem(path, f"has the name of {printable(first[name].name)}"))
        else:
            first[name] = path
            stems[unique(printable(name), stems)] = Source(path)
    return stems, problems


def join_sides(stems: dict[str, Source]) -> dict[str, Source]:
    """Join the files of the two sides of a stereo stem, "Keys.L" and "Keys.R", into one source."""
    sides = pair_sides(stems)
    lefts = {left: stem for stem, (left, _) in sides.items()}
    rights = {right for _, right in sides.values()}
    return {
        lefts.get(name, name): replace(source, right=stems[sides[lefts[name]][1]].path)
        if name in lefts
        else source
        for name, source in stems.items()
        if name not in rights
    }


def song_in_folder(
    parts: tuple[str, ...], files: list[tuple[str, Path]], folders: list[Folder]
) -> tuple[FoundSong, list[Problem]]:
    """Make the song of a folder: its stems, and its mix where the name of a file says so.

    Args:
        parts: Names of the folders on the way to the song's folder.
        files: Names and paths of its audio files.
        folders: All folders of the data set.

    Returns:
        Song of the folder, and problems.
    """
    own_name = parts[-1] if parts else folders[0].name
    mixes = sorted((rank, path) for name, path in files if (rank := mix_rank(name, own_name)))
    stems, problems = stems_by_name((name, path) for name, path in files if not mix_rank(name, own_name))
    problems += [problem(path, f"a second mix beside {printable(mixes[0][1].name)}") for _, path in mixes[1:]]
    artist, title = artist_title(own_name)
    mix = Source(mixes[0][1]) if mixes else None
    return FoundSong(name_of_song(parts, folders), title, "", artist, join_sides(stems), mix), problems


def song_folder(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the folder of the song of a folder: for `stems`, `tracks`, `raw`, ... the one above."""
    return parts[:-1] if len(parts) > 1 and parts[-1].lower() in STEM_FOLDERS else parts
