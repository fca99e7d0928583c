"""The open set: multitracks and finished songs from a published list. Chapter: Data."""

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
from ...audio.remarks import few
from ...disk import data_dir, output_folder, printable, why, write_whole
from ...inputs import InputError, note
from ..songs import FoundSong, Problem, Source
from .rendering import SOUNDFONTS, find_soundfont, missing_tools, render_songs

Entry = dict[str, Any]  # a song, a reference, a MIDI song or an album of the list
Published = dict[str, list[Entry]]  # the list, by kind
MIDI_FOLDERS = ("/usr/share/games/openttd/baseset/openmsx", "/usr/share/openttd/baseset/openmsx")


def published_list() -> Published:
    """Read the list of the open set.

    Returns:
        Lists of "songs" and "references", which are copied, of "midi" songs, which are rendered, and of
        "albums". Each entry has name, title, artist, license, attribution, source and split. All but albums
        have files with size and SHA-256. An album is the music of a Debian package, in any version. Its
        finished songs are more references for training.

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

    Files of the list are recognized by their SHA-256, whatever their name and their depth in `source`. Links
    to folders are followed. Albums are copied from where Debian installs them, without the files that the
    list names as references. MIDI songs are rendered where FluidSynth and a SoundFont are installed.

    Files that are already in `output` are used and not written again, so another call with another source
    adds to them. An `InputNote` counts the files that were not recognized.

    Args:
        source: Folder with the music.
        output: Folder of the open set.
        midi: Folder with the MIDI songs, which may also lie in `source`. Default: where Debian installs them.
        soundfont: Path of a SoundFont. Default: the best of those in the usual folders.
        published: Published list. Default: `published_list()`.
        progress: Whether to show a progress bar.

    Returns:
        Songs, and one problem for each missing song, which says where to get it.

    Raises:
        InputError: For a missing folder, for `source` inside `output` or the reverse, and when no finished
            song or no song with stems results. Also when `output` cannot be written or the disk is full; the
            files written so far are complete and stay.

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
            if not references:  # raise before the rendering, which takes minutes
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
    """Find the files of the list by SHA-256, and count other files of `source` with the same suffixes."""
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
    """Yield every file below a folder with its size in bytes. Links to folders are followed once."""
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
    """Compute the file's SHA-256 in hexadecimal; "" where the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _collect(
    entry: Entry, files: dict[str, Path], folder: Path, problems: list[Problem]
) -> dict[str, Source]:
    """Copy an entry's files into `folder`. Where some are missing, return {} and add a problem."""
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
    """Copy all music of a package, without the files that the list names as references."""
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
    """Render the MIDI songs of the list that exist. Add what is missing to `problems`."""
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
    """Write licenses and attributions beside the sounds, so that copies of the folder have them."""
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
