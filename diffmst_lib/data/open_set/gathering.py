"""The open set: multitracks and finished songs from a published list, for anybody. Chapter: Data."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ...audio.loading import AUDIO_SUFFIXES
from ...disk import data_dir, output_folder, printable, why, write_whole
from ...inputs import InputError, note
from ..names import few
from ..songs import FoundSong, Problem, Source
from .rendering import SOUNDFONTS, find_soundfont, missing_tools, render_songs

Entry = dict[str, Any]  # a song, a reference, a MIDI song or an album of the list
Published = dict[str, list[Entry]]  # the list, by kind
MIDI_FOLDERS = ("/usr/share/games/openttd/baseset/openmsx", "/usr/share/openttd/baseset/openmsx")


def published_list() -> Published:
    """Read the list of the open set.

    Returns:
        "songs" and "references" that are copied, "midi" that is rendered, and "albums" besides. Of each:
        name, title, artist, license, attribution, source, split, and its files by size and SHA-256. An album
        is the music of a Debian package, in whatever version: its finished songs are more references for
        training.

    Example:
        >>> [song["name"] for song in published_list()["songs"] if song["split"] == "test"]
        ['caesium']
    """
    return json.loads((data_dir() / "open_set.json").read_text(encoding="utf-8"))


def build_open_set(
    source: str | Path,
    output: str | Path,
    *,
    midi: str | Path | None = None,
    soundfont: str | Path | None = None,
    published: Published | None = None,
    progress: bool = False,
) -> tuple[list[FoundSong], list[Problem]]:
    """Gather the open set in a folder: multitracks/<song>/<stem>, references/<name> and SOURCES.md.

    Files of the list are recognized by their SHA-256, whatever they are called and however deep they lie in
    `source`; links to folders are followed. Albums are copied from where Debian installs them, but for files
    that the list has by themselves. What is in `output` already is not written again, and counts: another
    call with another source adds to it. An `InputNote` counts the files that were not recognized.

    Args:
        source: The folder with the music.
        output: The folder of the open set.
        midi: A folder with the MIDI songs; where Debian puts them by default. They may lie in `source` as
            well, and are rendered where FluidSynth and a SoundFont are installed.
        soundfont: A SoundFont file; the best of the usual ones by default.
        published: The list, `published_list()` by default.
        progress: Whether to show a progress bar.

    Returns:
        The songs, and a problem for each that is missing, which says where to get it.

    Raises:
        InputError: For a missing folder, for `source` and `output` inside each other, where `output` cannot
        be written
            or the disk is full (what was written is whole, and stays), and where no finished song or no song
            with stems results.

    Example:
        >>> songs, problems = build_open_set("music", "open_set")  # doctest: +SKIP
    """
    source, output = Path(source), Path(output)
    published = published_list() if published is None else published
    _check_folders(source, output, midi)
    missing_tools(soundfont)  # a SoundFont that cannot be used is an error before anything is written
    folders = [Path(midi)] if midi else [Path(folder) for folder in MIDI_FOLDERS]

    problems: list[Problem] = []
    with output_folder(output):
        try:
            files, strangers = _recognize(source, folders, published)
            if strangers:
                count = "1 file was" if strangers == 1 else f"{strangers} files were"
                note(
                    f"{printable(str(source))}: {count} not recognized "
                    "(not of the open set, another version, or damaged)"
                )
            songs = []
            for entry in published["songs"]:
                stems = _collect(entry, files, output / "multitracks" / entry["name"], problems)
                if stems:
                    songs.append(_listed_song(entry, stems=stems))
            references = []
            for entry in published["references"]:
                for mix in _collect(entry, files, output / "references", problems).values():
                    references.append(_listed_song(entry, mix=mix))
            if not references:  # an error before minutes of rendering
                raise InputError(_nothing("finished song", source, published["references"]))
            for album in published["albums"]:
                references += _album(album, published, output / "references" / album["name"], problems)
            songs += _render(published["midi"], files, output / "multitracks", problems, soundfont, progress)
            if not songs:
                raise InputError(_nothing("song with stems", source, published["songs"]))
            _write_sources(output / "SOURCES.md", songs + references)
        except OSError as error:
            raise InputError(
                f"{printable(str(output))}: stopped ({why(error)}); what is written is whole, and stays"
            ) from None
    return songs + references, problems


def _check_folders(source: Path, output: Path, midi: str | Path | None) -> None:
    for folder in (source, *([Path(midi)] if midi else [])):
        if not folder.is_dir():
            raise InputError(f"{printable(str(folder))}: no such folder")
    inner, outer = output.resolve(), source.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise InputError(
            f"{printable(str(output))}: choose a folder for the open set that is outside of the source and "
            "does not hold it"
        )


def _recognize(source: Path, midi_folders: list[Path], published: Published) -> tuple[dict[str, Path], int]:
    """The files of the list by SHA-256, and how many others of `source` look like some."""
    entries = [*published["songs"], *published["references"], *published["midi"]]
    listed = [file for entry in entries for file in entry["files"]]
    sizes = {file["bytes"] for file in listed}
    hashes = {file["sha256"] for file in listed}
    suffixes = {Path(file["file"]).suffix for file in listed}
    recognized: dict[str, Path] = {}
    strangers = 0
    for root in (source, *midi_folders):
        for path, size in files_below(root):
            digest = _sha256(path) if size in sizes else ""  # most files of a large folder are never read
            if digest in hashes:
                recognized.setdefault(digest, path)
            elif root == source and path.suffix.lower() in suffixes:
                strangers += 1
    return recognized, strangers


def files_below(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield every file below a folder with its size in bytes, links to folders followed once."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            try:
                status = path.stat()
            except OSError:  # a link to nothing
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status.st_size


def _sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal, "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _collect(
    entry: Entry, files: dict[str, Path], folder: Path, problems: list[Problem]
) -> dict[str, Source]:
    """Copy an entry's files into `folder`: {stem: Source}, or {} and a problem where some are missing."""
    wanted = {file["file"]: file for file in entry["files"]}
    to_copy = {name: file for name, file in wanted.items() if not _is_whole(folder / name, file)}
    missing = [name for name, file in to_copy.items() if file["sha256"] not in files]
    if missing:
        all_or_some = f"{len(missing)} of {len(wanted)} files are missing: {few(missing, 3)}"
        if len(missing) == len(wanted):
            all_or_some = "missing"
        problems.append(Problem(entry["name"], f"{all_or_some}; get it from {entry['source']}"))
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in to_copy.items():
        write_whole(folder / name, partial(shutil.copyfile, files[file["sha256"]]))
    return {Path(name).stem: Source(folder / name) for name in wanted}


