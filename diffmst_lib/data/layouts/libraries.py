"""Layouts of the two large libraries of multitracks: MedleyDB and Cambridge-MT. Chapter: Data."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

import yaml

from ...disk import printable
from ..songs import FoundSong, Source
from .folders import (
    Folder,
    Found,
    artist_title,
    found_song,
    found_stems,
    left_out,
    place_name,
    problem,
    song_folder,
    words,
)


def medleydb_homes(folders: list[Folder]) -> list[Folder]:
    """The folders of songs: Artist_Title with Artist_Title_RAW, Artist_Title_STEMS or Artist_Title_MIX in it."""
    there = {folder.parts for folder in folders}
    return [
        folder
        for folder in folders
        if {(*folder.parts, f"{folder.name}_{kind}") for kind in ("RAW", "STEMS")} & there
        or any(name == f"{folder.name}_MIX" for name, _ in folder.files())
    ]


def read_medleydb(folders: list[Folder]) -> Found:
    by_parts = {folder.parts: folder for folder in folders}
    tables = {name: folder.path / name for folder in folders for name in folder.others}
    above = Path(os.path.abspath(folders[0].path)).parent / "Metadata"
    songs, problems, used = [], [], set()
    for home in medleydb_homes(folders):
        below = [by_parts.get((*home.parts, f"{home.name}_{kind}")) for kind in ("RAW", "STEMS")]
        used |= {home.parts, *(folder.parts for folder in below if folder)}
        yaml_name, metadata = f"{home.name}_METADATA.yaml", {}
        table = tables.get(yaml_name, above / yaml_name)
        try:
            metadata = _metadata(table) if os.path.isfile(table) else {}
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            reason = str(error).partition("\n")[0]
            problems.append(problem(table, f"not used: cannot be read ({reason})"))
        artist, _, title = home.name.partition("_")
        artist, title = metadata.get("artist") or words(artist), metadata.get("title") or words(title)

        recorded = next((folder.files() for folder in below if folder and folder.audio), [])
        instruments = metadata.get("instruments", {})
        stems, more = found_stems(
            (_medleydb_stem(name, home.name, instruments), path) for name, path in recorded
        )
        mix = next((Source(path) for name, path in home.files() if name == f"{home.name}_MIX"), None)
        others = [name for name in home.audio if not mix or name != mix.path.name]
        problems += more + left_out(home, others, "not of MedleyDB")
        if stems or mix:
            songs.append(FoundSong(place_name(home.parts, folders), str(title), "", str(artist), stems, mix))
        else:
            problems.append(problem(home.path, "no audio in its RAW and STEMS folders, and no MIX"))
    for folder in folders:
        problems += left_out(folder, [] if folder.parts in used else folder.audio, "not of MedleyDB")
    return songs, problems


def _metadata(path: Path) -> dict:
    """Artist, title, and instruments by file, of a METADATA.yaml."""
    metadata = yaml.safe_load(path.read_bytes())
    if not isinstance(metadata, dict):
        raise ValueError("no keys in it")
    try:
        stems = (metadata.get("stems") or {}).values()
        files = [file for stem in stems for file in (stem, *(stem.get("raw") or {}).values())]
        instruments = {os.path.splitext(file["filename"])[0]: str(file["instrument"]) for file in files}
    except (AttributeError, KeyError, TypeError):
        raise ValueError("its stems are not those of MedleyDB") from None
    return {"artist": metadata.get("artist"), "title": metadata.get("title"), "instruments": instruments}


def _medleydb_stem(name: str, song: str, instruments: dict[str, str]) -> str:
    """ "01_02 electric guitar" for Artist_Title_RAW_01_02."""
    number = name.removeprefix(f"{song}_RAW_").removeprefix(f"{song}_STEM_")
    return f"{number} {instruments.get(name, '')}".strip().replace("/", "-")


CAMBRIDGE_NAME = re.compile(r"(?is)(?P<song>.*?)(?P<version>(_(Full|Excerpt|Preview))*)( ?\(\d+\))?")
PREVIEW = re.compile(r"(?is)(?P<song>.+?)(?P<version>(_(Full|Excerpt))*)_Preview")


def is_cambridge(folder: Folder) -> bool:
    """In Artist_Title_Full or _Excerpt; or Artist_Title where most of the files are numbered."""
    numbered = 2 * sum(bool(re.match(r"\d\d_", name)) for name in folder.audio) > len(folder.audio)
    artist_title = re.fullmatch(r"[A-Z0-9][^\W_]*_[A-Z0-9][^\W_]*", folder.name)
    return any(map(_version, (folder.name, *folder.parts))) or bool(numbered and artist_title)


def read_cambridge(folders: list[Folder]) -> Found:
    groups, previews, copies, problems = defaultdict(list), [], [], []
    for folder in folders:
        for name, path in folder.files():
            preview = PREVIEW.fullmatch(name)
            if preview:
                previews.append((preview, path))
            else:
                groups[_cambridge_home(folder.parts)].append((name, path))
    strays = groups.pop((), []) if len(groups) > 1 else []
    problems += left_out(folders[0], [path.name for _, path in strays], "beside the folders of the songs")
    for home, files in groups.items():
        song, more = found_song(home, files, folders)
        name = CAMBRIDGE_NAME.fullmatch(home[-1] if home else folders[0].name)
        song.artist, song.title = _cambridge_artist_title(name["song"])
        copies.append((_is_excerpt(name["version"]), -len(song.stems), song.name, song))
        problems += more

    songs: dict[
        str, tuple[FoundSong, bool]
    ] = {}  # by their letters; full songs come first, then those of most stems
    named = defaultdict(list)
    for excerpt, _, _, song in sorted(copies, key=lambda copy: copy[:3]):
        letters = _letters(song.artist + song.title)
        first, first_excerpt = songs.setdefault(letters, (song, excerpt))
        if first is song:
            for key in {letters, _letters(song.title)}:
                named[key, excerpt].append(song)
        elif (
            not song.stems and not first.mix and excerpt == first_excerpt
        ):  # Artist_Title/mix.wav above the full song
            first.mix = song.mix
        else:
            what = "an excerpt of" if excerpt and not first_excerpt else "the same song as"
            problems.append(problem(folders[0].path / song.name, f"{what} {first.name}"))
    for preview, path in sorted(
        previews, key=lambda item: (-len(item[1].parts), item[1])
    ):  # inside before beside
        owners = named[_letters(preview["song"]), _is_excerpt(preview["version"])]
        if len(owners) != 1:
            problems.append(problem(path, f"the mix of {'several songs' if owners else 'no song'} here"))
        elif owners[0].mix:
            problems.append(problem(path, f"a second mix beside {printable(owners[0].mix.path.name)}"))
        else:
            owners[0].mix = Source(path)
    return [song for song, _ in songs.values()], problems


def _version(name: str) -> str:
    return CAMBRIDGE_NAME.fullmatch(name)["version"]


def _is_excerpt(version: str) -> bool:
    return bool(version) and "full" not in version.lower()


def _letters(name: str) -> str:
    """What two spellings of a name share."""
    return re.sub(r"[\W_]+", "", name).lower()


def _cambridge_home(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The folder of the song that a folder belongs to: some archives hold that folder twice, or folders in it."""
    parts = tuple(part for i, part in enumerate(parts) if i == 0 or part != parts[i - 1])
    versions = [i for i, part in enumerate(parts) if _version(part)]
    return parts[: versions[-1] + 1] if versions else song_folder(parts)


def _cambridge_artist_title(name: str) -> tuple[str, str]:
    artist, _, title = name.partition("_")
    if not title or "_-_" in name or " - " in name:
        return artist_title(name)
    return words(artist), " ".join(map(words, title.split("_")))