def _album(entry: Entry, published: Published, folder: Path, problems: list[Problem]) -> list[FoundSong]:
    """Copy all music of a package that the list does not have by itself."""
    listed = {file["sha256"] for song in published["references"] for file in song["files"]}
    songs = []
    for root in [Path(path) for pattern in entry["folders"] for path in sorted(glob.glob(pattern))]:
        for path, size in files_below(root):
            if path.suffix.lower() not in AUDIO_SUFFIXES or _sha256(path) in listed:
                continue
            copy = folder / "_".join(path.relative_to(root).parts)
            folder.mkdir(parents=True, exist_ok=True)
            if not (copy.is_file() and copy.stat().st_size == size):
                write_whole(copy, partial(shutil.copyfile, path))
            song = _listed_song(entry, mix=Source(copy))
            song.name, song.title = f"{entry['name']}/{copy.stem}", copy.stem.replace("_", " ")
            songs.append(song)
    if not songs:
        package = entry["source"].removeprefix("Debian package ")
        problems.append(
            Problem(entry["name"], f"missing; get it from {entry['source']}: apt install {package}")
        )
    return songs


def _is_whole(path: Path, file: dict[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == file["bytes"] and _sha256(path) == file["sha256"]


def _render(
    entries: list[Entry],
    files: dict[str, Path],
    output: Path,
    problems: list[Problem],
    soundfont: str | Path | None,
    progress: bool,
) -> list[FoundSong]:
    """The MIDI songs of the list that are there and can be rendered; what is missing goes into `problems`."""
    paths = {entry["name"]: files.get(entry["files"][0]["sha256"]) for entry in entries}
    absent = [entry for entry in entries if paths[entry["name"]] is None]
    if not entries:
        return []
    if len(absent) == len(entries):
        problems.append(
            Problem(
                "MIDI songs",
                f"all {len(entries)} are missing; get them from {entries[0]['source']}: "
                "apt install openttd-openmsx",
            )
        )
        return []
    problems += [Problem(entry["name"], f"missing; get it from {entry['source']}") for entry in absent]
    missing = missing_tools(soundfont)
    if missing:
        problems += missing
        return []
    present = {name: path for name, path in paths.items() if path}
    rendered, failed = render_songs(present, output, soundfont=soundfont, progress=progress)
    problems += failed
    played_by = Path(soundfont or find_soundfont()).resolve().name
    credit = SOUNDFONTS.get(played_by, "a license of its own")
    songs = []
    for entry in entries:
        if entry["name"] in rendered:
            stems = {name: Source(path) for name, path in rendered[entry["name"]].items()}
            song = _listed_song(entry, stems=stems)
            song.license += f" (MIDI), {credit.split(',')[0]} (SoundFont)"
            song.attribution += f"; rendered with FluidSynth and the SoundFont {played_by} ({credit})"
            songs.append(song)
    return songs


def _listed_song(entry: Entry, **sounds: Any) -> FoundSong:
    facts = {key: entry[key] for key in ("name", "title", "artist", "license", "attribution", "split")}
    return FoundSong(**facts, layout="open", **sounds)


def _nothing(what: str, source: Path, entries: list[Entry]) -> str:
    origins = dict.fromkeys(entry["source"].split(", ")[0] for entry in entries)
    return (
        f"{printable(str(source))}: no {what} of the open set is in it; get some from {' or '.join(origins)}"
    )


def _write_sources(path: Path, songs: list[FoundSong]) -> None:
    """Licenses and attributions beside the sounds, for whoever gets a copy of the folder."""
    rows = [f"| {song.name} | {song.split} | {song.license} | {song.attribution} |" for song in songs]
    lines = [
        "# The open set: licenses and attributions",
        "",
        "| song | split | license | attribution |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
    ]
    write_whole(path, lambda part: part.write_text("\n".join(lines), encoding="utf-8"))
